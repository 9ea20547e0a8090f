//! The model of a run: predicts, learns, and predicts again. Its weights are read when they are first needed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};

use indicatif::ProgressBar;

use super::asked::{Asked, Latency, rows};
use super::ownership;
use super::samples::samples;
use super::trained::Trained;
use super::validate::{self, Validator};
use super::{Narrator, Plugins, Prepared, Settings};
use crate::data::{Example, Request};
use crate::evaluate::EvaluatedRow;
use crate::kernels::backend::Backend;
use crate::kernels::gemm::Compute;
use crate::manifest::Plan;
use crate::model::device::{AnyNetwork, Device, DeviceChoice, on_network};
use crate::model::network::{Network, NetworkOptions};
use crate::model::{self, ModelFiles, Weights};
use crate::predict::Prompter;
use crate::train::{self, Judgement, Method, Progress, TrainConfig, TrainFiles, Validated, Watcher};
use crate::{Error, Result, files};

/// The summary of a training, in the run's folder.
pub(super) const SUMMARY: &str = "training.json";
/// The log of a training, in the run's folder.
const LOG: &str = "training.jsonl";
/// What validation found while training, in the run's folder.
const VALIDATION: &str = "validation.jsonl";

/// What a model predicted.
pub(super) struct Predicted {
    /// The decision and the scores of each request.
    pub(super) rows: Vec<EvaluatedRow>,
    /// The text of each answer, where answers were generated.
    pub(super) answers: Option<Vec<String>>,
}

/// Which weights a network carries, besides adapters.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Carried {
    /// Those of the base, frozen.
    Base,
    /// Those of the base, to be trained.
    Trainable,
    /// Those of the model in a folder, trained before.
    Trained(PathBuf),
}

/// A model's files, and its network once it is needed.
pub(super) struct Learner {
    files: ModelFiles,
    /// Opened early where the manifest asks for a GPU, so that one that lacks is told before any work is done.
    device: Option<Device>,
    network: Option<(Carried, AnyNetwork)>,
    details: Map<String, Value>,
}

impl Learner {
    /// Opens the model's files; no weights are read.
    pub(super) fn open(plan: &Plan) -> Result<Self> {
        let base = plan.base.as_deref().ok_or_else(|| {
            Error::manifest(format!("{} has no `[model]` table", plan.manifest.display()))
                .with_hint("add `[model]` with `base`; without it only `so8t prepare` can be done")
        })?;
        let files = model::open(base, &plan.folder)
            .map_err(|e| e.context(format!("{}: `[model] base`", plan.manifest.display())))?;
        let mut details = Map::new();
        details.insert("model".to_owned(), Value::from(files.name.clone()));
        details.insert("quantization".to_owned(), serde_json::to_value(plan.quantization).unwrap_or_default());
        if let Some(config) = plan.train.as_ref().filter(|config| config.method == Method::Lora) {
            // A target that matches nothing is told before any work is done.
            let modules = config.adapters().modules(&files.config);
            modules.map_err(|e| e.context(format!("{}: `[train]`", plan.manifest.display())))?;
            if let Some(so8) = &config.so8 {
                so8.gates(&files.config).map_err(|e| e.context(plan.manifest.display()))?;
            }
        }
        let device = match plan.device {
            DeviceChoice::Cuda => Some(Device::open(plan.device)?.0),
            DeviceChoice::Auto | DeviceChoice::Cpu => None,
        };
        Ok(Self { files, device, network: None, details })
    }

