//! The training loop.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::batches::{Plan, Sample, targets, total_weight};
use super::checkpoint::{self, Position};
use super::config::TrainConfig;
use super::log::{Log, LogLine};
use super::optimiser::Optimiser;
use super::peft;
use crate::kernels::backend::Backend;
use crate::kernels::dropout::mix;
use crate::model::modules::parameter_count;
use crate::model::network::{Dropout, Network, PerParameter, Training, Workspace};
use crate::{Error, Result, files};

/// Where a run's files go, and whether it goes on from them.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainFiles {
    /// The folder that holds them all.
    pub folder: PathBuf,
    /// Go on from the checkpoint, if there is one.
    pub resume: bool,
}

impl TrainFiles {
    /// The folder of the checkpoint: the state of the run, and its adapters as PEFT's two files.
    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint")
    }

    /// The state of the run.
    pub fn state(&self) -> PathBuf {
        self.checkpoint().join("state.safetensors")
    }

    /// The training log, JSON lines.
    pub fn log(&self) -> PathBuf {
        self.folder.join("training.jsonl")
    }
}

/// Where training stands after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps taken.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Epochs finished, as a fraction.
    pub epoch: f64,
    /// Mean loss of the step's completion tokens.
    pub loss: f32,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Tokens a second, over what this process has trained.
    pub tokens_per_second: f64,
    /// Seconds that the remaining steps will take at this rate.
    pub seconds_left: f64,
}

/// What a finished run has done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// Elements of the adapters.
    pub trainable_parameters: u64,
    /// Elements of base and adapters.
    pub total_parameters: u64,
    /// Optimiser steps.
    pub steps: usize,
    /// Times that each sample was seen.
    pub epochs: usize,
    /// Samples of the training set.
    pub samples: usize,
    /// Tokens seen, prompts included.
    pub tokens: u64,
    /// Seconds, those before an interruption included.
    pub seconds: f64,
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// Mean loss of the first step.
    pub first_loss: f64,
    /// Mean loss of the last step.
    pub final_loss: f64,
}

/// Trains adapters on `samples`. The network keeps them; a checkpoint (state and
/// adapters) and a log lie in `files`.
///
/// The same seed, samples and configuration give the same adapters, bit for bit, whether or not the run was stopped and
/// resumed. `stop` is looked at before every pass: once it is set, a checkpoint is written and the error is
/// [`crate::Kind::Interrupted`].
///
/// Errors: a configuration or sample that makes no sense; a target that matches no module; a checkpoint of another run; a
/// loss or gradient that is not finite, naming step, samples and tensor — the adapters are then saved as they were before it.
#[allow(clippy::too_many_arguments, reason = "what to train, on what, how, where, and who watches")]
pub fn train<B: Backend>(
    network: &mut Network<B>,
    samples: &[Sample],
    config: &TrainConfig,
    seed: u64,
    files: &TrainFiles,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&Progress),
) -> Result<TrainingSummary> {
    config.check()?;
    let mut plan = Plan::new(samples, config, seed)?;
    let steps = plan.steps();
    let warmup = (config.warmup * steps as f64).round() as usize;
    network.set_compute(config.compute);
    peft::attach_fresh(network, config.adapters(), seed)?;
    let mut run = Run::begin(network, samples, config, seed, files)?;
    let mut log = Log::open(&files.log(), run.position.step)?;
    let before = (run.position.seconds, run.position.tokens);
    let started = Instant::now();

    while run.position.step < steps {
        let step_started = Instant::now();
        let passes = plan.passes(run.position.step);
        let total = total_weight(samples, passes.iter().flatten().copied());
        run.gradients.clear(network)?;
        let (mut loss, mut tokens) = (0.0, 0);
        for (index, pass) in passes.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Err(run.interrupted(network, steps));
            }
            let dropout = Dropout { key: dropout_key(seed, run.position.step, index), probability: config.dropout };
            loss += run.pass(network, samples, pass, total, dropout)?;
            tokens += pass.iter().map(|&i| samples[i].tokens.len() as u64).sum::<u64>();
        }
        let step = run.position.step + 1;
        let learning_rate = config.learning_rate * config.schedule.factor(step, steps, warmup);
        let gradient_norm = match run.optimiser.step(network, &mut run.gradients, learning_rate) {
            Ok(norm) => norm,
            Err(error) => return Err(run.failed(network, &passes.concat(), error)),
        };

        run.position.step = step;
        run.position.tokens += tokens;
        run.position.seconds = before.0 + started.elapsed().as_secs_f64();
        run.position.last_loss = loss;
        if step == 1 {
            run.position.first_loss = loss;
        }
        let epoch = step as f64 * config.epochs as f64 / steps as f64;
        let of_run = (run.position.tokens - before.1) as f64 / started.elapsed().as_secs_f64();
        let tokens_per_second = tokens as f64 / step_started.elapsed().as_secs_f64();
        let seen = run.position.tokens;
        log.write(&LogLine { step, epoch, loss, learning_rate, gradient_norm, tokens: seen, tokens_per_second })?;
        let seconds_left = (steps - step) as f64 * (seen as f64 / step as f64) / of_run;
        progress(&Progress { step, steps, epoch, loss, learning_rate, tokens_per_second: of_run, seconds_left });
        if config.checkpoint_steps > 0 && step % config.checkpoint_steps == 0 && step < steps {
            run.save(network)?;
        }
    }
    run.save(network)?;
    Ok(run.summary(network, samples.len()))
}

