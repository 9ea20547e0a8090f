//! Contamination: evaluation requests that the training part holds too, to the letter, after normalisation, or nearly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What becomes of an evaluation row that training holds too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContaminationPolicy {
    /// It stays, and the report says so.
    #[default]
    Warn,
    /// It is taken out of the evaluation.
    Drop,
    /// The run fails.
    Fail,
}

/// How alike two requests are. The order is that of what is told first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContaminationKind {
    /// Equal to the letter.
    Exact,
    /// Equal after normalisation.
    Normalised,
    /// At least as similar as was asked for.
    Near,
}

/// An evaluation row and a training row that are alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContaminatedPair {
    /// The evaluation row's id.
    pub eval: String,
    /// The training row's id.
    pub train: String,
    /// How alike they are.
    pub kind: ContaminationKind,
    /// The Jaccard index of their character 5-grams; 1 where they are equal to the letter.
    pub similarity: f64,
}

/// How many evaluation rows training holds too, each counted once, by its nearest training row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContaminationCounts {
    /// Equal to the letter.
    pub exact: usize,
    /// Equal after normalisation.
    pub normalised: usize,
    /// Near duplicates.
    pub near: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contamination {
    /// What became of it.
    pub policy: ContaminationPolicy,
    /// Evaluation rows that stand in training to the letter.
    pub exact: usize,
    /// Evaluation rows that do after normalisation only.
    pub normalised: usize,
    /// Evaluation rows that nearly do.
    pub near: usize,
    /// The same by source of the evaluation row; sources without any are left out.
    pub sources: BTreeMap<String, ContaminationCounts>,
    /// The pairs, in the order of the evaluation rows. In a report the first 100.
    pub pairs: Vec<ContaminatedPair>,
}
