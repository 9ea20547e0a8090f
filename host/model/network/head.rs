//! The output head: the final norm and the projection to the vocabulary, only at the rows that are asked for.

use super::packed::Packed;
use super::parameters::PerParameter;
use super::workspace::Workspace;
use super::{Network, Tensor};
use so8t_base::Result;
use so8t_kernels::backend::{Backend, Operand, Product};
use so8t_kernels::gemm::Compute;

/// Bytes of logits that are held at a time.
const LOGITS: usize = 32 << 20;

/// The rows that a loss counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Targets {
    /// Row numbers within the batch; each predicts the token after it.
    pub rows: Vec<u32>,
    /// The tokens to be predicted.
    pub tokens: Vec<u32>,
    /// How much each row's loss counts in the sum whose gradient is taken.
    pub weights: Vec<f32>,
}

impl Targets {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row counts.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Rows of the last layer's output on their way through the head.
struct Picked<B: Backend> {
    hidden: B::Buffer,
    normed: B::Buffer,
    inverse: B::Buffer,
}

impl<B: Backend> Picked<B> {
    fn give(self, workspace: &mut Workspace<B>) {
        for buffer in [self.hidden, self.normed, self.inverse] {
            workspace.give(buffer);
        }
    }
}

impl<B: Backend> Network<B> {
    fn head(&self) -> &Tensor<B> {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// The most rows of logits that a loss holds at a time.
    pub fn logit_rows(&self) -> usize {
        (LOGITS / (4 * self.config.vocab_size)).max(16)
    }

    fn pick(
        &self,
        hidden: &B::Buffer,
        indices: &B::Indices,
        count: usize,
        workspace: &mut Workspace<B>,
    ) -> Result<Picked<B>> {
        let (backend, width) = (&self.backend, self.config.hidden_size);
        let mut picked = Picked {
            hidden: workspace.take(backend, count * width)?,
            normed: workspace.take(backend, count * width)?,
            inverse: workspace.take(backend, count)?,
        };
        backend.gather(Operand::Buffer(hidden), indices, count, width, &mut picked.hidden)?;
        let (weight, epsilon) = (self.vector(&self.final_norm), self.config.rms_norm_eps);
        backend.rms_norm(&picked.hidden, weight, count, width, epsilon, &mut picked.normed, &mut picked.inverse)?;
        self.divide_logits(&mut picked.normed, count * width)?;
        Ok(picked)
    }

    /// What logits are divided by, taken from what the head reads, or from the gradient of that.
    fn divide_logits(&self, normed: &mut B::Buffer, len: usize) -> Result<()> {
        match self.config.features.logit_divisor {
            1.0 => Ok(()),
            divisor => self.backend.scale(normed, len, 1.0 / divisor),
        }
    }

    /// The loss of every target with label smoothing, given the last layer's output. With `backward`, also writes the gradient of the weighted
    /// sum with respect to that output to its first part [computed rows, hidden], and adds to the gradients of what is trainable.
    #[allow(clippy::too_many_arguments, reason = "the head's input, what it should say, and its gradients")]
    pub(super) fn head_loss(
        &self,
        hidden: &B::Buffer,
        batch: &Packed<B>,
        targets: &Targets,
        smoothing: f32,
        mut backward: Option<(&mut B::Buffer, &mut PerParameter<B>)>,
        workspace: &mut Workspace<B>,
    ) -> Result<Vec<f32>> {
        let (backend, width, vocabulary) = (&self.backend, self.config.hidden_size, self.config.vocab_size);
        let mut losses = workspace.take(backend, targets.len())?;
        if let Some((gradient, _)) = &mut backward {
            backend.zero(gradient, batch.distinct() * width)?;
        }
        let computed = batch.computed(&targets.rows);
        let step = self.logit_rows().min(targets.len().max(1));
        let mut logits = workspace.take(backend, step * vocabulary)?;
        for first in (0..targets.len()).step_by(step) {
            let range = first..targets.len().min(first + step);
            let count = range.len();
            let indices = backend.indices(&computed[range.clone()])?;
            let picked = self.pick(hidden, &indices, count, workspace)?;
            let shape = Product { m: count, n: vocabulary, k: width };
            let head = self.operand(self.head());
            backend.product_nt(&picked.normed, head, &mut logits, shape, false, self.options.compute)?;
            let (tokens, weights) = (&targets.tokens[range.clone()], &targets.weights[range]);
            let mut capped = None;
            if let Some(cap) = self.config.features.logit_cap {
                backend.soft_cap(&mut logits, count * vocabulary, cap)?;
                if backward.is_some() {
                    let mut copy = workspace.take(backend, count * vocabulary)?;
                    backend.copy(&logits, &mut copy, count * vocabulary)?;
                    capped = Some((copy, cap));
                }
            }
            backend.cross_entropy(&mut logits, vocabulary, tokens, weights, smoothing, &mut losses, first)?;
            if let Some((capped, cap)) = capped {
                backend.soft_cap_backward(&capped, count * vocabulary, cap, &mut logits)?;
                workspace.give(capped);
            }
            if let Some((gradient, gradients)) = &mut backward {
                let mut normed = workspace.take(backend, count * width)?;
                backend.product_nn(&logits, head, &mut normed, shape, false, self.options.compute)?;
                if let Tensor::Trainable(index) = *self.head() {
                    let into = &mut gradients.buffers[index];
                    backend.product_tn(&logits, &picked.normed, into, shape, self.options.compute)?;
                }
                self.divide_logits(&mut normed, count * width)?;
                let mut rows = workspace.take(backend, count * width)?;
                backend.zero(&mut rows, count * width)?;
                let into = self.final_norm.trainable().map(|index| &mut gradients.buffers[index]);
                let weight = self.vector(&self.final_norm);
                let (x, inverse) = (&picked.hidden, &picked.inverse);
                backend.rms_norm_backward(&normed, x, weight, inverse, count, width, &mut rows, into)?;
                backend.scatter_add(&rows, &indices, count, width, gradient)?;
                workspace.give(normed);
                workspace.give(rows);
            }
            picked.give(workspace);
        }
        workspace.give(logits);
        // Read once, behind everything: only here does the host wait for the device.
        let values = backend.read(&losses, targets.len())?;
        workspace.give(losses);
        Ok(values)
    }

    /// The logits of `hidden` [rows, hidden], of all tokens or of `tokens` alone: [rows, vocabulary or tokens].
    pub(super) fn head_logits(
        &self,
        hidden: &B::Buffer,
        rows: usize,
        tokens: Option<&[u32]>,
        workspace: &mut Workspace<B>,
    ) -> Result<Vec<f32>> {
        let (backend, width) = (&self.backend, self.config.hidden_size);
        let chosen = match tokens {
            None => None,
            Some(tokens) => {
                let mut chosen = workspace.take(backend, tokens.len() * width)?;
                let indices = backend.indices(tokens)?;
                backend.gather(self.operand(self.head()), &indices, tokens.len(), width, &mut chosen)?;
                Some((chosen, tokens.len()))
            }
        };
        let (head, columns) = match &chosen {
            Some((chosen, count)) => (Operand::Buffer(chosen), *count),
            None => (self.operand(self.head()), self.config.vocab_size),
        };
        let step = (LOGITS / (4 * columns.max(1))).max(16);
        let mut out = Vec::with_capacity(rows * columns);
        let all: Vec<u32> = (0..rows as u32).collect();
        for rows in all.chunks(step) {
            let indices = backend.indices(rows)?;
            let picked = self.pick(hidden, &indices, rows.len(), workspace)?;
            let mut logits = workspace.take(backend, rows.len() * columns)?;
            let shape = Product { m: rows.len(), n: columns, k: width };
            backend.product_nt(&picked.normed, head, &mut logits, shape, false, Compute::F32)?;
            if let Some(cap) = self.config.features.logit_cap {
                backend.soft_cap(&mut logits, rows.len() * columns, cap)?;
            }
            out.extend(backend.read(&logits, rows.len() * columns)?);
            workspace.give(logits);
            picked.give(workspace);
        }
        if let Some((chosen, _)) = chosen {
            workspace.give(chosen);
        }
        Ok(out)
    }
}
