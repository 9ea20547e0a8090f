//! `so8t search`: trials that are judged on rows of the training part, then the best setting on the evaluation part, once.
//!
//! A trial is a run in a folder of its own, whose evaluation part is a share of the training part: no trial's folder holds a row of the real one.

mod apply;
mod summary;
mod trial;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};
use so8t_search::{Assignment, Sampler, State, Study, StudySettings, work};

use super::progress::Narrator;
use super::settings::Settings;
use crate::manifest::{Goal, ManifestFile, Plan, SearchPlan};
use crate::report::Report;
use crate::{Error, Result, files};
use apply::{applied, moved, whole};
use trial::Training;

/// What a search came to.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// `so8t.search/1`.
    pub schema: &'static str,
    /// The search's folder.
    pub folder: PathBuf,
    /// Whether all of it is done; otherwise the same command goes on.
    pub done: bool,
    /// `plugin.metric`.
    pub objective: String,
    /// Every trial: number, state, setting, value, constraints, values on the way.
    pub trials: Vec<Value>,
    /// The number of the best trial that keeps to every constraint.
    pub best: Option<usize>,
    /// How much each parameter matters, largest first.
    pub importance: Vec<(String, f64)>,
    /// The best setting trained on the whole training part and judged on the evaluation part, one a seed.
    pub confirmed: Vec<Confirmed>,
    /// By how much the best trial looked better on the rows that chose it than the same setting is on the evaluation part.
    pub optimism: Option<f64>,
}

/// The best setting with one seed.
#[derive(Clone, Debug, Serialize)]
pub struct Confirmed {
    /// The seed of the training.
    pub seed: u64,
    /// The run's folder.
    pub folder: PathBuf,
    /// The objective on the evaluation part.
    pub value: Option<f64>,
    /// Whether the manifest's rules are met; absent where it has none.
    pub accepted: Option<bool>,
    /// By how much each constraint is broken on the evaluation part, by the interval's end; at most 0 where it is kept.
    pub constraints: Vec<Option<f64>>,
}

/// Searches, until the budget is spent or the user stops. Several processes may run the same search in the same folder.
///
/// # Errors
/// A manifest without `[search]`; a journal of another search; a setting that no run can be made of; no trial that keeps to the constraints.
pub fn search(manifest: &ManifestFile, settings: &Settings, trials: Option<usize>) -> Result<Found> {
    let (plan, own, folder) = opened(manifest, settings)?;
    let narrator = Narrator::new(settings.quiet);
    // Nothing is written for a setting that cannot be.
    try_all(manifest, &own)?;
    let study = study(&plan, &own, &folder, trials)?;
    let mut training = Training { manifest, settings, plan: &own, folder: &folder, narrator, epochs: epochs(&plan) };
    let ended = work(&study, &mut training, &settings.stop)?;
    let best = study.best()?;
    let confirmed = match (&best, ended.done) {
        (Some(best), true) => confirm(manifest, settings, &plan, &own, &folder, &best.parameters, narrator)?,
        _ => Vec::new(),
    };
    let found = found(&study, &own, folder, ended.done, confirmed)?;
    if ended.done {
        summary::write(&found, &own)?;
    }
    match (&best, ended.done) {
        (None, true) => Err(Error::data(format!(
            "none of {} trials keeps to every constraint: nothing is chosen",
            found.trials.len()
        ))
        .with_hint(format!(
            "`{}` shows what was found of each; more rows (`[search] share`) make intervals narrower",
            found.folder.join("search.md").display()
        ))),
        _ => Ok(found),
    }
}

/// Makes every proposal of a search again from its seed and its journal. Returns how many there were.
///
/// # Errors
/// The first that comes out otherwise.
pub fn verify_search(manifest: &ManifestFile, settings: &Settings) -> Result<usize> {
    let (plan, own, folder) = opened(manifest, settings)?;
    if !folder.join("journal.log").is_file() {
        return Err(Error::manifest(format!("`{}` holds no search", folder.display()))
            .with_hint("`so8t search MANIFEST` makes one"));
    }
    study(&plan, &own, &folder, None)?.replay()
}

fn opened(manifest: &ManifestFile, settings: &Settings) -> Result<(Plan, SearchPlan, PathBuf)> {
    let plan = manifest.resolve()?;
    let own = plan.search.clone().ok_or_else(|| {
        Error::manifest(format!("{} has no `[search]` table", manifest.path.display()))
            .with_hint("add `[search.space]` with the keys to search")
    })?;
    let folder = settings.output.clone().unwrap_or_else(|| plan.output.with_file_name(format!("{}-search", plan.name)));
    Ok((plan, own, folder))
}

fn epochs(plan: &Plan) -> usize {
    plan.train.as_ref().map_or(1, |train| train.epochs)
}

