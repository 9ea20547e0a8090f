//! The verdict: whether an evaluation meets the rules that its manifest states.

use serde::{Deserialize, Serialize};

/// Whether all rules are met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// Whether every rule is met.
    pub accepted: bool,
    /// The rules, in the manifest's order.
    pub rules: Vec<RuleOutcome>,
}

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleOutcome {
    /// The rule in words.
    pub rule: String,
    /// `plugin.metric`.
    pub metric: String,
    /// Whether it is met.
    pub passed: bool,
    /// What was found.
    pub reason: String,
    /// The value before, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<f64>,
    /// The value after, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<f64>,
    /// After minus before, where both are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// The lower end of the 95 % interval of what the rule is about: the value, or the difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end of the 95 % interval of what the rule is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}
