//! A finished run, opened to decide as its report measured: the same prompts, the same scoring, the same calibration.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::model::prompts;
use super::model::session::Learner;
use super::model::version::{Moment, Part};
use super::prepare::Prepared;
use super::progress::Narrator;
use super::verify::{Verification, check_trained, checksums};
use crate::data::policy::{Policy as Redaction, PolicyAction};
use crate::data::{Example, LabelSet, Request};
use crate::evaluate::{Calibration, Calibrations, EvaluatedRow, predictions};
use crate::manifest::{ManifestFile, Plan};
use crate::model::TextTokenizer;
use crate::model::device::on_network;
use crate::plugin::Policy;
use crate::plugin::lock::{EntryKind, Lock};
use crate::predict::Prompter;
use crate::report::Report;
use crate::train::Method;
use crate::{Error, Result, files};

/// Where a run lies, and what does not lie in it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The run's folder.
    pub(crate) run: PathBuf,
    /// Where its manifest lies now, if not where it lay.
    pub(crate) manifest: Option<PathBuf>,
    /// The folder of the adapter that was evaluated, if it does not lie in the run's.
    pub(crate) adapter: Option<PathBuf>,
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
    prompter: Prompter,
    tokenizer: TextTokenizer,
    redaction: Option<Redaction>,
    learner: Mutex<Learner>,
    /// Examples whose predictions are stored, with these.
    stored: Vec<(Example, EvaluatedRow)>,
}

/// What a model said of a request, and what the run makes of it.
pub(crate) struct Said {
    pub(crate) raw: EvaluatedRow,
    pub(crate) calibrated: Option<EvaluatedRow>,
    pub(crate) answer: Option<String>,
}

impl Measured {
    /// Opens a run: its files, the model's and the adapter's are held against what was recorded.
    ///
    /// # Errors
    /// A run that did not end, or that is not as it was recorded; a model that cannot be read.
    pub(crate) fn open(place: &Place, policy: &Policy, narrator: Narrator) -> Result<Self> {
        let folder = place.run.as_path();
        let seal = checksums::read(folder)?;
        if let Some((file, what)) = checksums::faults(folder, &seal, &|_| true)?.into_iter().next() {
            return Err(Error::data(format!("the run is not as it was recorded: `{file}` {what}"))
                .with_hint("`so8t verify` lists all that is wrong"));
        }
        let path = place.manifest.clone().unwrap_or_else(|| folder.join(&seal.manifest));
        let mut plan = ManifestFile::parse(&path, files::read_text(&folder.join("so8t.toml"))?)?.resolve()?;
        plan.bounds = policy.bounds;
        let lock = Lock::read(&folder.join(Lock::FILE))?;
        let mut learner = Learner::open(&plan)?;
        learner.warnings().iter().for_each(|warning| narrator.warn(warning));
        let model_digest = hold_model(&lock, &learner)?;

        let report = Report::read(&folder.join("report.json"))
            .map_err(|e| e.context("expected a run with a report, for what was not measured is not served"))?;
        if let Some(failure) = report.failure() {
            return Err(failure.context("the run's report is not whole"));
        }
        let moment = if report.after.is_some() { Moment::After } else { Moment::Before };
        let trained = match moment {
            Moment::Before => None,
            Moment::After => {
                let method = plan.train.as_ref().map_or(Method::Lora, |config| config.method);
                let mut found = Verification::default();
                let trained = check_trained(folder, method, place.adapter.as_deref(), &report, &mut found)?;
                if let Some(fault) = found.faults.first() {
                    return Err(Error::data(format!("`{}`: {}", fault.file, fault.what)));
                }
                Some(trained.ok_or_else(|| {
                    Error::data(format!("`{}` does not hold the adapter that its report measured", folder.display()))
                        .with_hint("name the adapter's folder with `--adapter`")
                })?)
            }
        };
        let prepared = Prepared::read(folder)?;
        let labels = prepared.labels;
        let calibration = match plan.calibrate {
            None => None,
            Some(_) => {
                let known = Calibrations::read(folder)?.unwrap_or_default();
                let own = if moment == Moment::After { known.after } else { known.before };
                let lacking = || Error::data(format!("`{}` has none for the model that is served", Calibrations::FILE));
                Some(own.ok_or_else(lacking)?)
            }
        };
        let rows = predictions::read(&folder.join(Part::Evaluation.predictions(moment)), &labels)?;
        let stored = prepared.parts.eval.into_iter().zip(rows).collect::<Vec<_>>();
        if let Some((example, row)) = stored.iter().find(|(example, row)| example.id.as_str() != row.id) {
            return Err(Error::data(format!("example `{}` stands beside the prediction of `{}`", example.id, row.id)));
        }
        let prompter = learner.prompter(&plan, &labels, plan.predict.max_length)?;
        learner.ready(&plan, trained.as_ref(), &narrator)?;
        let trained = trained.map(|trained| Ok::<_, Error>((trained.name(), trained.digest()?))).transpose()?;
        Ok(Self {
            redaction: plan.policy.map(|policy| Redaction::new(policy.settings)).transpose()?,
            tokenizer: learner.files.tokenizer.clone(),
            lock_digest: files::sha256_file(&folder.join(Lock::FILE))?,
            learner: Mutex::new(learner),
            plan,
            labels,
            trained,
            model_digest,
            calibration,
            prompter,
            stored,
        })
    }

