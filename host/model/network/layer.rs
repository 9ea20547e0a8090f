//! One decoder layer, forward and backward:
//! `m = x + r·norm(O·attention(QKV·norm(x)))`, `y = m + r·norm(D·gated(GU·norm(m)))`, with those of the norms and of the factors `r`
//! that the decoder has.

use super::gates::{Gate, Turned};
use super::kept::Memory;
use super::linear::{Forward, Linear};
use super::packed::{Dropout, Packed};
use super::parameters::PerParameter;
use super::workspace::Workspace;
use super::{Network, Vector};
use so8t_base::Result;
use so8t_kernels::backend::{Backend, Operand};

/// The weights of a layer.
pub(super) struct Layer<B: Backend> {
    /// Its number, from 0.
    pub index: usize,
    /// How many tokens a token sees.
    pub window: Option<usize>,
    /// Which of the network's tables turns queries and keys.
    pub rotary: Option<usize>,
    pub attention_norm: Option<Vector<B>>,
    pub qkv: Linear<B>,
    /// Of queries and of keys.
    pub head_norms: Option<(Vector<B>, Vector<B>)>,
    pub output: Linear<B>,
    /// Behind attention.
    pub attention_end: Option<Vector<B>>,
    pub feed_forward_norm: Option<Vector<B>>,
    pub gate_up: Linear<B>,
    pub down: Linear<B>,
    /// Behind the feed-forward layer.
    pub feed_forward_end: Option<Vector<B>>,
    /// The rotation gate at `output`.
    pub gate: Option<Gate>,
}

/// What a layer's backward pass needs of its forward pass. Norms and the gated activation are computed again, being
/// cheap and large.
pub(super) struct LayerState<B: Backend> {
    input: B::Buffer,
    /// The projections: before the norms of heads, where the layer has them, else as attention read them.
    qkv: B::Buffer,
    attended: B::Buffer,
    lse: B::Buffer,
    /// What the branches returned, where norms follow.
    sides: [Option<B::Buffer>; 2],
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

        let x = self.normed(layer.attention_norm.as_ref(), &input, rows, &mut normed, &mut inverse)?;
        let mut qkv = workspace.take(backend, rows * layer.qkv.outputs)?;
        let reduced_qkv = self.linear_forward(&layer.qkv, x, &mut qkv, &set, workspace)?;
        let (projected, placed) = self.placed(layer, qkv, batch, workspace)?;
        let (attended, lse) = self.attend(&placed, layer, batch, memory, workspace)?;
        let qkv = match projected {
            None => placed,
            Some(projected) => {
                workspace.give(placed);
                projected
            }
        };

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
        let end = layer.attention_end.as_ref();
        let (reduced_output, turned, side) = if self.joins_plainly(end) {
            let (reduced, turned) = self.output_forward(layer, &attended, &mut middle, &set, keep, workspace)?;
            (reduced, turned, None)
        } else {
            let mut side = workspace.take(backend, rows * hidden)?;
            backend.zero(&mut side, rows * hidden)?;
            let (reduced, turned) = self.output_forward(layer, &attended, &mut side, &set, keep, workspace)?;
            (reduced, turned, self.join(end, side, &mut middle, rows, keep, workspace)?)
        };
        let x = self.normed(layer.feed_forward_norm.as_ref(), &middle, rows, &mut normed, &mut inverse)?;
        let mut gate_up = workspace.take(backend, rows * 2 * wide)?;
        let reduced_gate_up = self.linear_forward(&layer.gate_up, x, &mut gate_up, &set, workspace)?;
        workspace.give(normed);
        workspace.give(inverse);
        let mut activated = workspace.take(backend, rows * wide)?;
        self.activate(&gate_up, rows, wide, &mut activated)?;
        let (middle, mut output) = self.branch(middle, rows * hidden, keep, workspace)?;
        let end = layer.feed_forward_end.as_ref();
        // What a norm reads is needed, though the output was computed before.
        let last = Forward { reduced_only: purpose == Purpose::State && end.is_none(), ..add };
        let (reduced_down, last_side) = if self.joins_plainly(end) {
            (self.linear_forward(&layer.down, &activated, &mut output, &last, workspace)?, None)
        } else {
            let mut side = workspace.take(backend, rows * hidden)?;
            let last = Forward { accumulate: false, ..last };
            let reduced = self.linear_forward(&layer.down, &activated, &mut side, &last, workspace)?;
            if last.reduced_only {
                workspace.give(side);
                (reduced, None)
            } else {
                (reduced, self.join(end, side, &mut output, rows, keep, workspace)?)
            }
        };
        workspace.give(activated);