    /// The model's files.
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.files.paths
    }

    /// Facts for the report's head.
    pub(super) fn details(&self) -> Map<String, Value> {
        self.details.clone()
    }

    /// What the user should know about the model's files.
    pub(super) fn warnings(&self) -> &[String] {
        &self.files.warnings
    }

    /// The network with these weights, which are read where it carries others.
    fn network(&mut self, plan: &Plan, carried: Carried, narrator: &Narrator) -> Result<&mut AnyNetwork> {
        if self.network.as_ref().is_none_or(|(own, _)| *own != carried) {
            // The old one goes before the new one comes: there need not be room for both.
            let is_first = self.network.take().is_none();
            let opened;
            let (name, weights) = match &carried {
                Carried::Trained(folder) => {
                    opened = Trained::weights(folder, &self.files.config)?;
                    (folder.file_name().unwrap_or_default().to_string_lossy().into_owned(), &opened)
                }
                Carried::Base | Carried::Trainable => (self.files.name.clone(), &self.files.weights),
            };
            narrator.say(format!("model    {name}"));
            let trained = plan.train.as_ref().map_or(0, |config| config.max_length);
            let options = NetworkOptions {
                quantization: plan.quantization,
                embeddings: plan.embeddings,
                compute: plan.train.as_ref().map_or(Compute::F32, |config| config.compute),
                positions: (plan.predict.max_length + plan.predict.answer_room()).max(trained),
                trainable: carried == Carried::Trainable,
            };
            let device = match self.device.take() {
                Some(device) => device,
                None => {
                    let (device, said) = Device::open(plan.device)?;
                    let said = said.filter(|_| is_first);
                    said.into_iter().for_each(|said| narrator.say(format!("device   {said}")));
                    device
                }
            };
            let network = AnyNetwork::load(device, &self.files.config, weights, options)?;
            self.network = Some((carried, network));
        }
        let network = self.network.as_mut().map(|(_, network)| network);
        network.ok_or_else(|| Error::internal("the network was just read"))
    }

    fn prompter(&self, plan: &Plan, prepared: &Prepared, max_length: usize) -> Result<Prompter> {
        let predict = &plan.predict;
        Prompter::new(
            &self.files.tokenizer,
            &self.files.template,
            predict.policy.as_deref(),
            predict.template.as_deref(),
            &prepared.labels,
            max_length,
        )
    }

    /// The decision and the probability of every label for each held-out request. Of an example, prediction is given the
    /// request alone.
    pub(super) fn predict(
        &mut self,
        plan: &Plan,
        prepared: &Prepared,
        moment: &'static str,
        trained: Option<&Trained>,
        stop: &AtomicBool,
        narrator: &Narrator,
    ) -> Result<Predicted> {
        let prompter = self.prompter(plan, prepared, plan.predict.max_length)?;
        let requests: Vec<&Request> = prepared.parts.eval.iter().map(|example| &example.request).collect();
        let asked = Asked::new(prompter, &requests, self.files.tokenizer.clone(), &plan.predict, narrator)?;
        let carried = match trained {
            Some(Trained::Model(folder)) => Carried::Trained(folder.clone()),
            Some(Trained::Adapter(_)) | None => Carried::Base,
        };
        let network = self.network(plan, carried, narrator)?;
        on_network!(&mut *network, network => {
            network.detach();
            if let Some(Trained::Adapter(folder)) = trained {
                train::peft::load(network, folder)?;
            }
        });
        let count = asked.prompts.len();
        let bar = narrator.bar(count as u64, moment);
        let mut latency = Latency::new(&asked.prompts);
        let progress = |done: usize| {
            bar.set_position(done as u64);
            latency.pass(done);
            if stop.load(Ordering::Relaxed) { Err(Error::interrupted("prediction was stopped")) } else { Ok(()) }
        };
        let (predictions, answers) =
            on_network!(network, network => asked.answer(network, &prepared.labels, progress))?;
        bar.finish_and_clear();
        let seconds = bar.elapsed().as_secs_f64();
        narrator.say(format!(
            "{moment:8} {count} requests in {seconds:.1} s ({:.0} a second)",
            count as f64 / seconds.max(1e-9)
        ));
        Ok(Predicted { rows: rows(&prepared.parts.eval, predictions, latency.milliseconds), answers })
    }

    /// QLoRA on the training part, or training of all weights; the adapter or the model, its summary and its log are written into the run's folder.
    #[expect(clippy::too_many_arguments, reason = "what a training reads, and where it writes")]
    pub(super) fn train(
        &mut self,
        plan: &Plan,
        config: &TrainConfig,
        prepared: &Prepared,
        plugins: &Plugins,
        folder: &Path,
        key: &str,
        settings: &Settings,
        narrator: &Narrator,
    ) -> Result<()> {
        Trained::check(folder, &self.files.paths)?;
        let prompter = self.prompter(plan, prepared, config.max_length)?;
        let samples = samples(prompter, prepared, config, narrator)?;
        let validator = match &plan.validation {
            Some(validation) => {
                let requests: Vec<&Request> =
                    prepared.parts.validation.iter().map(|example| &example.request).collect();
                let prompter = self.prompter(plan, prepared, plan.predict.max_length)?;
                let asked = Asked::new(prompter, &requests, self.files.tokenizer.clone(), &plan.predict, narrator)?;
                Some(Validator::new(plan, validation, plugins, prepared, asked, &settings.stop)?)
            }
            None => None,
        };

        // A checkpoint of another training is of no use; its key says which training it belongs to.
        let mut places = TrainFiles { folder: folder.to_owned(), resume: true };
        let key_path = folder.join("checkpoint.key");
        let same = std::fs::read_to_string(&key_path).is_ok_and(|text| text == key);
        places.resume = same && !settings.fresh && !places.states().is_empty();
        if settings.resume && !places.resume {
            return Err(Error::manifest(format!(
                "`--resume`: `{}` holds no checkpoint of this training",
                folder.display()
            ))
            .with_hint("without `--resume` the training starts from the beginning"));
        }
        if !places.resume {
            ownership::clear_checkpoint(folder)?;
            files::write(&key_path, key.as_bytes())?;
        }

        let trains_base = config.method.trains_base();
        // One that has been trained before is no base.
        self.network.take_if(|(carried, _)| *carried == Carried::Trainable);
        self.network(plan, if trains_base { Carried::Trainable } else { Carried::Base }, narrator)?;
        let Self { files: base, network: Some((_, network)), .. } = self else {
            return Err(Error::internal("the network was just read"));
        };
        on_network!(&mut *network, network => network.detach());
        let (validator, examples) = (validator.as_ref(), &prepared.parts.train);
        let mut watching = Watching { narrator, examples, validator, base: &base.weights, bar: None };
        let summary = on_network!(&mut *network, network => {
            train::train_watched(network, &samples, config, plan.seed, &places, &settings.stop, &mut watching)
        })?;
        if let Some(bar) = watching.bar {
            bar.finish_and_clear();
        }
        Trained::clear(folder, &base.paths)?;
        match Trained::of_run(folder, config.method) {
            Trained::Adapter(adapter) => {
                on_network!(network, network => train::peft::save(network, &adapter, &base.name, config))?;
            }
            Trained::Model(model) => {
                on_network!(network, network => train::save_model(network, base, &model))?;
            }
        }
        files::write(&folder.join(SUMMARY), &files::json(&summary)?)?;
        narrator.say(format!(
            "train    {} steps, {} tokens, loss {:.4} → {:.4} in {:.1} s ({:.0} tokens/s)",
            summary.steps,
            summary.tokens,
            summary.first_loss,
            summary.final_loss,
            summary.seconds,
            summary.tokens_per_second
        ));
        if let Some(validation) = &summary.validation {
            let noun = config.method.noun();
            match validation.kept_step {
                0 => narrator.warn(format!(
                    "no {noun} keeps to the guards: the one that is kept changes nothing of the base model"
                )),
                step => narrator
                    .say(format!("train    the {noun} after step {step} is kept, the best on the validation part")),
            }
        }
        ownership::clear_checkpoint(folder)?;
        let _ = std::fs::remove_file(&key_path);
        Ok(())
    }
}

