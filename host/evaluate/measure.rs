//! What evaluation asks of a metric. The sandbox implements it; evaluation does not know the sandbox.

use serde::Serialize;

use so8t_base::{Error, Result};

/// Whether a larger value is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Larger is better.
    Higher,
    /// Smaller is better.
    Lower,
    /// Neither, for example a count.
    Neither,
}

/// One value that a metric returns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricInfo {
    /// Distinct within the plugin.
    pub name: String,
    /// Whether a larger value is better.
    pub direction: Direction,
    /// The least value that is possible.
    pub low: Option<f64>,
    /// The greatest value that is possible.
    pub high: Option<f64>,
}

/// The columns that a metric reads besides the gold and predicted ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Class probabilities.
    pub scores: bool,
    /// Row weights; needed for resampling.
    pub weights: bool,
    /// Group ids.
    pub groups: bool,
    /// The request's text.
    pub texts: bool,
}

impl Wants {
    /// The names of the columns, in the order of the interface.
    pub fn names(self) -> Vec<&'static str> {
        let all = [("scores", self.scores), ("weights", self.weights), ("groups", self.groups), ("texts", self.texts)];
        all.into_iter().filter_map(|(name, wanted)| wanted.then_some(name)).collect()
    }
}

/// Rows as columns. Columns that are not wanted may be given; they are not sent.
#[derive(Clone, Debug, Default)]
pub struct MetricBatch {
    /// Gold ids, one a row.
    pub gold: Vec<u8>,
    /// Predicted ids, one a row; [`so8t_data::INVALID`] is no label.
    pub predicted: Vec<u8>,
    /// Probabilities, row-major, rows x labels.
    pub scores: Vec<f32>,
    /// How often each row counts.
    pub weights: Vec<u32>,
    /// Group ids.
    pub groups: Vec<u32>,
    /// The requests.
    pub texts: so8t_data::Texts,
}

/// One number that a metric returned.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricValue {
    /// The name of one of the metric's [`MetricInfo`]s.
    pub name: String,
    /// Absent where it is not defined.
    pub value: Option<f64>,
    /// How many rows, by weight, it rests on.
    pub support: u32,
}

/// One measurement: an accumulator whose states merge.
pub trait Measure {
    /// The values that [`Measure::finalize`] returns, in order.
    fn metrics(&self) -> &[MetricInfo];
    /// The columns that [`Measure::update`] reads.
    fn wants(&self) -> Wants;
    /// Takes rows in.
    fn update(&mut self, rows: &MetricBatch) -> Result<()>;
    /// All that was taken in.
    fn state(&mut self) -> Result<Vec<u8>>;
    /// Takes in another accumulator's state.
    fn merge(&mut self, state: &[u8]) -> Result<()>;
    /// The values over all that was taken in.
    fn finalize(&mut self) -> Result<Vec<MetricValue>>;
    /// About how many bytes it has grown by since it was opened: how many are fed at once depends on it.
    fn memory_bytes(&self) -> u64 {
        0
    }
    /// Ends the measurement, so that what it used may serve the next one. One that is dropped ends too.
    fn close(self: Box<Self>) {}
}

/// Opens a fresh measurement of one metric plugin; the name is the manifest's. Threads open their own.
pub trait Metric: Sync {
    /// The plugin's name in the manifest.
    fn name(&self) -> &str;
    /// A fresh measurement over the run's labels.
    fn open(&self) -> Result<Box<dyn Measure + '_>>;
}

/// The values of `finalize`: those that the plugin declared, in that order, and finite.
pub(super) fn checked(
    metric: &dyn Metric,
    infos: &[MetricInfo],
    values: Vec<MetricValue>,
) -> Result<Vec<(Option<f64>, u32)>> {
    let fault = |what: String| Err(Error::plugin(format!("metric `{}`: `finalize`: {what}", metric.name())));
    if values.len() != infos.len() {
        return fault(format!("expected {} values, as `metrics` declares, found {}", infos.len(), values.len()));
    }
    for (info, value) in infos.iter().zip(&values) {
        if info.name != value.name {
            return fault(format!("expected a value for `{}`, found one for `{}`", info.name, value.name));
        }
        if let Some(number) = value.value.filter(|number| !number.is_finite()) {
            return fault(format!("expected a finite value for `{}`, found `{number}`", info.name));
        }
    }
    Ok(values.into_iter().map(|value| (value.value, value.support)).collect())
}