/// What decides a pass's dropout masks, so that a resumed run draws the same.
fn dropout_key(seed: u64, step: usize, pass: usize) -> u64 {
    mix(mix(seed ^ 0x6472_6f70_6f75_7400) ^ ((step as u64) << 20) ^ pass as u64)
}

/// The state of a run.
struct Run<'a, B: Backend> {
    config: &'a TrainConfig,
    files: &'a TrainFiles,
    gradients: PerParameter<B>,
    optimiser: Optimiser<B>,
    workspace: Workspace<B>,
    position: Position,
}

impl<'a, B: Backend> Run<'a, B> {
    fn begin(
        network: &mut Network<B>,
        samples: &[Sample],
        config: &'a TrainConfig,
        seed: u64,
        files: &'a TrainFiles,
    ) -> Result<Self> {
        let mut optimiser = Optimiser::new(network, config.optimiser())?;
        let digest = digest(network, samples, config, seed)?;
        let path = files.state();
        let position = match files.resume && path.exists() {
            true => checkpoint::load(&path, network, &mut optimiser, &digest)?,
            false => Position { digest, ..Position::default() },
        };
        let gradients = PerParameter::zeros(network)?;
        Ok(Self { config, files, gradients, optimiser, workspace: Workspace::default(), position })
    }

    /// One forward and backward pass; returns its part of the step's loss.
    fn pass(
        &mut self,
        network: &Network<B>,
        samples: &[Sample],
        chosen: &[usize],
        total: f32,
        dropout: Dropout,
    ) -> Result<f32> {
        let batch = network.pack(chosen.iter().map(|&i| samples[i].tokens.as_slice()))?;
        let targets = targets(samples, chosen, total);
        let TrainConfig { recompute, label_smoothing, .. } = *self.config;
        let training = Training { dropout: Some(dropout), recompute, label_smoothing };
        let losses =
            network.loss_and_gradients(&batch, &targets, training, &mut self.gradients, &mut self.workspace)?;
        if let Some(at) = losses.iter().position(|loss| !loss.is_finite()) {
            let sequence = batch.starts.partition_point(|&start| start <= targets.rows[at] as usize) - 1;
            let (loss, sample) = (losses[at], chosen[sequence]);
            let error = Error::train(format!("the loss of sample {sample} is `{loss}`, not a finite number"));
            return Err(self.failed(network, chosen, error));
        }
        Ok(losses.iter().zip(&targets.weights).map(|(loss, weight)| loss * weight).sum())
    }

    /// Adapters and checkpoint as they are now.
    fn save(&mut self, network: &Network<B>) -> Result<()> {
        // The files are made of copies, for which the buffers of passes make room.
        self.workspace = Workspace::default();
        peft::save(network, &self.files.checkpoint(), "", self.config)?;
        checkpoint::save(&self.files.state(), network, &self.optimiser, &self.position)
    }

    fn interrupted(&mut self, network: &Network<B>, steps: usize) -> Error {
        let Position { step, .. } = self.position;
        match self.save(network) {
            Ok(()) => {
                let path = self.files.checkpoint();
                Error::interrupted(format!(
                    "training stopped after step {step} of {steps}; `{}` keeps it",
                    path.display()
                ))
                .with_hint("go on with `--resume`")
            }
            Err(error) => error.context(format!("training stopped after step {step} of {steps}, and was not saved")),
        }
    }

    fn failed(&mut self, network: &Network<B>, chosen: &[usize], error: Error) -> Error {
        const SHOWN: usize = 16;
        let mut list: Vec<String> = chosen.iter().take(SHOWN).map(usize::to_string).collect();
        if chosen.len() > SHOWN {
            list.push("…".to_string());
        }
        let error = error.context(format!("step {}, samples {}", self.position.step + 1, list.join(", ")));
        match self.save(network) {
            Ok(()) => error.with_hint(format!(
                "`{}` holds the adapter as it was before this step; a lower `learning_rate` may help",
                self.files.checkpoint().display()
            )),
            Err(_) => error.with_hint("a lower `learning_rate` may help"),
        }
    }

    fn summary(&self, network: &Network<B>, samples: usize) -> TrainingSummary {
        let position = &self.position;
        let trainable_parameters = network.trainable_count();
        TrainingSummary {
            trainable_parameters,
            total_parameters: parameter_count(network.config()) + trainable_parameters,
            steps: position.step,
            epochs: self.config.epochs,
            samples,
            tokens: position.tokens,
            seconds: position.seconds,
            tokens_per_second: if position.seconds > 0.0 { position.tokens as f64 / position.seconds } else { 0.0 },
            first_loss: f64::from(position.first_loss),
            final_loss: f64::from(position.last_loss),
        }
    }
}

/// Everything that decides how a run goes on.
fn digest<B: Backend>(network: &Network<B>, samples: &[Sample], config: &TrainConfig, seed: u64) -> Result<String> {
    let config = TrainConfig { checkpoint_steps: 0, ..config.clone() };
    let config = serde_json::to_string(&config).map_err(|e| Error::internal(e.to_string()))?;
    let (quantization, embeddings) = (network.options().quantization, network.options().embeddings);
    let mut bytes =
        format!("{config}\n{seed}\n{:?}\n{quantization:?}\n{embeddings:?}\n", network.config()).into_bytes();
    for sample in samples {
        bytes.extend((sample.tokens.len() as u64).to_le_bytes());
        bytes.extend((sample.completion_start as u64).to_le_bytes());
        bytes.extend(sample.weight.to_le_bytes());
        bytes.extend(sample.tokens.iter().flat_map(|token| token.to_le_bytes()));
    }
    Ok(files::sha256(&bytes))
}
