//! The training loop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::batches::{Plan, Sample, curvature_rows, targets, total_weight};
use super::checkpoint::{self, Best, Position, Refusal};
use super::config::{Recompute, TrainConfig};
use super::files::TrainFiles;
use super::forecast::layers_to_recompute;
use super::log::{self, Log, LogLine};
use super::optimiser::Optimiser;
use super::peft;
use super::pieces::not_finite;
use super::validation::{Fallback, ValidationSummary};
use super::watch::Watcher;
use crate::kernels::backend::Backend;
use crate::kernels::dropout::mix;
use crate::model::modules::parameter_count;
use crate::model::network::{Dropout, Network, Parameter, PerParameter, Training, Workspace};
use crate::{Error, Kind, Result, files};

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
    /// Tokens a second of training, over what this process has trained.
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
    /// Seconds of training, those before an interruption included; not of validations and checkpoints.
    pub seconds: f64,
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// Mean loss of the first step.
    pub first_loss: f64,
    /// Mean loss of the last step.
    pub final_loss: f64,
    /// What validation came to, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationSummary>,
}

/// As [`train_watched`], where nobody needs to know more than how far it is.
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
    struct Progressing<'a>(&'a mut dyn FnMut(&Progress));
    impl<B: Backend> Watcher<B> for Progressing<'_> {
        fn progress(&mut self, progress: &Progress) {
            (self.0)(progress);
        }
    }
    train_watched(network, samples, config, seed, files, stop, &mut Progressing(progress))
}

/// Trains adapters on `samples`. The network keeps them: those after the last step, or those that validation found best. Checkpoints
/// (state and adapters) and the logs lie in `files`.
///
/// The same seed, samples and configuration give the same adapters, bit for bit, however often the run was stopped or
/// killed, and resumed. `stop` is looked at before every pass: once it is set, a checkpoint is written and the error is
/// [`crate::Kind::Interrupted`].
///
/// Errors: a configuration or sample that makes no sense; a target that matches no module; a checkpoint of another run; no adapter
/// that keeps to the guards of the validation; a loss or gradient that is not finite, naming step, samples and tensor — the last
/// adapter whose losses were finite is then saved.
#[allow(clippy::too_many_arguments, reason = "what to train, on what, how, where, and who watches")]
pub fn train_watched<B: Backend>(
    network: &mut Network<B>,
    samples: &[Sample],
    config: &TrainConfig,
    seed: u64,
    files: &TrainFiles,
    stop: &AtomicBool,
    watcher: &mut dyn Watcher<B>,
) -> Result<TrainingSummary> {
    config.check()?;
    let mut plan = Plan::new(samples, config, seed, |i| watcher.sample_name(i))?;
    let steps = plan.steps();
    let warmup = (config.warmup * steps as f64).round() as usize;
    network.set_compute(config.compute);
    peft::attach_fresh(network, config.adapters(), seed)?;
    config.attach_gates(network)?;
    let all_passes = || (0..steps).flat_map(|step| plan.passes(step)).collect();
    let recompute = layers_to_recompute(network, samples, all_passes, config)?;
    if config.recompute == Recompute::Auto {
        watcher.note(&format!(
            "the first {recompute} of {} layers are computed again, to stay within {} MB",
            network.config().layers,
            config.memory_mb
        ));
    }
    let mut run = Run::begin(network, samples, config, seed, files, recompute, watcher)?;
    let mut log = Log::open(&files.log(), run.position.step)?;
    let before = (run.position.seconds, run.position.tokens);
    run.write_validations()?;

    loop {
        if let Err(error) = run.validate(network, &plan, watcher) {
            return Err(if error.kind() == Kind::Interrupted { run.interrupted(network, &log, steps) } else { error });
        }
        if run.position.step >= steps || run.ends_early() {
            break;
        }
        let started = Instant::now();
        let passes = plan.passes(run.position.step);
        let total = total_weight(samples, passes.iter().flatten().copied());
        run.gradients.clear(network)?;
        run.curvature = curvature(network, samples, config, &passes, run.position.step as f64 / steps as f64);
        run.penalty = 0.0;
        let (mut loss, mut tokens) = (0.0, 0);
        for (index, pass) in passes.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Err(run.interrupted(network, &log, steps));
            }
            let dropout = Dropout { key: dropout_key(seed, run.position.step, index), probability: config.dropout };
            loss += match run.pass(network, samples, pass, total, dropout, watcher)? {
                Ok(loss) => loss,
                Err(error) => return Err(run.failed(network, pass, error, watcher)),
            };
            tokens += pass.iter().map(|&i| samples[i].tokens.len() as u64).sum::<u64>();
        }
        run.note_good(network)?;
        let step = run.position.step + 1;
        let learning_rate = config.learning_rate * config.schedule.factor(step, steps, warmup);
        let gradient_norm = match run.optimiser.step(network, &mut run.gradients, learning_rate) {
            Ok(norm) => norm,
            Err(error) => return Err(run.failed(network, &passes.concat(), error, watcher)),
        };

        run.position.step = step;
        run.position.tokens += tokens;
        run.position.seconds += started.elapsed().as_secs_f64();
        run.position.last_loss = loss;
        if step == 1 {
            run.position.first_loss = loss;
        }
        let (epoch, seen) = (plan.epochs(step), run.position.tokens);
        let of_run = (seen - before.1) as f64 / (run.position.seconds - before.0);
        let tokens_per_second = tokens as f64 / started.elapsed().as_secs_f64();
        let penalty = run.curvature.map(|_| run.penalty);
        log.write(&LogLine {
            step,
            epoch,
            loss,
            penalty,
            learning_rate,
            gradient_norm,
            tokens: seen,
            tokens_per_second,
        })?;
        let seconds_left = (steps - step) as f64 * (seen as f64 / step as f64) / of_run;
        watcher.progress(&Progress {
            step,
            steps,
            epoch,
            loss,
            learning_rate,
            tokens_per_second: of_run,
            seconds_left,
        });
        if step < steps && run.checkpoint_is_due() {
            run.save(network, &log)?;
        }
    }
    run.save(network, &log)?;
    let validation = run.keep_best(network, steps, seed)?;
    peft::save(network, &files.checkpoint(), "", config)?;
    Ok(TrainingSummary { validation, ..run.summary(network, samples.len()) })
}

