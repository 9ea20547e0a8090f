//! A linear layer, frozen or trainable, with an optional low-rank adapter (Hu et al. 2021):
//! `y = W·x + b + s·B·A·dropout(x)`, with or without a bias `b`; with magnitudes, see [`dora`](super::dora).
//!
//! Projections that read the same input are one fused linear. Its adapter is fused too: the modules' `A` lie below each
//! other, their `B` on the diagonal of one matrix, so that one product with a longer inner dimension replaces several
//! thin ones. What lies off the diagonal is 0 and stays 0. The modules of one fused linear share a dropout mask.

use std::ops::Range;

use super::dora::Dora;
use super::packed::Dropout;
use super::parameters::PerParameter;
use super::workspace::Workspace;
use super::{Network, Tensor, Vector};
use so8t_base::Result;
use so8t_kernels::backend::{Backend, Operand, Product};
use so8t_kernels::dropout::{Mask, mix};

/// A linear of a layer, the fusion of one or more modules.
pub(super) struct Linear<B: Backend> {
    /// Distinct within the network; part of the dropout key.
    pub index: u64,
    pub inputs: usize,
    pub outputs: usize,
    pub weight: Tensor<B>,
    pub bias: Option<Vector<B>>,
    pub parts: Vec<Part>,
    pub adapter: Option<Adapter<B>>,
}

/// A module within a fused linear.
pub(super) struct Part {
    /// Its Hugging Face path.
    pub path: String,
    /// Its rows of the fused weight.
    pub rows: Range<usize>,
}

/// Where the adapter's matrices lie among the network's parameters.
pub(super) struct Adapter<B: Backend> {
    /// `A` [width, inputs].
    pub a: usize,
    /// `B` [outputs, width].
    pub b: usize,
    /// The sum of the adapted modules' ranks.
    pub width: usize,
    /// What each of `A`'s outputs is multiplied by, [width].
    pub scales: B::Buffer,
    /// The magnitudes of the rows, with DoRA.
    pub dora: Option<Dora<B>>,
}

impl<B: Backend> Linear<B> {
    pub(super) fn product(&self, rows: usize) -> Product {
        Product { m: rows, n: self.outputs, k: self.inputs }
    }

    pub(super) fn mask(&self, dropout: Option<Dropout>) -> Option<Mask> {
        dropout.filter(|d| d.probability > 0.0).map(|d| Mask::new(d.key ^ mix(self.index), d.probability))
    }
}

/// What a linear's forward pass reads besides its input.
pub(super) struct Forward {
    pub rows: usize,
    pub dropout: Option<Dropout>,
    /// Whether the result is added to what `out` holds.
    pub accumulate: bool,
    /// Whether only the reduced activations are wanted, as when a layer is computed again.
    pub reduced_only: bool,
}

/// What a linear's backward pass reads of its forward pass.
pub(super) struct Reduced<'a, B: Backend> {
    /// The input, before dropout.
    pub x: &'a B::Buffer,
    /// `s·A·dropout(x)`.
    pub reduced: &'a B::Buffer,
    pub rows: usize,
    pub dropout: Option<Dropout>,
}

impl<B: Backend> Network<B> {
    /// `out (+)= W·x + s·B·A·dropout(x)` for every row. Returns `s·A·dropout(x)` [rows, width], which the backward pass
    /// needs, where there is an adapter.
    pub(super) fn linear_forward(
        &self,
        linear: &Linear<B>,
        x: &B::Buffer,
        out: &mut B::Buffer,
        forward: &Forward,
        workspace: &mut Workspace<B>,
    ) -> Result<Option<B::Buffer>> {
        let (backend, compute, rows) = (&self.backend, self.options.compute, forward.rows);
        let begun = self.begin_with_bias(linear, out, forward, workspace)?;
        let forward = begun.as_ref().unwrap_or(forward);
        if let Some((adapter, dora)) = linear.adapter.as_ref().and_then(|a| Some((a, a.dora.as_ref()?))) {
            return self.dora_forward(linear, adapter, dora, x, out, forward, workspace).map(Some);
        }
        let (weight, shape) = (self.operand(&linear.weight), linear.product(rows));
        let Some(adapter) = &linear.adapter else {
            if !forward.reduced_only {
                backend.product_nt(x, weight, out, shape, forward.accumulate, compute)?;
            }
            return Ok(None);
        };
        let dropped = self.dropped(linear, x, rows, forward.dropout, workspace)?;
        let reduced = self.reduced(linear, adapter, dropped.as_ref().unwrap_or(x), rows, workspace)?;
        dropped.into_iter().for_each(|buffer| workspace.give(buffer));
        if !forward.reduced_only {
            let (b, add) = (&self.parameters[adapter.b].value, forward.accumulate);
            backend.adapted_nt(x, weight, &reduced, b, adapter.width, out, shape, add, compute)?;
        }
        Ok(Some(reduced))
    }

    /// Puts a linear's bias into `out`, to which the products are then added: returns how.
    fn begin_with_bias(
        &self,
        linear: &Linear<B>,
        out: &mut B::Buffer,
        forward: &Forward,
        workspace: &mut Workspace<B>,
    ) -> Result<Option<Forward>> {
        let (backend, rows, width) = (&self.backend, forward.rows, linear.outputs);
        let Some(bias) = linear.bias.as_ref().filter(|_| !forward.reduced_only) else { return Ok(None) };
        let (bias, zeros) = (Operand::Buffer(self.vector(bias)), backend.indices(&vec![0; rows])?);
        if forward.accumulate {
            let mut side = workspace.take(backend, rows * width)?;
            backend.gather(bias, &zeros, rows, width, &mut side)?;
            backend.add(&side, out, rows * width)?;
            workspace.give(side);
        } else {
            backend.gather(bias, &zeros, rows, width, out)?;
        }
        Ok(Some(Forward { accumulate: true, ..*forward }))
    }

