//! The values of an evaluation, each with how sure it is.

use serde::{Deserialize, Serialize};

use super::measure::MetricInfo;
use super::table::Table;

/// How an interval can have been made: the values of [`Measurement::method`].
pub mod method {
    /// The percentiles of resamples of single rows.
    pub const BOOTSTRAP: &str = "bootstrap";
    /// The percentiles of resamples of whole groups.
    pub const CLUSTERED_BOOTSTRAP: &str = "clustered bootstrap";
    /// The exact binomial interval of a share of rows.
    pub const CLOPPER_PEARSON: &str = "Clopper-Pearson";
}

/// One value of a metric and how sure it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// Absent (null) where it is not defined.
    pub value: Option<f64>,
    /// How many rows it rests on.
    pub n: u32,
    /// The lower end of the 95 % interval, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end of the 95 % interval, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// How the interval was made, where there is one: see [`method`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Whether it rests on too few rows to be believed. Never set for a value without a direction, such as a count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub few: bool,
}

impl Measurement {
    /// A value without an interval.
    pub fn new(value: Option<f64>, n: u32) -> Self {
        Self { value, n, low: None, high: None, method: None, few: false }
    }
}

/// The values of one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceMeasured {
    /// Values by `plugin.metric`.
    pub metrics: Table<Measurement>,
}

/// The values of an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Values over all rows by `plugin.metric`, as the plugins declared them.
    pub metrics: Table<Measurement>,
    /// Values by source, in the order of their names.
    pub sources: Table<SourceMeasured>,
    /// The error of each metric that failed, by the plugin's name: none of its values is in the tables above.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub failed: Table<String>,
    /// What a reader must know before believing the values.
    #[serde(skip)]
    pub warnings: Vec<String>,
    /// What each value is, by `plugin.metric`. Empty where the evaluation was read from a report.
    #[serde(skip)]
    pub info: Table<MetricInfo>,
    /// What the resamples gave; the comparison pairs them.
    #[serde(skip)]
    pub(super) resampled: Resampled,
}

/// What the resamples gave, in order. Two evaluations of the same rows with the same seed drew the same resamples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Resampled {
    pub(super) seed: u64,
    pub(super) resamples: u32,
    pub(super) metrics: Table<Vec<Option<f64>>>,
    pub(super) sources: Table<Table<Vec<Option<f64>>>>,
}
