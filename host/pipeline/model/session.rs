//! The model of a run: predicts, learns, and predicts again. Its weights are read when they are first needed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};

use super::prompts::{Asked, Latency, rows};
use crate::data::{Example, LabelSet, Request};
use crate::evaluate::EvaluatedRow;
use crate::kernels::gemm::instructions::Instructions;
use crate::manifest::{Day, Plan, PredictMode};
use crate::model::device::{AnyNetwork, Device, DeviceChoice, on_network};
use crate::model::network::NetworkOptions;
use crate::model::{self, ModelFiles};
use crate::pipeline::progress::Narrator;
use crate::pipeline::train::artifact::Trained;
use crate::predict::Prompter;
use crate::train::{self, Method};
use crate::{Error, Result};

/// What a model predicted.
pub(in crate::pipeline) struct Predicted {
    /// The decision and the scores of each request.
    pub(in crate::pipeline) rows: Vec<EvaluatedRow>,
    /// The text of each answer, where answers were generated.
    pub(in crate::pipeline) answers: Option<Vec<String>>,
}

/// Which weights a network carries, besides adapters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Carried {
    /// Those of the base, frozen.
    Base,
    /// Those of the base, to be trained.
    Trainable,
    /// Those of the model in a folder, trained before.
    Trained(PathBuf),
}

/// A model's files, and its network once it is needed.
pub(in crate::pipeline) struct Learner {
    pub(in crate::pipeline) files: ModelFiles,
    /// Opened early where the manifest asks for a GPU, so that one that lacks is told before any work is done.
    device: Option<Device>,
    pub(in crate::pipeline) network: Option<(Carried, AnyNetwork)>,
    details: Map<String, Value>,
}