/// What decides a pass's dropout masks, so that a resumed run draws the same.
fn dropout_key(seed: u64, step: usize, pass: usize) -> u64 {
    mix(mix(seed ^ 0x6472_6f70_6f75_7400) ^ ((step as u64) << 20) ^ pass as u64)
}

/// What the sum of squared curvatures is multiplied by in a step's passes, so that all of them together give λ times the mean;
/// `None` without the regularisation.
fn curvature<B: Backend>(
    network: &Network<B>,
    samples: &[Sample],
    config: &TrainConfig,
    passes: &[Vec<usize>],
    share: f64,
) -> Option<f32> {
    let weight = config.so8.as_ref()?.pet.as_ref()?.weight(share);
    let terms = curvature_rows(samples, passes.iter().flatten().copied()) * network.config().hidden_size;
    (terms > 0).then(|| weight / terms as f32)
}

/// The state of a run.
struct Run<'a, B: Backend> {
    config: &'a TrainConfig,
    files: &'a TrainFiles,
    gradients: PerParameter<B>,
    optimiser: Optimiser<B>,
    workspace: Workspace<B>,
    /// How many of the first layers are computed again.
    recompute: usize,
    position: Position,
    /// The factor of the regularisation in this step.
    curvature: Option<f32>,
    /// Its value so far in this step.
    penalty: f64,
    /// The last adapter whose losses were finite, and the steps after which it was; none before the first.
    good: PerParameter<B>,
    good_step: Option<usize>,
    /// The adapter that validation found best so far.
    best: Option<Best>,
    saved: Instant,
}

impl<'a, B: Backend> Run<'a, B> {
    fn begin(
        network: &mut Network<B>,
        samples: &[Sample],
        config: &'a TrainConfig,
        seed: u64,
        files: &'a TrainFiles,
        recompute: usize,
        watcher: &mut dyn Watcher<B>,
    ) -> Result<Self> {
        let mut optimiser = Optimiser::new(network, config.optimiser())?;
        let digest = digest(network, samples, config, seed)?;
        let resumed = match files.resume {
            true => resumed(network, &mut optimiser, files, &digest, watcher)?,
            false => None,
        };
        files.sweep(resumed.as_ref().map(|(position, _)| position.step))?;
        let fresh = || (Position { digest, ..Position::default() }, None);
        let (position, best) = resumed.unwrap_or_else(fresh);
        Ok(Self {
            config,
            files,
            gradients: PerParameter::zeros(network)?,
            optimiser,
            workspace: Workspace::default(),
            recompute,
            position,
            curvature: None,
            penalty: 0.0,
            good: PerParameter::zeros(network)?,
            good_step: None,
            best,
            saved: Instant::now(),
        })
    }

