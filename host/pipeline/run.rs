//! A run that is under way: each stage is done, or read back where nothing that it rests on has changed.

use std::path::PathBuf;

use serde_json::json;

use super::folder_lock::FolderLock;
use super::handover;
use super::keys;
use super::lock;
use super::model::session::{Learner, Predicted};
use super::model::version::{Judged, Moment, Part};
use super::model::{answers, calibrate};
use super::ownership;
use super::plugins::{PluginLog, Plugins};
use super::prepare::{Prepared, dataset_card, prepare};
use super::progress::Narrator;
use super::report::metrics::policy_details;
use super::report::{reproduce, stage};
use super::settings::Settings;
use super::stage_cache::{Stages, key};
use super::target;
use super::train::artifact::Trained;
use super::train::files::SUMMARY;
use super::train::train;
use super::verify::checksums;
use crate::data::LabelSet;
use crate::evaluate::{Calibrations, EvaluatedRow, predictions};
use crate::manifest::{ManifestFile, Plan, PredictMode};
use crate::plugin::Resolution;
use crate::plugin::lock::Lock;
use crate::report::Report;
use crate::train::Method;
use crate::{Error, Result, files};

/// What a command opens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Data,
    Model,
}

/// A run that is under way.
pub(super) struct Run<'a> {
    pub(super) plan: Plan,
    pub(super) settings: &'a Settings,
    pub(super) folder: PathBuf,
    /// No other so8t writes in the folder meanwhile.
    #[expect(dead_code, reason = "held until the run is dropped")]
    held: FolderLock,
    narrator: Narrator,
    pub(super) plugins: Plugins,
    log: PluginLog,
    lock: Lock,
    stages: Stages,
    learner: Option<Learner>,
    /// Where the manifest was read.
    manifest: PathBuf,
    /// The environment variables that the command line let it use.
    environment: Vec<String>,
    /// What was trained before and is evaluated.
    pub(super) trained: Option<Trained>,
    /// Whether the base was asked for by name.
    pub(super) is_base: bool,
    /// What a reader must know of what is evaluated.
    pub(super) note: Option<String>,
}

