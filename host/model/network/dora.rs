//! Adapters that train the length of each row of the weight apart from its direction (DoRA, Liu et al. 2024), as PEFT defines them:
//! `y = W·(x − x') + m / ‖V‖ ⊙ V·x'`, with `V = W + s·B·A`, `x' = dropout(x)`, and one norm for each row of `V`.
//!
//! The norms count as constants in the gradient, as in PEFT. They follow from `‖W‖² + 2·s·B·(A·Wᵀ) + s²·B·(A·Aᵀ)·Bᵀ` row by row, so `V` is
//! never made, and are worked out once for each change of the parameters ([`Network::measure_rows`]), not for each pass.

use std::ops::Range;

use super::linear::{Adapter, Forward, Linear, Reduced};
use super::parameters::PerParameter;
use super::workspace::Workspace;
use super::{Network, Tensor};
use so8t_base::{Error, Result};
use so8t_kernels::backend::{Backend, Operand, Product, RowNorms};
use so8t_kernels::gemm::Compute;

/// The name of the magnitudes in PEFT's files.
pub(super) const MAGNITUDE: &str = "lora_magnitude_vector";

/// The magnitudes of a linear, and what follows from the parameters as they are.
pub(super) struct Dora<B: Backend> {
    /// Where the magnitudes lie among the network's parameters, [outputs].
    pub magnitude: usize,
    /// `‖W‖²` of each row; infinite where the row has no adapter.
    squares: B::Buffer,
    /// `m / ‖V‖`, [outputs]; 1 where the row has no adapter.
    scale: B::Buffer,
    /// `1 / ‖V‖`, [outputs]; 0 where the row has no adapter.
    inverse: B::Buffer,
    /// Whether `squares` holds the weight's rows yet.
    measured: bool,
}

impl<B: Backend> Dora<B> {
    /// For a linear of which `adapted` rows have an adapter.
    pub fn new(backend: &B, magnitude: usize, outputs: usize, adapted: &[Range<usize>]) -> Result<Self> {
        let mut squares = vec![f32::INFINITY; outputs];
        adapted.iter().for_each(|rows| squares[rows.clone()].fill(0.0));
        let mut buffer = backend.allocate(outputs)?;
        backend.write(&squares, &mut buffer)?;
        let (scale, inverse) = (backend.allocate(outputs)?, backend.allocate(outputs)?);
        Ok(Self { magnitude, squares: buffer, scale, inverse, measured: false })
    }
}

impl<B: Backend> Network<B> {
    /// Works out the norms of DoRA's rows and their scales from the parameters as they are. It must follow every change of
    /// them; [`Optimiser`](so8t_train::optimiser::Optimiser) and [`Network::attach`] see to it. Without DoRA it does nothing.
    pub fn measure_rows(&mut self) -> Result<()> {
        self.known.forget();
        let mut layers = std::mem::take(&mut self.layers);
        let result = layers.iter_mut().try_for_each(|layer| {
            let linears = [&mut layer.qkv, &mut layer.output, &mut layer.gate_up, &mut layer.down];
            linears.into_iter().try_for_each(|linear| self.measure_linear(linear))
        });
        self.layers = layers;
        result
    }

    fn measure_linear(&self, linear: &mut Linear<B>) -> Result<()> {
        let backend = &self.backend;
        let Some(adapter) = &mut linear.adapter else { return Ok(()) };
        let Some(dora) = &mut adapter.dora else { return Ok(()) };
        let (n, k, width) = (linear.outputs, linear.inputs, adapter.width);
        let weight = match &linear.weight {
            Tensor::Frozen(matrix) => Operand::Matrix(matrix),
            Tensor::Trainable(_) => return Err(Error::internal("an adapter lies on a weight that is trained")),
        };
        if !dora.measured {
            backend.add_row_squares(weight, n, k, &mut dora.squares)?;
            dora.measured = true;
        }
        let a = &self.parameters[adapter.a].value;
        let (mut projected, mut gram) = (backend.allocate(width * n)?, backend.allocate(width * width)?);
        backend.product_nt(a, weight, &mut projected, Product { m: width, n, k }, false, Compute::F32)?;
        let square = Product { m: width, n: width, k };
        backend.product_nt(a, Operand::Buffer(a), &mut gram, square, false, Compute::F32)?;
        let norms = RowNorms {
            squares: &dora.squares,
            projected: &projected,
            gram: &gram,
            up: &self.parameters[adapter.b].value,
            scales: &adapter.scales,
            magnitude: &self.parameters[dora.magnitude].value,
        };
        backend.row_scales(norms, n, width, &mut dora.scale, &mut dora.inverse)
    }

    /// Sets the magnitudes to the norms of the rows as they are, so that fresh adapters change nothing.
    pub(super) fn reset_magnitudes(&mut self) -> Result<()> {
        for layer in &self.layers {
            for linear in [&layer.qkv, &layer.output, &layer.gate_up, &layer.down] {
                let Some(dora) = linear.adapter.as_ref().and_then(|adapter| adapter.dora.as_ref()) else { continue };
                let inverse = self.backend.read(&dora.inverse, linear.outputs)?;
                let norms: Vec<f32> = inverse.iter().map(|&x| if x > 0.0 { 1.0 / x } else { 0.0 }).collect();
                self.backend.write(&norms, &mut self.parameters[dora.magnitude].value)?;
            }
        }
        self.measure_rows()
    }

