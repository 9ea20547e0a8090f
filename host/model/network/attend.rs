//! Attention over a batch whose common rows are computed once: sequences are made whole for it, and taken apart again.

use super::Network;
use super::kept::Memory;
use super::layer::Layer;
use super::packed::Packed;
use super::workspace::Workspace;
use so8t_base::Result;
use so8t_kernels::attention::Heads;
use so8t_kernels::backend::{Backend, Operand};

impl<B: Backend> Network<B> {
    /// What every computed row attends to, [computed rows, heads·head_dim], and the softmaxes' denominators, of every row of
    /// every sequence (not where the rows go on from `memory`).
    pub(super) fn attend(
        &self,
        qkv: &B::Buffer,
        layer: &Layer<B>,
        batch: &Packed<B>,
        memory: Option<Memory<'_, B>>,
        workspace: &mut Workspace<B>,
    ) -> Result<(B::Buffer, B::Buffer)> {
        let heads = self.heads(layer.window);
        let (backend, rows) = (&self.backend, batch.rows());
        let (width, fused) = (heads.query_width(), heads.query_width() + 2 * heads.key_width());
        let mut attended = workspace.take(backend, rows * width)?;
        let mut lse = workspace.take(backend, rows * heads.heads)?;
        if let Some(Memory { kept, places, sequences: Some(sequences) }) = memory {
            backend.keep(qkv, places, rows, heads, kept)?;
            backend.attention_next(qkv, kept, sequences, heads, &mut attended)?;
            return Ok((attended, lse));
        }
        let Some(sharing) = &batch.sharing else {
            if let Some(Memory { kept, places, .. }) = memory {
                backend.keep(qkv, places, rows, heads, kept)?;
            }
            backend.attention(qkv, &batch.starts, heads, &mut attended, &mut lse)?;
            return Ok((attended, lse));
        };
        let mut whole = workspace.take(backend, rows * fused)?;
        match &batch.known {
            None => backend.gather(Operand::Buffer(qkv), &sharing.computed, rows, fused, &mut whole)?,
            Some(known) => {
                let all = self.behind_known(layer.index, known, qkv, (batch.distinct(), heads), workspace)?;
                backend.gather(Operand::Buffer(&all), &sharing.computed, rows, fused, &mut whole)?;
                workspace.give(all);
            }
        }
        if let Some(Memory { kept, places, .. }) = memory {
            backend.keep(&whole, places, rows, heads, kept)?;
        }
        backend.attention(&whole, &batch.starts, heads, &mut attended, &mut lse)?;
        workspace.give(whole);
        let mut apart = workspace.take(backend, batch.distinct() * width)?;
        backend.gather(Operand::Buffer(&attended), &sharing.first, batch.distinct(), width, &mut apart)?;
        workspace.give(attended);
        Ok((apart, lse))
    }

    /// The gradient of the fused rows, [computed rows, fused]. A shared row's output was taken from the first of its copies,
    /// which alone gets its gradient; its keys and values served all of them, whose gradients are added.
    #[allow(clippy::too_many_arguments, reason = "what attention read and wrote, and its gradient")]
    pub(super) fn attend_backward(
        &self,
        qkv: &B::Buffer,
        heads: Heads,
        attended: &B::Buffer,
        lse: &B::Buffer,
        gradient: &B::Buffer,
        batch: &Packed<B>,
        workspace: &mut Workspace<B>,
    ) -> Result<B::Buffer> {
        let (backend, starts) = (&self.backend, &batch.starts);
        let (rows, distinct) = (batch.rows(), batch.distinct());
        let (width, fused) = (heads.query_width(), heads.query_width() + 2 * heads.key_width());
        let mut whole_gradient = workspace.take(backend, rows * fused)?;
        let Some(sharing) = &batch.sharing else {
            backend.attention_backward(qkv, attended, lse, gradient, starts, heads, &mut whole_gradient)?;
            return Ok(whole_gradient);
        };
        let mut whole = workspace.take(backend, rows * fused)?;
        backend.gather(Operand::Buffer(qkv), &sharing.computed, rows, fused, &mut whole)?;
        let mut whole_attended = workspace.take(backend, rows * width)?;
        backend.gather(Operand::Buffer(attended), &sharing.computed, rows, width, &mut whole_attended)?;
        let mut arriving = workspace.take(backend, rows * width)?;
        backend.zero(&mut arriving, rows * width)?;
        backend.scatter_add(gradient, &sharing.first, distinct, width, &mut arriving)?;
        backend.attention_backward(&whole, &whole_attended, lse, &arriving, starts, heads, &mut whole_gradient)?;
        let mut out = workspace.take(backend, distinct * fused)?;
        backend.zero(&mut out, distinct * fused)?;
        backend.scatter_add(&whole_gradient, &sharing.computed, rows, fused, &mut out)?;
        for buffer in [whole, whole_attended, arriving, whole_gradient] {
            workspace.give(buffer);
        }
        Ok(out)
    }
}
