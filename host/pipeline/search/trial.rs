//! One trial: a run whose evaluation part is a share of the training part.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use serde_json::{Map, json};
use so8t_search::{Decision, Objective, Outcome, Reporter, Trial};

use super::apply::{applied, whole};
use crate::manifest::{ConstraintTable, Goal, ManifestFile, SearchPlan};
use crate::pipeline::progress::Narrator;
use crate::pipeline::settings::{Hook, Settings};
use crate::report::Report;
use crate::train::Validated;
use crate::{Error, Kind, Result};

/// Trains and judges trials.
pub(super) struct Training<'a> {
    pub(super) manifest: &'a ManifestFile,
    pub(super) settings: &'a Settings,
    pub(super) plan: &'a SearchPlan,
    pub(super) folder: &'a Path,
    pub(super) narrator: Narrator,
    /// The manifest's epochs, where they are not searched.
    pub(super) epochs: usize,
}

impl Objective for Training<'_> {
    fn run(&mut self, trial: &Trial, reporter: &Reporter<'_>) -> Result<Outcome> {
        let setting = whole(self.plan, &trial.parameters);
        self.narrator.say(format!("trial    {}: {}", trial.number, json!(setting)));
        let file = applied(self.manifest, self.plan, &trial.parameters)?;
        let epochs =
            trial.parameters.get("train.epochs").and_then(serde_json::Value::as_f64).unwrap_or(self.epochs as f64);
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, answers) = mpsc::channel::<(Validated, mpsc::Sender<()>)>();
        let settings = Settings {
            output: Some(self.folder.join(format!("trials/{:04}", trial.number))),
            stop: Arc::clone(&stop),
            validated: Some(Hook::new(move |validated| {
                // Training waits until it is known whether it goes on.
                let (done, wait) = mpsc::channel();
                if asked.send((validated.clone(), done)).is_ok() {
                    let _ = wait.recv();
                }
            })),
            trial_share: Some(self.plan.table.share),
            quiet: true,
            resume: false,
            fresh: false,
            locked: false,
            ..self.settings.clone()
        };
        let mut paused = false;
        let mut failed = None;
        let outcome = std::thread::scope(|scope| {
            let file = &file;
            // The hook's end of the channel ends with the settings, and those with the run.
            let running = scope.spawn(move || crate::pipeline::run(file, &settings));
            loop {
                match answers.recv_timeout(std::time::Duration::from_millis(100)) {
                    Ok((validated, done)) => {
                        match self.judge(&validated, epochs, reporter) {
                            Ok(Decision::GoOn) => {}
                            Ok(Decision::Pause) => {
                                paused = true;
                                stop.store(true, Ordering::SeqCst);
                            }
                            Err(error) => {
                                failed = Some(error);
                                stop.store(true, Ordering::SeqCst);
                            }
                        }
                        let _ = done.send(());
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                }
                if self.settings.stop.load(Ordering::SeqCst) {
                    stop.store(true, Ordering::SeqCst);
                }
            }
            running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        if let Some(error) = failed {
            return Err(error);
        }
        match outcome {
            Err(error) if error.kind() == Kind::Interrupted && paused => Ok(Outcome::Paused),
            Err(error) if matches!(error.kind(), Kind::Train) => Ok(Outcome::Failed(error.to_string())),
            Err(error) => Err(error),
            Ok((_, report)) => self.outcome(&report),
        }
    }

    fn ended(&mut self, trial: &Trial, outcome: &Outcome) {
        let text = match outcome {
            Outcome::Done { value, constraints, .. } => {
                let value = value.map_or_else(|| "no value".to_owned(), |value| format!("{value:.4}"));
                let broken = constraints.iter().filter(|constraint| **constraint > 0.0).count();
                let kept = match broken {
                    0 => String::new(),
                    count => format!("; {count} of {} constraints not kept", constraints.len()),
                };
                format!("`{}` {value}{kept}", self.plan.table.objective)
            }
            Outcome::Paused => "paused: others are better so far".to_owned(),
            Outcome::Failed(why) => format!("failed: {why}"),
        };
        self.narrator.say(format!("trial    {}: {text}", trial.number));
    }
}

impl Training<'_> {
    /// Holds a trial against the others at the rungs that a validation reaches.
    fn judge(&self, validated: &Validated, epochs: f64, reporter: &Reporter<'_>) -> Result<Decision> {
        let (Some(halving), Some(value)) = (&self.plan.table.halving, validated.value) else {
            return Ok(Decision::GoOn);
        };
        let share = validated.epoch / epochs;
        if validated.step == 0 || share >= 1.0 {
            return Ok(Decision::GoOn);
        }
        for rung in halving.rungs.iter().filter(|rung| share >= **rung - 1e-9) {
            if reporter.report((rung * 100.0).round() as u64, value)? == Decision::Pause {
                return Ok(Decision::Pause);
            }
        }
        Ok(Decision::GoOn)
    }

    /// What a report says of a trial.
    fn outcome(&self, report: &Report) -> Result<Outcome> {
        if let Some(failure) = report.failure() {
            return Err(failure);
        }
        let table = &self.plan.table;
        let better = report
            .comparison
            .as_ref()
            .and_then(|comparison| comparison.metrics.get(&table.objective))
            .map(|own| json!(own)["better"].clone());
        let expected = if table.goal == Goal::Maximise { "higher" } else { "lower" };
        if let Some(found) = better.as_ref().and_then(serde_json::Value::as_str)
            && found != expected
        {
            return Err(Error::manifest(format!(
                "`search.goal`: of `{}` {found} is better, which is not what is searched for",
                table.objective
            ))
            .with_hint("say `goal = \"maximise\"` or `\"minimise\"`"));
        }
        let Some(after) = &report.after else { return Err(Error::internal("a trial without training")) };
        let Some(measured) = after.metrics.get(&table.objective) else {
            let known: Vec<&str> = after.metrics.iter().map(|(name, _)| name).collect();
            return Err(Error::manifest(format!(
                "`search.objective`: there is no `{}`: expected one of `{}`",
                table.objective,
                known.join("`, `")
            )));
        };
        let mut constraints = Vec::new();
        for constraint in &table.constraints {
            match broken_by(report, constraint) {
                Some(broken) => constraints.push(broken),
                None => {
                    let why = format!(
                        "`{}` has no interval on the rows that trials are judged on: they are too few",
                        constraint.metric
                    );
                    return Ok(Outcome::Failed(why));
                }
            }
        }
        let mut notes = Map::new();
        for name in ["classification.f1_macro", "classification.unsafe_pass_rate", "classification.over_block_rate"] {
            if let Some(own) = after.metrics.get(name) {
                notes.insert(name.to_owned(), json!({ "value": own.value, "low": own.low, "high": own.high }));
            }
        }
        notes.insert("objective".to_owned(), json!({ "low": measured.low, "high": measured.high }));
        Ok(Outcome::Done { value: measured.value, constraints, notes })
    }
}

/// By how much a constraint is broken, with the unfavourable end of the interval; `None` where there is none to judge by.
pub(super) fn broken_by(report: &Report, constraint: &ConstraintTable) -> Option<f64> {
    let own = report.after.as_ref()?.metrics.get(&constraint.metric)?;
    let base = || report.before.as_ref()?.metrics.get(&constraint.metric)?.value;
    match (constraint.max, constraint.min, constraint.max_rise, constraint.max_drop) {
        (Some(most), ..) => Some(own.high? - most),
        (_, Some(least), ..) => Some(least - own.low?),
        (_, _, Some(rise), _) => Some(own.high? - (base()? + rise)),
        (.., Some(drop)) => Some((base()? - drop) - own.low?),
        _ => None,
    }
}