    /// One forward and backward pass; returns its part of the step's loss, or what is wrong with it.
    fn pass(
        &mut self,
        network: &Network<B>,
        samples: &[Sample],
        chosen: &[usize],
        total: f32,
        dropout: Dropout,
        watcher: &dyn Watcher<B>,
    ) -> Result<Result<f32>> {
        let batch = network.pack(chosen.iter().map(|&i| samples[i].tokens.as_slice()))?;
        let targets = targets(samples, chosen, total);
        let label_smoothing = self.config.label_smoothing;
        let training = Training { dropout: Some(dropout), recompute: self.recompute, label_smoothing };
        let (gradients, workspace) = (&mut self.gradients, &mut self.workspace);
        let (losses, penalty) =
            network.regularised(&batch, &targets, training, self.curvature, gradients, workspace)?;
        self.penalty += penalty;
        if let Some(at) = losses.iter().position(|loss| !loss.is_finite()) {
            let sequence = batch.starts.partition_point(|&start| start <= targets.rows[at] as usize) - 1;
            let (loss, sample) = (losses[at], watcher.sample_name(chosen[sequence]));
            let tensor = match not_finite(network, |_| true)? {
                Some(name) => format!("; tensor `{name}` holds a number that is not finite"),
                None => String::new(),
            };
            let what = format!("the loss of sample `{sample}` is `{loss}`, not a finite number{tensor}");
            return Ok(Err(Error::train(what)));
        }
        Ok(Ok(losses.iter().zip(&targets.weights).map(|(loss, weight)| loss * weight).sum()))
    }

    /// Validates where it is due and was not done before.
    fn validate(&mut self, network: &Network<B>, plan: &Plan, watcher: &mut dyn Watcher<B>) -> Result<()> {
        let (Some(config), step) = (&self.config.validation, self.position.step) else { return Ok(()) };
        let history = &mut self.position.validations;
        if history.holds(step) || !config.is_due(step, plan.steps(), plan.ends_epoch(step)) {
            return Ok(());
        }
        let judgement = watcher.validate(network, history.0.first())?;
        let validated = history.add(step, plan.epochs(step), &config.metric, judgement);
        watcher.validated(validated);
        if validated.best {
            let read = |parameter: &Parameter<B>| network.backend().read(&parameter.value, parameter.len());
            self.best = Some(network.parameters().iter().map(read).collect::<Result<_>>()?);
        }
        self.write_validations()
    }

    fn write_validations(&self) -> Result<()> {
        let path = self.files.validation();
        match self.config.validation {
            Some(_) => self.position.validations.write(&path),
            None => {
                let _ = std::fs::remove_file(path);
                Ok(())
            }
        }
    }

    /// Whether nothing became better for as many validations as the configuration waits.
    fn ends_early(&self) -> bool {
        let patience = self.config.validation.as_ref().map_or(0, |config| config.patience);
        patience > 0 && self.position.validations.since_best() >= patience
    }

    /// Puts the best adapter that may be kept on the network.
    ///
    /// Errors: there is none, and the configuration does not keep the base then.
    fn keep_best(&self, network: &mut Network<B>, steps: usize, seed: u64) -> Result<Option<ValidationSummary>> {
        let Some(config) = &self.config.validation else { return Ok(None) };
        let history = &self.position.validations;
        match &self.best {
            Some(best) => {
                for (index, values) in best.iter().enumerate() {
                    network.update(index, |backend, buffer| backend.write(values, buffer))?;
                }
                network.measure_rows()?;
            }
            None if config.fallback == Fallback::Base => {
                peft::attach_fresh(network, self.config.adapters(), seed)?;
                self.config.attach_gates(network)?;
            }
            None => {
                let count = history.0.len().saturating_sub(1);
                return Err(Error::train(format!(
                    "none of the {count} validated adapters can be kept: {}",
                    history.refusal()
                ))
                .with_hint(
                    "`validation.jsonl` has them all; a lower `learning_rate` or a guard with more room may help, and \
                     `[train.validation] fallback = \"base\"` keeps the base model",
                ));
            }
        }
        Ok(Some(history.summary(&config.metric, self.position.step < steps)))
    }

