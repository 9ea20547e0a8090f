//! Samples, and the batches that every step takes: a function of the seed and the step alone.

use super::config::TrainConfig;
use super::random::Random;
use crate::model::network::Targets;
use crate::{Error, Result};

/// One training example as tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Prompt and completion.
    pub tokens: Vec<u32>,
    /// Where the completion begins; only its tokens are predicted.
    pub completion_start: usize,
    /// How much each of its tokens counts; 1 for an ordinary sample.
    pub weight: f32,
}

/// The order in which samples are seen.
pub struct Plan {
    samples: usize,
    a_step: usize,
    batch: usize,
    epochs: usize,
    seed: u64,
    epoch: Option<(usize, Vec<usize>)>,
}

impl Plan {
    /// Errors: a sample without completion, or without anything before it, or too long; weights that are not finite,
    /// negative, or all 0.
    pub fn new(samples: &[Sample], config: &TrainConfig, seed: u64) -> Result<Self> {
        let mut total = 0.0;
        for (i, sample) in samples.iter().enumerate() {
            let length = sample.tokens.len();
            if sample.completion_start == 0 || sample.completion_start >= length {
                let start = sample.completion_start;
                return Err(Error::data(format!(
                    "training sample {i}: expected a prompt and a completion, found {length} tokens of which the \
                     completion begins at {start}"
                )));
            }
            if length > config.max_length {
                let most = config.max_length;
                return Err(Error::data(format!(
                    "training sample {i}: expected at most {most} tokens, found {length}"
                )));
            }
            if !sample.weight.is_finite() || sample.weight < 0.0 {
                let weight = sample.weight;
                return Err(Error::data(format!(
                    "training sample {i}: expected a weight of at least 0, found `{weight}`"
                )));
            }
            total += sample.weight;
        }
        if total <= 0.0 {
            return Err(Error::data(format!("nothing to train on: {} samples, whose weights sum to 0", samples.len())));
        }
        let a_step = config.batch * config.accumulation;
        Ok(Self { samples: samples.len(), a_step, batch: config.batch, epochs: config.epochs, seed, epoch: None })
    }

    /// Optimiser steps in all; an epoch's last step may be smaller.
    pub fn steps(&self) -> usize {
        self.epochs * self.samples.div_ceil(self.a_step)
    }

    /// The epoch of a step, both from 0.
    pub fn epoch(&self, step: usize) -> usize {
        step / self.samples.div_ceil(self.a_step)
    }

    /// The samples of a step (from 0), one list for every pass.
    pub fn passes(&mut self, step: usize) -> Vec<Vec<usize>> {
        let epoch = self.epoch(step);
        if self.epoch.as_ref().is_none_or(|(current, _)| *current != epoch) {
            let mut order: Vec<usize> = (0..self.samples).collect();
            Random::new(self.seed, &format!("epoch {epoch}")).shuffle(&mut order);
            self.epoch = Some((epoch, order));
        }
        let order = self.epoch.as_ref().map_or(&[][..], |(_, order)| order);
        let first = step % self.samples.div_ceil(self.a_step) * self.a_step;
        let of_step = &order[first..order.len().min(first + self.a_step)];
        of_step.chunks(self.batch).map(<[usize]>::to_vec).collect()
    }
}

/// The weight of all completion tokens of `chosen`.
pub fn total_weight(samples: &[Sample], chosen: impl Iterator<Item = usize>) -> f32 {
    chosen.map(|i| samples[i].weight * (samples[i].tokens.len() - samples[i].completion_start) as f32).sum()
}

/// Rows of `chosen` that have two before them: those that a curvature is taken at.
pub fn curvature_rows(samples: &[Sample], chosen: impl Iterator<Item = usize>) -> usize {
    chosen.map(|i| samples[i].tokens.len().saturating_sub(2)).sum()
}

/// What the pass over `chosen` predicts, every token weighted by its sample's weight divided by `total`.
pub fn targets(samples: &[Sample], chosen: &[usize], total: f32) -> Targets {
    let (mut targets, mut start) = (Targets::default(), 0);
    for &i in chosen {
        let sample = &samples[i];
        for at in sample.completion_start..sample.tokens.len() {
            targets.rows.push((start + at - 1) as u32);
            targets.tokens.push(sample.tokens[at]);
            targets.weights.push(sample.weight / total);
        }
        start += sample.tokens.len();
    }
    targets
}
