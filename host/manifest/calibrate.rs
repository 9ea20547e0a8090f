//! `[calibrate]`: probabilities and decisions fitted on rows that are neither trained on nor evaluated.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::places::At;
use crate::Result;
pub use crate::evaluate::Thresholds;

/// `[calibrate]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalibrateTable {
    /// The share of the training part that is kept for it.
    #[schemars(with = "Option<f64>")]
    pub share: Option<Spanned<f64>>,
    /// Whether a temperature is fitted.
    #[schemars(with = "Option<bool>")]
    pub temperature: Option<Spanned<bool>>,
    /// What the thresholds of the classes are fitted for.
    #[serde(default)]
    pub thresholds: Thresholds,
}

/// What is calibrated, checked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CalibratePlan {
    /// The share of the training part that is kept for it, between 0 and 1.
    pub share: f64,
    /// Whether a temperature is fitted.
    pub temperature: bool,
    /// What the thresholds of the classes are fitted for.
    pub thresholds: Thresholds,
}

/// Checks the share, and that something is fitted.
pub(super) fn resolve(table: &CalibrateTable, at: At<'_>) -> Result<CalibratePlan> {
    let share = table.share.as_ref().map_or(0.2, |share| *share.get_ref());
    if !(share > 0.0 && share < 1.0) {
        let span = table.share.as_ref().map_or(0..0, Spanned::span);
        return Err(at(span).error(format!(
            "`[calibrate] share` is {share}: expected a share of the training part between 0 and 1, both left out"
        )));
    }
    let temperature = table.temperature.as_ref().is_none_or(|temperature| *temperature.get_ref());
    if !temperature && table.thresholds == Thresholds::None {
        let span = table.temperature.as_ref().map_or(0..0, Spanned::span);
        return Err(
            at(span).error("`[calibrate]` fits nothing: expected `temperature = true` or `thresholds = \"f1_macro\"`")
        );
    }
    Ok(CalibratePlan { share, temperature, thresholds: table.thresholds })
}