impl Learner {
    /// Opens the model's files; no weights are read.
    pub(in crate::pipeline) fn open(plan: &Plan) -> Result<Self> {
        let base = plan.base.as_deref().ok_or_else(|| {
            Error::manifest(format!("{} has no `[model]` table", plan.manifest.display()))
                .with_hint("add `[model]` with `base`; without it only `so8t prepare` can be done")
        })?;
        let mut files = model::open(base, &plan.folder)
            .map_err(|e| e.context(format!("{}: `[model] base`", plan.manifest.display())))?;
        let mut details = Map::new();
        let date = plan.predict.date.as_ref().map(Day::text);
        files.template = files
            .template
            .with(&plan.predict.template_variables, date)
            .map_err(|e| e.context(format!("{}: `[predict]`", plan.manifest.display())))?;
        if date.is_none() && files.template.asks_for_date() {
            files.warnings.push(
                "the chat template asks whether there is a date, and goes on without one: state `[predict] date`, such as \"2025-01-31\", where the model was made with dates"
                    .to_owned(),
            );
            details.insert("date".to_owned(), Value::from("none, which the chat template asks for"));
        }
        details.extend(date.map(|date| ("date".to_owned(), Value::from(date))));
        if !plan.predict.template_variables.is_empty() {
            let variables = Value::Object(plan.predict.template_variables.clone());
            details.insert("template variables".to_owned(), Value::from(variables.to_string()));
        }
        details.insert("model".to_owned(), Value::from(files.name.clone()));
        details.insert("quantization".to_owned(), serde_json::to_value(plan.quantization).unwrap_or_default());
        details.insert("compute".to_owned(), serde_json::to_value(plan.predict.compute).unwrap_or_default());
        details.insert("instructions".to_owned(), Value::from(Instructions::current().name()));
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
    pub(in crate::pipeline) fn paths(&self) -> &[PathBuf] {
        &self.files.paths
    }

    /// Facts for the report's head.
    pub(in crate::pipeline) fn details(&self) -> Map<String, Value> {
        self.details.clone()
    }

    /// What the user should know about the model's files.
    pub(in crate::pipeline) fn warnings(&self) -> &[String] {
        &self.files.warnings
    }

    /// The network with these weights, which are read where it carries others.
    pub(in crate::pipeline) fn network(
        &mut self,
        plan: &Plan,
        carried: Carried,
        narrator: &Narrator,
    ) -> Result<&mut AnyNetwork> {
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
                compute: plan.predict.compute,
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

    /// Tells of sequences that are longer than what the model was made for.
    pub(in crate::pipeline) fn warn_of_length(
        &self,
        lengths: impl Iterator<Item = usize>,
        what: &str,
        narrator: &Narrator,
    ) {
        let (most, mut total, mut beyond) = (self.files.config.max_position, 0, 0);
        for length in lengths {
            total += 1;
            beyond += usize::from(length > most);
        }
        if beyond > 0 {
            narrator.warn(format!(
                "{beyond} of {total} {what} are longer than the {most} positions that the model was made for; `max_length = {most}` cuts them"
            ));
        }
    }

    pub(in crate::pipeline) fn prompter(&self, plan: &Plan, labels: &LabelSet, max_length: usize) -> Result<Prompter> {
        let predict = &plan.predict;
        Prompter::new(
            &self.files.tokenizer,
            &self.files.template,
            predict.system_prompt.as_deref(),
            predict.template.as_deref(),
            labels,
            max_length,
        )
    }

    /// The network that predicts: the base's weights or those that were trained, with the adapter where one was.
    ///
    /// # Errors
    /// Weights or an adapter that cannot be read; a model that cannot generate where answers are generated.
    pub(in crate::pipeline) fn ready(
        &mut self,
        plan: &Plan,
        trained: Option<&Trained>,
        narrator: &Narrator,
    ) -> Result<&mut AnyNetwork> {
        if plan.predict.mode == PredictMode::Generate
            && let Some(error) = &self.files.not_generated
        {
            return Err(Error::model(error.clone()).with_hint(
                "remove the field from a copy of the file, or let labels be scored: `[predict] mode = \"score\"`",
            ));
        }
        let carried = match trained {
            Some(Trained::Model(folder)) => Carried::Trained(folder.clone()),
            Some(Trained::Adapter(_)) | None => Carried::Base,
        };
        self.network(plan, carried, narrator)?;
        let Self { files: ModelFiles { weights, .. }, network: Some((_, network)), .. } = self else {
            return Err(Error::internal("the network was just read"));
        };
        on_network!(&mut *network, network => {
            // What a training computes in is its own matter.
            network.set_compute(plan.predict.compute);
            network.detach();
            if let Some(Trained::Adapter(folder)) = trained {
                let warnings = train::peft::load_beside(network, folder, weights)?;
                warnings.iter().for_each(|text| narrator.warn(text));
            }
        });
        Ok(network)
    }

    /// The decision and the probability of every label for each held-out request. Of an example, prediction is given the
    /// request alone.
    pub(in crate::pipeline) fn predict(
        &mut self,
        plan: &Plan,
        (labels, examples): (&LabelSet, &[Example]),
        name: &'static str,
        trained: Option<&Trained>,
        stop: &AtomicBool,
        narrator: &Narrator,
    ) -> Result<Predicted> {
        let prompter = self.prompter(plan, labels, plan.predict.max_length)?;
        let requests: Vec<&Request> = examples.iter().map(|example| &example.request).collect();
        if plan.predict.system_prompt.as_deref().is_none_or(|policy| policy.trim().is_empty()) {
            narrator.say(
                "prompt   no system prompt: the model is told nothing of the labels; `[predict] system_prompt` says it",
            );
        }
        if !prompter.lead().is_empty() {
            let lead = Value::from(prompter.lead());
            narrator.say(format!("prompt   ends with {lead}, which the chat template puts before an answer"));
        }
        let asked = Asked::new(prompter, &requests, self.files.tokenizer.clone(), &plan.predict, narrator)?;
        self.warn_of_length(asked.prompts.iter().map(Vec::len), "requests", narrator);
        let network = self.ready(plan, trained, narrator)?;
        let count = asked.prompts.len();
        let bar = narrator.bar(count as u64, name);
        let mut latency = Latency::new(&asked.prompts);
        let progress = |done: usize| {
            bar.set_position(done as u64);
            latency.pass(done);
            if stop.load(Ordering::Relaxed) { Err(Error::interrupted("prediction was stopped")) } else { Ok(()) }
        };
        let (predictions, answers) = on_network!(network, network => asked.answer(network, labels, progress))?;
        bar.finish_and_clear();
        let seconds = bar.elapsed().as_secs_f64();
        narrator.say(format!(
            "{name:8} {count} requests in {seconds:.1} s ({:.0} a second)",
            count as f64 / seconds.max(1e-9)
        ));
        Ok(Predicted { rows: rows(examples, predictions, latency.milliseconds), answers })
    }
}
