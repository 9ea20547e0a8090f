//! A regularisation of the last hidden states (after the final norm): how far those of a sequence are from a straight line.

use super::Network;
use super::packed::Packed;
use super::parameters::PerParameter;
use super::workspace::Workspace;
use so8t_base::Result;
use so8t_kernels::backend::{Backend, Operand};

impl<B: Backend> Network<B> {
    /// `factor` · Σ (h[t+2] − 2·h[t+1] + h[t])² over all sequences, as if each were computed alone, with `h` = norm(`hidden`). Adds
    /// the gradient with respect to `hidden` [computed rows, hidden] to `gradient`.
    pub(super) fn straighten(
        &self,
        hidden: &B::Buffer,
        batch: &Packed<B>,
        factor: f32,
        gradient: &mut B::Buffer,
        gradients: &mut PerParameter<B>,
        workspace: &mut Workspace<B>,
    ) -> Result<f64> {
        let (backend, width) = (&self.backend, self.config.hidden_size);
        let (rows, distinct) = (batch.rows(), batch.distinct());
        let (weight, epsilon) = (self.vector(&self.final_norm), self.config.rms_norm_eps);
        let mut inverse = workspace.take(backend, distinct)?;
        let mut normed = workspace.take(backend, distinct * width)?;
        let mut of_normed = workspace.take(backend, distinct * width)?;
        backend.rms_norm(hidden, weight, distinct, width, epsilon, &mut normed, &mut inverse)?;
        let sum = match &batch.sharing {
            None => backend.curvature(&normed, &batch.starts, width, factor, &mut of_normed)?,
            Some(sharing) => {
                let mut whole = workspace.take(backend, rows * width)?;
                let mut of_whole = workspace.take(backend, rows * width)?;
                backend.gather(Operand::Buffer(&normed), &sharing.computed, rows, width, &mut whole)?;
                let sum = backend.curvature(&whole, &batch.starts, width, factor, &mut of_whole)?;
                backend.zero(&mut of_normed, distinct * width)?;
                backend.scatter_add(&of_whole, &sharing.computed, rows, width, &mut of_normed)?;
                workspace.give(whole);
                workspace.give(of_whole);
                sum
            }
        };
        let into = self.final_norm.trainable().map(|index| &mut gradients.buffers[index]);
        backend.rms_norm_backward(&of_normed, hidden, weight, &inverse, distinct, width, gradient, into)?;
        for buffer in [inverse, normed, of_normed] {
            workspace.give(buffer);
        }
        Ok(f64::from(factor) * sum)
    }
}
