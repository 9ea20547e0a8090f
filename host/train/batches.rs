//! Samples, and the batches that every step takes: a function of the seed and the step alone.

use super::config::TrainConfig;
use super::random::Random;
use so8t_base::{Error, Result};
use so8t_model::network::Targets;

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
    lengths: Vec<usize>,
    batch: usize,
    batch_tokens: usize,
    accumulation: usize,
    seed: u64,
    /// The step with which each epoch begins, and the number of steps in all.
    begins: Vec<usize>,
    /// The passes of the epoch that was asked for last.
    epoch: Option<(usize, Vec<Vec<usize>>)>,
}

impl Plan {
    /// Errors: a sample without completion, or without anything before it, or too long; weights that are not finite,
    /// negative, or all 0. Samples are called what `name` says.
    pub fn new(samples: &[Sample], config: &TrainConfig, seed: u64, name: impl Fn(usize) -> String) -> Result<Self> {
        let wrong = |i: usize, what: String| Error::data(format!("training sample {}: {what}", name(i)));
        let mut total = 0.0;
        for (i, sample) in samples.iter().enumerate() {
            let length = sample.tokens.len();
            if sample.completion_start == 0 || sample.completion_start >= length {
                let start = sample.completion_start;
                return Err(wrong(
                    i,
                    format!(
                        "expected a prompt and a completion, found {length} tokens of which the completion begins at {start}"
                    ),
                ));
            }
            if length > config.max_length {
                return Err(wrong(i, format!("expected at most {} tokens, found {length}", config.max_length)));
            }
            if !sample.weight.is_finite() || sample.weight < 0.0 {
                return Err(wrong(i, format!("expected a weight of at least 0, found `{}`", sample.weight)));
            }
            total += sample.weight;
        }
        if total <= 0.0 {
            return Err(Error::data(format!("nothing to train on: {} samples, whose weights sum to 0", samples.len())));
        }
        let lengths = samples.iter().map(|sample| sample.tokens.len()).collect();
        let TrainConfig { batch, batch_tokens, accumulation, epochs, .. } = *config;
        let mut plan = Self { lengths, batch, batch_tokens, accumulation, seed, begins: vec![0], epoch: None };
        for epoch in 0..epochs {
            // Without a bound in tokens, every epoch has as many passes.
            let steps = match (epoch, batch_tokens) {
                (1.., 0) => plan.begins[1],
                _ => plan.passes_of(epoch).len().div_ceil(accumulation),
            };
            plan.begins.push(plan.begins[epoch] + steps);
        }
        Ok(plan)
    }

    /// Optimiser steps in all; an epoch's last step may be smaller.
    pub fn steps(&self) -> usize {
        self.begins.last().copied().unwrap_or(0)
    }

    /// How many epochs are finished after `steps` steps, as a fraction.
    pub fn epochs(&self, steps: usize) -> f64 {
        let epoch = self.begins.partition_point(|&begin| begin <= steps) - 1;
        let Some(&next) = self.begins.get(epoch + 1) else { return epoch as f64 };
        epoch as f64 + (steps - self.begins[epoch]) as f64 / (next - self.begins[epoch]) as f64
    }

    /// Whether an epoch ends with the `steps`th step.
    pub fn ends_epoch(&self, steps: usize) -> bool {
        steps > 0 && self.begins.contains(&steps)
    }

    /// The samples of a step (from 0), one list for every pass.
    pub fn passes(&mut self, step: usize) -> Vec<Vec<usize>> {
        let epoch = self.begins.partition_point(|&begin| begin <= step) - 1;
        if self.epoch.as_ref().is_none_or(|(current, _)| *current != epoch) {
            self.epoch = Some((epoch, self.passes_of(epoch)));
        }
        let passes = self.epoch.as_ref().map_or(&[][..], |(_, passes)| passes);
        let first = (step - self.begins[epoch]) * self.accumulation;
        passes[first..passes.len().min(first + self.accumulation)].to_vec()
    }

    /// All passes of an epoch.
    fn passes_of(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.lengths.len()).collect();
        Random::new(self.seed, &format!("epoch {epoch}")).shuffle(&mut order);
        if self.batch_tokens == 0 {
            return order.chunks(self.batch).map(<[usize]>::to_vec).collect();
        }
        let (mut passes, mut room): (Vec<Vec<usize>>, usize) = (Vec::new(), 0);
        for sample in order {
            let length = self.lengths[sample];
            match passes.last_mut() {
                Some(pass) if length <= room => pass.push(sample),
                _ => {
                    passes.push(vec![sample]);
                    room = self.batch_tokens.max(length);
                }
            }
            room -= length;
        }
        passes
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
