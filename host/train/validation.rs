//! Validation during training: which adapter is kept, and when training ends early.
//!
//! The loop knows neither metrics nor examples: it is told a value, whether larger is better, and which guards hold.

use std::path::Path;

use serde::{Deserialize, Serialize};

use so8t_base::{Error, Result, files};

/// `[train.validation]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationConfig {
    /// The share of the training part that is kept for it, in whole groups.
    pub share: f64,
    /// How many steps lie between two validations; 0: one after every epoch. There is one before the first step and one after the
    /// last in any case.
    pub every: usize,
    /// `plugin.metric`: the adapter with the best value is kept.
    pub metric: String,
    /// Training ends after so many validations in a row without a better one; 0: never early.
    pub patience: usize,
    /// What an adapter must keep to; one that does not is never kept, whatever its value.
    pub guards: Vec<GuardConfig>,
    /// What becomes of the run where no adapter can be kept.
    pub fallback: Fallback,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self {
            share: 0.1,
            every: 0,
            metric: "classification.f1_macro".to_owned(),
            patience: 0,
            guards: Vec::new(),
            fallback: Fallback::Fail,
        }
    }
}

/// One of `[[train.validation.guards]]`: a metric and one bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardConfig {
    /// `plugin.metric`.
    pub metric: String,
    /// The least value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// How much larger than the base model's value it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rise: Option<f64>,
    /// How much smaller than the base model's value it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_drop: Option<f64>,
}

/// What becomes of a run where no adapter keeps to the guards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// It fails.
    #[default]
    Fail,
    /// The adapter that is kept is the one before the first step, which changes nothing of the base.
    Base,
}

impl ValidationConfig {
    /// Checks every number's range. The error names the key and what was found.
    pub fn check(&self) -> Result<()> {
        let bad = |key: &str, expected: &str, found: &dyn std::fmt::Display| {
            Err(Error::manifest(format!("`train.validation.{key}`: expected {expected}, found `{found}`")))
        };
        if !(self.share > 0.0 && self.share < 1.0) {
            return bad("share", "a share of the training part between 0 and 1, both left out", &self.share);
        }
        for (index, guard) in self.guards.iter().enumerate() {
            let bounds = [guard.min, guard.max, guard.max_rise, guard.max_drop];
            let given: Vec<f64> = bounds.into_iter().flatten().collect();
            let key = format!("guards.{index}");
            let [bound] = given.as_slice() else {
                return bad(&key, "one of `min`, `max`, `max_rise`, `max_drop`", &format!("{} bounds", given.len()));
            };
            let compares = guard.max_rise.or(guard.max_drop).is_some();
            if !bound.is_finite() || (compares && *bound < 0.0) {
                return bad(&key, if compares { "a bound from 0 on" } else { "a number as bound" }, bound);
            }
        }
        Ok(())
    }

    /// Whether the network is validated after `step` of `steps` steps, with which `epoch_ends` an epoch.
    pub(super) fn is_due(&self, step: usize, steps: usize, epoch_ends: bool) -> bool {
        let regular = if self.every == 0 { epoch_ends } else { step.is_multiple_of(self.every) };
        step == 0 || step >= steps || regular
    }
}

/// What a measurement of the network gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// The metric's value; absent where it is not defined.
    pub value: Option<f64>,
    /// Whether a larger value is better.
    pub higher_is_better: bool,
    /// What became of every guard, in the configuration's order; not judged on the base.
    pub guards: Vec<GuardOutcome>,
}

/// What became of a guard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardOutcome {
    /// The guard in words.
    pub guard: String,
    /// Whether it holds.
    pub holds: bool,
    /// The metric's value, where it has one.
    pub value: Option<f64>,
    /// What was found.
    pub reason: String,
}

