#![doc = include_str!("README.md")]

pub mod bundle;
pub mod decide;
mod dry;
mod folder_lock;
mod forecast;
mod handover;
mod inspect;
mod keys;
mod lock;
pub(crate) mod measured;
mod model;
mod ownership;
mod plugins;
pub mod prepare;
mod progress;
mod report;
mod run;
mod search;
mod settings;
mod stage_cache;
mod target;
mod train;
mod verify;

use std::path::PathBuf;

pub use dry::{DryRun, Foreseen, dry_run};
pub use folder_lock::FolderLock;
pub use forecast::{Planned, forecast};
pub use inspect::{
    Candidate, Draft, FieldSummary, Format, Inspect, Inspection, LabelValue, Sample, check_free, draft, inspect,
};
pub use measured::Place;
pub(crate) use ownership::check_report;
pub use plugins::{PluginLog, Plugins};
pub use prepare::{Prepared, prepare};
pub use progress::Narrator;
pub use report::{Choice, compare_runs, evaluate_file, evaluate_shard, merge_shards};
pub use search::{Confirmed, Found, search, verify_search};
pub use settings::{Hook, Settings};
pub use target::Measure;
pub use verify::{Fault, Repeated, Verification, verify};

use crate::manifest::ManifestFile;
use crate::report::Report;
use crate::{Error, Result};
use model::version::Moment;
use report::metrics::check_rules;
use run::{Needs, Run};
use target::Target;
use train::files::read_summary;

/// convert → map → split → evaluate → train → evaluate again → compare → report.
///
/// # Errors
/// The first stage that fails; what the stages before it wrote is kept, and not done again.
pub fn run(manifest: &ManifestFile, settings: &Settings) -> Result<(PathBuf, Report)> {
    let mut run = Run::open(manifest, settings, Needs::Model)?;
    let prepared = run.prepare()?;
    check_rules(&run.plan, &run.plugins, &prepared.labels)?;
    // A label that no weight can be for is told before the model is measured.
    run.plan.train.as_ref().map(|config| config.weights_of(&prepared.labels.names)).transpose()?;
    let before = run.judged(&prepared, Moment::Before, None)?;
    let trained = run.train(&prepared)?;
    let after = match &trained {
        Some(trained) => Some(run.judged(&prepared, Moment::After, Some(trained))?),
        None => None,
    };
    if let Some(after) = &after {
        run.hand_over(&prepared, after)?;
    }
    let report = run.report("run", &prepared, Some(&before), after.as_ref())?;
    Ok((run.seal()?, report))
}

/// convert → map → split.
pub fn prepare_only(manifest: &ManifestFile, settings: &Settings) -> Result<(PathBuf, Prepared)> {
    let mut run = Run::open(manifest, settings, Needs::Data)?;
    let prepared = run.prepare()?;
    Ok((run.seal()?, prepared))
}

/// convert → map → split → evaluate → report. What was trained is evaluated as «after». In the folder of a finished run nothing is replaced: the results have a
/// folder beside it, `NAME-eval`, `NAME-eval-base` or `NAME-eval-adapter`.
///
/// # Errors
/// The first stage that fails; an adapter that is not there, or what was trained and is no longer as it was, before any of them.
pub fn evaluate_only(manifest: &ManifestFile, settings: &Settings, measure: &Measure) -> Result<(PathBuf, Report)> {
    let target = Target::find(manifest, settings, measure)?;
    let mut settings = settings.clone();
    if let Some(output) = &target.output {
        Narrator::new(settings.quiet)
            .say(format!("results  go to {}: a finished run keeps its report", output.display()));
        settings.output = Some(output.clone());
    }
    let mut run = Run::open(manifest, &settings, Needs::Model)?;
    run.is_base = *measure == Measure::Base;
    (run.trained, run.note) = (target.trained, target.note);
    run.tell_target();
    let prepared = run.prepare()?;
    check_rules(&run.plan, &run.plugins, &prepared.labels)?;
    let trained = run.trained.clone();
    let moment = if trained.is_some() { Moment::After } else { Moment::Before };
    let rows = run.judged(&prepared, moment, trained.as_ref())?;
    let report = match moment {
        Moment::Before => run.report("eval", &prepared, Some(&rows), None)?,
        Moment::After => run.report("eval", &prepared, None, Some(&rows))?,
    };
    Ok((run.seal()?, report))
}

/// convert → map → split → train. Returns the run's folder, that of the adapter or the model, and the summary.
pub fn train_only(manifest: &ManifestFile, settings: &Settings) -> Result<(PathBuf, PathBuf, serde_json::Value)> {
    let mut run = Run::open(manifest, settings, Needs::Model)?;
    if run.plan.train.is_none() {
        return Err(Error::manifest(format!("{} has no `[train]` table", manifest.path.display()))
            .with_hint("add `[train]`; every key in it has a default"));
    }
    let prepared = run.prepare()?;
    if run.plan.validation.is_some() {
        check_rules(&run.plan, &run.plugins, &prepared.labels)?;
    }
    let trained = run.train(&prepared)?.ok_or_else(|| Error::internal("nothing was trained"))?;
    let summary = read_summary(&run.folder)?;
    Ok((run.seal()?, trained.folder().to_owned(), summary))
}