/// What the loop tells is shown, and what it asks is measured.
struct Watching<'a> {
    narrator: &'a Narrator,
    examples: &'a [Example],
    validator: Option<&'a Validator<'a>>,
    /// The base's weights, where they must be put back.
    base: &'a Weights,
    bar: Option<ProgressBar>,
}

impl Watching<'_> {
    /// Writes a line without the bar in its way.
    fn aside(&self, write: impl FnOnce(&Narrator)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write(self.narrator)),
            None => write(self.narrator),
        }
    }
}

impl<B: Backend> Watcher<B> for Watching<'_> {
    fn progress(&mut self, progress: &Progress) {
        let bar = self.bar.get_or_insert_with(|| self.narrator.bar(progress.steps as u64, "train"));
        bar.set_position(progress.step as u64);
        bar.set_message(format!("loss {:.4}, {:.0} tokens/s", progress.loss, progress.tokens_per_second));
    }

    fn note(&mut self, text: &str) {
        self.aside(|narrator| narrator.say(format!("train    {text}")));
    }

    fn warn(&mut self, text: &str) {
        self.aside(|narrator| narrator.warn(text));
    }

    fn sample_name(&self, index: usize) -> String {
        self.examples.get(index).map_or_else(|| index.to_string(), |example| example.id.as_str().to_owned())
    }

    fn validate(&mut self, network: &Network<B>, base: Option<&Validated>) -> Result<Judgement> {
        let validator = self.validator.ok_or_else(|| Error::internal("a validation without a plan for it"))?;
        validator.judge(network, base)
    }

    fn restore(&mut self, network: &mut Network<B>) -> Result<()> {
        network.write_pieces(|name, _| Ok(self.base.load_f32(name)?.1))
    }

    fn validated(&mut self, validated: &Validated) {
        self.aside(|narrator| validate::say(narrator, validated));
    }
}

/// The summary of the training in a run's folder.
pub(super) fn read_summary(folder: &Path) -> Result<Value> {
    let path = folder.join(SUMMARY);
    serde_json::from_str(&files::read_text(&path)?)
        .map_err(|e| Error::data(format!("{}:{}:{}: {e}", path.display(), e.line(), e.column())))
}

/// Step and loss of every line of the training log.
pub(super) fn read_losses(folder: &Path) -> Result<Vec<(u64, f64)>> {
    let path = folder.join(LOG);
    files::read_text(&path)?
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let entry: Value = serde_json::from_str(line)
                .map_err(|e| Error::data(format!("{}:{}: {e}", path.display(), index + 1)))?;
            match (entry["step"].as_u64(), entry["loss"].as_f64()) {
                (Some(step), Some(loss)) => Ok((step, loss)),
                _ => Err(Error::data(format!("{}:{}: expected `step` and `loss`", path.display(), index + 1))),
            }
        })
        .collect()
}

/// What validation found while training, in order; empty where nothing was validated.
pub(super) fn read_validations(folder: &Path) -> Result<Vec<Validated>> {
    let path = folder.join(VALIDATION);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| Error::data(format!("{}:{}: {e}", path.display(), index + 1)))
    };
    files::read_text(&path)?.lines().enumerate().map(parse).collect()
}
