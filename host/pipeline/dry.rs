//! What a run will do and about what it takes, told before it is done: nothing is written but in a folder that is removed again.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use super::forecast::forecast;
use super::lock;
use super::model::session::Learner;
use super::plugins::{PluginLog, Plugins};
use super::prepare::{Prepared, prepare};
use super::progress::Narrator;
use super::report::metrics::check_rules;
use super::settings::Settings;
use crate::data::Example;
use crate::manifest::ManifestFile;
use crate::plugin::Resolution;
use crate::{Result, files};

/// One stage of a run, as it is foreseen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Foreseen {
    /// Its name.
    pub stage: String,
    /// How many rows it works on.
    pub rows: usize,
    /// How many tokens, where it works on tokens.
    pub tokens: Option<u64>,
    /// About how long it takes, in seconds, where that can be told.
    pub seconds: Option<f64>,
}

/// A run, as it is foreseen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DryRun {
    /// Where it would write.
    pub folder: PathBuf,
    /// Its stages, in order.
    pub stages: Vec<Foreseen>,
    /// About the most memory that it takes, in bytes, where something is trained.
    pub memory_bytes: Option<u64>,
    /// What the prepared data take on disk, in bytes.
    pub data_bytes: u64,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Prepares the data, counts the tokens of every prompt, and measures a few steps of the training.
///
/// # Errors
/// What would end the run before the model is asked.
pub fn dry_run(manifest: &ManifestFile, settings: &Settings) -> Result<DryRun> {
    let narrator = Narrator::new(settings.quiet);
    let mut plan = manifest.resolve()?;
    plan.bounds = settings.policy.bounds;
    let admission = lock::admission(Some(&plan), &settings.policy, Resolution::Locked)?;
    let plugins = Plugins::load(&PluginLog::of(&plan)?.host(narrator, admission)?, &plan)?;
    let learner = Learner::open(&plan)?;
    let started = Instant::now();
    let scratch = Scratch::new()?;
    let prepared = prepare(&plan, &plugins, &scratch.0, &narrator)?;
    prepared.write(&scratch.0)?;
    let of_data = started.elapsed().as_secs_f64();
    check_rules(&plan, &plugins, &prepared.labels)?;
    plan.train.as_ref().map(|config| config.weights_of(&prepared.labels.names)).transpose()?;

    let mut warnings: Vec<String> = learner.warnings().to_vec();
    warnings.extend(prepared.statistics.warnings.iter().cloned());
    let mut count = |examples: &[Example], most: usize, what: &str| -> Result<u64> {
        let prompter = learner.prompter(&plan, &prepared.labels, most)?;
        let (mut tokens, mut cut) = (0, 0);
        for example in examples {
            let (prompt, is_cut) = prompter.prompt_and_truncation(&example.request)?;
            tokens += prompt.len() as u64;
            cut += usize::from(is_cut);
        }
        if cut > 0 {
            warnings.push(format!("{cut} of {} {what} will be cut to fit `max_length = {most}`", examples.len()));
        }
        Ok(tokens)
    };
    let Prepared { parts, .. } = &prepared;
    let asked = count(&parts.eval, plan.predict.max_length, "requests")?;
    let tuned = count(&parts.calibration, plan.predict.max_length, "calibration requests")?;
    let (mut memory_bytes, mut per_token, mut trained) = (None, None, 0);
    if let Some(config) = &plan.train {
        trained = count(&parts.train, config.max_length, "training requests")?;
        let mean = (trained / parts.train.len().max(1) as u64).clamp(16, config.max_length as u64) as usize;
        let clock = Instant::now();
        let planned = forecast(manifest, Some(mean))?;
        let seconds = planned.measure(&|| clock.elapsed().as_secs_f64())?;
        per_token = Some(seconds / planned.forecast.tokens.max(1) as f64);
        memory_bytes = Some(forecast(manifest, None)?.forecast.peak);
        trained *= config.epochs as u64;
    }
    // Of a step with a frozen base about half is the pass forward, which is what a prediction is.
    let ask = |tokens: u64| per_token.map(|seconds: f64| 0.5 * seconds * tokens as f64);
    let stage = |stage: &str, rows: usize, tokens: Option<u64>, seconds: Option<f64>| Foreseen {
        stage: stage.to_owned(),
        rows,
        tokens,
        seconds,
    };
    let all = parts.train.len() + parts.eval.len() + parts.calibration.len() + parts.validation.len();
    let mut stages = vec![stage("prepare", all, None, Some(of_data))];
    let mut ask_all = |when: &str| {
        stages.push(stage(&format!("predict {when}"), parts.eval.len(), Some(asked), ask(asked)));
        if plan.calibrate.is_some() {
            stages.push(stage(&format!("calibrate {when}"), parts.calibration.len(), Some(tuned), ask(tuned)));
        }
    };
    ask_all("before");
    if let Some(config) = &plan.train {
        let seconds = per_token.map(|seconds| seconds * trained as f64);
        let after = stage("train", parts.train.len() * config.epochs, Some(trained), seconds);
        ask_all("after");
        let place = if plan.calibrate.is_some() { 3 } else { 2 };
        stages.insert(place, after);
    }
    stages.push(stage("measure and report", parts.eval.len(), None, None));
    let data_bytes = scratch.bytes();
    let folder = settings.output.clone().unwrap_or_else(|| plan.output.clone());
    Ok(DryRun { folder, stages, memory_bytes, data_bytes, warnings })
}

/// A folder that goes when it is no longer needed.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        files::folder_beside(&std::env::temp_dir().join("so8t-dry-run")).map(Self)
    }

    fn bytes(&self) -> u64 {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
