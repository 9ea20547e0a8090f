//! Instances that have measured and were closed, kept for the next measurement.
//!
//! Only of metrics that this program carries: that their measurements leave nothing behind is a law that the tests hold them to
//! (`metric.deterministic`). Every measurement of a foreign metric has an instance of its own.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::Store;

use super::bindings::measurement;
use super::state::State;
use so8t_evaluate::{MetricInfo, Wants};

/// How many instances of a plugin are kept: as many as threads are likely to measure at once.
const KEPT: usize = 16;
/// An instance whose memory has grown by more bytes than this is not kept.
const MEMORY_BYTES: u64 = 4 << 20;

/// The instances of one plugin that are at rest.
#[derive(Default)]
pub(super) struct Warm(Mutex<Vec<Instance>>);

/// An instance, and what it declared for its labels.
pub(super) struct Instance {
    pub(super) store: Store<State>,
    pub(super) guest: measurement::Guest,
    pub(super) labels: Arc<[String]>,
    pub(super) metrics: Arc<[MetricInfo]>,
    pub(super) wants: Wants,
    /// The guest's memory when its first measurement was opened.
    pub(super) memory_at_first: u64,
}

impl Warm {
    /// Keeps an instance in which no measurement is open.
    pub(super) fn keep(&self, instance: Instance) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && instance.store.data().memory_used <= instance.memory_at_first + MEMORY_BYTES {
            kept.push(instance);
        }
    }

    /// An instance that has measured over these labels.
    pub(super) fn take(&self, labels: &[String]) -> Option<Instance> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().rposition(|instance| *instance.labels == *labels)?;
        Some(kept.swap_remove(place))
    }
}
