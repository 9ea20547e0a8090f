//! One decoder layer, forward and backward:
//! `m = x + O·attention(QKV·norm(x))`, `y = m + D·swiglu(GU·norm(m))`.

use super::gates::{Gate, Turned};
use super::kept::Memory;
use super::linear::{Forward, Linear};
use super::packed::{Dropout, Packed};
use super::parameters::PerParameter;
use super::workspace::Workspace;
use super::{Network, Vector};
use so8t_base::Result;
use so8t_kernels::backend::{Backend, Operand};
use so8t_kernels::rope::{Heads, Turn};

/// The weights of a layer.
pub(super) struct Layer<B: Backend> {
    pub attention_norm: Vector<B>,
    pub qkv: Linear<B>,
    pub output: Linear<B>,
    pub feed_forward_norm: Vector<B>,
    pub gate_up: Linear<B>,
    pub down: Linear<B>,
    /// The rotation gate at `output`.
    pub gate: Option<Gate>,
}

/// What a layer's backward pass needs of its forward pass. Norms and the gated activation are computed again, being
/// cheap and large.
pub(super) struct LayerState<B: Backend> {
    input: B::Buffer,
    qkv: B::Buffer,
    attended: B::Buffer,
    lse: B::Buffer,
    middle: B::Buffer,
    gate_up: B::Buffer,
    reduced: [Option<B::Buffer>; 4],
    turned: Option<Turned<B>>,
}

/// What a forward pass of a layer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The output alone.
    Output,
    /// The output, and what the backward pass needs.
    OutputAndState,
    /// What the backward pass needs: the output was computed before.
    State,
}

impl<B: Backend> Network<B> {
    /// Takes the layer's input [rows, hidden] and returns its output, which is not to be used with
    /// [`Purpose::State`]. With `memory`, keys and values are kept in it, and those that it holds are attended to. With `wanted`, only
    /// these computed rows of the output are made, in their order: what follows attention does not look at other rows.
    #[allow(clippy::too_many_arguments, reason = "a layer, its input, and what is done with it")]
    pub(super) fn layer_forward(
        &self,
        layer: &Layer<B>,
        input: B::Buffer,
        batch: &Packed<B>,
        dropout: Option<Dropout>,
        purpose: Purpose,
        memory: Option<Memory<'_, B>>,
        wanted: Option<&[u32]>,
        workspace: &mut Workspace<B>,
    ) -> Result<(B::Buffer, Option<LayerState<B>>)> {
        let (backend, config) = (&self.backend, &self.config);
        let (rows, hidden, wide) = (batch.distinct(), config.hidden_size, config.intermediate_size);
        let keep = purpose != Purpose::Output;
        let set = Forward { rows, dropout, accumulate: false, reduced_only: false };
        // A row may be wanted more than once.
        let most = wanted.map_or(rows, |wanted| rows.max(wanted.len()));
        let mut inverse = workspace.take(backend, most)?;
        let mut normed = workspace.take(backend, most * hidden)?;

        let (weight, epsilon) = (self.vector(&layer.attention_norm), config.rms_norm_eps);
        backend.rms_norm(&input, weight, rows, hidden, epsilon, &mut normed, &mut inverse)?;
        let mut qkv = workspace.take(backend, rows * layer.qkv.outputs)?;
        let reduced_qkv = self.linear_forward(&layer.qkv, &normed, &mut qkv, &set, workspace)?;
        backend.rope(&mut qkv, &batch.positions, &self.cos, &self.sin, rows, self.turned(), Turn::Forward)?;
        let (attended, lse) = self.attend(&qkv, batch, memory, workspace)?;

        let (input, attended, rows) = match wanted {
            None => (input, attended, rows),
            Some(wanted) => {
                let picked = self.rows(&input, wanted, hidden, workspace)?;
                workspace.give(input);
                let heard = self.rows(&attended, wanted, layer.output.inputs, workspace)?;
                workspace.give(attended);
                (picked, heard, wanted.len())
            }
        };
        let set = Forward { rows, ..set };
        let add = Forward { accumulate: true, ..set };
        let (kept, mut middle) = self.branch(input, rows * hidden, keep, workspace)?;
        let (reduced_output, turned) = self.output_forward(layer, &attended, &mut middle, &set, keep, workspace)?;
        let weight = self.vector(&layer.feed_forward_norm);
        backend.rms_norm(&middle, weight, rows, hidden, epsilon, &mut normed, &mut inverse)?;
        let mut gate_up = workspace.take(backend, rows * 2 * wide)?;
        let reduced_gate_up = self.linear_forward(&layer.gate_up, &normed, &mut gate_up, &set, workspace)?;
        workspace.give(normed);
        workspace.give(inverse);
        let mut activated = workspace.take(backend, rows * wide)?;
        backend.swiglu(&gate_up, rows, wide, &mut activated)?;
        let (middle, mut output) = self.branch(middle, rows * hidden, keep, workspace)?;
        let last = Forward { reduced_only: purpose == Purpose::State, ..add };
        let reduced_down = self.linear_forward(&layer.down, &activated, &mut output, &last, workspace)?;
        workspace.give(activated);

        let reduced = [reduced_qkv, reduced_output, reduced_gate_up, reduced_down];
        if let (Some(input), Some(middle)) = (kept, middle) {
            return Ok((output, Some(LayerState { input, qkv, attended, lse, middle, gate_up, reduced, turned })));
        }
        for buffer in [qkv, attended, lse, gate_up].into_iter().chain(reduced.into_iter().flatten()) {
            workspace.give(buffer);
        }
        Ok((output, None))
    }

