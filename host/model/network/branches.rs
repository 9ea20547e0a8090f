//! The ends of a layer's two branches: norms before and behind them, the gated activation, and what they are multiplied by before they are
//! added to the residual stream.

use super::parameters::PerParameter;
use super::workspace::Workspace;
use super::{Network, Vector};
use crate::decoder::Activation;
use so8t_base::Result;
use so8t_kernels::backend::Backend;
use so8t_kernels::geglu::Gelu;

impl<B: Backend> Network<B> {
    /// The norm of `x` [rows, hidden], where there is one: written to `normed`. Returns what the branch reads.
    pub(super) fn normed<'a>(
        &self,
        norm: Option<&Vector<B>>,
        x: &'a B::Buffer,
        rows: usize,
        normed: &'a mut B::Buffer,
        inverse: &mut B::Buffer,
    ) -> Result<&'a B::Buffer> {
        let Some(norm) = norm else { return Ok(x) };
        let (width, epsilon) = (self.config.hidden_size, self.config.rms_norm_eps);
        self.backend.rms_norm(x, self.vector(norm), rows, width, epsilon, normed, inverse)?;
        Ok(normed)
    }

    /// Adds the gradient of what the branch read, which passes the norm where there is one, to that of `x`.
    #[allow(clippy::too_many_arguments, reason = "a norm, what it read, and its gradients")]
    pub(super) fn normed_backward(
        &self,
        norm: Option<&Vector<B>>,
        narrow: &B::Buffer,
        x: &B::Buffer,
        inverse: &B::Buffer,
        rows: usize,
        gradient: &mut B::Buffer,
        gradients: &mut PerParameter<B>,
    ) -> Result<()> {
        let width = self.config.hidden_size;
        let Some(norm) = norm else { return self.backend.add(narrow, gradient, rows * width) };
        let into = norm.trainable().map(|index| &mut gradients.buffers[index]);
        self.backend.rms_norm_backward(narrow, x, self.vector(norm), inverse, rows, width, gradient, into)
    }

    /// Whether a branch's last product is added to the residual stream as it is.
    pub(super) fn joins_plainly(&self, end: Option<&Vector<B>>) -> bool {
        end.is_none() && self.config.features.residual_scale == 1.0
    }

    /// Adds `side`, what a branch returned, to the residual stream. Returns `side` where the backward pass needs it and `keep` says that there
    /// will be one.
    pub(super) fn join(
        &self,
        end: Option<&Vector<B>>,
        mut side: B::Buffer,
        stream: &mut B::Buffer,
        rows: usize,
        keep: bool,
        workspace: &mut Workspace<B>,
    ) -> Result<Option<B::Buffer>> {
        let (backend, width, scale) = (&self.backend, self.config.hidden_size, self.config.features.residual_scale);
        let len = rows * width;
        let Some(end) = end else {
            backend.scale(&mut side, len, scale)?;
            backend.add(&side, stream, len)?;
            workspace.give(side);
            return Ok(None);
        };
        let (mut normed, mut inverse) = (workspace.take(backend, len)?, workspace.take(backend, rows)?);
        self.normed(Some(end), &side, rows, &mut normed, &mut inverse)?;
        if scale != 1.0 {
            backend.scale(&mut normed, len, scale)?;
        }
        backend.add(&normed, stream, len)?;
        workspace.give(normed);
        workspace.give(inverse);
        if keep {
            return Ok(Some(side));
        }
        workspace.give(side);
        Ok(None)
    }

    /// The gradient of what a branch returned, given that of the residual stream; `None` where it is the same.
    pub(super) fn join_backward(
        &self,
        end: Option<&Vector<B>>,
        side: Option<B::Buffer>,
        gradient: &B::Buffer,
        rows: usize,
        gradients: &mut PerParameter<B>,
        workspace: &mut Workspace<B>,
    ) -> Result<Option<B::Buffer>> {
        if self.joins_plainly(end) {
            return Ok(None);
        }
        let (backend, len) = (&self.backend, rows * self.config.hidden_size);
        let mut arriving = workspace.take(backend, len)?;
        backend.copy(gradient, &mut arriving, len)?;
        let scale = self.config.features.residual_scale;
        if scale != 1.0 {
            backend.scale(&mut arriving, len, scale)?;
        }
        let (Some(end), Some(side)) = (end, side) else { return Ok(Some(arriving)) };
        let (mut normed, mut inverse) = (workspace.take(backend, len)?, workspace.take(backend, rows)?);
        self.normed(Some(end), &side, rows, &mut normed, &mut inverse)?;
        backend.zero(&mut normed, len)?;
        self.normed_backward(Some(end), &arriving, &side, &inverse, rows, &mut normed, gradients)?;
        for buffer in [arriving, inverse, side] {
            workspace.give(buffer);
        }
        Ok(Some(normed))
    }

    /// The gated activation.
    pub(super) fn activate(&self, gate_up: &B::Buffer, rows: usize, width: usize, out: &mut B::Buffer) -> Result<()> {
        match self.gelu() {
            None => self.backend.swiglu(gate_up, rows, width, out),
            Some(gelu) => self.backend.geglu(gate_up, rows, width, gelu, out),
        }
    }

    /// Replaces `gate_up` by the gradient with respect to it.
    pub(super) fn activate_backward(
        &self,
        gradient: &B::Buffer,
        rows: usize,
        width: usize,
        gate_up: &mut B::Buffer,
    ) -> Result<()> {
        match self.gelu() {
            None => self.backend.swiglu_backward(gradient, rows, width, gate_up),
            Some(gelu) => self.backend.geglu_backward(gradient, rows, width, gelu, gate_up),
        }
    }

    fn gelu(&self) -> Option<Gelu> {
        match self.config.features.activation {
            Activation::Silu => None,
            Activation::GeluTanh => Some(Gelu::Tanh),
            Activation::Gelu => Some(Gelu::Exact),
        }
    }
}
