//! One evaluated example: what the metrics, the predictions files and the comparison work on.

use std::collections::HashSet;

use so8t_base::{Error, Result};
use so8t_data::{INVALID, LabelSet, Prediction};

/// One example with its gold label and what the model decided. It holds no text of the request.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatedRow {
    /// Distinct within the evaluation: `source:id`.
    pub id: String,
    /// The name of the `[[data]]` entry that it came from.
    pub source: String,
    /// Rows of one group are not independent; empty where the row is a group of its own.
    pub group: String,
    /// The gold label, an id into the run's label set.
    pub gold: u8,
    /// The decision, and the probability of every label.
    pub prediction: Prediction,
    /// How long the prediction took, in milliseconds: the time of its pass, shared evenly among the rows of the pass. Absent
    /// where nothing is known of it.
    pub latency_ms: Option<f32>,
    /// The digest of the request, see [`so8t_data::Request::digest`]. Absent where the predictions do not hold it.
    pub request: Option<String>,
}

impl EvaluatedRow {
    /// Whether the predicted label is the gold label.
    pub fn is_correct(&self) -> bool {
        self.prediction.label == self.gold
    }

    /// Checks one row against the labels: ids in range, one finite score a label.
    pub fn check(&self, labels: &LabelSet) -> Result<()> {
        check(&self.id, self.gold, self.prediction.label, Some(&self.prediction.scores), labels)?;
        match &self.request {
            Some(digest)
                if digest.len() != 32 || !digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) =>
            {
                Err(Error::data(format!(
                    "row `{}`: expected 32 hexadecimal digits as the digest of the request, found `{digest}`",
                    self.id
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Checks the parts of one row against the labels; scores where they are given.
pub(super) fn check(id: &str, gold: u8, predicted: u8, scores: Option<&[f32]>, labels: &LabelSet) -> Result<()> {
    let refuse = |text: String| Err(Error::data(format!("row `{id}`: expected {text}")));
    if usize::from(gold) >= labels.len() {
        return refuse(format!("a gold id below {}, found {gold}", labels.len()));
    }
    if predicted != INVALID && usize::from(predicted) >= labels.len() {
        return refuse(format!("a predicted id below {} or {INVALID} (INVALID), found {predicted}", labels.len()));
    }
    let Some(scores) = scores else { return Ok(()) };
    if scores.len() != labels.len() {
        return refuse(format!("{} scores, one a label, found {}", labels.len(), scores.len()));
    }
    match scores.iter().find(|score| !score.is_finite()) {
        Some(score) => refuse(format!("finite scores, found `{score}`")),
        None => Ok(()),
    }
}

/// Checks every row, and that the ids are distinct.
pub fn check_rows(labels: &LabelSet, rows: &[EvaluatedRow]) -> Result<()> {
    let mut seen = HashSet::with_capacity(rows.len());
    for row in rows {
        row.check(labels)?;
        if !seen.insert(row.id.as_str()) {
            return Err(Error::data(format!("expected distinct row ids, found `{}` twice", row.id)));
        }
    }
    Ok(())
}
