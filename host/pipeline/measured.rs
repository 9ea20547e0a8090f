//! A finished run, opened to be served: it decides as `so8t predict` does, and beside it lie the decisions that its report was made of.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::decide::{Asking, Decider, Decision, Opened, hold_model};
use super::model::version::{Moment, Part};
use super::ownership;
use super::prepare::read_evaluation;
use super::progress::Narrator;
use super::train::artifact::Trained;
use super::verify::{Verification, check_trained, checksums};
use crate::data::{Example, LabelSet};
use crate::evaluate::{Calibration, Calibrations, EvaluatedRow, predictions};
use crate::manifest::Plan;
use crate::plugin::Policy;
use crate::plugin::lock::Lock;
use crate::report::Report;
use crate::train::Method;
use crate::{Error, Result, files};

/// Where a run lies, and what does not lie in it.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The run's folder.
    pub run: PathBuf,
    /// Where its manifest lies now, if not where it lay.
    pub manifest: Option<PathBuf>,
    /// The folder of the adapter that was evaluated, if it does not lie in the run's.
    pub adapter: Option<PathBuf>,
    /// What the manifest's `[model] base` stands for now, if it does not lie where that says.
    pub model: Option<PathBuf>,
    /// Whether the folder holds what a bundle holds of a run, and no more.
    pub is_bundle: bool,
}

/// Whether a file of a run is needed to serve it: what decides, and the stored decisions that a server holds itself against.
pub(in crate::pipeline) fn is_served(name: &str) -> bool {
    let single = [
        "so8t.toml",
        Lock::FILE,
        "report.json",
        "statistics.json",
        "evaluation.jsonl",
        Calibrations::FILE,
        predictions::BEFORE,
        predictions::AFTER,
    ];
    let folder = name.split_once('/').map(|(folder, _)| folder);
    single.contains(&name) || folder.is_some_and(|folder| [ownership::ADAPTER, ownership::MODEL].contains(&folder))
}

/// A finished run that decides.
pub(crate) struct Measured {
    pub(crate) plan: Plan,
    pub(crate) labels: LabelSet,
    /// What was evaluated last, its name in the report and its digest; `None` for the base alone.
    pub(crate) trained: Option<(&'static str, String)>,
    /// The digest of the model's files: the SHA-256 of the sorted lines of their digests.
    pub(crate) model_digest: String,
    pub(crate) calibration: Option<Calibration>,
    pub(crate) lock_digest: String,
    /// The model's files.
    pub(crate) model_files: Vec<PathBuf>,
    /// What needs no weights, so that requests are prepared while others are decided on.
    pub(crate) asking: Arc<Asking>,
    decider: Mutex<Decider>,
    /// Examples whose predictions are stored, with these.
    stored: Vec<(Example, EvaluatedRow)>,
}

impl Measured {
    /// Opens a run: its files, the model's and the adapter's are held against what was recorded. The data files need not be there.
    ///
    /// # Errors
    /// A run that did not end, or that is not as it was recorded; a model that cannot be read.
    pub(crate) fn open(place: &Place, policy: &Policy, narrator: Narrator) -> Result<Self> {
        let folder = place.run.as_path();
        let seal = checksums::read(folder)?;
        if let Some((file, what)) =
            checksums::faults(folder, &seal, &|name| !place.is_bundle || is_served(name))?.into_iter().next()
        {
            return Err(Error::data(format!("the run is not as it was recorded: `{file}` {what}"))
                .with_hint("`so8t verify` lists all that is wrong"));
        }
        let report = Report::read(&folder.join("report.json"))
            .map_err(|e| e.context("expected a run with a report, for what was not measured is not served"))?;
        if let Some(failure) = report.failure() {
            return Err(failure.context("the run's report is not whole"));
        }
        let moment = if report.after.is_some() { Moment::After } else { Moment::Before };
        let trained = |_: &checksums::Seal, plan: &Plan| match moment {
            Moment::Before => Ok(None),
            Moment::After => measured_last(folder, plan, place.adapter.as_deref(), &report).map(Some),
        };
        let opened = Opened::of_run(place, policy.bounds, trained, narrator)?;
        let model_digest = files::sha256(hold_model(folder, opened.learner.paths())?.join("\n").as_bytes());
        let named = |trained: &Trained| Ok::<_, Error>((trained.name(), trained.digest()?));
        let trained = opened.trained.as_ref().map(named).transpose()?;
        let (plan, labels, calibration) = (opened.plan.clone(), opened.labels.clone(), opened.calibration.clone());

        let model_files = opened.learner.paths().to_vec();
        let rows = predictions::read(&folder.join(Part::Evaluation.predictions(moment)), &labels)?;
        let stored = read_evaluation(folder, &labels)?.unwrap_or_default().into_iter().zip(rows).collect::<Vec<_>>();
        if let Some((example, row)) = stored.iter().find(|(example, row)| example.id.as_str() != row.id) {
            return Err(Error::data(format!("example `{}` stands beside the prediction of `{}`", example.id, row.id)));
        }
        // The server ends by itself what it began.
        let mut decider = Decider::of(opened, narrator, Arc::new(AtomicBool::new(false)))?;
        decider.load()?;
        Ok(Self {
            model_files,
            lock_digest: files::sha256_file(&folder.join(Lock::FILE))?,
            asking: Arc::clone(decider.asking()),
            decider: Mutex::new(decider),
            plan,
            labels,
            trained,
            model_digest,
            calibration,
            stored,
        })
    }

    fn decider(&self) -> MutexGuard<'_, Decider> {
        self.decider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the model says of each prompt, in their order.
    ///
    /// # Errors
    /// A score that is not finite.
    pub(crate) fn say(&self, prompts: &[Vec<u32>]) -> Result<Vec<Decision>> {
        self.decider().answer(prompts, |_| ())
    }

    /// At most so many examples whose predictions are stored, spread evenly.
    pub(crate) fn stored(&self, most: usize) -> impl Iterator<Item = &(Example, EvaluatedRow)> {
        self.stored.iter().step_by(self.stored.len().div_ceil(most.max(1)).max(1))
    }
}

/// What a report's last evaluation measured: in the folder that is named, or in the run's.
fn measured_last(folder: &Path, plan: &Plan, named: Option<&Path>, report: &Report) -> Result<Trained> {
    let method = plan.train.as_ref().map_or(Method::Lora, |config| config.method);
    let mut found = Verification::default();
    let trained = check_trained(folder, method, named, report, &mut found)?;
    if let Some(fault) = found.faults.first() {
        return Err(Error::data(format!("`{}`: {}", fault.file, fault.what)));
    }
    trained.ok_or_else(|| {
        Error::data(format!("`{}` does not hold the adapter that its report measured", folder.display()))
            .with_hint("name the adapter's folder with `--adapter`")
    })
}