impl<'a> Run<'a> {
    /// Resolves the manifest, loads the plugins, opens the model's files, and holds all of them against the lock file.
    pub(super) fn open(file: &ManifestFile, settings: &'a Settings, needs: Needs) -> Result<Self> {
        let mut plan = file.resolve()?;
        plan.bounds = settings.policy.bounds;
        plan.trial_share = settings.trial_share;
        let folder = settings.output.clone().unwrap_or_else(|| plan.output.clone());
        let narrator = Narrator::new(settings.quiet);
        let log = PluginLog::of(&plan)?;
        let resolution = match (settings.locked, settings.update) {
            (true, _) => Resolution::Locked,
            (false, true) => Resolution::Update,
            (false, false) => Resolution::Open,
        };
        let admission = lock::admission(Some(&plan), &settings.policy, resolution)?;
        let plugins = Plugins::load(&log.host(narrator, admission)?, &plan)?;
        let learner = match needs {
            Needs::Data => None,
            Needs::Model => Some(Learner::open(&plan)?),
        };
        learner.iter().flat_map(Learner::warnings).for_each(|warning| narrator.warn(warning));

        let lock = lock::hold(&plan, &plugins, learner.as_ref().map(Learner::paths), settings.locked, narrator)?;
        let held = FolderLock::take(&folder)?;
        ownership::claim(&folder)?;
        checksums::lift(&folder)?;
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
            held,
            narrator,
            plugins,
            log,
            lock,
            stages,
            learner,
            manifest,
            environment,
            trained: None,
            is_base: false,
            note: None,
        })
    }

    /// The end of a command: records the digest of every file. Returns the run's folder.
    pub(super) fn seal(self) -> Result<PathBuf> {
        ownership::settle(&self.folder)?;
        for (name, what) in checksums::write(&self.folder, &self.plan.manifest)? {
            self.narrator.warn(format!("`{name}` in the run's folder is {what}: it is left alone, and not sealed"));
        }
        Ok(self.folder)
    }

    /// convert → map → split, or what an earlier run of the same inputs left.
    pub(super) fn prepare(&mut self) -> Result<Prepared> {
        let key = keys::prepare_key(&self.plan, &self.plugins, &self.lock)?;
        if self.stages.is_done("prepare", &key, &Prepared::paths_of(&self.plan, &self.folder)) {
            self.narrator.say("data     prepared before");
            return Prepared::read(&self.folder);
        }
        self.stages.begin("prepare")?;
        let prepared = prepare(&self.plan, &self.plugins, &self.folder, &self.narrator);
        self.log.write(&self.folder)?;
        let prepared = prepared?;
        prepared.write(&self.folder)?;
        dataset_card::write(&self.plan, &self.lock, &prepared, &self.folder)?;
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
    pub(super) fn judged(&mut self, prepared: &Prepared, moment: Moment, trained: Option<&Trained>) -> Result<Judged> {
        let rows = self.predict(prepared, Part::Evaluation, moment, trained)?;
        let calibration = match self.plan.calibrate {
            Some(plan) => {
                let rows = self.predict(prepared, Part::Calibration, moment, trained)?;
                let rows = (&prepared.labels, rows.as_slice());
                Some(calibrate::fit(plan, moment, rows, &self.folder, &mut self.stages, &self.narrator)?)
            }
            None => {
                let _ = std::fs::remove_file(self.folder.join(Calibrations::FILE));
                None
            }
        };
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
        let (path, stage) = (self.folder.join(part.predictions(moment)), format!("predict {}", moment.name()));
        let (stage, shown, examples) = match part {
            Part::Evaluation => (stage, moment.name(), &prepared.parts.eval),
            Part::Calibration => (format!("{stage}, to calibrate"), "tuning", &prepared.parts.calibration),
        };
        let trained_digest = trained.map(Trained::digest).transpose()?;
        let key = key(&json!([
            keys::prepare_key(&self.plan, &self.plugins, &self.lock)?,
            keys::model_key(&self.plan, &self.lock)?,
            self.plan.predict,
            trained_digest
        ]))?;
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
        let Predicted { rows, answers } = learner.predict(
            &self.plan,
            (&prepared.labels, examples),
            shown,
            trained,
            &self.settings.stop,
            &self.narrator,
        )?;
        if let Some(texts) = &answers {
            answers::write(&self.folder.join(answers::file(shown)), examples, texts)?;
        }
        predictions::write(&path, &prepared.labels, &rows)?;
        self.stages.finish(&stage, &key)?;
        Ok(rows)
    }

    /// Says what is measured, and what must be known of it.
    pub(super) fn tell_target(&self) {
        if let Some(learner) = &self.learner {
            self.narrator.say(format!("measured {}", target::words(learner, false, self.trained.as_ref())));
        }
        self.note.iter().for_each(|note| self.narrator.warn(note));
    }

    /// Training on the training part; what it left, or `None` where the manifest asks for no training.
    pub(super) fn train(&mut self, prepared: &Prepared) -> Result<Option<Trained>> {
        let Some(config) = self.plan.train.clone() else { return Ok(None) };
        let trained = Trained::of_run(&self.folder, config.method);
        let metrics = keys::validation_key(&self.plan, &self.plugins)?;
        let deciding = config.deciding();
        let key = key(&json!([
            keys::prepare_key(&self.plan, &self.plugins, &self.lock)?,
            keys::model_key(&self.plan, &self.lock)?,
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
        train(
            learner,
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

    /// Writes the program that decides as what was trained does, with other libraries; removes one of an earlier training.
    pub(super) fn hand_over(&self, prepared: &Prepared, after: &Judged) -> Result<()> {
        let path = self.folder.join(handover::FILE);
        let is_adapter =
            self.plan.train.as_ref().is_some_and(|config| config.method == Method::Lora && config.so8.is_none());
        let script = match self.learner.as_ref().filter(|_| is_adapter) {
            Some(learner) => handover::with_peft(learner, &self.plan, &prepared.labels, &prepared.parts.eval, after)?,
            None => None,
        };
        match script {
            // What is there is left as it is, so that a run that is done again changes nothing.
            Some(text) if std::fs::read(&path).is_ok_and(|own| own == text.as_bytes()) => Ok(()),
            Some(text) => files::write(&path, text.as_bytes()),
            None => match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &path, &e)),
                _ => Ok(()),
            },
        }
    }

    /// Metrics, comparison and every form of the report; read back where nothing that it rests on has changed.
    pub(super) fn report(
        &mut self,
        command: &'static str,
        prepared: &Prepared,
        before: Option<&Judged>,
        after: Option<&Judged>,
    ) -> Result<Report> {
        let digest = |judged: Option<&Judged>, name: &str| {
            judged.map(|_| files::sha256_file(&self.folder.join(name))).transpose()
        };
        let metrics = keys::metrics(&self.plan, &self.plugins, |_| true)?;
        let training = after.filter(|_| command == "run");
        let rows =
            [digest(before, predictions::BEFORE)?, digest(after, predictions::AFTER)?, digest(training, SUMMARY)?];
        let fitted = [before, after].map(|judged| judged.map(|judged| &judged.calibration));
        let rules: Vec<String> = self.plan.accept.iter().map(|plan| plan.rule.to_string()).collect();
        let options = [self.plan.resamples, self.plan.min_support];
        let key = key(&json!([
            "report/4",
            command,
            keys::prepare_key(&self.plan, &self.plugins, &self.lock)?,
            metrics,
            options,
            rows,
            fitted,
            rules
        ]))?;
        let outputs = ["report.json", "report.html", "report.md"].map(|name| self.folder.join(name));
        if self.stages.is_done("report", &key, &outputs) {
            return Report::read(&outputs[0]);
        }
        self.narrator.say("report   measuring");
        self.stages.begin("report")?;
        let method = self.plan.train.as_ref().map_or(Method::Lora, |config| config.method);
        let trained = after.map(|_| self.trained.clone().unwrap_or_else(|| Trained::of_run(&self.folder, method)));
        let report = stage::report(&stage::Evidence {
            plan: &self.plan,
            command,
            plugins: &self.plugins,
            lock: &self.lock,
            folder: &self.folder,
            prepared,
            before,
            after,
            details: self.details(before.is_some(), trained.as_ref(), &prepared.labels)?,
            trained: trained.map(|trained| Ok::<_, Error>((trained.name(), trained.digest()?))).transpose()?,
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

    /// Facts about the run that are no results: what is measured, of the model, and the digest of the host's policy.
    fn details(
        &self,
        before: bool,
        trained: Option<&Trained>,
        labels: &LabelSet,
    ) -> Result<serde_json::Map<String, serde_json::Value>> {
        let mut details = serde_json::Map::new();
        if let Some(learner) = &self.learner {
            details.insert("measured".to_owned(), target::words(learner, before, trained).into());
            details.extend(learner.details());
            details.insert("prompt".to_owned(), handover::prompt(learner, &self.plan, labels)?);
        }
        details.extend(self.note.iter().map(|note| ("note".to_owned(), note.as_str().into())));
        details.extend(policy_details(&self.settings.policy));
        Ok(details)
    }

    /// The commands that give the same numbers again: from the inputs, and from the predictions.
    fn repeat(&self, command: &str) -> Vec<String> {
        let adapter = match &self.trained {
            Some(Trained::Adapter(folder)) => Some(folder.as_path()),
            _ => None,
        };
        let options = [("--adapter", adapter), ("--out", self.settings.output.as_deref())];
        let names: Vec<&str> = self.environment.iter().flat_map(|name| ["--env", name]).collect();
        let base: &[&str] = if self.is_base { &["--base"] } else { &[] };
        vec![
            reproduce::command(
                command,
                &[&self.manifest],
                &options,
                &[base, &["--locked", "--fresh"], names.as_slice()].concat(),
            ),
            reproduce::command("verify", &[&self.folder], &options[..1], &names),
        ]
    }
}
