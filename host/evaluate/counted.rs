//! The accumulators of one source in a resample, where a metric is fed counts.
//!
//! A source of few rows has few different counts in all resamples together. What a metric makes of counts depends on nothing else, so it is asked
//! once and remembered: many small sources cost little more than one large one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::measure::{Measure, MetricBatch, MetricValue};
use so8t_base::{Error, Result};

/// With more rows than this, by weight, counts hardly ever come again.
const FEW: u64 = 16;
/// How many results are remembered at the most.
const MOST: usize = 1 << 14;
/// The most bytes that a state may have that is remembered.
const STATE_BYTES: usize = 4 << 10;
/// How many values may be remembered with a state.
const VALUES: usize = 256;

/// What a metric made of some counts.
pub(super) struct Made {
    values: Vec<MetricValue>,
    state: Vec<u8>,
}

/// The metric's place and the counts.
type Key = (usize, Vec<u64>);

/// What metrics made, by their place and the counts.
#[derive(Default)]
pub(super) struct Remembered(Mutex<HashMap<Key, Arc<Made>>>);

impl Remembered {
    fn get(&self, metric: usize, cells: &[u64]) -> Option<Arc<Made>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(metric, cells.to_vec())).map(Arc::clone)
    }

    fn keep(&self, metric: usize, cells: &[u64], made: &Arc<Made>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST {
            known.insert((metric, cells.to_vec()), Arc::clone(made));
        }
    }

    /// The accumulator of some counts, which `open` and the batches of `rows` give where it is not remembered.
    pub(super) fn accumulator<'m>(
        &self,
        metric: usize,
        cells: &[u64],
        open: impl Fn() -> Result<Box<dyn Measure + 'm>>,
        rows: impl Iterator<Item = MetricBatch>,
    ) -> Result<Accumulator<'m>> {
        let is_small = cells.iter().sum::<u64>() <= FEW;
        if let Some(made) = is_small.then(|| self.get(metric, cells)).flatten() {
            return Ok(Accumulator::Made(made));
        }
        let mut measure = fed(open()?, rows)?;
        if !is_small || measure.metrics().len() > VALUES {
            return Ok(Accumulator::Open(measure));
        }
        // In the order in which every accumulator is asked.
        let (values, state) = (measure.finalize()?, measure.state()?);
        measure.close();
        let is_little = state.len() <= STATE_BYTES;
        let made = Arc::new(Made { values, state });
        if is_little {
            self.keep(metric, cells, &made);
        }
        Ok(Accumulator::Made(made))
    }
}

/// An accumulator that has taken in some batches.
pub(super) fn fed<'m>(
    mut measure: Box<dyn Measure + 'm>,
    mut rows: impl Iterator<Item = MetricBatch>,
) -> Result<Box<dyn Measure + 'm>> {
    rows.try_for_each(|batch| measure.update(&batch))?;
    Ok(measure)
}

/// An accumulator that has taken in all that it will.
pub(super) enum Accumulator<'m> {
    /// One of a plugin.
    Open(Box<dyn Measure + 'm>),
    /// What one would give.
    Made(Arc<Made>),
}

impl Accumulator<'_> {
    /// See [`Measure::finalize`].
    pub(super) fn finalize(&mut self) -> Result<Vec<MetricValue>> {
        match self {
            Self::Open(measure) => measure.finalize(),
            Self::Made(made) => Ok(made.values.clone()),
        }
    }

    /// See [`Measure::state`].
    pub(super) fn state(&mut self) -> Result<Vec<u8>> {
        match self {
            Self::Open(measure) => measure.state(),
            Self::Made(made) => Ok(made.state.clone()),
        }
    }

    /// See [`Measure::merge`].
    ///
    /// # Errors
    /// As there; what is only remembered takes in nothing.
    pub(super) fn merge(&mut self, state: &[u8]) -> Result<()> {
        match self {
            Self::Open(measure) => measure.merge(state),
            Self::Made(_) => Err(Error::internal("what is remembered takes in nothing")),
        }
    }

    /// See [`Measure::memory_bytes`].
    pub(super) fn memory_bytes(&self) -> u64 {
        match self {
            Self::Open(measure) => measure.memory_bytes(),
            Self::Made(made) => made.state.len() as u64,
        }
    }

    /// See [`Measure::close`].
    pub(super) fn close(self) {
        if let Self::Open(measure) = self {
            measure.close();
        }
    }
}
