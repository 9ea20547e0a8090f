//! Going on with sequences token by token: keys and values of what was read are kept, and never computed again.

use std::ops::Range;

use super::Network;
use super::layer::Purpose;
use super::packed::Packed;
use super::workspace::Workspace;
use so8t_base::{Error, Result};
use so8t_kernels::backend::Backend;

/// Keys and values of several sequences in every layer.
pub struct Kept<B: Backend> {
    /// A layer's rows [sequences · capacity, 2 · kv_heads · head_dim]; sequence `s` begins at row `s · capacity`.
    layers: Vec<B::Buffer>,
    capacity: usize,
    /// The tokens of every sequence.
    tokens: Vec<Vec<u32>>,
}

impl<B: Backend> Kept<B> {
    /// How many tokens of sequence `s` are kept.
    pub fn length(&self, s: usize) -> usize {
        self.tokens[s].len()
    }
}

/// What a layer is given of a [`Kept`].
pub(super) struct Memory<'a, B: Backend> {
    /// The layer's rows.
    pub kept: &'a mut B::Buffer,
    /// Where each row of the batch goes.
    pub places: &'a B::Indices,
    /// The rows of every sequence, the new one included, where the batch goes on with them; absent where it begins them.
    pub sequences: Option<&'a [Range<usize>]>,
}

impl<B: Backend> Network<B> {
    /// Reads `prompts` and keeps them, with room for `room` more tokens each. Returns the logits that follow each of them,
    /// [prompts, vocabulary].
    ///
    /// What the prompts have of `beginning` is computed once a network, see [`pack_behind`](Self::pack_behind).
    ///
    /// Errors: an empty prompt, an unknown token, a prompt that with its room is longer than the network's positions.
    pub fn begin(
        &self,
        prompts: &[&[u32]],
        beginning: &[u32],
        room: usize,
        workspace: &mut Workspace<B>,
    ) -> Result<(Kept<B>, Vec<f32>)> {
        let longest = prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0);
        let (capacity, positions) = (longest + room, self.options.positions);
        if capacity > positions {
            return Err(Error::model(format!(
                "a prompt of {longest} tokens and {room} more: expected at most {positions} tokens in all"
            )));
        }
        let shortest = prompts.iter().map(|prompt| prompt.len()).min().unwrap_or(0);
        let batch = self.pack_behind(beginning, shortest.saturating_sub(1), prompts, workspace)?;
        let rows = prompts.len() * capacity * 2 * self.heads(None).key_width();
        let layers = self.layers.iter().map(|_| self.backend.allocate(rows)).collect::<Result<Vec<_>>>()?;
        let mut kept = Kept { layers, capacity, tokens: prompts.iter().map(|prompt| prompt.to_vec()).collect() };
        let places: Vec<u32> =
            (0..prompts.len()).flat_map(|s| (0..prompts[s].len()).map(move |at| (s * capacity + at) as u32)).collect();
        let last: Vec<u32> = batch.starts[1..].iter().map(|end| *end as u32 - 1).collect();
        let logits = self.read(&batch, &last, &places, None, &mut kept, workspace)?;
        Ok((kept, logits))
    }

    /// Goes on with each of `sequences`, distinct numbers of prompts, by one token. Returns the logits that follow,
    /// [sequences, vocabulary]. Where a sequence becomes one of those that take LongRoPE's long list, all of it is computed again.
    ///
    /// Errors: a sequence without room, an unknown token.
    pub fn next(
        &self,
        kept: &mut Kept<B>,
        sequences: &[usize],
        tokens: &[u32],
        workspace: &mut Workspace<B>,
    ) -> Result<Vec<f32>> {
        let capacity = kept.capacity;
        if let Some(s) = sequences.iter().find(|&&s| kept.length(s) >= capacity) {
            return Err(Error::internal(format!("sequence {s} has no room left")));
        }
        if let Some(token) = tokens.iter().find(|&&token| token as usize >= self.config.vocab_size) {
            return Err(Error::model(format!("expected a token below {}, found {token}", self.config.vocab_size)));
        }
        for (&s, &token) in sequences.iter().zip(tokens) {
            kept.tokens[s].push(token);
        }
        let becomes_long = |s: usize| self.long_from.is_some_and(|from| kept.length(s) == from + 1);
        let (again, on): (Vec<usize>, Vec<usize>) = (0..sequences.len()).partition(|&at| becomes_long(sequences[at]));
        let width = self.config.vocab_size;
        let mut logits = vec![0.0; sequences.len() * width];
        if !on.is_empty() {
            let going: Vec<usize> = on.iter().map(|&at| sequences[at]).collect();
            let found = self.follow(kept, &going, workspace)?;
            for (&at, found) in on.iter().zip(found.chunks_exact(width)) {
                logits[at * width..][..width].copy_from_slice(found);
            }
        }
        for at in again {
            let (s, sequence) = (sequences[at], kept.tokens[sequences[at]].clone());
            let batch = self.pack([sequence.as_slice()])?;
            let places: Vec<u32> = (0..sequence.len()).map(|row| (s * capacity + row) as u32).collect();
            let found = self.read(&batch, &[sequence.len() as u32 - 1], &places, None, kept, workspace)?;
            logits[at * width..][..width].copy_from_slice(&found);
        }
        Ok(logits)
    }

    /// The logits that follow the last token of each of `sequences`, of which it alone is not kept yet.
    fn follow(&self, kept: &mut Kept<B>, sequences: &[usize], workspace: &mut Workspace<B>) -> Result<Vec<f32>> {
        let capacity = kept.capacity;
        let last = |s: usize| kept.length(s) - 1;
        let tokens: Vec<u32> = sequences.iter().map(|&s| kept.tokens[s][last(s)]).collect();
        let offset = |s: usize| self.long_from.filter(|&from| kept.length(s) > from).unwrap_or(0);
        let positions: Vec<u32> = sequences.iter().map(|&s| (offset(s) + last(s)) as u32).collect();
        let places: Vec<u32> = sequences.iter().map(|&s| (s * capacity + last(s)) as u32).collect();
        let ranges: Vec<Range<usize>> =
            sequences.iter().map(|&s| s * capacity..s * capacity + kept.length(s)).collect();
        let batch = Packed::following(&self.backend, &tokens, &positions)?;
        let rows: Vec<u32> = (0..tokens.len() as u32).collect();
        self.read(&batch, &rows, &places, Some(&ranges), kept, workspace)
    }

    /// A pass over a batch whose keys and values are kept; the logits of `rows`.
    fn read(
        &self,
        batch: &Packed<B>,
        rows: &[u32],
        places: &[u32],
        sequences: Option<&[Range<usize>]>,
        kept: &mut Kept<B>,
        workspace: &mut Workspace<B>,
    ) -> Result<Vec<f32>> {
        let places = self.backend.indices(places)?;
        let mut stream = self.embed(batch, workspace)?;
        let wanted = batch.computed(rows);
        for (index, (layer, kept)) in self.layers.iter().zip(&mut kept.layers).enumerate() {
            let memory = Some(Memory { kept, places: &places, sequences });
            let wanted = (index + 1 == self.layers.len()).then_some(wanted.as_slice());
            stream = self.layer_forward(layer, stream, batch, None, Purpose::Output, memory, wanted, workspace)?.0;
        }
        let logits = self.head_logits(&stream, rows.len(), None, workspace)?;
        workspace.give(stream);
        Ok(logits)
    }
}
