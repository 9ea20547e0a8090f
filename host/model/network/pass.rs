//! Passes through all layers.

use super::Network;
use super::Tensor;
use super::head::Targets;
use super::layer::Purpose;
use super::packed::{Dropout, Packed};
use super::parameters::PerParameter;
use super::workspace::Workspace;
use so8t_base::Result;
use so8t_kernels::backend::Backend;

/// How a training pass is done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Training {
    /// The dropout masks of this micro-batch.
    pub dropout: Option<Dropout>,
    /// Of how many of the first layers only the input is kept, and the layer computed again for its backward pass: by then
    /// what was kept of the layers after them is free.
    pub recompute: usize,
    /// Label smoothing (PyTorch's): this share of each target is spread over the vocabulary; 0 for none.
    pub label_smoothing: f32,
}

impl<B: Backend> Network<B> {
    /// Packs sequences for this network. Errors: an empty sequence, one that is too long, an unknown token.
    pub fn pack<'a>(&self, sequences: impl IntoIterator<Item = &'a [u32]>) -> Result<Packed<B>> {
        Packed::new(&self.backend, sequences, self.config.vocab_size, self.options.positions, self.long_from)
    }

    pub(super) fn embed(&self, batch: &Packed<B>, workspace: &mut Workspace<B>) -> Result<B::Buffer> {
        let (rows, width) = (batch.distinct(), self.config.hidden_size);
        let mut out = workspace.take(&self.backend, rows * width)?;
        self.backend.gather(self.operand(&self.embedding), &batch.tokens, rows, width, &mut out)?;
        self.scale_embedding(&mut out, rows * width)?;
        Ok(out)
    }

    /// What the embedding is multiplied by, of its rows or of their gradient.
    fn scale_embedding(&self, rows: &mut B::Buffer, len: usize) -> Result<()> {
        match self.config.features.embedding_scale {
            1.0 => Ok(()),
            scale => self.backend.scale(rows, len, scale),
        }
    }

    /// The last layer's output: of all computed rows, or of those that are wanted.
    fn hidden(&self, batch: &Packed<B>, wanted: Option<&[u32]>, workspace: &mut Workspace<B>) -> Result<B::Buffer> {
        let mut stream = self.embed(batch, workspace)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let wanted = wanted.filter(|_| index + 1 == self.layers.len());
            stream = self.layer_forward(layer, stream, batch, None, Purpose::Output, None, wanted, workspace)?.0;
        }
        Ok(stream)
    }

    /// The logits that follow `rows` of a batch, row-major: of the whole vocabulary, or of `tokens` alone, so that
    /// only their rows of the head are multiplied.
    pub fn logits(
        &self,
        batch: &Packed<B>,
        rows: &[u32],
        tokens: Option<&[u32]>,
        workspace: &mut Workspace<B>,
    ) -> Result<Vec<f32>> {
        let hidden = self.hidden(batch, Some(&batch.computed(rows)), workspace)?;
        let logits = self.head_logits(&hidden, rows.len(), tokens, workspace)?;
        workspace.give(hidden);
        Ok(logits)
    }

    /// The loss of every target: −log of its token's probability. No dropout.
    pub fn losses(&self, batch: &Packed<B>, targets: &Targets, workspace: &mut Workspace<B>) -> Result<Vec<f32>> {
        let hidden = self.hidden(batch, None, workspace)?;
        let losses = self.head_loss(&hidden, batch, targets, 0.0, None, workspace)?;
        workspace.give(hidden);
        Ok(losses)
    }

    /// One forward and backward pass: returns the loss of every target, smoothed where that is asked for, and adds the gradient of their weighted sum to
    /// `gradients`.
    pub fn loss_and_gradients(
        &self,
        batch: &Packed<B>,
        targets: &Targets,
        training: Training,
        gradients: &mut PerParameter<B>,
        workspace: &mut Workspace<B>,
    ) -> Result<Vec<f32>> {
        Ok(self.regularised(batch, targets, training, None, gradients, workspace)?.0)
    }

    /// As [`Network::loss_and_gradients`], with `curvature` · Σ (h[t+2] − 2·h[t+1] + h[t])² over the last hidden states (after the
    /// final norm) within every sequence, where there is a factor. Returns the losses, and the value of this sum.
    pub fn regularised(
        &self,
        batch: &Packed<B>,
        targets: &Targets,
        training: Training,
        curvature: Option<f32>,
        gradients: &mut PerParameter<B>,
        workspace: &mut Workspace<B>,
    ) -> Result<(Vec<f32>, f64)> {
        let (backend, width, rows) = (&self.backend, self.config.hidden_size, batch.distinct());
        let Training { dropout, recompute, label_smoothing } = training;
        let (mut inputs, mut states) = (Vec::new(), Vec::new());
        let mut stream = self.embed(batch, workspace)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let again = index < recompute;
            if again {
                let mut input = workspace.take(backend, rows * width)?;
                backend.copy(&stream, &mut input, rows * width)?;
                inputs.push(input);
            }
            let purpose = if again { Purpose::Output } else { Purpose::OutputAndState };
            let (output, state) = self.layer_forward(layer, stream, batch, dropout, purpose, None, None, workspace)?;
            states.extend(state);
            stream = output;
        }
        let mut gradient = workspace.take(backend, rows * width)?;
        let backward = Some((&mut gradient, &mut *gradients));
        let losses = self.head_loss(&stream, batch, targets, label_smoothing, backward, workspace)?;
        let penalty = match curvature {
            None => 0.0,
            Some(factor) => self.straighten(&stream, batch, factor, &mut gradient, gradients, workspace)?,
        };
        workspace.give(stream);

        let embedding = if let Tensor::Trainable(index) = self.embedding { Some(index) } else { None };
        for (index, layer) in self.layers.iter().enumerate().rev() {
            if index < recompute
                && let Some(input) = inputs.pop()
            {
                let (output, state) =
                    self.layer_forward(layer, input, batch, dropout, Purpose::State, None, None, workspace)?;
                workspace.give(output);
                states.extend(state);
            }
            let Some(state) = states.pop() else { break };
            let needed = index > 0 || embedding.is_some();
            self.layer_backward(layer, state, &mut gradient, batch, dropout, needed, gradients, workspace)?;
        }
        if let Some(index) = embedding {
            self.scale_embedding(&mut gradient, rows * width)?;
            let into = &mut gradients.buffers[index];
            backend.scatter_add(&gradient, &batch.tokens, rows, width, into)?;
        }
        workspace.give(gradient);
        Ok((losses, penalty))
    }
}
