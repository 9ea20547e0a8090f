//! Requests that stand in the training data and in the evaluation data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What was found, and what was done about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Contamination {
    /// What is done with evaluation examples that training holds: `warn`, `drop` or `fail`.
    pub policy: String,
    /// Evaluation examples whose request is in the training data, byte for byte.
    pub exact: usize,
    /// Evaluation examples whose normalised request is.
    pub normalised: usize,
    /// Evaluation examples that are near-duplicates (MinHash).
    pub near: usize,
    /// The same, by evaluation source.
    pub sources: BTreeMap<String, Overlap>,
    /// The first pairs; `contamination.jsonl` holds all.
    pub pairs: Vec<OverlapPair>,
}

/// Counts of evaluation examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// Byte for byte.
    pub exact: usize,
    /// Normalised.
    pub normalised: usize,
    /// Near-duplicates.
    pub near: usize,
}

/// An evaluation example and the training example that it repeats.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OverlapPair {
    /// The evaluation example's id.
    pub eval: String,
    /// The training example's id.
    pub train: String,
    /// `exact`, `normalised` or `near`.
    pub kind: String,
    /// The similarity of their shingles, from 0 to 1.
    pub similarity: f64,
}