fn study(plan: &Plan, own: &SearchPlan, folder: &Path, trials: Option<usize>) -> Result<Study> {
    let table = &own.table;
    let trials = trials.unwrap_or(table.trials);
    let sampler = Sampler {
        space: own.space.clone(),
        seed: table.seed.unwrap_or(plan.seed),
        known_good: own.known_good.clone(),
        startup: table.startup.unwrap_or_else(|| own.known_good.len() + (own.space.parameters().len() + 2).min(8)),
        constraints: table.constraints.len(),
        maximise: table.goal == Goal::Maximise,
    };
    let constraints: Vec<String> = table.constraints.iter().map(|own| format!("{own:?}")).collect();
    let rungs = table.halving.as_ref().map(|halving| halving.rungs.clone());
    let data: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
    let settings = StudySettings {
        name: plan.name.clone(),
        sampler,
        trials,
        seconds: table.hours.map_or(f64::INFINITY, |hours| hours * 3600.0),
        eta: table.halving.as_ref().map_or(3.0, |halving| halving.eta),
        fixed: json!({
            "objective": table.objective, "constraints": constraints, "share": table.share, "rungs": rungs, "run_seed": plan.seed, "sources": data,
            "factors": own.factors,
        }),
    };
    Study::open(folder, settings)
}

/// Resolves a manifest for points all over the space, so that a setting that cannot be is told before the first trial.
fn try_all(manifest: &ManifestFile, own: &SearchPlan) -> Result<()> {
    let parameters = own.space.parameters().len();
    for place in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
        let assignment = own.space.decode(&vec![place; parameters]);
        applied(manifest, own, &assignment)?
            .resolve()
            .map_err(|error| error.context(format!("with the setting {}", json!(assignment))))?;
    }
    Ok(())
}

/// Trains the best setting on the whole training part, with several seeds, and judges each on the evaluation part. What is done is not done again.
fn confirm(
    manifest: &ManifestFile,
    settings: &Settings,
    plan: &Plan,
    own: &SearchPlan,
    folder: &Path,
    best: &Assignment,
    narrator: Narrator,
) -> Result<Vec<Confirmed>> {
    let mut all = Vec::new();
    for index in 0..own.table.confirm as u64 {
        let seed = plan.seed + index;
        let path = folder.join(format!("confirm/seed-{seed}.toml"));
        let text = moved(manifest, own, best, seed)?;
        files::write(&path, text.as_bytes())?;
        let file = ManifestFile::parse(&path, text)?.with_environment(manifest.environment());
        let out = folder.join(format!("confirm/seed-{seed}"));
        narrator.say(format!("confirm  seed {seed}, on the whole training part"));
        let own_settings = Settings {
            output: Some(out.clone()),
            locked: false,
            fresh: false,
            resume: false,
            quiet: true,
            ..settings.clone()
        };
        let (_, report) = super::run(&file, &own_settings)?;
        if let Some(failure) = report.failure() {
            return Err(failure);
        }
        all.push(Confirmed {
            seed,
            folder: out,
            value: value_of(&report, &own.table.objective),
            accepted: report.accept.as_ref().map(|accept| accept.accepted),
            constraints: own.table.constraints.iter().map(|constraint| trial::broken_by(&report, constraint)).collect(),
        });
    }
    Ok(all)
}

fn value_of(report: &Report, metric: &str) -> Option<f64> {
    report.after.as_ref()?.metrics.get(metric)?.value
}

fn found(study: &Study, own: &SearchPlan, folder: PathBuf, done: bool, confirmed: Vec<Confirmed>) -> Result<Found> {
    let trials = study.trials()?;
    let best = study.best()?;
    let shown = |state: State| match state {
        State::Complete => "complete",
        State::Pruned => "ended early",
        State::Failed => "failed",
        State::Running => "running",
        State::Waiting => "waiting",
    };
    let values: Vec<f64> = confirmed.iter().filter_map(|own| own.value).collect();
    let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    let sign = if own.table.goal == Goal::Maximise { 1.0 } else { -1.0 };
    Ok(Found {
        schema: "so8t.search/1",
        folder,
        done,
        objective: own.table.objective.clone(),
        optimism: best.as_ref().and_then(|best| best.value).zip(mean).map(|(trial, mean)| sign * (trial - mean)),
        best: best.map(|best| best.number),
        importance: study.importance()?,
        trials: trials
            .iter()
            .map(|trial| {
                json!({
                    "number": trial.number, "state": if trial.is_paused() { "paused" } else { shown(trial.state) },
                    "setting": whole(own, &trial.parameters), "value": trial.value, "constraints": trial.constraints,
                    "feasible": trial.is_feasible(), "rungs": trial.intermediate, "notes": trial.notes,
                })
            })
            .collect(),
        confirmed,
    })
}
