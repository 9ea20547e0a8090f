//! What a worker does: takes a trial, runs it, notes what it came to, until nothing is left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json};
use so8t_base::{Kind, Result};

use crate::journal::{State, Trial};
use crate::study::{Next, Study};

/// How long a worker waits that has nothing to do.
const PAUSE: Duration = Duration::from_millis(500);

/// What a trial is asked to do after it has reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    GoOn,
    /// Stop so that it can go on later.
    Pause,
}

/// What became of a trial.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It came to its end.
    Done {
        /// Its value; absent where it is not defined, with which the trial has failed.
        value: Option<f64>,
        /// By how much each constraint is broken; at most 0 where it is kept.
        constraints: Vec<f64>,
        /// What is noted of it.
        notes: Map<String, Json>,
    },
    /// It stopped where it was told to pause.
    Paused,
    /// It failed, and would fail again.
    Failed(String),
}

/// To whom a trial reports on its way.
pub struct Reporter<'a> {
    study: &'a Study,
    trial: &'a Trial,
}

impl Reporter<'_> {
    /// Reports the value at a rung. A rung that was reported before, by a worker that was killed after it, is not asked about again.
    ///
    /// # Errors
    /// A journal that cannot be written.
    pub fn report(&self, rung: u64, value: f64) -> Result<Decision> {
        if self.trial.intermediate.contains_key(&rung) {
            return Ok(Decision::GoOn);
        }
        Ok(if self.study.report(self.trial, rung, value)? { Decision::GoOn } else { Decision::Pause })
    }
}

/// What is searched for. A trial that was begun before is asked for again: it goes on from where it stopped.
pub trait Objective {
    /// Runs a trial.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] leaves the trial as it is, to be taken up again; any other error ends the search.
    fn run(&mut self, trial: &Trial, reporter: &Reporter<'_>) -> Result<Outcome>;

    /// What became of a trial.
    fn ended(&mut self, _trial: &Trial, _outcome: &Outcome) {}
}

/// What a worker did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How many times it worked on a trial.
    pub worked: usize,
    /// Whether the search is over, and not only this worker.
    pub done: bool,
}

/// Works until nothing is left, or until `stop` is set.
///
/// # Errors
/// Those of the objective, and of the journal.
pub fn work(study: &Study, objective: &mut dyn Objective, stop: &AtomicBool) -> Result<Ended> {
    let mut worked = 0;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok(Ended { worked, done: false });
        }
        let (trial, _lease) = match study.next()? {
            Next::Trial(trial, lease) => (trial, lease),
            Next::Wait => {
                std::thread::sleep(PAUSE);
                continue;
            }
            Next::Done => {
                study.prune_paused()?;
                return Ok(Ended { worked, done: true });
            }
        };
        let started = Instant::now();
        let outcome = objective.run(&trial, &Reporter { study, trial: &trial });
        worked += 1;
        study.spent(&trial, started.elapsed().as_secs_f64())?;
        let outcome = match outcome {
            Err(error) if error.kind() == Kind::Interrupted => return Ok(Ended { worked, done: false }),
            other => other?,
        };
        match &outcome {
            Outcome::Done { value: Some(value), constraints, notes } if value.is_finite() => {
                study.finish(&trial, State::Complete, Some(*value), constraints, notes)?;
            }
            Outcome::Done { constraints, notes, .. } => {
                study.finish(&trial, State::Failed, None, constraints, notes)?
            }
            Outcome::Failed(why) => {
                let notes = Map::from_iter([("so8t:error".to_owned(), Json::from(why.as_str()))]);
                study.finish(&trial, State::Failed, None, &[], &notes)?;
            }
            Outcome::Paused => {}
        }
        objective.ended(&trial, &outcome);
    }
}
