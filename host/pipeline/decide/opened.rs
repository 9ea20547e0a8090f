//! What a finished run decides with: its manifest, labels, model, what it trained, and its calibration, each held against what the run recorded.

use std::path::{Path, PathBuf};

use super::Deciding;
use crate::data::LabelSet;
use crate::evaluate::{Calibration, Calibrations};
use crate::manifest::{ManifestFile, Plan};
use crate::pipeline::measured::Place;
use crate::pipeline::model::session::Learner;
use crate::pipeline::plugins::{PluginLog, Plugins};
use crate::pipeline::prepare::{Prepared, read_labels};
use crate::pipeline::progress::Narrator;
use crate::pipeline::settings::Settings;
use crate::pipeline::train::artifact::Trained;
use crate::pipeline::verify::checksums::{self, Seal};
use crate::pipeline::{lock, ownership};
use crate::plugin::lock::{EntryKind, Lock};
use crate::plugin::{Bounds, Resolution, default_cache_folder};
use crate::train::Method;
use crate::{Error, Result, files};

/// What decides.
pub(in crate::pipeline) struct Opened {
    pub(in crate::pipeline) plan: Plan,
    pub(in crate::pipeline) file: ManifestFile,
    pub(in crate::pipeline) labels: LabelSet,
    pub(in crate::pipeline) learner: Learner,
    pub(in crate::pipeline) trained: Option<Trained>,
    pub(in crate::pipeline) calibration: Option<Calibration>,
    /// What is measured, in words.
    pub(in crate::pipeline) measured: String,
}

impl Opened {
    /// Opens the run in a folder, or the run that a manifest makes.
    pub(in crate::pipeline) fn open(run: &Path, deciding: &Deciding, settings: &Settings) -> Result<Self> {
        let narrator = Narrator::new(settings.quiet);
        let last = |folder: &Path, seal: &Seal| Ok(trained_in(folder, seal).filter(|_| !deciding.base));
        if run.is_dir() {
            if !run.join(checksums::FILE).is_file()
                && run.join("so8t.toml").is_file()
                && !run.join(Lock::FILE).is_file()
            {
                return Err(Error::manifest(format!(
                    "`{}` is a folder: expected a manifest, or a run's folder",
                    run.display()
                ))
                .with_hint(format!("try `{}`", run.join("so8t.toml").display())));
            }
            let place = Place {
                run: run.to_owned(),
                manifest: deciding.manifest.clone(),
                model: deciding.model.clone(),
                ..Place::default()
            };
            return Self::of_run(&place, settings.policy.bounds, |seal, _| last(run, seal), narrator);
        }
        let file = ManifestFile::read(run)?;
        let plan = file.resolve_to_decide()?;
        let folder = settings.output.clone().unwrap_or_else(|| plan.output.clone());
        if folder.join(checksums::FILE).is_file() && Prepared::paths(&folder).iter().all(|path| path.is_file()) {
            let own = files::read_text(&folder.join("so8t.toml"))?;
            if own == file.text {
                let place = Place { run: folder, manifest: Some(run.to_owned()), ..Place::default() };
                return Self::of_run(&place, settings.policy.bounds, |seal, _| last(&place.run, seal), narrator);
            }
            if !deciding.base {
                return Err(Error::manifest(format!(
                    "`{}` has changed since the run in `{}`: expected the manifest that was run",
                    run.display(),
                    folder.display()
                ))
                .with_hint(format!(
                    "`so8t predict {}` decides as that run did, `so8t run {}` runs again, and `--base` asks the base model",
                    folder.display(),
                    run.display()
                )));
            }
        } else if plan.train.is_some() && !deciding.base {
            return Err(Error::manifest(format!(
                "`{}` asks for a training, and `{}` holds no finished run",
                run.display(),
                folder.display()
            ))
            .with_hint(format!("`so8t run {}` trains; `--base` asks the base model", run.display())));
        }
        Self::of_base(file, plan, settings, narrator)
    }

    /// The base model of a manifest that was not run; the labels are those of its mappers.
    fn of_base(file: ManifestFile, mut plan: Plan, settings: &Settings, narrator: Narrator) -> Result<Self> {
        plan.bounds = settings.policy.bounds;
        let admission = lock::admission(Some(&plan), &settings.policy, Resolution::Locked)?;
        let plugins = Plugins::load(&PluginLog::of(&plan)?.host(narrator, admission)?, &plan)?;
        let first = plan.sources.first().ok_or_else(|| Error::internal("a plan without sources"))?;
        let labels = plugins.get(&first.mapper)?.open_mapper()?.labels().clone();
        let learner = Learner::open(&plan)?;
        learner.warnings().iter().for_each(|warning| narrator.warn(warning));
        if plan.calibrate.is_some() {
            narrator.warn("nothing was calibrated yet: the probabilities are the model's own");
        }
        let measured = format!("the base model `{}`", learner.files.name);
        Ok(Self { plan, file, labels, learner, trained: None, calibration: None, measured })
    }

