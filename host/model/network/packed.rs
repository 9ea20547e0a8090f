//! Sequences laid end to end, without padding.

use std::collections::HashMap;

use super::beginning::Taken;
use so8t_base::{Error, Result};
use so8t_kernels::backend::Backend;

/// The sequences of one pass on the device. Sequence `s` holds the rows `starts[s]..starts[s + 1]`; positions begin
/// again at 0 in each.
///
/// In a causal network a token's values depend on the tokens before it alone. So where sequences begin alike — the policy
/// and the template before every request, or a prompt before each of its labels — the common rows are computed once:
/// what is computed are the nodes of the tree of the sequences' tokens. Only attention sees every sequence whole.
/// Each row's values are the same bits as if its sequence were alone. (In training, rows that are shared share their dropout mask
/// too.)
pub struct Packed<B: Backend> {
    /// One token a computed row.
    pub tokens: B::Indices,
    /// One position a computed row.
    pub positions: B::Indices,
    /// From 0 to the number of rows.
    pub starts: Vec<usize>,
    /// The computed row of every row, counted from the first known one.
    computed: Vec<u32>,
    distinct: usize,
    /// What all sequences begin with, where it is not computed again: the first rows that attention reads.
    pub(super) known: Option<Taken<B>>,
    /// Absent where no two sequences begin alike.
    pub(super) sharing: Option<Sharing<B>>,
}

/// What stands before the first token of a long sequence: no row has this number.
const LONG: u32 = u32::MAX;

/// How rows and computed rows belong together.
pub(super) struct Sharing<B: Backend> {
    /// The computed row of every row.
    pub computed: B::Indices,
    /// One row of every computed row.
    pub first: B::Indices,
}

impl<B: Backend> Packed<B> {
    /// Packs `sequences`, none of them empty or longer than `longest`, of tokens below `vocabulary`. The positions of those that are longer than
    /// `long_from` begin at that number, where other rotary tables lie.
    pub fn new<'a>(
        backend: &B,
        sequences: impl IntoIterator<Item = &'a [u32]>,
        vocabulary: usize,
        longest: usize,
        long_from: Option<usize>,
    ) -> Result<Self> {
        Self::after(backend, None, sequences, vocabulary, longest, long_from)
    }

    /// As [`new`](Self::new), of sequences that all begin with what is known, are longer than it, and are not long.
    pub(super) fn after<'a>(
        backend: &B,
        known: Option<Taken<B>>,
        sequences: impl IntoIterator<Item = &'a [u32]>,
        vocabulary: usize,
        longest: usize,
        long_from: Option<usize>,
    ) -> Result<Self> {
        let (mut tokens, mut positions, mut first) = (Vec::new(), Vec::new(), Vec::new());
        let (mut computed, mut starts) = (Vec::new(), vec![0]);
        let mut nodes: HashMap<(Option<u32>, u32), u32> = HashMap::new();
        let beginning = known.as_ref().map_or(&[][..], Taken::tokens);
        let (mut before, skipped) = (None, beginning.len() as u32);
        for (node, &token) in (0..).zip(beginning) {
            nodes.insert((before, token), node);
            before = Some(node);
        }
        for (i, sequence) in sequences.into_iter().enumerate() {
            if sequence.is_empty() || sequence.len() > longest {
                let found = sequence.len();
                return Err(Error::model(format!("sequence {i}: expected 1 to {longest} tokens, found {found}")));
            }
            if let Some(token) = sequence.iter().find(|&&token| token as usize >= vocabulary) {
                return Err(Error::model(format!("sequence {i}: expected tokens below {vocabulary}, found `{token}`")));
            }
            // A long sequence shares no row with a short one, whose values are others.
            let offset = long_from.filter(|&from| sequence.len() > from);
            let mut before = offset.map(|_| LONG);
            for (position, &token) in sequence.iter().enumerate() {
                let node = *nodes.entry((before, token)).or_insert_with(|| {
                    tokens.push(token);
                    positions.push((offset.unwrap_or(0) + position) as u32);
                    first.push(computed.len() as u32);
                    skipped + tokens.len() as u32 - 1
                });
                computed.push(node);
                before = Some(node);
            }
            starts.push(computed.len());
        }
        let distinct = tokens.len();
        let sharing = match known.is_some() || distinct < computed.len() {
            true => Some(Sharing { computed: backend.indices(&computed)?, first: backend.indices(&first)? }),
            false => None,
        };
        let (tokens, positions) = (backend.indices(&tokens)?, backend.indices(&positions)?);
        Ok(Self { tokens, positions, starts, computed, distinct, known, sharing })
    }

    /// One new token for each of several sequences, at its position: a batch of sequences of one row.
    pub(super) fn following(backend: &B, tokens: &[u32], positions: &[u32]) -> Result<Self> {
        Ok(Self {
            tokens: backend.indices(tokens)?,
            positions: backend.indices(positions)?,
            starts: (0..=tokens.len()).collect(),
            computed: (0..tokens.len() as u32).collect(),
            distinct: tokens.len(),
            known: None,
            sharing: None,
        })
    }

    /// The number of tokens of all sequences.
    pub fn rows(&self) -> usize {
        self.computed.len()
    }

    /// The number of rows that are computed.
    pub fn distinct(&self) -> usize {
        self.distinct
    }

    /// The computed rows of `rows`, none of which is among the known ones.
    pub(super) fn computed(&self, rows: &[u32]) -> Vec<u32> {
        let known = self.known.as_ref().map_or(0, |known| known.tokens().len() as u32);
        rows.iter().map(|&row| self.computed[row as usize] - known).collect()
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
