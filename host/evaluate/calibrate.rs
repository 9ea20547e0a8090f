//! What was fitted on the calibration split.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// What was fitted for one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Log scores are divided by it; 1 where none was asked for.
    pub temperature: f64,
    /// What is added to the log of a label's score before the largest is the decision, by label; equivalently the score is
    /// multiplied by its exponential. The first label's is 0, since only differences matter. Empty where none were asked for.
    pub thresholds: Table<f64>,
    /// The rows that it was fitted on.
    pub n: usize,
    /// The mean negative log probability of the gold label over these rows, in nats, with temperature 1.
    pub log_loss_before: f64,
    /// The same with the temperature.
    pub log_loss_after: f64,
}