    /// The tokens of each label.
    pub(crate) fn label_tokens(&self) -> &[Vec<u32>] {
        self.prompter.labels()
    }

    /// Takes what the run's policy looks for out of a request, as it was done when the data were prepared.
    ///
    /// # Errors
    /// The kinds for which examples were left out.
    pub(crate) fn redact(&self, example: &mut Example) -> std::result::Result<Vec<(String, usize)>, Vec<String>> {
        let Some(policy) = &self.redaction else { return Ok(Vec::new()) };
        let counts = policy.redact(example).counts;
        if policy.action(&counts) >= PolicyAction::Drop {
            let left_out = counts.found().filter(|(kind, _)| policy.settings().of(*kind) >= PolicyAction::Drop);
            return Err(left_out.map(|(kind, _)| kind.name().to_owned()).collect());
        }
        Ok(counts.by_name().into_iter().collect())
    }

    /// The tokens of a prompt, and whether the end of the request was cut off.
    pub(crate) fn prompt(&self, request: &Request) -> Result<(Vec<u32>, bool)> {
        self.prompter.prompt_and_truncation(request)
    }

    /// What the model says of each prompt, in their order.
    pub(crate) fn say(&self, prompts: &[Vec<u32>]) -> Result<Vec<Said>> {
        let mut learner = self.learner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, network)) = &mut learner.network else {
            return Err(Error::internal("the network was read when the run was opened"));
        };
        let (labels, predict) = (&self.labels, &self.plan.predict);
        let (predictions, answers) = on_network!(network, network => {
            prompts::answer(network, prompts, (&self.prompter, &self.tokenizer), predict, labels, |_| Ok(()))
        })?;
        let mut answers = answers.map(Vec::into_iter);
        let row = |prediction| EvaluatedRow {
            id: String::new(),
            source: String::new(),
            group: String::new(),
            gold: 0,
            prediction,
            latency_ms: None,
            request: None,
        };
        let rows: Vec<EvaluatedRow> = predictions.into_iter().map(row).collect();
        let calibrated = self.calibration.as_ref().map(|own| own.apply(labels, &rows)).transpose()?;
        let calibrated: Vec<Option<EvaluatedRow>> = match calibrated {
            Some(calibrated) => calibrated.into_owned().into_iter().map(Some).collect(),
            None => vec![None; rows.len()],
        };
        let said = rows.into_iter().zip(calibrated).map(|(raw, calibrated)| Said {
            raw,
            calibrated,
            answer: answers.as_mut().and_then(Iterator::next),
        });
        Ok(said.collect())
    }

    /// At most so many examples whose predictions are stored, spread evenly.
    pub(crate) fn stored(&self, most: usize) -> impl Iterator<Item = &(Example, EvaluatedRow)> {
        self.stored.iter().step_by(self.stored.len().div_ceil(most.max(1)).max(1))
    }
}

/// The digest of a model's files, which must be those that the lock names.
fn hold_model(lock: &Lock, learner: &Learner) -> Result<String> {
    let mut recorded: Vec<String> =
        lock.entries.iter().filter(|entry| entry.kind == EntryKind::Model).map(|entry| entry.sha256.clone()).collect();
    let mut found =
        learner.paths().iter().map(|path: &PathBuf| files::sha256_file(path)).collect::<Result<Vec<_>>>()?;
    recorded.sort();
    found.sort();
    if recorded != found {
        let lacking = |path: &&PathBuf| files::sha256_file(path).is_ok_and(|own| !recorded.contains(&own));
        let name = learner.paths().iter().find(lacking).map_or(Path::new("a file"), PathBuf::as_path);
        return Err(Error::model(format!(
            "the model is not the one that was measured: the digest of `{}` is not in the run's `{}`",
            name.display(),
            Lock::FILE
        )));
    }
    Ok(files::sha256(found.join("\n").as_bytes()))
}
