//! A finished run held against what it says of itself: every digest, every number, and where it is asked for every score.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use serde_json::Value;

use super::checksums;
use super::missing::missing;
use crate::evaluate::{Calibration, EvaluatedRow, predictions};
use crate::manifest::{CalibratePlan, ManifestFile, Plan, PredictMode};
use crate::pipeline::lock;
use crate::pipeline::model::answers;
use crate::pipeline::model::session::Learner;
use crate::pipeline::model::version::{Judged, Moment, Part};
use crate::pipeline::plugins::{PluginLog, Plugins};
use crate::pipeline::prepare::Prepared;
use crate::pipeline::progress::Narrator;
use crate::pipeline::report::stage::{Evidence, compose};
use crate::pipeline::train::artifact::Trained;
use crate::plugin::lock::{EntryKind, Lock};
use crate::plugin::{Admission, Policy, Resolution};
use crate::report::{Report, Timestamp};
use crate::train::Method;
use crate::{Error, Result, files};

/// A score that was predicted again may differ by this much, since processors round differently; a larger difference is a fault.
const TOLERANCE: f32 = 0.01;

/// What a verification found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    /// What was checked and is as recorded.
    pub checked: Vec<String>,
    /// What is not.
    pub faults: Vec<Fault>,
    /// What the run was made from and is not on this machine: it was not checked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Fault>,
    /// What a second prediction gave, by the predictions file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub predictions: BTreeMap<String, Repeated>,
}

/// Something that is not as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// A file of the run's folder, or an input as the lock file names it.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// How a second prediction differs from the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Repeated {
    /// How many rows there are.
    pub rows: usize,
    /// The largest difference of a score.
    pub largest_difference: f32,
    /// How many decisions differ.
    pub decisions: usize,
}

impl Verification {
    fn fault(&mut self, file: impl Into<String>, what: impl Into<String>) {
        self.faults.push(Fault { file: file.into(), what: what.into() });
    }
}

/// Checks the digest of every file in a run's folder; of every component, data and model file that its lock names; and computes
/// every number of its report again from the stored predictions, with the components that it names. With `predict`, the
/// model is run again too. `manifest` is where the manifest lies now, if not where it lay; `adapter` is the folder of the adapter that
/// was evaluated, if it does not lie in the run's folder; `policy` is this host's.
///
/// # Errors
/// A folder that no command of so8t finished. What is wrong with a finished one is among the faults.
pub fn verify(
    folder: &Path,
    manifest: Option<&Path>,
    adapter: Option<&Path>,
    predict: bool,
    policy: &Policy,
    narrator: Narrator,
) -> Result<Verification> {
    let mut out = Verification::default();
    let seal = match checksums::read(folder) {
        Ok(seal) => seal,
        Err(error) if folder.join(checksums::FILE).symlink_metadata().is_ok_and(|found| found.is_file()) => {
            out.fault(checksums::FILE, error.to_string());
            return Ok(out);
        }
        Err(error) => return Err(error),
    };
    narrator.say(format!("reading  {} files", seal.files.len()));
    for (file, what) in checksums::faults(folder, &seal, &|_| true)? {
        out.fault(file, what);
    }
    for (name, what) in checksums::others(folder, &seal)? {
        narrator.warn(format!("`{name}` in the run's folder is {what}: it is not opened"));
    }
    if !out.faults.is_empty() {
        // What was changed is not parsed, let alone run.
        return Ok(out);
    }
    out.checked.push(format!("the digests of the {} files in `{}`", seal.files.len(), folder.display()));

    let path = manifest.map_or_else(|| folder.join(&seal.manifest), Path::to_owned);
    let inputs = Inputs::open(folder, &path, policy, narrator);
    let mut inputs = match inputs {
        Ok(inputs) => inputs,
        Err(error) => {
            out.missing = missing(folder, &path)?;
            if out.missing.is_empty() {
                out.fault("so8t.toml", format!("the run's inputs cannot be opened: {error}"));
            }
            return Ok(out);
        }
    };
    inputs.check_lock(&mut out)?;
    if folder.join("report.json").is_file() && out.faults.is_empty() {
        narrator.say("report   computing again");
        let stored = Report::read(&folder.join("report.json"))?;
        let method = inputs.plan.train.as_ref().map_or(Method::Lora, |config| config.method);
        let trained = check_trained(folder, method, adapter, &stored, &mut out)?;
        inputs.check_report(folder, &stored, &mut out)?;
        if predict {
            inputs.check_predictions(folder, trained.as_ref(), narrator, &mut out)?;
        }
    }
    Ok(out)
}

/// What a run was made from.
struct Inputs {
    plan: Plan,
    lock: Lock,
    plugins: Plugins,
    learner: Option<Learner>,
}

