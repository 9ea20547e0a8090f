//! One evaluated example: what the metrics, the predictions files and the comparison work on.

use std::collections::HashSet;

use crate::data::{INVALID, LabelSet, Prediction};
use crate::{Error, Result};

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
}

impl EvaluatedRow {
    /// Whether the predicted label is the gold label.
    pub fn is_correct(&self) -> bool {
        self.prediction.label == self.gold
    }

    /// Checks one row against the labels: ids in range, one finite score a label.
    pub fn check(&self, labels: &LabelSet) -> Result<()> {
        if usize::from(self.gold) >= labels.len() {
            return Err(Error::data(format!(
                "row `{}`: expected a gold id below {}, found {}",
                self.id,
                labels.len(),
                self.gold
            )));
        }
        let predicted = self.prediction.label;
        if predicted != INVALID && usize::from(predicted) >= labels.len() {
            return Err(Error::data(format!(
                "row `{}`: expected a predicted id below {} or {INVALID} (INVALID), found {predicted}",
                self.id,
                labels.len()
            )));
        }
        if self.prediction.scores.len() != labels.len() {
            return Err(Error::data(format!(
                "row `{}`: expected {} scores, one a label, found {}",
                self.id,
                labels.len(),
                self.prediction.scores.len()
            )));
        }
        if let Some(score) = self.prediction.scores.iter().find(|score| !score.is_finite()) {
            return Err(Error::data(format!("row `{}`: expected finite scores, found `{score}`", self.id)));
        }
        Ok(())
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
