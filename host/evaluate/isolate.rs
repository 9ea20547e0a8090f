//! A metric that fails costs its own values, never those of the others.

use std::sync::{Mutex, PoisonError};

use super::drive::{Options, measure_source};
use super::measure::checked;
use super::measure::{Measure, Metric, MetricBatch, MetricInfo, MetricValue, Wants};
use super::measured::Measured;
use super::source::RowSource;
use super::table::Table;
use so8t_base::{Error, Kind, Result};
use so8t_data::LabelSet;

/// As [`super::measure_source`], but that a metric whose plugin fails stands with its error in [`Measured::failed`], and the others are
/// measured as if it had not been asked for: the rows are read once more without it.
///
/// # Errors
/// What is no single metric's fault: rows that cannot be read or measured, a metric named twice.
pub fn measure_each(
    metrics: &[&dyn Metric],
    labels: &LabelSet,
    source: &dyn RowSource,
    options: &Options,
) -> Result<Measured> {
    let measure = |sound: &[&dyn Metric], _: &Table<String>| measure_source(sound, labels, source, options);
    let (measured, failed) = each_sound(metrics, Table::default(), measure)?;
    Ok(Measured { failed, ..measured })
}

/// What `measure` makes of the metrics that do not fail, and the error of each that does: where a plugin fails, `measure` begins again
/// without it. It is given the metrics that are left and those that `failed` so far.
///
/// # Errors
/// What `measure` gives where no metric's plugin failed.
pub(super) fn each_sound<T, M>(
    metrics: &[&dyn Metric],
    mut failed: Table<String>,
    mut measure: M,
) -> Result<(T, Table<String>)>
where
    M: FnMut(&[&dyn Metric], &Table<String>) -> Result<T>,
{
    let watched: Vec<Watched<'_>> = metrics.iter().map(|&metric| Watched::new(metric)).collect();
    loop {
        let is_sound = |own: &&Watched<'_>| failed.get(own.name()).is_none();
        let sound: Vec<&dyn Metric> = watched.iter().filter(is_sound).map(|own| own as &dyn Metric).collect();
        let error = match measure(&sound, &failed) {
            // What a metric was only probed with, and refused, is no failure.
            Ok(made) => return Ok((made, failed)),
            Err(error) => error,
        };
        let new: Vec<_> = watched.iter().filter(is_sound).filter_map(Watched::named_failure).collect();
        if new.is_empty() {
            return Err(error);
        }
        new.into_iter().for_each(|(name, error)| failed.insert(name, error));
    }
}

/// A metric, and the first error that its plugin ended with.
struct Watched<'a> {
    metric: &'a dyn Metric,
    failure: Mutex<Option<String>>,
}

impl<'a> Watched<'a> {
    fn new(metric: &'a dyn Metric) -> Self {
        Self { metric, failure: Mutex::new(None) }
    }

    fn named_failure(&self) -> Option<(String, String)> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failure.map(|failure| (self.name().to_owned(), failure))
    }

    /// Passes a result on, and keeps the error where it is the plugin's.
    fn noted<T>(&self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error: &Error| {
            if error.kind() == Kind::Plugin {
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert_with(|| error.to_string());
            }
        })
    }
}

impl Metric for Watched<'_> {
    fn name(&self) -> &str {
        self.metric.name()
    }

    fn open(&self) -> Result<Box<dyn Measure + '_>> {
        let open = self.noted(self.metric.open())?;
        Ok(Box::new(WatchedMeasure { open, watched: self }))
    }
}

struct WatchedMeasure<'w> {
    open: Box<dyn Measure + 'w>,
    watched: &'w Watched<'w>,
}

impl Measure for WatchedMeasure<'_> {
    fn metrics(&self) -> &[MetricInfo] {
        self.open.metrics()
    }

    fn wants(&self) -> Wants {
        self.open.wants()
    }

    fn update(&mut self, rows: &MetricBatch) -> Result<()> {
        self.watched.noted(self.open.update(rows))
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        self.watched.noted(self.open.state())
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        self.watched.noted(self.open.merge(state))
    }

    fn finalize(&mut self) -> Result<Vec<MetricValue>> {
        let values = self.open.finalize().and_then(|values| {
            checked(self.watched.metric, self.open.metrics(), values.clone())?;
            Ok(values)
        });
        self.watched.noted(values)
    }

    fn memory_bytes(&self) -> u64 {
        self.open.memory_bytes()
    }

    fn close(self: Box<Self>) {
        self.open.close();
    }
}