    /// A finished run. What decides must be as it was when the run ended; `trained` finds what was trained, `None` for the base model.
    pub(in crate::pipeline) fn of_run(
        place: &Place,
        bounds: Bounds,
        trained: impl FnOnce(&Seal, &Plan) -> Result<Option<Trained>>,
        narrator: Narrator,
    ) -> Result<Self> {
        let folder = place.run.as_path();
        let seal = checksums::read(folder)?;
        hold_deciding(folder, &seal)?;
        let path = place.manifest.clone().unwrap_or_else(|| folder.join(&seal.manifest));
        let mut file = ManifestFile::parse(&path, files::read_text(&folder.join("so8t.toml"))?)?;
        if let (Some(model), Some(table)) = (&place.model, &mut file.manifest.model) {
            let whole = std::path::absolute(model).map_err(|e| Error::io("find", model, &e))?;
            let span = table.base.span();
            table.base = toml::Spanned::new(span, whole.to_string_lossy().into_owned());
        }
        let mut plan = file.resolve_to_decide()?;
        plan.bounds = bounds;
        let labels = read_labels(folder)?;
        let learner = Learner::open(&plan)?;
        learner.warnings().iter().for_each(|warning| narrator.warn(warning));
        hold_model(folder, learner.paths())?;
        let trained = trained(&seal, &plan)?;
        let calibration = calibration(folder, &plan, trained.is_some())?;
        let measured = match &trained {
            Some(trained) => format!("what was trained: `{}`", trained.folder().display()),
            None => format!("the base model `{}`", learner.files.name),
        };
        Ok(Self { plan, file, labels, learner, trained, calibration, measured })
    }
}

/// What a finished run trained; `None` where it trained nothing. Its folder holds what one method trained.
pub(in crate::pipeline) fn trained_in(folder: &Path, seal: &Seal) -> Option<Trained> {
    let is_sealed = |path: &PathBuf| {
        let name = path.strip_prefix(folder).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        path.is_file() && seal.files.contains_key(&name)
    };
    let mut trained = [Method::Lora, Method::Full].map(|method| Trained::of_run(folder, method)).into_iter();
    trained.find(|trained| trained.files(false).iter().all(is_sealed))
}

/// The files of a run that decide, held against its seal.
pub(in crate::pipeline) fn hold_deciding(folder: &Path, seal: &Seal) -> Result<()> {
    let [_, _, statistics] = Prepared::paths(folder);
    let statistics = statistics.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let single = ["so8t.toml", Lock::FILE, Calibrations::FILE, statistics.as_str()];
    let decides = |name: &str| {
        let top = name.split('/').next().unwrap_or_default();
        single.contains(&name) || (name != top && [ownership::ADAPTER, ownership::MODEL].contains(&top))
    };
    match checksums::faults(folder, seal, &decides)?.first() {
        None => Ok(()),
        Some((name, what)) => {
            Err(Error::data(format!("the run in `{}` is not as it ended: `{name}` {what}", folder.display()))
                .with_hint(format!("`so8t verify {}` lists all that differs", folder.display())))
        }
    }
}

/// The model's files, held by name and digest against the run's lock, wherever they lie now. Gives the digests, sorted.
pub(in crate::pipeline) fn hold_model(folder: &Path, paths: &[PathBuf]) -> Result<Vec<String>> {
    let cache = default_cache_folder();
    let lock = Lock::read(&folder.join(Lock::FILE))?;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::with_capacity(paths.len());
    for path in paths {
        found.push((name(path), files::sha256_file_cached(path, cache.as_deref())?));
    }
    let locked = || lock.entries.iter().filter(|entry| entry.kind == EntryKind::Model);
    let mut left = found.clone();
    for entry in locked() {
        let own = name(Path::new(&entry.path));
        match left.iter().position(|(name, sha256)| (name, sha256) == (&own, &entry.sha256)) {
            Some(at) => drop(left.swap_remove(at)),
            None if left.iter().any(|(name, _)| *name == own) => {
                return Err(Error::model(format!(
                    "`{}` is not the file that the run used: its digest is another",
                    entry.path
                )));
            }
            None => {
                return Err(Error::model(format!(
                    "`{}`, which the run used, is not among the model's files",
                    entry.path
                )));
            }
        }
    }
    if let Some((name, _)) = left.first() {
        return Err(Error::model(format!("`{name}` is not among the files of the model that the run used")));
    }
    let mut digests: Vec<String> = found.into_iter().map(|(_, sha256)| sha256).collect();
    digests.sort();
    Ok(digests)
}

/// The calibration of what decides, where the manifest asks for one.
fn calibration(folder: &Path, plan: &Plan, is_trained: bool) -> Result<Option<Calibration>> {
    if plan.calibrate.is_none() {
        return Ok(None);
    }
    let known = Calibrations::read(folder)?.unwrap_or_default();
    let (own, name) = if is_trained { (known.after, "after") } else { (known.before, "before") };
    own.map(Some).ok_or_else(|| {
        Error::data(format!(
            "`{}`: expected the calibration `{name}`, found none",
            folder.join(Calibrations::FILE).display()
        ))
        .with_hint("the command that evaluates the model fits it")
    })
}