    fn checkpoint_is_due(&self) -> bool {
        let TrainConfig { checkpoint_steps, checkpoint_minutes, .. } = *self.config;
        let by_steps = checkpoint_steps > 0 && self.position.step.is_multiple_of(checkpoint_steps);
        let by_time = checkpoint_minutes > 0.0
            && self.saved.elapsed() >= Duration::try_from_secs_f64(60.0 * checkpoint_minutes).unwrap_or(Duration::MAX);
        by_steps || by_time
    }

    /// Adapters and checkpoint as they are now; checkpoints that are too many go once this one is on the disk.
    fn save(&mut self, network: &Network<B>, log: &Log) -> Result<()> {
        // The files are made of copies, for which the buffers of passes make room.
        self.workspace = Workspace::default();
        log.sync()?;
        peft::save(network, &self.files.checkpoint(), "", self.config)?;
        let path = self.files.state(self.position.step);
        checkpoint::save(&path, network, &self.optimiser, &self.position, self.best.as_ref())?;
        self.saved = Instant::now();
        self.files.prune(self.config.keep_checkpoints)
    }

    fn interrupted(&mut self, network: &Network<B>, log: &Log, steps: usize) -> Error {
        let Position { step, .. } = self.position;
        match self.save(network, log) {
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

    /// Remembers the adapter as it is: every loss of this step was finite.
    fn note_good(&mut self, network: &Network<B>) -> Result<()> {
        for (parameter, good) in network.parameters().iter().zip(&mut self.good.buffers) {
            network.backend().copy(&parameter.value, good, parameter.len())?;
        }
        self.good_step = Some(self.position.step);
        Ok(())
    }

    /// Saves the last good adapter, where there is one, and says what happened.
    fn failed(&self, network: &mut Network<B>, chosen: &[usize], error: Error, watcher: &dyn Watcher<B>) -> Error {
        const SHOWN: usize = 16;
        let mut list: Vec<String> =
            chosen.iter().take(SHOWN).map(|&sample| format!("`{}`", watcher.sample_name(sample))).collect();
        if chosen.len() > SHOWN {
            list.push("…".to_string());
        }
        let error = error.context(format!("step {}, samples {}", self.position.step + 1, list.join(", ")));
        let Some(step) = self.good_step else {
            return error.with_hint(match self.position.step {
                0 => "the base model itself does not give finite numbers on this sample",
                _ => "a lower `learning_rate` may help",
            });
        };
        let restore = |network: &mut Network<B>| -> Result<()> {
            for (index, good) in self.good.buffers.iter().enumerate() {
                let len = network.parameters()[index].len();
                network.update(index, |backend, buffer| backend.copy(good, buffer, len))?;
            }
            peft::save(network, &self.files.checkpoint(), "", self.config)
        };
        match restore(network) {
            Ok(()) => error.with_hint(format!(
                "`{}` holds the adapter after step {step}, the last whose losses were finite; a lower `learning_rate` may help",
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
            validation: None,
        }
    }
}

/// The newest checkpoint that is whole, and of which the log knows every step; `None` where there is no checkpoint at all.
fn resumed<B: Backend>(
    network: &mut Network<B>,
    optimiser: &mut Optimiser<B>,
    files: &TrainFiles,
    digest: &str,
    watcher: &mut dyn Watcher<B>,
) -> Result<Option<(Position, Option<Best>)>> {
    let (logged, mut last) = (log::whole_steps(&files.log()), None);
    for (step, path) in files.states() {
        let error = match checkpoint::load(&path, network, optimiser, digest) {
            Ok((position, best)) if position.step <= logged => return Ok(Some((position, best))),
            Ok(_) => Error::train(format!(
                "`{}`: the checkpoint is of step {step}, and `{}` lacks steps after {logged}",
                path.display(),
                files.log().display()
            )),
            Err(Refusal::Damaged(error)) => error,
            Err(Refusal::Other(error)) => return Err(error),
        };
        watcher.warn(&format!("{error}; the checkpoint before it is tried"));
        last = Some(error);
    }
    last.map_or(Ok(None), Err)
}

/// Everything that decides how a run goes on.
fn digest<B: Backend>(network: &Network<B>, samples: &[Sample], config: &TrainConfig, seed: u64) -> Result<String> {
    let config = serde_json::to_string(&config.deciding()).map_err(|e| Error::internal(e.to_string()))?;
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
