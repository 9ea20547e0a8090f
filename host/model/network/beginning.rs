//! What all prompts begin with — the template and the system prompt — is computed once, and stays with the network until anything that it came
//! from changes.

use std::sync::{Arc, Mutex, PoisonError};

use super::Network;
use super::layer::Purpose;
use super::packed::Packed;
use super::workspace::Workspace;
use so8t_base::Result;
use so8t_kernels::attention::Heads;
use so8t_kernels::backend::Backend;

/// The most bytes that a beginning may take: of a longer one the first tokens are kept.
const MOST_BYTES: usize = 256 << 20;

/// What attention reads of the tokens with which sequences begin, in every layer. A row depends on the tokens before it alone, so it is the
/// same in every sequence that begins so, to the last bit.
pub(super) struct Beginning<B: Backend> {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// Of each layer the rows [tokens, (heads + 2 · kv_heads) · head_dim]: queries, keys and values in their positions.
    layers: Vec<B::Buffer>,
}

/// As much of a beginning as all sequences of a batch have.
pub(super) struct Taken<B: Backend> {
    beginning: Arc<Beginning<B>>,
    /// How many of its tokens.
    tokens: usize,
}

impl<B: Backend> Taken<B> {
    /// The tokens.
    pub(super) fn tokens(&self) -> &[u32] {
        &self.beginning.tokens[..self.tokens]
    }
}

/// The beginning that was asked for last.
pub(super) struct Known<B: Backend>(Mutex<Option<Arc<Beginning<B>>>>);

impl<B: Backend> Default for Known<B> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<B: Backend> Known<B> {
    /// Forgets it: what it was computed from changes.
    pub(super) fn forget(&mut self) {
        *self.0.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl<B: Backend> Network<B> {
    /// Packs sequences that begin with `beginning`, or with a part of it, where they do: of it at most `most` tokens of each are known, computed once
    /// for all batches, and not computed again. Every computed row has the same bits as with [`pack`](Self::pack). What is asked for of the batch must
    /// lie behind the known tokens.
    ///
    /// # Errors
    /// As [`pack`](Self::pack).
    pub fn pack_behind(
        &self,
        beginning: &[u32],
        most: usize,
        sequences: &[&[u32]],
        workspace: &mut Workspace<B>,
    ) -> Result<Packed<B>> {
        let beginning = &beginning[..beginning.len().min(self.most_known())];
        let common = |sequence: &&[u32]| beginning.iter().zip(*sequence).take_while(|(a, b)| a == b).count();
        let taken = sequences.iter().map(common).min().unwrap_or(0).min(most);
        // Long sequences have other tables.
        let is_long = |sequence: &&[u32]| self.long_from.is_some_and(|from| sequence.len() > from);
        if taken == 0 || sequences.iter().any(|own| is_long(own) || own.len() <= taken) {
            return self.pack(sequences.iter().copied());
        }
        let known = Taken { beginning: self.beginning(beginning, workspace)?, tokens: taken };
        let (vocabulary, longest) = (self.config.vocab_size, self.options.positions);
        Packed::after(&self.backend, Some(known), sequences.iter().copied(), vocabulary, longest, self.long_from)
    }

    /// How many tokens may be kept.
    fn most_known(&self) -> usize {
        let a_token: usize = self.layers.iter().map(|layer| 4 * layer.qkv.outputs).sum();
        MOST_BYTES / a_token.max(1)
    }

    fn beginning(&self, tokens: &[u32], workspace: &mut Workspace<B>) -> Result<Arc<Beginning<B>>> {
        let mut known = self.known.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.tokens == tokens) {
            return Ok(Arc::clone(known));
        }
        let batch = self.pack([tokens])?;
        let mut stream = self.embed(&batch, workspace)?;
        let mut layers = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let (output, state) =
                self.layer_forward(layer, stream, &batch, None, Purpose::OutputAndState, None, None, workspace)?;
            stream = output;
            let Some(state) = state else { continue };
            layers.push(self.attention_input(layer, state, &batch, workspace)?);
        }
        workspace.give(stream);
        let made = Arc::new(Beginning { tokens: tokens.to_vec(), layers });
        *known = Some(Arc::clone(&made));
        Ok(made)
    }

    /// What attention reads of a batch in layer `layer`: the known rows, and `qkv`, those that were computed, behind them.
    pub(super) fn behind_known(
        &self,
        layer: usize,
        known: &Taken<B>,
        qkv: &B::Buffer,
        (distinct, heads): (usize, Heads),
        workspace: &mut Workspace<B>,
    ) -> Result<B::Buffer> {
        let fused = heads.query_width() + 2 * heads.key_width();
        let (before, own) = (known.tokens * fused, distinct * fused);
        let mut all = workspace.take(&self.backend, before + own)?;
        self.backend.copy(&known.beginning.layers[layer], &mut all, before)?;
        self.backend.copy_to(qkv, own, &mut all, before)?;
        Ok(all)
    }
}