        let reduced = [reduced_qkv, reduced_output, reduced_gate_up, reduced_down];
        if let (Some(input), Some(middle)) = (kept, middle) {
            let sides = [side, last_side];
            return Ok((
                output,
                Some(LayerState { input, qkv, attended, lse, sides, middle, gate_up, reduced, turned }),
            ));
        }
        for buffer in [qkv, attended, lse, gate_up].into_iter().chain(reduced.into_iter().flatten()) {
            workspace.give(buffer);
        }
        Ok((output, None))
    }

    /// What attention read of a batch, of the state of a layer's forward pass.
    pub(super) fn attention_input(
        &self,
        layer: &Layer<B>,
        state: LayerState<B>,
        batch: &Packed<B>,
        workspace: &mut Workspace<B>,
    ) -> Result<B::Buffer> {
        let LayerState { input, qkv, attended, lse, sides, middle, gate_up, reduced, .. } = state;
        let others = [input, attended, lse, middle, gate_up].into_iter();
        others
            .chain(sides.into_iter().flatten())
            .chain(reduced.into_iter().flatten())
            .for_each(|own| workspace.give(own));
        let placed = match layer.head_norms {
            None => qkv,
            Some(_) => {
                let (projected, placed) = self.placed(layer, qkv, batch, workspace)?;
                projected.into_iter().for_each(|own| workspace.give(own));
                placed
            }
        };
        // A buffer of its own size, for it stays.
        let len = batch.distinct() * layer.qkv.outputs;
        let mut own = self.backend.allocate(len)?;
        self.backend.copy(&placed, &mut own, len)?;
        workspace.give(placed);
        Ok(own)
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
        let LayerState { input, qkv, attended, lse, sides, middle, mut gate_up, reduced, turned } = state;
        let [side, last_side] = sides;
        let [reduced_qkv, reduced_output, reduced_gate_up, reduced_down] = &reduced;
        let mut inverse = workspace.take(backend, rows)?;
        let mut normed = workspace.take(backend, rows * hidden)?;
        let mut narrow = workspace.take(backend, rows * hidden)?;

        // Feed-forward.
        let end = layer.feed_forward_end.as_ref();
        let own = self.join_backward(end, last_side, gradient, rows, gradients, workspace)?;
        let dy = own.as_ref().unwrap_or(gradient);
        let mut activated = workspace.take(backend, rows * wide)?;
        self.activate(&gate_up, rows, wide, &mut activated)?;
        let mut wide_gradient = workspace.take(backend, rows * wide)?;
        let (x, dx) = (&activated, Some(&mut wide_gradient));
        let reduced_down = reduced_down.as_ref();
        self.linear_backward(&layer.down, dy, x, reduced_down, rows, dropout, gradients, dx, workspace)?;
        workspace.give(activated);
        own.into_iter().for_each(|buffer| workspace.give(buffer));
        self.activate_backward(&wide_gradient, rows, wide, &mut gate_up)?;
        workspace.give(wide_gradient);
        let norm = layer.feed_forward_norm.as_ref();
        let (x, dx) = (self.normed(norm, &middle, rows, &mut normed, &mut inverse)?, Some(&mut narrow));
        let reduced_gate_up = reduced_gate_up.as_ref();
        self.linear_backward(&layer.gate_up, &gate_up, x, reduced_gate_up, rows, dropout, gradients, dx, workspace)?;
        workspace.give(gate_up);
        self.normed_backward(norm, &narrow, &middle, &inverse, rows, gradient, gradients)?;
        workspace.give(middle);

        // Attention.
        let own = self.join_backward(layer.attention_end.as_ref(), side, gradient, rows, gradients, workspace)?;
        let mut attended_gradient = workspace.take(backend, rows * layer.output.inputs)?;
        let (dx, reduced_output) = (&mut attended_gradient, reduced_output.as_ref());
        self.output_backward(
            layer,
            own.as_ref().unwrap_or(gradient),
            &attended,
            reduced_output,
            turned,
            rows,
            dropout,
            gradients,
            dx,
            workspace,
        )?;
        own.into_iter().for_each(|buffer| workspace.give(buffer));
        let heads = self.heads(layer.window);
        let (projected, placed) = match layer.head_norms {
            None => (None, qkv),
            // Computed again, being cheap.
            Some(_) => self.placed(layer, qkv, batch, workspace)?,
        };
        let mut qkv_gradient =
            self.attend_backward(&placed, heads, &attended, &lse, &attended_gradient, batch, workspace)?;
        let read = projected.as_ref().unwrap_or(&placed);
        self.placed_backward(layer, read, batch, &mut qkv_gradient, gradients, workspace)?;
        for buffer in [placed, attended, attended_gradient, lse].into_iter().chain(projected) {
            workspace.give(buffer);
        }
        let norm = layer.attention_norm.as_ref();
        let x = self.normed(norm, &input, rows, &mut normed, &mut inverse)?;
        let dx = input_needed.then_some(&mut narrow);
        let reduced_qkv = reduced_qkv.as_ref();
        self.linear_backward(&layer.qkv, &qkv_gradient, x, reduced_qkv, rows, dropout, gradients, dx, workspace)?;
        if input_needed {
            self.normed_backward(norm, &narrow, &input, &inverse, rows, gradient, gradients)?;
        }
        for buffer in [qkv_gradient, input, inverse, normed, narrow].into_iter().chain(reduced.into_iter().flatten()) {
            workspace.give(buffer);
        }
        Ok(())
    }
}
