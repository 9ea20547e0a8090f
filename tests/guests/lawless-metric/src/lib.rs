//! A metric that breaks one law at a time. Lawful, it counts rows and right answers, by weight.
//!
//! | behaviour | law that it breaks |
//! |---|---|
//! | those of `behaviour.rs` | |
//! | `remembers-instance` | `metric.deterministic`: a second measurement of one instance begins with a row |
//! | `declares-by-rows` | `metric.declarations-constant`: its value gets another name once there were rows |
//! | `finalize-counts` | `metric.finalize-idempotent`: `finalize` counts as a row |
//! | `counts-batches` | `metric.batches`: each batch counts as a row |
//! | `state-halved` | `metric.merge-one-pass`: the state says half of what there was |
//! | `merge-doubles` | `metric.merge-commutative`: what merges counts double |
//! | `merge-averages` | `metric.merge-associative`: merging takes the mean |
//! | `merge-counts` | `metric.merge-empty`: each merge counts as a row |
//! | `weighs-places` | `metric.row-order`: a row counts by its place in its batch |
//! | `ignores-weights` | `metric.weight-repeats`: a weight is 1 or nothing |
//! | `at-least-one` | `metric.weight-zero`: a weight is never nothing |
//! | `refuses-invalid` | `metric.invalid`: an answer that is no label is refused |
//! | `refuses-nothing` | `metric.empty-batch`: a batch of no rows is refused |
//! | `needs-two` | `metric.one-row`: there is no value of one row |
//! | `counts-in-u16` | `metric.many-rows`: 65,536 rows are too many |
//! | `four-labels` | `metric.label-sets`: takes it for granted that there are four labels |
//! | `trusts-states` | `metric.foreign-state`: takes it for granted that a state is one |
//! | `slow` | `limits.fuel` and `limits.seconds`: work that grows with the square of the rows |
//! | `keeps-rows` | `limits.memory`: keeps `size` bytes of each row |
//! | `large-state` | `limits.lifted`: a state of `size` bytes a row |
#![cfg(target_arch = "wasm32")]

mod behaviour;

use std::cell::Cell;

use behaviour::{Behaviour, SCHEMA};
use so8t_plugin_sdk::{About, Direction, Failure, Labels, Metric, MetricInfo, Rows, Value, Wants};
use so8t_plugin_sdk::{about, counts, export_metric};

/// Rows and right answers, by weight.
pub struct Lawless {
    behaviour: Behaviour,
    rows: Cell<u64>,
    right: u64,
    kept: Vec<Vec<u8>>,
}
export_metric!(Lawless);

impl Lawless {
    fn add(&mut self, rows: u64, right: u64) {
        self.rows.set(self.rows.get().saturating_add(rows));
        self.right = self.right.saturating_add(right);
    }
}

impl Metric for Lawless {
    type Config = serde_json::Value;
    const ABOUT: About = about!("lawless-metric", SCHEMA);

    fn open(config: serde_json::Value, labels: Labels) -> Result<Self, Failure> {
        let behaviour = Behaviour::read(&config)?;
        assert!(!behaviour.is("four-labels") || labels.count() == 4, "expected four labels");
        let begin = if behaviour.is("remembers-instance") { behaviour.opened_before } else { 0 };
        Ok(Self { behaviour, rows: Cell::new(begin.into()), right: 0, kept: Vec::new() })
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        let changed = self.behaviour.is("declares-by-rows") && self.rows.get() > 0;
        let any = |name: &str| MetricInfo { name: name.into(), direction: Direction::Neither, low: None, high: None };
        vec![any("rows"), any(if changed { "share_of_rows" } else { "share" })]
    }

    fn wants(&self) -> Wants {
        Wants::WEIGHTS
    }

    fn update(&mut self, rows: &Rows<'_>) -> Result<(), Failure> {
        let behaviour = self.behaviour.clone();
        if behaviour.is("refuses-nothing") && rows.is_empty() {
            return Err(Failure::Input("expected rows".into()));
        }
        self.add(u64::from(behaviour.is("counts-batches")), 0);
        behaviour.work(rows.len());
        for (place, (gold, predicted, weight)) in rows.labelled().enumerate() {
            if behaviour.is("refuses-invalid") && predicted.is_none() {
                return Err(Failure::Input("an answer is no label".into()));
            }
            let weight = match weight {
                0 if behaviour.is("at-least-one") => 1,
                weight if behaviour.is("ignores-weights") => weight.min(1),
                weight if behaviour.is("weighs-places") => weight * (place as u32 + 1),
                weight => weight,
            };
            self.add(weight.into(), u64::from(weight) * u64::from(predicted == Some(gold)));
            if behaviour.is("keeps-rows") {
                self.kept.push(vec![1; behaviour.size]);
            }
        }
        behaviour.count(self.rows.get() as usize);
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        match &self.behaviour {
            behaviour if behaviour.is("large-state") => {
                let mut state = counts::write(&[self.rows.get(), self.right]);
                state.resize(16 + behaviour.size * self.rows.get() as usize, 0);
                state
            }
            behaviour if behaviour.is("state-halved") => counts::write(&[self.rows.get() / 2, self.right / 2]),
            _ => counts::write(&[self.rows.get(), self.right]),
        }
    }

    fn merge(&mut self, state: &[u8]) -> Result<(), Failure> {
        let behaviour = &self.behaviour;
        let mut other = [0, 0];
        if behaviour.is("trusts-states") {
            let number = |at: usize| u64::from_le_bytes(state[at..at + 8].try_into().expect("eight bytes"));
            other = [number(0), number(8)];
        } else {
            let end = if behaviour.is("large-state") { state.len().min(16) } else { state.len() };
            counts::add(&mut other, &state[..end])?;
        }
        if behaviour.is("merge-averages") && self.rows.get() > 0 {
            self.rows.set((self.rows.get() + other[0]) / 2);
            self.right = (self.right + other[1]) / 2;
            return Ok(());
        }
        let times = if behaviour.is("merge-doubles") { 2 } else { 1 };
        let more = u64::from(behaviour.is("merge-counts"));
        self.add((other[0].saturating_mul(times)).saturating_add(more), other[1].saturating_mul(times));
        Ok(())
    }

    fn finalize(&self) -> Result<Vec<Value>, Failure> {
        let rows = self.rows.get();
        if self.behaviour.is("needs-two") && rows == 1 {
            return Err(Failure::Internal("there is no value of one row".into()));
        }
        if self.behaviour.is("finalize-counts") {
            self.rows.set(rows + 1);
        }
        // Weights may be anything, and a support must not be more than was taken in: it is left at 0.
        let share = Value::ratio("share", self.right, rows);
        Ok(vec![Value::new("rows", Some(rows as f64), 0), Value { support: 0, ..share }])
    }
}