    /// Rows of `table` [_, width] as a buffer of their own.
    fn rows(&self, table: &B::Buffer, rows: &[u32], width: usize, workspace: &mut Workspace<B>) -> Result<B::Buffer> {
        let mut out = workspace.take(&self.backend, rows.len() * width)?;
        let indices = self.backend.indices(rows)?;
        self.backend.gather(Operand::Buffer(table), &indices, rows.len(), width, &mut out)?;
        Ok(out)
    }

    /// The residual stream goes on: in the same buffer, or in a copy where the original must be kept.
    fn branch(
        &self,
        stream: B::Buffer,
        len: usize,
        keep: bool,
        workspace: &mut Workspace<B>,
    ) -> Result<(Option<B::Buffer>, B::Buffer)> {
        if !keep {
            return Ok((None, stream));
        }
        let mut copy = workspace.take(&self.backend, len)?;
        self.backend.copy(&stream, &mut copy, len)?;
        Ok((Some(stream), copy))
    }

    /// Turns `gradient`, that of the layer's output, into that of its input, and adds to the gradients of what is
    /// trainable. Where nothing below is trainable (`input_needed` false), `gradient` is left unfinished.
    #[allow(clippy::too_many_arguments, reason = "a layer, its state and its gradients")]
    pub(super) fn layer_backward(
        &self,
        layer: &Layer<B>,
        state: LayerState<B>,
        gradient: &mut B::Buffer,
        batch: &Packed<B>,
        dropout: Option<Dropout>,
        input_needed: bool,
        gradients: &mut PerParameter<B>,
        workspace: &mut Workspace<B>,
    ) -> Result<()> {
        let (backend, config) = (&self.backend, &self.config);
        let (rows, hidden, wide) = (batch.distinct(), config.hidden_size, config.intermediate_size);
        let LayerState { input, qkv, attended, lse, middle, mut gate_up, reduced, turned } = state;
        let [reduced_qkv, reduced_output, reduced_gate_up, reduced_down] = &reduced;
        let epsilon = config.rms_norm_eps;
        let mut inverse = workspace.take(backend, rows)?;
        let mut normed = workspace.take(backend, rows * hidden)?;
        let mut narrow = workspace.take(backend, rows * hidden)?;

        // Feed-forward.
        let mut activated = workspace.take(backend, rows * wide)?;
        backend.swiglu(&gate_up, rows, wide, &mut activated)?;
        let mut wide_gradient = workspace.take(backend, rows * wide)?;
        let (x, dx) = (&activated, Some(&mut wide_gradient));
        let reduced_down = reduced_down.as_ref();
        self.linear_backward(&layer.down, gradient, x, reduced_down, rows, dropout, gradients, dx, workspace)?;
        workspace.give(activated);
        backend.swiglu_backward(&wide_gradient, rows, wide, &mut gate_up)?;
        workspace.give(wide_gradient);
        let weight = self.vector(&layer.feed_forward_norm);
        backend.rms_norm(&middle, weight, rows, hidden, epsilon, &mut normed, &mut inverse)?;
        let (x, dx) = (&normed, Some(&mut narrow));
        let reduced_gate_up = reduced_gate_up.as_ref();
        self.linear_backward(&layer.gate_up, &gate_up, x, reduced_gate_up, rows, dropout, gradients, dx, workspace)?;
        workspace.give(gate_up);
        let into = layer.feed_forward_norm.trainable().map(|index| &mut gradients.buffers[index]);
        backend.rms_norm_backward(&narrow, &middle, weight, &inverse, rows, hidden, gradient, into)?;
        workspace.give(middle);

        // Attention.
        let mut attended_gradient = workspace.take(backend, rows * layer.output.inputs)?;
        let (dx, reduced_output) = (&mut attended_gradient, reduced_output.as_ref());
        self.output_backward(
            layer,
            gradient,
            &attended,
            reduced_output,
            turned,
            rows,
            dropout,
            gradients,
            dx,
            workspace,
        )?;
        let mut qkv_gradient = self.attend_backward(&qkv, &attended, &lse, &attended_gradient, batch, workspace)?;
        for buffer in [qkv, attended, attended_gradient, lse] {
            workspace.give(buffer);
        }
        backend.rope(&mut qkv_gradient, &batch.positions, &self.cos, &self.sin, rows, self.turned(), Turn::Backward)?;
        let weight = self.vector(&layer.attention_norm);
        backend.rms_norm(&input, weight, rows, hidden, epsilon, &mut normed, &mut inverse)?;
        let dx = input_needed.then_some(&mut narrow);
        let reduced_qkv = reduced_qkv.as_ref();
        self.linear_backward(&layer.qkv, &qkv_gradient, &normed, reduced_qkv, rows, dropout, gradients, dx, workspace)?;
        if input_needed {
            let into = layer.attention_norm.trainable().map(|index| &mut gradients.buffers[index]);
            backend.rms_norm_backward(&narrow, &input, weight, &inverse, rows, hidden, gradient, into)?;
        }
        for buffer in [qkv_gradient, input, inverse, normed, narrow].into_iter().chain(reduced.into_iter().flatten()) {
            workspace.give(buffer);
        }
        Ok(())
    }

    /// The rotated part of a fused row: queries and keys.
    fn turned(&self) -> Heads {
        let heads = self.heads();
        Heads {
            heads: heads.heads + heads.kv_heads,
            head_dim: heads.head_dim,
            rotary: self.config.rotary_dim,
            stride: heads.query_width() + 2 * heads.key_width(),
        }
    }
}
