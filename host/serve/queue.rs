//! One queue. A batch is what waits when the engine is free, as far as it fits: nothing waits for a batch to fill.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::engine::Job;

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

/// Requests that wait for the engine.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds requests.
    pub(crate) fn put(&self, jobs: impl IntoIterator<Item = Job>) {
        self.state().jobs.extend(jobs);
        self.arrived.notify_one();
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.state().jobs.len()
    }

    /// Lets the engine end once nothing waits.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.arrived.notify_all();
    }

    /// The next batch, of one model; waits for it. `None` once the queue is closed and empty.
    pub(crate) fn take(&self) -> Option<Vec<Job>> {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            // Whoever went away, or was answered by the clock, needs no decision.
            state.jobs.retain(|job| !job.reply.is_closed() && job.deadline > now);
            if !state.jobs.is_empty() {
                break;
            }
            if state.is_closed {
                return None;
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let first = state.jobs.pop_front()?;
        let mut room = first.model.about().batch_tokens.saturating_sub(first.prepared.tokens.len());
        let mut batch = vec![first];
        while let Some(next) = state.jobs.front() {
            let tokens = next.prepared.tokens.len();
            if tokens > room || !Arc::ptr_eq(&next.model, &batch[0].model) {
                break;
            }
            room -= tokens;
            batch.extend(state.jobs.pop_front());
        }
        Some(batch)
    }
}
