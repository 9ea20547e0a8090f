//! The stages of a run, in order. A stage reads and writes plain files in the run's folder, so that a run can stop and go
//! on after any of them.

mod answers;
mod asked;
mod calibrate;
mod card;
mod contamination;
mod converting;
mod forecast;
mod group;
mod inspect;
mod judge;
mod judge_file;
mod learner;
mod locks;
mod moment;
mod narrator;
mod ownership;
mod plugins;
mod policy;
mod prepare;
mod reading;
mod repeat;
mod samples;
mod seal;
mod stages;
mod trained;
mod validate;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::json;

pub use forecast::{Planned, forecast};
pub use inspect::{Candidate, FieldSummary, Format, Inspect, Inspection, LabelValue, Sample, inspect};
pub use judge::compare_runs;
pub use judge_file::{Choice, evaluate_file, evaluate_shard, merge_shards};
pub use narrator::Narrator;
pub(crate) use ownership::check_report;
pub use plugins::{PluginLog, Plugins};
pub use prepare::{Prepared, prepare};
pub use verify::{Fault, Repeated, Verification, verify};

use crate::evaluate::{EvaluatedRow, predictions};
use crate::manifest::{ManifestFile, Plan, PredictMode};
use crate::plugin::lock::{EntryKind, Lock};
use crate::plugin::{Policy, Resolution};
use crate::report::Report;
use crate::train::Method;
use crate::{Error, Result, files};
use learner::{Learner, Predicted};
use moment::{Judged, Moment, Part};
use stages::{Stages, key};
use trained::Trained;

/// How a command is to be done, besides what the manifest says.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The run's folder, instead of the manifest's.
    pub output: Option<PathBuf>,
    /// Refuse whatever differs from the lock file beside the manifest.
    pub locked: bool,
    /// What the tags of remote plugins name now, instead of what the lock file says.
    pub update: bool,
    /// What this host allows.
    pub policy: Policy,
    /// Go on from a checkpoint; an error where there is none.
    pub resume: bool,
    /// Do every stage again.
    pub fresh: bool,
    /// Say nothing but warnings.
    pub quiet: bool,
    /// Set when the user asks to stop.
    pub stop: Arc<AtomicBool>,
}

/// convert → map → split → evaluate → train → evaluate again → compare → report.
///
/// # Errors
/// The first stage that fails; what the stages before it wrote is kept, and not done again.
pub fn run(manifest: &ManifestFile, settings: &Settings) -> Result<(PathBuf, Report)> {
    let mut run = Run::open(manifest, settings, Needs::Model)?;
    let prepared = run.prepare()?;
    judge::check_rules(&run.plan, &run.plugins, &prepared.labels)?;
    // A label that no weight can be for is told before the model is measured.
    run.plan.train.as_ref().map(|config| config.weights_of(&prepared.labels.names)).transpose()?;
    let before = run.judged(&prepared, Moment::Before, None)?;
    let trained = run.train(&prepared)?;
    let after = match &trained {
        Some(trained) => Some(run.judged(&prepared, Moment::After, Some(trained))?),
        None => None,
    };
    let report = run.report("run", &prepared, Some(&before), after.as_ref())?;
    Ok((run.seal()?, report))
}

/// convert → map → split.
pub fn prepare_only(manifest: &ManifestFile, settings: &Settings) -> Result<(PathBuf, Prepared)> {
    let mut run = Run::open(manifest, settings, Needs::Data)?;
    let prepared = run.prepare()?;
    Ok((run.seal()?, prepared))
}

/// convert → map → split → evaluate → report. With an adapter, the model is evaluated with it, as «after».
pub fn evaluate_only(
    manifest: &ManifestFile,
    settings: &Settings,
    adapter: Option<&Path>,
) -> Result<(PathBuf, Report)> {
    let mut run = Run::open(manifest, settings, Needs::Model)?;
    run.adapter = adapter.map(Path::to_owned);
    let prepared = run.prepare()?;
    judge::check_rules(&run.plan, &run.plugins, &prepared.labels)?;
    let moment = if adapter.is_some() { Moment::After } else { Moment::Before };
    let trained = run.adapter();
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
        judge::check_rules(&run.plan, &run.plugins, &prepared.labels)?;
    }
    let trained = run.train(&prepared)?.ok_or_else(|| Error::internal("nothing was trained"))?;
    let summary = learner::read_summary(&run.folder)?;
    Ok((run.seal()?, trained.folder().to_owned(), summary))
}

