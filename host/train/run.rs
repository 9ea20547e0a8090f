//! The training loop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::batches::{Plan, Sample, curvature_rows, total_weight};
use super::config::{Recompute, TrainConfig};
use super::files::TrainFiles;
use super::forecast::layers_to_recompute;
use super::log::{Log, LogLine};
use super::state::Run;
use super::trained::{self, Method};
use super::validation::ValidationSummary;
use super::watch::Watcher;
use so8t_base::{Kind, Result};
use so8t_kernels::backend::Backend;
use so8t_kernels::dropout::mix;
use so8t_model::network::{Dropout, Network};

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
    /// Which weights were trained.
    #[serde(default)]
    pub method: Method,
    /// Elements of what was trained.
    pub trainable_parameters: u64,
    /// Elements of the model, adapters included.
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

/// Trains adapters, or all weights of a network that was built for it, on `samples`. The network keeps them: those after the last step, or those that
/// validation found best. Checkpoints (state and adapters) and the logs lie in `files`.
///
/// The same seed, samples and configuration give the same weights, bit for bit, however often the run was stopped or
/// killed, and resumed. `stop` is looked at before every pass: once it is set, a checkpoint is written and the error is
/// [`so8t_base::Kind::Interrupted`].
///
/// Errors: a configuration or sample that makes no sense; a target that matches no module; all weights to be trained of a network whose own are
/// frozen; a checkpoint of another run; nothing that keeps to the guards of the validation; a loss or gradient that is not finite, naming step,
/// samples and tensor — the last adapter or model whose losses were finite is then saved.
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
    trained::begin(network, config, seed)?;
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
    let validation = run.keep_best(network, steps, seed, watcher)?;
    run.save_beside(network)?;
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