    /// `dropout(x)`, where elements are dropped.
    pub(super) fn dropped(
        &self,
        linear: &Linear<B>,
        x: &B::Buffer,
        rows: usize,
        dropout: Option<Dropout>,
        workspace: &mut Workspace<B>,
    ) -> Result<Option<B::Buffer>> {
        let Some(mask) = linear.mask(dropout) else { return Ok(None) };
        let mut dropped = workspace.take(&self.backend, rows * linear.inputs)?;
        self.backend.dropout(x, mask, rows, linear.inputs, &mut dropped, false)?;
        Ok(Some(dropped))
    }

    /// `s·A·x`, [rows, width].
    pub(super) fn reduced(
        &self,
        linear: &Linear<B>,
        adapter: &Adapter<B>,
        x: &B::Buffer,
        rows: usize,
        workspace: &mut Workspace<B>,
    ) -> Result<B::Buffer> {
        let mut reduced = workspace.take(&self.backend, rows * adapter.width)?;
        let a = Operand::Buffer(&self.parameters[adapter.a].value);
        let down = Product { m: rows, n: adapter.width, k: linear.inputs };
        self.backend.product_nt(x, a, &mut reduced, down, false, self.options.compute)?;
        self.backend.scale_columns(&mut reduced, &adapter.scales, rows, adapter.width)?;
        Ok(reduced)
    }

    /// From the gradient `dy` of a linear's output: adds to the gradients of what is trainable in it, and writes the
    /// gradient of its input to `dx`, unless nothing below needs it.
    #[allow(clippy::too_many_arguments, reason = "a linear, its forward values and its gradients")]
    pub(super) fn linear_backward(
        &self,
        linear: &Linear<B>,
        dy: &B::Buffer,
        x: &B::Buffer,
        reduced: Option<&B::Buffer>,
        rows: usize,
        dropout: Option<Dropout>,
        gradients: &mut PerParameter<B>,
        mut dx: Option<&mut B::Buffer>,
        workspace: &mut Workspace<B>,
    ) -> Result<()> {
        let (backend, compute) = (&self.backend, self.options.compute);
        let shape = linear.product(rows);
        if let (Some(adapter), Some(reduced)) = (&linear.adapter, reduced)
            && let Some(dora) = &adapter.dora
        {
            let forward = Reduced { x, reduced, rows, dropout };
            return self.dora_backward(linear, adapter, dora, dy, &forward, gradients, dx, workspace);
        }
        if let Some(Vector::Trainable(index)) = linear.bias {
            let mut ones = workspace.take(backend, rows)?;
            backend.write(&vec![1.0; rows], &mut ones)?;
            backend.product_tn(dy, &ones, &mut gradients.buffers[index], Product { k: 1, ..shape }, compute)?;
            workspace.give(ones);
        }
        let (weight, mask) = (self.operand(&linear.weight), linear.mask(dropout));
        // Without a mask, the adapter's part of `dx` is of one product with the weight's.
        let joined = linear.adapter.is_some() && reduced.is_some() && mask.is_none();
        if let Some(dx) = dx.as_deref_mut().filter(|_| !joined) {
            backend.product_nn(dy, weight, dx, shape, false, compute)?;
        }
        if let Tensor::Trainable(index) = linear.weight {
            backend.product_tn(dy, x, &mut gradients.buffers[index], shape, compute)?;
        }
        let (Some(adapter), Some(reduced)) = (&linear.adapter, reduced) else { return Ok(()) };
        let up = Product { m: rows, n: linear.outputs, k: adapter.width };
        let down = Product { m: rows, n: adapter.width, k: linear.inputs };
        backend.product_tn(dy, reduced, &mut gradients.buffers[adapter.b], up, compute)?;
        let mut narrow = workspace.take(backend, rows * adapter.width)?;
        let b = Operand::Buffer(&self.parameters[adapter.b].value);
        backend.product_nn(dy, b, &mut narrow, up, false, compute)?;
        backend.scale_columns(&mut narrow, &adapter.scales, rows, adapter.width)?;
        let a = &self.parameters[adapter.a].value;
        let into_a = &mut gradients.buffers[adapter.a];
        match mask {
            None => {
                backend.product_tn(&narrow, x, into_a, down, compute)?;
                if let Some(dx) = dx {
                    backend.adapted_nn(dy, weight, &narrow, a, adapter.width, dx, shape, compute)?;
                }
            }
            Some(mask) => {
                let mut wide = workspace.take(backend, rows * linear.inputs)?;
                backend.dropout(x, mask, rows, linear.inputs, &mut wide, false)?;
                backend.product_tn(&narrow, &wide, into_a, down, compute)?;
                if let Some(dx) = dx {
                    backend.product_nn(&narrow, Operand::Buffer(a), &mut wide, down, false, compute)?;
                    backend.dropout(&wide, mask, rows, linear.inputs, dx, true)?;
                }
                workspace.give(wide);
            }
        }
        workspace.give(narrow);
        Ok(())
    }
}
