//! Laws of metrics. Evaluation shards rows, resamples them through weights, and merges states: it may do so only where these
//! hold.

mod algebra;
mod feeding;
mod rows;

use super::kit::Kit;
use super::law::Law;
use super::shrink::{Kept, Parts};
use crate::{Measurement, Plugin};
use so8t_base::Result;
use so8t_evaluate::{Measure as _, MetricValue, Random, Wants};

pub use rows::Row;
use rows::show;
pub(super) use rows::{batch, made_up};

/// The seed of everything that is made up.
const SEED: u64 = 1;

/// A metric and what it is tried on.
pub(super) struct Subject<'a> {
    pub(super) plugin: &'a Plugin,
    pub(super) labels: &'a [String],
    pub(super) wants: Wants,
    /// Rows to try laws on, in parts: small ones first.
    pub(super) trials: Vec<Parts<Row>>,
    /// Many rows.
    pub(super) many: Vec<Row>,
}

impl<'a> Subject<'a> {
    /// `sample` comes before what is made up.
    pub(super) fn new(plugin: &'a Plugin, labels: &'a [String], sample: &[Row], many: usize) -> Result<Self> {
        let wants = plugin.open_metric(labels)?.wants();
        let mut random = Random::new(SEED, 0);
        let mut trials = Vec::new();
        let cut = |rows: Vec<Row>, random: &mut Random| {
            let cuts = (0..2).map(|_| random.below(rows.len() as u64 + 1) as usize).collect();
            Parts::new(rows, cuts)
        };
        for size in [3, 40, 600] {
            if sample.len() >= size.min(40) {
                trials.push(cut(sample[..size.min(sample.len())].to_vec(), &mut random));
            }
        }
        for size in [1, 2, 3, 3, 8, 40, 200, 600] {
            let rows = made_up(size, labels.len(), &mut random);
            trials.push(cut(rows, &mut random));
        }
        let mut rows: Vec<Row> = sample.iter().take(many).cloned().collect();
        rows.extend(made_up(many - rows.len(), labels.len(), &mut random));
        Ok(Self { plugin, labels, wants, trials, many: rows })
    }

    pub(super) fn open(&self) -> Result<Measurement> {
        Ok(self.plugin.open_metric(self.labels)?.grant_texts())
    }

    /// A measurement of these rows, in one batch.
    fn fed(&self, rows: &[Row]) -> Result<Measurement> {
        let mut measurement = self.open()?;
        measurement.update(&batch(rows))?;
        Ok(measurement)
    }

    /// The values of these rows in one pass.
    fn values(&self, rows: &[Row]) -> Result<Vec<MetricValue>> {
        self.fed(rows)?.finalize()
    }

    fn state(&self, rows: &[Row]) -> Result<Vec<u8>> {
        self.fed(rows)?.state()
    }

    /// States merged, in this order, into a measurement that took in nothing.
    fn merged(&self, states: &[&[u8]]) -> Result<Measurement> {
        let mut measurement = self.open()?;
        for state in states {
            measurement.merge(state)?;
        }
        Ok(measurement)
    }

    /// Tries a law on all rows.
    fn hold(&self, kit: &mut Kit<'_>, law: Law, keeps: impl FnMut(&Parts<Row>) -> Kept) {
        kit.hold(law, self.trials.iter().cloned(), |rows| show(rows, self.labels, self.wants), keeps);
    }

    /// What the limits are tried with: all calls over the first rows of many. The same bytes for the same rows.
    pub(super) fn work(&self, plugin: &Plugin, rows: usize) -> Result<Vec<u8>> {
        let mut measurement = plugin.open_metric(self.labels)?.grant_texts();
        measurement.update(&batch(&self.many[..rows]))?;
        let mut found = measurement.state()?;
        measurement.merge(&found)?;
        for value in measurement.finalize()? {
            found.extend(value.value.map_or(u64::MAX, f64::to_bits).to_le_bytes());
            found.extend(value.support.to_le_bytes());
        }
        Ok(found)
    }
}

/// Tries all laws of metrics.
pub(super) fn laws(kit: &mut Kit<'_>, subject: &Subject<'_>) {
    feeding::constant(kit, subject);
    algebra::laws(kit, subject);
    feeding::laws(kit, subject);
}

/// The first broken law of those that sharding and resampling rest on.
pub(super) fn merge_laws(kit: &mut Kit<'_>, subject: &Subject<'_>) {
    feeding::constant(kit, subject);
    algebra::laws(kit, subject);
}