impl Inputs {
    /// Opens what the run's own copy of the manifest names, in the folder of the manifest at `path`.
    fn open(folder: &Path, path: &Path, policy: &Policy, narrator: Narrator) -> Result<Self> {
        let lock = Lock::read(&folder.join(Lock::FILE))?;
        let mut plan = ManifestFile::parse(path, files::read_text(&folder.join("so8t.toml"))?)?.resolve()?;
        plan.bounds = policy.bounds;
        for entry in lock.entries.iter().filter(|entry| entry.kind == EntryKind::Component) {
            if let Some(spec) = plan.plugins.get_mut(&entry.name) {
                spec.sha256 = Some(entry.sha256.clone());
            }
        }
        let admission = Admission::new(policy.clone()).with_lock(lock.clone(), Resolution::Locked);
        let plugins = Plugins::load(&PluginLog::default().host(narrator, admission)?, &plan)?;
        let has_model = lock.entries.iter().any(|entry| entry.kind == EntryKind::Model);
        let learner = has_model.then(|| Learner::open(&plan)).transpose()?;
        Ok(Self { plan, lock, plugins, learner })
    }

    /// Every component, data and model file, hashed again.
    fn check_lock(&self, out: &mut Verification) -> Result<()> {
        let found =
            lock::entries(&self.plan, &self.plugins, self.learner.as_ref().map(Learner::paths), &files::sha256_file)?;
        for locked in &self.lock.entries {
            let same = |entry: &&_| same_file(entry, locked);
            let title = format!("{} `{}` ({})", locked.kind, locked.name, locked.path);
            match found.iter().find(same) {
                Some(entry) if entry.sha256 == locked.sha256 => {}
                Some(entry) => {
                    out.fault(title, format!("has sha256 `{}`, recorded is `{}`", entry.sha256, locked.sha256));
                }
                None => out.fault(title, "is not found"),
            }
        }
        for entry in found.iter().filter(|entry| !self.lock.entries.iter().any(|locked| same_file(entry, locked))) {
            out.fault(format!("{} `{}` ({})", entry.kind, entry.name, entry.path), "is used and was not recorded");
        }
        if out.faults.is_empty() {
            let count = |kind| self.lock.entries.iter().filter(|entry| entry.kind == kind).count();
            out.checked.push(format!(
                "the digests of {} components, {} data files and {} model files",
                count(EntryKind::Component),
                count(EntryKind::Data),
                count(EntryKind::Model)
            ));
        }
        Ok(())
    }

    /// Every number of the report, from the stored predictions.
    fn check_report(&self, folder: &Path, stored: &Report, out: &mut Verification) -> Result<()> {
        let prepared = Prepared::read(folder)?;
        let judged = |is_there: bool, moment: Moment| -> Result<Option<Judged>> {
            is_there.then(|| self.judged(folder, &prepared, moment)).transpose()
        };
        let before = judged(stored.before.is_some(), Moment::Before)?;
        let after = judged(stored.after.is_some(), Moment::After)?;
        for (judged, moment) in [(&before, Moment::Before), (&after, Moment::After)] {
            let Some(judged) = judged.as_ref().filter(|_| self.plan.predict.mode == PredictMode::Generate) else {
                continue;
            };
            let file = answers::file(moment.name());
            match answers::fault(&folder.join(&file), &judged.rows, &prepared.labels)? {
                Some(what) => out.fault(file, what),
                None => out.checked.push(format!("{} decisions, read again from `{file}`", judged.rows.len())),
            }
        }
        let command = match stored.run.command.as_str() {
            "run" => "run",
            _ => "eval",
        };
        let evidence = Evidence {
            plan: &self.plan,
            command,
            plugins: &self.plugins,
            lock: &self.lock,
            folder,
            prepared: &prepared,
            before: before.as_ref(),
            after: after.as_ref(),
            trained: recorded(stored).map(|(name, digest)| (name, digest.to_owned())),
            details: serde_json::Map::new(),
            repeat: Vec::new(),
        };
        let again = compose(&evidence, Timestamp::now())?;
        let (mut values, mut differences) = (0, Vec::new());
        let [stored, again] = [plain(stored)?, plain(&again)?];
        compare("", &stored, &again, &mut values, &mut differences);
        for difference in &differences {
            out.fault("report.json", difference.clone());
        }
        if differences.is_empty() {
            out.checked.push(format!("{values} values of `report.json`, computed again to the last bit"));
        }
        Ok(())
    }

    /// The stored predictions of a model, and the calibration that the stored predictions of the calibration part give.
    fn judged(&self, folder: &Path, prepared: &Prepared, moment: Moment) -> Result<Judged> {
        let read = |part: Part| predictions::read(&folder.join(part.predictions(moment)), &prepared.labels);
        let fit = |plan: CalibratePlan| {
            Calibration::fit(&prepared.labels, &read(Part::Calibration)?, plan.temperature, plan.thresholds)
        };
        Ok(Judged { rows: read(Part::Evaluation)?, calibration: self.plan.calibrate.map(fit).transpose()? })
    }

