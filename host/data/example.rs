//! Requests, examples and predictions. A [`Request`] carries no label, so that what predicts cannot see one.

use serde::{Deserialize, Serialize};

use super::Text;
use so8t_base::{Error, Result, files};

/// What the model is asked about: all that prediction sees of an example.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Request {
    /// What the user asks for.
    pub instruction: Text,
    /// Text that the instruction is about; empty where there is none.
    #[serde(default, skip_serializing_if = "no_text")]
    pub input: Text,
}

impl Request {
    /// The digest by which requests are held against each other: the first 32 hexadecimal digits of the SHA-256 of the instruction's
    /// length in bytes (8 bytes, the least first), the instruction and the input.
    pub fn digest(&self) -> String {
        let mut hash = files::Hash::default();
        hash.add(&(self.instruction.len() as u64).to_le_bytes());
        hash.add(self.instruction.as_bytes());
        hash.add(self.input.as_bytes());
        let mut digest = hash.finish();
        digest.truncate(32);
        digest
    }
}

/// One request with its gold label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Distinct within the run: `source:id`.
    pub id: Text,
    /// The name of the `[[data]]` entry that it came from.
    pub source: Text,
    /// The request.
    #[serde(flatten)]
    pub request: Request,
    /// The answer that the source holds; empty where there is none.
    #[serde(default, skip_serializing_if = "no_text")]
    pub output: Text,
    /// The gold label, an id into the run's [`LabelSet`].
    pub label: u8,
    /// What must not straddle a split; empty where the example is a group of its own.
    #[serde(default, skip_serializing_if = "no_text")]
    pub group: Text,
    /// The kind of request, as the source names it; empty where it does not.
    #[serde(default, skip_serializing_if = "no_text")]
    pub category: Text,
    /// How it may be trained on.
    #[serde(default, skip_serializing_if = "Training::is_plain")]
    pub training: Training,
}

fn no_text(text: &Text) -> bool {
    text.is_empty()
}

/// How an example may be trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// What its loss is multiplied by.
    pub weight: f32,
    /// Whether it is a request to judge and nothing else: none of its source's texts may be what a model learns to write.
    pub detection_only: bool,
}

impl Default for Training {
    fn default() -> Self {
        Self { weight: 1.0, detection_only: false }
    }
}

impl Training {
    /// Whether nothing is to be said of it.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// What a source serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// Training alone.
    Train,
    /// Evaluation alone.
    Eval,
    /// Parted by the split.
    #[default]
    Both,
}

/// An example that was read but not yet placed in a part.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The example.
    pub example: Example,
    /// What its source serves.
    pub usage: Usage,
}

/// The labels of an experiment: label `i` has id `i`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSet {
    /// Distinct names.
    pub names: Vec<String>,
    /// How grave each label is; larger is graver.
    pub severity: Vec<u8>,
}

/// The id that stands for an answer that is no label.
pub const INVALID: u8 = 254;
/// What such an answer is called in predictions and reports: no label has this name.
pub const INVALID_NAME: &str = "INVALID";
/// The greatest number of labels.
const MAX_LABELS: usize = 200;

impl LabelSet {
    /// Checks the names of labels from outside: 1 to 200, distinct, none of them empty or [`INVALID_NAME`].
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn check_names(names: &[String]) -> std::result::Result<(), String> {
        if names.is_empty() || names.len() > MAX_LABELS {
            return Err(format!("expected 1 to {MAX_LABELS} labels, found {}", names.len()));
        }
        if names.iter().any(|name| name == INVALID_NAME) {
            return Err(format!(
                "expected names of labels, found `{INVALID_NAME}`, which stands for an answer that is no label"
            ));
        }
        let mut seen = std::collections::HashSet::new();
        match names.iter().find(|name| name.is_empty() || !seen.insert(name.as_str())) {
            Some(name) if name.is_empty() => Err("expected names of labels, found an empty one".to_owned()),
            Some(name) => Err(format!("expected each label once, found `{name}` twice")),
            None => Ok(()),
        }
    }

    /// The four decisions: ALLOW, ESCALATION, DENY, REFUSE.
    pub fn four_decisions() -> Self {
        Self { names: ["ALLOW", "ESCALATION", "DENY", "REFUSE"].map(String::from).to_vec(), severity: vec![0, 1, 2, 3] }
    }

    /// The number of labels.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of a label; `INVALID` for [`INVALID`].
    pub fn name(&self, id: u8) -> &str {
        self.names.get(usize::from(id)).map_or(INVALID_NAME, String::as_str)
    }

    /// The id of a name, spelled exactly.
    pub fn id(&self, name: &str) -> Result<u8> {
        self.names.iter().position(|n| n == name).map(|i| i as u8).ok_or_else(|| {
            Error::data(format!("`{name}` is not a label: expected one of `{}`", self.names.join("`, `")))
        })
    }
}

/// What a model decided about one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// An id into the label set, or [`INVALID`].
    pub label: u8,
    /// The probability of every label; they sum to 1. A generated answer has no probabilities: 1 for the label that it
    /// decides for, and 0 for the others.
    pub scores: Vec<f32>,
}
