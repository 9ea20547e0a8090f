//! Whether a run meets the rules of its manifest's `[accept]` table.

use serde::{Deserialize, Serialize};

/// What the rules gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Acceptance {
    /// Whether every rule passed.
    pub accepted: bool,
    /// Each rule, in the manifest's order.
    pub rules: Vec<RuleOutcome>,
}

/// What one rule gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleOutcome {
    /// The rule as the manifest states it.
    pub rule: String,
    /// The metric that it is about, `plugin.metric`.
    pub metric: String,
    /// Whether it passed.
    pub passed: bool,
    /// Why, in words.
    pub reason: String,
    /// The value before, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<f64>,
    /// The value after, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<f64>,
    /// After minus before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// The lower end of the 95 % interval of the difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end of the 95 % interval of the difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}