/// What a report says of the host's policy: the digest of its file, where there is one.
fn policy_details(policy: &Policy) -> Option<(String, serde_json::Value)> {
    policy.sha256.as_ref().map(|sha256| ("host_policy".to_owned(), serde_json::Value::from(sha256.clone())))
}

/// What a command opens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Data,
    Model,
}

/// A run that is under way.
struct Run<'a> {
    plan: Plan,
    settings: &'a Settings,
    folder: PathBuf,
    narrator: Narrator,
    plugins: Plugins,
    log: PluginLog,
    lock: Lock,
    stages: Stages,
    learner: Option<Learner>,
    /// Where the manifest was read.
    manifest: PathBuf,
    /// The environment variables that the command line let it use.
    environment: Vec<String>,
    /// The adapter that is evaluated, where one was given.
    adapter: Option<PathBuf>,
}

impl<'a> Run<'a> {
    /// Resolves the manifest, loads the plugins, opens the model's files, and holds all of them against the lock file.
    fn open(file: &ManifestFile, settings: &'a Settings, needs: Needs) -> Result<Self> {
        let mut plan = file.resolve()?;
        plan.bounds = settings.policy.bounds;
        let folder = settings.output.clone().unwrap_or_else(|| plan.output.clone());
        let narrator = Narrator::new(settings.quiet);
        let log = PluginLog::of(&plan)?;
        let resolution = match (settings.locked, settings.update) {
            (true, _) => Resolution::Locked,
            (false, true) => Resolution::Update,
            (false, false) => Resolution::Open,
        };
        let admission = locks::admission(Some(&plan), &settings.policy, resolution)?;
        let plugins = Plugins::load(&log.host(narrator, admission)?, &plan)?;
        let learner = match needs {
            Needs::Data => None,
            Needs::Model => Some(Learner::open(&plan)?),
        };
        learner.iter().flat_map(Learner::warnings).for_each(|warning| narrator.warn(warning));

        let lock = locks::hold(&plan, &plugins, learner.as_ref(), settings.locked, narrator)?;
        ownership::claim(&folder)?;
        seal::lift(&folder)?;
        lock.write(&folder.join(Lock::FILE))?;
        files::write(&folder.join("so8t.toml"), file.text.as_bytes())?;
        if settings.fresh {
            let _ = std::fs::remove_file(folder.join("stages.json"));
        }
        let stages = Stages::read(&folder);
        let (manifest, environment) = (file.path.clone(), file.environment().named().to_vec());
        Ok(Self {
            plan,
            settings,
            folder,
            narrator,
            plugins,
            log,
            lock,
            stages,
            learner,
            manifest,
            environment,
            adapter: None,
        })
    }

    /// The end of a command: records the digest of every file. Returns the run's folder.
    fn seal(self) -> Result<PathBuf> {
        ownership::settle(&self.folder)?;
        for (name, what) in seal::write(&self.folder, &self.plan.manifest)? {
            self.narrator.warn(format!("`{name}` in the run's folder is {what}: it is left alone, and not sealed"));
        }
        Ok(self.folder)
    }

    /// convert → map → split, or what an earlier run of the same inputs left.
    fn prepare(&mut self) -> Result<Prepared> {
        let key = self.prepare_key()?;
        if self.stages.is_done("prepare", &key, &Prepared::paths_of(&self.plan, &self.folder)) {
            self.narrator.say("data     prepared before");
            return Prepared::read(&self.folder);
        }
        self.stages.begin("prepare")?;
        let prepared = prepare(&self.plan, &self.plugins, &self.folder, &self.narrator);
        self.log.write(&self.folder)?;
        let prepared = prepared?;
        prepared.write(&self.folder)?;
        card::write(&self.plan, &self.lock, &prepared, &self.folder)?;
        self.stages.finish("prepare", &key)?;
        let statistics = &prepared.statistics;
        self.narrator.say(format!(
            "data     {} examples to train on, {} held out ({} duplicates, {} rejected, {} excluded)",
            prepared.parts.train.len(),
            prepared.parts.eval.len(),
            statistics.duplicates.exact + statistics.duplicates.normalised,
            statistics.sources.iter().map(|s| s.rejected).sum::<usize>(),
            statistics.sources.iter().map(|s| s.excluded).sum::<usize>(),
        ));
        for warning in &statistics.warnings {
            self.narrator.warn(warning);
        }
        Ok(prepared)
    }