    /// Every score, from the model.
    fn check_predictions(
        &mut self,
        folder: &Path,
        trained: Option<&Trained>,
        narrator: Narrator,
        out: &mut Verification,
    ) -> Result<()> {
        let prepared = Prepared::read(folder)?;
        let Self { plan, learner: Some(learner), .. } = self else {
            out.fault(Lock::FILE, "names no model file: nothing can be predicted again");
            return Ok(());
        };
        for moment in [Moment::Before, Moment::After] {
            let name = moment.predictions();
            if !folder.join(name).is_file() {
                continue;
            }
            let trained = trained.filter(|_| moment == Moment::After);
            if moment == Moment::After && trained.is_none() {
                out.fault(name, "cannot be predicted again without its adapter: name its folder with `--adapter`");
                continue;
            }
            let stored = predictions::read(&folder.join(name), &prepared.labels)?;
            let stop = AtomicBool::new(false);
            let again = learner
                .predict(plan, (&prepared.labels, &prepared.parts.eval), moment.name(), trained, &stop, &narrator)?
                .rows;
            let repeated = repeated(&stored, &again)?;
            out.predictions.insert(name.to_owned(), repeated);
            let Repeated { rows, largest_difference, decisions } = repeated;
            let text =
                format!("scores differ by at most {largest_difference:e}, {decisions} of {rows} decisions differ");
            match largest_difference <= TOLERANCE {
                true => out.checked.push(format!("`{name}`, predicted again: {text}")),
                false => out.fault(name, format!("predicted again, {text}: expected at most {TOLERANCE}")),
            }
        }
        Ok(())
    }
}

/// The name and the digest of the adapter or the model that a report's numbers come from.
fn recorded(report: &Report) -> Option<(&'static str, &str)> {
    let digest = |name: &'static str| Some((name, report.digests.get(name)?.as_str()?));
    digest("adapter").or_else(|| digest("trained_model"))
}

/// What was evaluated: the adapter that is named, whose digest must be the recorded one, or what the run trained where its digest is the recorded one.
pub(in crate::pipeline) fn check_trained(
    folder: &Path,
    method: Method,
    named: Option<&Path>,
    report: &Report,
    out: &mut Verification,
) -> Result<Option<Trained>> {
    let recorded = recorded(report);
    let trained = match named {
        // A model that a run trained is named like an adapter.
        Some(named) if recorded.is_some_and(|(name, _)| name == "trained_model") => Trained::Model(named.to_owned()),
        Some(named) => Trained::Adapter(named.to_owned()),
        None => Trained::of_run(folder, method),
    };
    if named.is_none() && !trained.folder().is_dir() {
        return Ok(None);
    }
    let found = trained.digest()?;
    if recorded == Some((trained.name(), found.as_str())) {
        if named.is_some() {
            out.checked.push(format!("the digest of the adapter in `{}`", trained.folder().display()));
        }
        return Ok(Some(trained));
    }
    if named.is_some() {
        let recorded = recorded.map_or("none".to_owned(), |(_, digest)| format!("`{digest}`"));
        out.fault(trained.folder().display().to_string(), format!("has sha256 `{found}`, recorded is {recorded}"));
    }
    Ok(None)
}

fn same_file(a: &crate::plugin::lock::Entry, b: &crate::plugin::lock::Entry) -> bool {
    (a.kind, &a.name, &a.path) == (b.kind, &b.name, &b.path)
}

/// A report as it reads from its file, without what says when and how it was made.
fn plain(report: &Report) -> Result<Value> {
    let mut value: Value = serde_json::from_str(&report.to_json()?)
        .map_err(|e| Error::internal(format!("a report cannot be read back: {e}")))?;
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("run");
    }
    Ok(value)
}

/// Counts the values of `stored`, and lists those that are others in `again`.
fn compare(place: &str, stored: &Value, again: &Value, values: &mut usize, differences: &mut Vec<String>) {
    let inner = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match (stored, again) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                compare(&inner(key), value, b.get(key).unwrap_or(&Value::Null), values, differences);
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                compare(&inner(key), &Value::Null, value, values, differences);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&inner(&index.to_string()), a, b, values, differences);
            }
        }
        _ => {
            *values += 1;
            if stored != again {
                differences.push(format!("`{place}` is `{stored}`, computed again it is `{again}`"));
            }
        }
    }
}

fn repeated(stored: &[EvaluatedRow], again: &[EvaluatedRow]) -> Result<Repeated> {
    let by_id: BTreeMap<&str, &EvaluatedRow> = again.iter().map(|row| (row.id.as_str(), row)).collect();
    if by_id.len() != stored.len() {
        let (rows, found) = (stored.len(), by_id.len());
        return Err(Error::data(format!("expected predictions of {rows} rows, found examples for {found}")));
    }
    let mut out = Repeated { rows: stored.len(), largest_difference: 0.0, decisions: 0 };
    for row in stored {
        let other = by_id
            .get(row.id.as_str())
            .ok_or_else(|| Error::data(format!("row `{}` is predicted, and is no example of the run", row.id)))?;
        out.decisions += usize::from(row.prediction.label != other.prediction.label);
        for (a, b) in row.prediction.scores.iter().zip(&other.prediction.scores) {
            out.largest_difference = out.largest_difference.max((a - b).abs());
        }
    }
    Ok(out)
}
