//! What a run holds while it trains: gradients, moments, where it stands, and what it can go back to.

use std::time::{Duration, Instant};

use super::batches::{Plan, Sample, targets};
use super::checkpoint::{self, Best, Position};
use super::config::TrainConfig;
use super::files::TrainFiles;
use super::log::Log;
use super::optimiser::Optimiser;
use super::pieces::not_finite;
use super::run::TrainingSummary;
use super::trained::{self, Method};
use super::validation::{Fallback, ValidationSummary};
use super::watch::Watcher;
use so8t_base::{Error, Result};
use so8t_kernels::backend::Backend;
use so8t_model::modules::parameter_count;
use so8t_model::network::{Dropout, Network, Parameter, PerParameter, Training, Workspace};

/// The state of a run.
pub(super) struct Run<'a, B: Backend> {
    config: &'a TrainConfig,
    files: &'a TrainFiles,
    pub(super) gradients: PerParameter<B>,
    pub(super) optimiser: Optimiser<B>,
    workspace: Workspace<B>,
    /// How many of the first layers are computed again.
    recompute: usize,
    pub(super) position: Position,
    /// The factor of the regularisation in this step.
    pub(super) curvature: Option<f32>,
    /// Its value so far in this step.
    pub(super) penalty: f64,
    /// The last values whose losses were finite, and the steps after which it was; none before the first.
    good: PerParameter<B>,
    good_step: Option<usize>,
    /// The values that validation found best so far.
    best: Option<Best>,
    saved: Instant,
}

impl<'a, B: Backend> Run<'a, B> {
    pub(super) fn begin(
        network: &mut Network<B>,
        samples: &[Sample],
        config: &'a TrainConfig,
        seed: u64,
        files: &'a TrainFiles,
        recompute: usize,
        watcher: &mut dyn Watcher<B>,
    ) -> Result<Self> {
        let mut optimiser = Optimiser::new(network, config.optimiser())?;
        let digest = checkpoint::digest(network, samples, config, seed)?;
        let resumed = match files.resume {
            true => checkpoint::newest(network, &mut optimiser, files, &digest, watcher)?,
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
    pub(super) fn pass(
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
    pub(super) fn validate(&mut self, network: &Network<B>, plan: &Plan, watcher: &mut dyn Watcher<B>) -> Result<()> {
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

    pub(super) fn write_validations(&self) -> Result<()> {
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
    pub(super) fn ends_early(&self) -> bool {
        let patience = self.config.validation.as_ref().map_or(0, |config| config.patience);
        patience > 0 && self.position.validations.since_best() >= patience
    }

    /// Puts the best that may be kept on the network.
    ///
    /// Errors: there is none, and the configuration does not keep the base then.
    pub(super) fn keep_best(
        &self,
        network: &mut Network<B>,
        steps: usize,
        seed: u64,
        watcher: &mut dyn Watcher<B>,
    ) -> Result<Option<ValidationSummary>> {
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
                if self.config.method.trains_base() {
                    watcher.restore(network)?;
                }
                trained::begin(network, self.config, seed)?;
            }
            None => {
                let count = history.0.len().saturating_sub(1);
                return Err(Error::train(format!(
                    "none of the {count} validated {}s can be kept: {}",
                    self.config.method.noun(),
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

    pub(super) fn checkpoint_is_due(&self) -> bool {
        let TrainConfig { checkpoint_steps, checkpoint_minutes, .. } = *self.config;
        let by_steps = checkpoint_steps > 0 && self.position.step.is_multiple_of(checkpoint_steps);
        let by_time = checkpoint_minutes > 0.0
            && self.saved.elapsed() >= Duration::try_from_secs_f64(60.0 * checkpoint_minutes).unwrap_or(Duration::MAX);
        by_steps || by_time
    }

    /// Adapters lie beside the states as PEFT's files, as they are now. All weights do not: the state holds them, and they are large.
    pub(super) fn save_beside(&self, network: &Network<B>) -> Result<()> {
        match self.config.method {
            Method::Lora => trained::save(network, &self.files.checkpoint(), self.config),
            Method::Full => Ok(()),
        }
    }

    /// Adapters and checkpoint as they are now; checkpoints that are too many go once this one is on the disk.
    pub(super) fn save(&mut self, network: &Network<B>, log: &Log) -> Result<()> {
        // The files are made of copies, for which the buffers of passes make room.
        self.workspace = Workspace::default();
        log.sync()?;
        self.save_beside(network)?;
        let path = self.files.state(self.position.step);
        checkpoint::save(&path, network, &self.optimiser, &self.position, self.best.as_ref())?;
        self.saved = Instant::now();
        self.files.prune(self.config.keep_checkpoints)
    }

    pub(super) fn interrupted(&mut self, network: &Network<B>, log: &Log, steps: usize) -> Error {
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

    /// Remembers what is trained as it is: every loss of this step was finite.
    pub(super) fn note_good(&mut self, network: &Network<B>) -> Result<()> {
        for (parameter, good) in network.parameters().iter().zip(&mut self.good.buffers) {
            network.backend().copy(&parameter.value, good, parameter.len())?;
        }
        self.good_step = Some(self.position.step);
        Ok(())
    }

    /// Saves the last good adapter or model, where there is one, and says what happened.
    pub(super) fn failed(
        &self,
        network: &mut Network<B>,
        chosen: &[usize],
        error: Error,
        watcher: &dyn Watcher<B>,
    ) -> Error {
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
            trained::save(network, &self.files.checkpoint(), self.config)
        };
        match restore(network) {
            Ok(()) => error.with_hint(format!(
                "`{}` holds the {} after step {step}, the last whose losses were finite; a lower `learning_rate` may help",
                self.files.checkpoint().display(),
                self.config.method.noun()
            )),
            Err(_) => error.with_hint("a lower `learning_rate` may help"),
        }
    }

    pub(super) fn summary(&self, network: &Network<B>, samples: usize) -> TrainingSummary {
        let position = &self.position;
        let (method, trainable_parameters) = (self.config.method, network.trainable_count());
        let added = if method.trains_base() { 0 } else { trainable_parameters };
        TrainingSummary {
            method,
            trainable_parameters,
            total_parameters: parameter_count(network.config()) + added,
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