/// One validation: a line of `validation.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validated {
    /// Optimiser steps taken; 0: the base.
    pub step: usize,
    /// Epochs finished, as a fraction.
    pub epoch: f64,
    /// `plugin.metric`.
    pub metric: String,
    /// Its value; absent (null) where it is not defined.
    pub value: Option<f64>,
    /// Whether its adapter was the best that keeps to the guards so far.
    pub best: bool,
    /// What became of every guard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardOutcome>,
}

impl Validated {
    /// Whether the adapter may be kept: it has a value, and every guard holds.
    pub fn is_acceptable(&self) -> bool {
        self.step > 0 && self.value.is_some() && self.guards.iter().all(|guard| guard.holds)
    }
}

/// What a run's validations came to, for its summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationSummary {
    /// `plugin.metric`.
    pub metric: String,
    /// The step whose adapter is kept; 0: the one before the first, which changes nothing of the base.
    pub kept_step: usize,
    /// The value of the adapter that is kept.
    pub kept: Option<f64>,
    /// The base model's value.
    pub base: Option<f64>,
    /// The value after the last step.
    pub last: Option<f64>,
    /// How many times was measured, the base included.
    pub validations: usize,
    /// How many of them did not keep to a guard.
    pub refused: usize,
    /// Whether training ended before all its steps, since nothing became better.
    pub ended_early: bool,
}

/// The validations of a run, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct History(pub(super) Vec<Validated>);

impl History {
    /// The step of the adapter that is kept, as far as is known.
    pub(super) fn best(&self) -> Option<&Validated> {
        self.0.iter().rev().find(|validated| validated.best)
    }

    /// Whether the network was judged after `step` steps.
    pub(super) fn holds(&self, step: usize) -> bool {
        self.0.last().is_some_and(|last| last.step >= step)
    }

    /// Takes a judgement in; the first of equal values is the best.
    pub(super) fn add(&mut self, step: usize, epoch: f64, metric: &str, judgement: Judgement) -> &Validated {
        let Judgement { value, higher_is_better, guards } = judgement;
        let mut own = Validated { step, epoch, metric: metric.to_owned(), value, best: false, guards };
        let beats = |value: f64, other: f64| if higher_is_better { value > other } else { value < other };
        own.best = own.is_acceptable()
            && match (value, self.best().and_then(|best| best.value)) {
                (Some(value), Some(other)) => beats(value, other),
                (value, _) => value.is_some(),
            };
        let at = self.0.len();
        self.0.push(own);
        &self.0[at]
    }

    /// Validations since the best one; since the base where there is none.
    pub(super) fn since_best(&self) -> usize {
        self.0.iter().rev().take_while(|validated| !validated.best && validated.step > 0).count()
    }

    /// Why no adapter can be kept: the last one's reason.
    pub(super) fn refusal(&self) -> String {
        let Some(last) = self.0.last() else { return "nothing was validated".to_owned() };
        match last.guards.iter().find(|guard| !guard.holds) {
            Some(guard) => format!("after step {}, guard {} does not hold: {}", last.step, guard.guard, guard.reason),
            None => format!("after step {}, `{}` has no value", last.step, last.metric),
        }
    }

    /// What all of it came to.
    pub(super) fn summary(&self, metric: &str, ended_early: bool) -> ValidationSummary {
        let (base, best) = (self.0.first(), self.best());
        ValidationSummary {
            metric: metric.to_owned(),
            kept_step: best.map_or(0, |best| best.step),
            kept: best.or(base).and_then(|kept| kept.value),
            base: base.and_then(|base| base.value),
            last: self.0.last().and_then(|last| last.value),
            validations: self.0.len(),
            refused: self.0.iter().filter(|own| own.step > 0 && !own.is_acceptable()).count(),
            ended_early,
        }
    }

    /// Writes all of it, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut text = String::new();
        for validated in &self.0 {
            text += &serde_json::to_string(validated).map_err(|e| Error::internal(e.to_string()))?;
            text.push('\n');
        }
        files::write(path, text.as_bytes())
    }
}