    /// What the base model or the adapter predicts of the evaluation part, and what its calibration is.
    fn judged(&mut self, prepared: &Prepared, moment: Moment, trained: Option<&Trained>) -> Result<Judged> {
        let rows = self.predict(prepared, Part::Evaluation, moment, trained)?;
        let calibration = self.calibrate(prepared, moment, trained)?;
        Ok(Judged { rows, calibration })
    }

    /// Label scores of a part's requests, from the base model or with an adapter.
    fn predict(
        &mut self,
        prepared: &Prepared,
        part: Part,
        moment: Moment,
        trained: Option<&Trained>,
    ) -> Result<Vec<EvaluatedRow>> {
        let (path, stage) = (self.predictions_path(part, moment), format!("predict {}", moment.name()));
        let (stage, shown) = match part {
            Part::Evaluation => (stage, moment.name()),
            Part::Calibration => (format!("{stage}, to calibrate"), "tuning"),
        };
        let trained_digest = trained.map(Trained::digest).transpose()?;
        let key = key(&json!([self.prepare_key()?, self.model_key()?, self.plan.predict, trained_digest]))?;
        let mut outputs = vec![path.clone()];
        if self.plan.predict.mode == PredictMode::Generate {
            outputs.push(self.folder.join(answers::file(shown)));
        }
        if self.stages.is_done(&stage, &key, &outputs) {
            self.narrator.say(format!("{shown:8} predicted before"));
            return predictions::read(&path, &prepared.labels);
        }
        answers::check_metrics(&self.plan, &self.plugins, &prepared.labels)?;
        self.stages.begin(&stage)?;
        let learner = self.learner.as_mut().ok_or_else(|| Error::internal("prediction without a model"))?;
        let Predicted { rows, answers } =
            learner.predict(&self.plan, prepared, shown, trained, &self.settings.stop, &self.narrator)?;
        if let Some(texts) = &answers {
            answers::write(&self.folder.join(answers::file(shown)), &prepared.parts.eval, texts)?;
        }
        predictions::write(&path, &prepared.labels, &rows)?;
        self.stages.finish(&stage, &key)?;
        Ok(rows)
    }

    /// The predictions file of a part.
    fn predictions_path(&self, part: Part, moment: Moment) -> PathBuf {
        self.folder.join(part.predictions(moment))
    }

    /// The adapter that was given, where one was.
    fn adapter(&self) -> Option<Trained> {
        self.adapter.clone().map(Trained::Adapter)
    }

    /// Training on the training part; what it left, or `None` where the manifest asks for no training.
    fn train(&mut self, prepared: &Prepared) -> Result<Option<Trained>> {
        let Some(config) = self.plan.train.clone() else { return Ok(None) };
        let trained = Trained::of_run(&self.folder, config.method);
        let metrics = self.validation_key()?;
        let deciding = config.deciding();
        let key = key(&json!([
            self.prepare_key()?,
            self.model_key()?,
            self.plan.predict,
            deciding,
            self.plan.seed,
            metrics
        ]))?;
        let mut outputs = vec![self.folder.join("training.json"), self.folder.join("training.jsonl")];
        outputs.extend(trained.files(config.so8.is_some()));
        if self.stages.is_done("train", &key, &outputs) {
            self.narrator.say("train    trained before");
            return Ok(Some(trained));
        }
        self.stages.begin("train")?;
        let learner = self.learner.as_mut().ok_or_else(|| Error::internal("training without a model"))?;
        learner.train(
            &self.plan,
            &config,
            prepared,
            &self.plugins,
            &self.folder,
            &key,
            self.settings,
            &self.narrator,
        )?;
        self.stages.finish("train", &key)?;
        Ok(Some(trained))
    }

