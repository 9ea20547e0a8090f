//! What was fitted on the calibration split.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// A temperature and a threshold for each label, and what the temperature did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// By which the log-probabilities are divided.
    pub temperature: f64,
    /// The probability from which on each label is chosen.
    pub thresholds: Table<f64>,
    /// Rows of the calibration split.
    pub n: usize,
    /// Mean negative log-likelihood of the gold labels of that split, in nats, before.
    pub log_loss_before: f64,
    /// The same with the temperature.
    pub log_loss_after: f64,
}
