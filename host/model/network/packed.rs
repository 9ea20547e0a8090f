//! Sequences laid end to end, without padding.

use crate::kernels::backend::Backend;
use crate::{Error, Result};

/// The sequences of one pass on the device. Sequence `s` holds the rows `starts[s]..starts[s + 1]`; positions begin
/// again at 0 in each.
pub struct Packed<B: Backend> {
    /// One token a row.
    pub tokens: B::Indices,
    /// One position a row.
    pub positions: B::Indices,
    /// From 0 to the number of rows.
    pub starts: Vec<usize>,
}

impl<B: Backend> Packed<B> {
    /// Packs `sequences`, none of them empty or longer than `longest`, of tokens below `vocabulary`.
    pub fn new<'a>(
        backend: &B,
        sequences: impl IntoIterator<Item = &'a [u32]>,
        vocabulary: usize,
        longest: usize,
    ) -> Result<Self> {
        let (mut tokens, mut positions, mut starts) = (Vec::new(), Vec::new(), vec![0]);
        for (i, sequence) in sequences.into_iter().enumerate() {
            if sequence.is_empty() || sequence.len() > longest {
                let found = sequence.len();
                return Err(Error::model(format!("sequence {i}: expected 1 to {longest} tokens, found {found}")));
            }
            if let Some(token) = sequence.iter().find(|&&token| token as usize >= vocabulary) {
                return Err(Error::model(format!("sequence {i}: expected tokens below {vocabulary}, found `{token}`")));
            }
            tokens.extend_from_slice(sequence);
            positions.extend(0..sequence.len() as u32);
            starts.push(tokens.len());
        }
        Ok(Self { tokens: backend.indices(&tokens)?, positions: backend.indices(&positions)?, starts })
    }

    /// The number of tokens of all sequences.
    pub fn rows(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }
}

/// Which dropout masks a pass uses: recomputing a layer with the same key gives the same masks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Distinct for every micro-batch of a run.
    pub key: u64,
    /// The probability of dropping an element, 0 ≤ p < 1.
    pub probability: f32,
}