    /// `out (+)= W·(x − x') + scale ⊙ V·x'`; returns `s·A·x'`.
    #[allow(clippy::too_many_arguments, reason = "a linear, its adapter and its values")]
    pub(super) fn dora_forward(
        &self,
        linear: &Linear<B>,
        adapter: &Adapter<B>,
        dora: &Dora<B>,
        x: &B::Buffer,
        out: &mut B::Buffer,
        forward: &Forward,
        workspace: &mut Workspace<B>,
    ) -> Result<B::Buffer> {
        let (backend, rows) = (&self.backend, forward.rows);
        let dropped = self.dropped(linear, x, rows, forward.dropout, workspace)?;
        let reduced = self.reduced(linear, adapter, dropped.as_ref().unwrap_or(x), rows, workspace)?;
        if !forward.reduced_only {
            if let Some(dropped) = &dropped {
                let mut rest = workspace.take(backend, rows * linear.inputs)?;
                self.difference(x, dropped, &mut rest, rows * linear.inputs)?;
                let (weight, shape) = (self.operand(&linear.weight), linear.product(rows));
                backend.product_nt(&rest, weight, out, shape, forward.accumulate, self.options.compute)?;
                workspace.give(rest);
            }
            let input = dropped.as_ref().unwrap_or(x);
            if forward.accumulate || dropped.is_some() {
                let mut own = workspace.take(backend, rows * linear.outputs)?;
                self.combined(linear, adapter, input, &reduced, rows, &mut own)?;
                backend.scale_columns(&mut own, &dora.scale, rows, linear.outputs)?;
                backend.add(&own, out, rows * linear.outputs)?;
                workspace.give(own);
            } else {
                self.combined(linear, adapter, input, &reduced, rows, out)?;
                backend.scale_columns(out, &dora.scale, rows, linear.outputs)?;
            }
        }
        dropped.into_iter().for_each(|buffer| workspace.give(buffer));
        Ok(reduced)
    }

    /// From the gradient `dy` of the output: adds to the gradients of `A`, `B` and the magnitudes, and writes that of the input to `dx`.
    #[allow(clippy::too_many_arguments, reason = "a linear, its adapter, its forward values and its gradients")]
    pub(super) fn dora_backward(
        &self,
        linear: &Linear<B>,
        adapter: &Adapter<B>,
        dora: &Dora<B>,
        dy: &B::Buffer,
        forward: &Reduced<'_, B>,
        gradients: &mut PerParameter<B>,
        dx: Option<&mut B::Buffer>,
        workspace: &mut Workspace<B>,
    ) -> Result<()> {
        let (backend, compute) = (&self.backend, self.options.compute);
        let &Reduced { x, reduced, rows, dropout } = forward;
        let (outputs, width) = (linear.outputs, adapter.width);
        let mut dropped = self.dropped(linear, x, rows, dropout, workspace)?;
        let input = dropped.as_ref().unwrap_or(x);

        let mut buffer = workspace.take(backend, rows * outputs)?;
        self.combined(linear, adapter, input, reduced, rows, &mut buffer)?;
        let into = &mut gradients.buffers[dora.magnitude];
        backend.add_column_dots(dy, &buffer, &dora.inverse, rows, outputs, into)?;

        // The gradient of `V·x'`.
        backend.copy(dy, &mut buffer, rows * outputs)?;
        backend.scale_columns(&mut buffer, &dora.scale, rows, outputs)?;
        let up = Product { m: rows, n: outputs, k: width };
        let down = Product { m: rows, n: width, k: linear.inputs };
        backend.product_tn(&buffer, reduced, &mut gradients.buffers[adapter.b], up, compute)?;
        let mut narrow = workspace.take(backend, rows * width)?;
        let b = Operand::Buffer(&self.parameters[adapter.b].value);
        backend.product_nn(&buffer, b, &mut narrow, up, false, compute)?;
        backend.scale_columns(&mut narrow, &adapter.scales, rows, width)?;
        backend.product_tn(&narrow, input, &mut gradients.buffers[adapter.a], down, compute)?;

        if let Some(dx) = dx {
            let (weight, shape) = (self.operand(&linear.weight), linear.product(rows));
            let a = Operand::Buffer(&self.parameters[adapter.a].value);
            match (linear.mask(dropout), &mut dropped) {
                (Some(mask), Some(wide)) => {
                    backend.product_nn(dy, weight, dx, shape, false, compute)?;
                    let mut rest = workspace.take(backend, rows * outputs)?;
                    self.difference(&buffer, dy, &mut rest, rows * outputs)?;
                    backend.product_nn(&rest, weight, wide, shape, false, compute)?;
                    backend.product_nn(&narrow, a, wide, down, true, compute)?;
                    backend.dropout(wide, mask, rows, linear.inputs, dx, true)?;
                    workspace.give(rest);
                }
                _ => {
                    backend.product_nn(&buffer, weight, dx, shape, false, compute)?;
                    backend.product_nn(&narrow, a, dx, down, true, compute)?;
                }
            }
        }
        for buffer in [buffer, narrow].into_iter().chain(dropped) {
            workspace.give(buffer);
        }
        Ok(())
    }

    /// `out = V·x = W·x + B·reduced`.
    fn combined(
        &self,
        linear: &Linear<B>,
        adapter: &Adapter<B>,
        x: &B::Buffer,
        reduced: &B::Buffer,
        rows: usize,
        out: &mut B::Buffer,
    ) -> Result<()> {
        let (backend, compute) = (&self.backend, self.options.compute);
        backend.product_nt(x, self.operand(&linear.weight), out, linear.product(rows), false, compute)?;
        let b = Operand::Buffer(&self.parameters[adapter.b].value);
        let up = Product { m: rows, n: linear.outputs, k: adapter.width };
        backend.product_nt(reduced, b, out, up, true, compute)
    }

    /// `out = left − right`.
    fn difference(&self, left: &B::Buffer, right: &B::Buffer, out: &mut B::Buffer, len: usize) -> Result<()> {
        self.backend.copy(right, out, len)?;
        self.backend.scale(out, len, -1.0)?;
        self.backend.add(left, out, len)
    }
}
