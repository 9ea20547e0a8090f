//! What happens to queries and keys between their projection and attention: norms of heads, and rotary positions.

use super::layer::Layer;
use super::packed::Packed;
use super::parameters::PerParameter;
use super::workspace::Workspace;
use super::{Network, Rotary, Vector};
use crate::decoder::HeadNorms;
use so8t_base::Result;
use so8t_kernels::backend::Backend;
use so8t_kernels::part_norm::Parts;
use so8t_kernels::rope::{Heads, Turn};

impl<B: Backend> Network<B> {
    /// From the projections of `rows` rows to what attention reads: `(what was projected, what attention reads)`. The first is absent
    /// where the second was made in its place, and does not need it.
    pub(super) fn placed(
        &self,
        layer: &Layer<B>,
        mut projected: B::Buffer,
        batch: &Packed<B>,
        workspace: &mut Workspace<B>,
    ) -> Result<(Option<B::Buffer>, B::Buffer)> {
        let rows = batch.distinct();
        let Some(norms) = &layer.head_norms else {
            self.turn(layer, &mut projected, batch, Turn::Forward)?;
            return Ok((None, projected));
        };
        let len = rows * layer.qkv.outputs;
        let mut placed = workspace.take(&self.backend, len)?;
        self.backend.copy(&projected, &mut placed, len)?;
        for (weight, parts) in self.head_parts(norms) {
            let mut inverse = workspace.take(&self.backend, rows * parts.count)?;
            let (weight, epsilon) = (self.vector(weight), self.config.rms_norm_eps);
            self.backend.part_norm(&projected, weight, rows, parts, epsilon, &mut placed, &mut inverse)?;
            workspace.give(inverse);
        }
        self.turn(layer, &mut placed, batch, Turn::Forward)?;
        Ok((Some(projected), placed))
    }

    /// Turns the gradient of what attention read into that of what was projected, in place.
    pub(super) fn placed_backward(
        &self,
        layer: &Layer<B>,
        projected: &B::Buffer,
        batch: &Packed<B>,
        gradient: &mut B::Buffer,
        gradients: &mut PerParameter<B>,
        workspace: &mut Workspace<B>,
    ) -> Result<()> {
        let (backend, rows) = (&self.backend, batch.distinct());
        self.turn(layer, gradient, batch, Turn::Backward)?;
        let Some(norms) = &layer.head_norms else { return Ok(()) };
        let mut normed = workspace.take(backend, rows * layer.qkv.outputs)?;
        for (weight, parts) in self.head_parts(norms) {
            let mut inverse = workspace.take(backend, rows * parts.count)?;
            let into = weight.trainable().map(|index| &mut gradients.buffers[index]);
            let (weight, epsilon) = (self.vector(weight), self.config.rms_norm_eps);
            backend.part_norm(projected, weight, rows, parts, epsilon, &mut normed, &mut inverse)?;
            backend.part_norm_backward(projected, weight, &inverse, rows, parts, gradient, into)?;
            workspace.give(inverse);
        }
        workspace.give(normed);
        Ok(())
    }

    /// Rotary positions, where the layer has them.
    fn turn(&self, layer: &Layer<B>, values: &mut B::Buffer, batch: &Packed<B>, turn: Turn) -> Result<()> {
        let Some(Rotary { cos, sin }) = layer.rotary.map(|index| &self.rotary[index]) else { return Ok(()) };
        self.backend.rope(values, &batch.positions, cos, sin, batch.distinct(), self.turned(), turn)
    }

    /// The rotated part of a fused row: queries and keys.
    fn turned(&self) -> Heads {
        let config = &self.config;
        Heads {
            heads: config.heads + config.kv_heads,
            head_dim: config.head_dim,
            rotary: config.rotary_dim,
            stride: (config.heads + 2 * config.kv_heads) * config.head_dim,
        }
    }

    /// Each norm's weight, and where in a fused row it is at work: on queries, and on keys.
    fn head_parts<'a>(&self, (queries, keys): &'a (Vector<B>, Vector<B>)) -> [(&'a Vector<B>, Parts); 2] {
        let config = &self.config;
        let stride = (config.heads + 2 * config.kv_heads) * config.head_dim;
        let parts = |first: usize, heads: usize| match config.features.head_norms {
            HeadNorms::Whole => Parts { first, count: 1, width: heads * config.head_dim, stride },
            _ => Parts { first, count: heads, width: config.head_dim, stride },
        };
        [(queries, parts(0, config.heads)), (keys, parts(config.heads * config.head_dim, config.kv_heads))]
    }
}