    /// Metrics, comparison and every form of the report; read back where nothing that it rests on has changed.
    fn report(
        &mut self,
        command: &'static str,
        prepared: &Prepared,
        before: Option<&Judged>,
        after: Option<&Judged>,
    ) -> Result<Report> {
        let digest = |judged: Option<&Judged>, name: &str| {
            judged.map(|_| files::sha256_file(&self.folder.join(name))).transpose()
        };
        let metrics = self
            .plan
            .metrics
            .iter()
            .map(|name| {
                let spec = &self.plan.plugins[name];
                Ok(json!([name, self.plugins.get(name)?.digest(), spec.config, spec.texts]))
            })
            .collect::<Result<Vec<_>>>()?;
        let training = after.filter(|_| command == "run");
        let rows = [
            digest(before, predictions::BEFORE)?,
            digest(after, predictions::AFTER)?,
            digest(training, learner::SUMMARY)?,
        ];
        let fitted = [before, after].map(|judged| judged.map(|judged| &judged.calibration));
        let rules: Vec<String> = self.plan.accept.iter().map(|plan| plan.rule.to_string()).collect();
        let options = [self.plan.resamples, self.plan.min_support];
        let key = key(&json!(["report/3", command, self.prepare_key()?, metrics, options, rows, fitted, rules]))?;
        let outputs = ["report.json", "report.html", "report.md"].map(|name| self.folder.join(name));
        if self.stages.is_done("report", &key, &outputs) {
            return Report::read(&outputs[0]);
        }
        self.narrator.say("report   measuring");
        self.stages.begin("report")?;
        let method = self.plan.train.as_ref().map_or(Method::Lora, |config| config.method);
        let trained = after.map(|_| self.adapter().unwrap_or_else(|| Trained::of_run(&self.folder, method)));
        let report = judge::report(&judge::Evidence {
            plan: &self.plan,
            command,
            plugins: &self.plugins,
            lock: &self.lock,
            folder: &self.folder,
            prepared,
            before,
            after,
            trained: trained.map(|trained| Ok::<_, Error>((trained.name(), trained.digest()?))).transpose()?,
            details: self.details(),
            repeat: self.repeat(command),
        });
        self.log.write(&self.folder)?;
        let report = report?;
        // What failed is measured again the next time, whether or not it was mended.
        if report.failure().is_none() {
            self.stages.finish("report", &key)?;
        }
        Ok(report)
    }

    /// Facts about the run that are no results: of the model, and the digest of the host's policy.
    fn details(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut details = self.learner.as_ref().map(Learner::details).unwrap_or_default();
        details.extend(policy_details(&self.settings.policy));
        details
    }

    /// The commands that give the same numbers again: from the inputs, and from the predictions.
    fn repeat(&self, command: &str) -> Vec<String> {
        let options = [("--adapter", self.adapter.as_deref()), ("--out", self.settings.output.as_deref())];
        let names: Vec<&str> = self.environment.iter().flat_map(|name| ["--env", name]).collect();
        vec![
            repeat::command(command, &[&self.manifest], &options, &[&["--locked", "--fresh"], &*names].concat()),
            repeat::command("verify", &[&self.folder], &options[..1], &names),
        ]
    }

    /// What chooses among the adapters of a training, besides its configuration; `None` where nothing does.
    fn validation_key(&self) -> Result<Option<serde_json::Value>> {
        let Some(validation) = &self.plan.validation else { return Ok(None) };
        let plugin = |name: &String| {
            let spec = &self.plan.plugins[name];
            Ok(json!([name, self.plugins.get(name)?.digest(), spec.config, spec.texts]))
        };
        let plugins =
            self.plan.metrics.iter().filter(|name| validation.asks(name)).map(plugin).collect::<Result<Vec<_>>>()?;
        Ok(Some(json!([plugins, self.plan.min_support])))
    }

    /// What the prepared data depend on.
    fn prepare_key(&self) -> Result<String> {
        let sources: Vec<_> = self
            .plan
            .sources
            .iter()
            .map(|s| {
                let group = format!("{:?}", s.group);
                let rules = (s.detection_only, &s.provenance);
                let input = format!("{:?}", s.input);
                json!([s.name, s.usage, group, s.category, s.max_rejected, s.converter, s.mapper, input, rules])
            })
            .collect();
        let components = self.plan.sources.iter().flat_map(|s| [&s.converter, &s.mapper]).collect::<Vec<_>>();
        let plugins = components
            .into_iter()
            .map(|name| Ok(json!([name, self.plugins.get(name)?.digest(), self.plan.plugins[name].config])))
            .collect::<Result<Vec<_>>>()?;
        let data = locks::digests(&self.lock, EntryKind::Data);
        let trains = self.plan.train.is_some();
        let share = self.plan.calibrate.map(|plan| plan.share);
        let validation = self.plan.validation.as_ref().map(|plan| plan.share);
        let split = json!([self.plan.eval_share, self.plan.seed, trains, share, self.plan.contamination, validation]);
        let rules = (self.plan.policy, &self.plan.quality, self.plan.rebalance);
        key(&json!(["prepare/4", sources, plugins, data, split, rules]))
    }

    /// What a prediction of the base model depends on besides the data.
    fn model_key(&self) -> Result<String> {
        let compute = self.plan.train.as_ref().map(|config| config.compute);
        key(&json!([
            "model/3",
            locks::digests(&self.lock, EntryKind::Model),
            self.plan.quantization,
            self.plan.embeddings,
            compute
        ]))
    }
}
