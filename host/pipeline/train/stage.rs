//! The stage that trains: samples, validation, the loop, and what it leaves in the run's folder.

use std::path::Path;

use indicatif::ProgressBar;

use super::artifact::Trained;
use super::files::{SUMMARY, read_losses};
use super::samples::samples;
use super::validate::{self, Validator};
use crate::data::{Example, Request};
use crate::kernels::backend::Backend;
use crate::manifest::Plan;
use crate::model::Weights;
use crate::model::device::on_network;
use crate::model::network::Network;
use crate::pipeline::model::prompts::Asked;
use crate::pipeline::model::session::{Carried, Learner};
use crate::pipeline::ownership;
use crate::pipeline::plugins::Plugins;
use crate::pipeline::prepare::Prepared;
use crate::pipeline::progress::Narrator;
use crate::pipeline::settings::{Hook, Settings};
use crate::train::{self, Judgement, Progress, TrainConfig, TrainFiles, Validated, Watcher};
use crate::{Error, Result, files};

/// QLoRA on the training part, or training of all weights; the adapter or the model, its summary and its log are written into the run's folder.
#[expect(clippy::too_many_arguments, reason = "what a training reads, and where it writes")]
pub(in crate::pipeline) fn train(
    session: &mut Learner,
    plan: &Plan,
    config: &TrainConfig,
    prepared: &Prepared,
    plugins: &Plugins,
    folder: &Path,
    key: &str,
    settings: &Settings,
    narrator: &Narrator,
) -> Result<()> {
    Trained::check(folder, &session.files.paths)?;
    let prompter = session.prompter(plan, &prepared.labels, config.max_length)?;
    let samples = samples(prompter, prepared, config, narrator)?;
    session.warn_of_length(samples.iter().map(|sample| sample.tokens.len()), "samples", narrator);
    let validator = match &plan.validation {
        Some(validation) => {
            let requests: Vec<&Request> = prepared.parts.validation.iter().map(|example| &example.request).collect();
            let prompter = session.prompter(plan, &prepared.labels, plan.predict.max_length)?;
            let asked = Asked::new(prompter, &requests, session.files.tokenizer.clone(), &plan.predict, narrator)?;
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
    session.network.take_if(|(carried, _)| *carried == Carried::Trainable);
    session.network(plan, if trains_base { Carried::Trainable } else { Carried::Base }, narrator)?;
    let Learner { files: base, network: Some((_, network)), .. } = session else {
        return Err(Error::internal("the network was just read"));
    };
    on_network!(&mut *network, network => network.detach());
    let (validator, examples) = (validator.as_ref(), &prepared.parts.train);
    let told = settings.validated.as_ref();
    let mut watching = Watching { narrator, examples, validator, base: &base.weights, bar: None, told };
    let summary = on_network!(&mut *network, network => {
        train::train_watched(network, &samples, config, config.seed.unwrap_or(plan.seed), &places, &settings.stop, &mut watching)
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
    if let Some(warning) = diverged(&read_losses(folder)?) {
        narrator.warn(warning);
    }
    if let Some(validation) = &summary.validation {
        let noun = config.method.noun();
        match validation.kept_step {
            0 => narrator
                .warn(format!("no {noun} keeps to the guards: the one that is kept changes nothing of the base model")),
            step => {
                narrator.say(format!("train    the {noun} after step {step} is kept, the best on the validation part"))
            }
        }
    }
    ownership::clear_checkpoint(folder)?;
    let _ = std::fs::remove_file(&key_path);
    Ok(())
}

/// A loss that ended this many times as high as it began has diverged.
const DIVERGED: f64 = 1.25;

/// What to say of a training whose loss rose: the means of the first and the last tenth of its steps are held against each other.
/// Fewer than ten steps say nothing, since batches differ.
fn diverged(losses: &[(u64, f64)]) -> Option<String> {
    let tenth = losses.len() / 10;
    let mean = |part: &[(u64, f64)]| part.iter().map(|(_, loss)| loss).sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(losses.get(..tenth)?), mean(losses.get(losses.len() - tenth..)?));
    (tenth > 0 && last > DIVERGED * first).then(|| {
        format!(
            "the loss rose while training, from {first:.4} in the first tenth of the steps to {last:.4} in the last: the training diverged; \
             lower `learning_rate`"
        )
    })
}

/// What the loop tells is shown, and what it asks is measured.
struct Watching<'a> {
    narrator: &'a Narrator,
    examples: &'a [Example],
    validator: Option<&'a Validator<'a>>,
    /// The base's weights, where they must be put back.
    base: &'a Weights,
    bar: Option<ProgressBar>,
    /// Who else is told of a validation.
    told: Option<&'a Hook>,
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
        if let Some(hook) = self.told {
            hook.call(validated);
        }
    }
}
