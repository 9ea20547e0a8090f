//! Training of all weights of a small network from random ones, by next-token prediction.

use std::path::Path;

use super::optimiser::{Optimiser, OptimiserSettings};
use super::random::Random;
use super::schedule::Schedule;
use super::trained::save_weights;
use so8t_base::{Error, Result};
use so8t_kernels::cpu::Cpu;
use so8t_kernels::gemm::Compute;
use so8t_model::network::{Network, NetworkOptions, PerParameter, Quantization, Targets, Training, Workspace};
use so8t_model::{ModelConfig, Precision};

/// How a network is trained from scratch.
#[derive(Clone, Debug, PartialEq)]
pub struct PretrainSettings {
    /// How often each sequence is seen.
    pub epochs: usize,
    /// A step takes as many sequences as fit into this many tokens, and at least one.
    pub batch_tokens: usize,
    /// The learning rate's greatest value.
    pub learning_rate: f64,
    /// The share of all steps during which it rises, 0 to 1.
    pub warmup: f64,
    /// What it does afterwards.
    pub schedule: Schedule,
    /// Decay, clipping and moments.
    pub optimiser: OptimiserSettings,
    /// The precision of matrix products.
    pub compute: Compute,
}

impl Default for PretrainSettings {
    fn default() -> Self {
        let optimiser = OptimiserSettings { weight_decay: 0.1, betas: [0.9, 0.95], ..OptimiserSettings::default() };
        Self {
            epochs: 1,
            batch_tokens: 2048,
            learning_rate: 3e-3,
            warmup: 0.05,
            schedule: Schedule::Cosine,
            optimiser,
            compute: Compute::F32,
        }
    }
}

/// Where a pre-training run stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PretrainProgress {
    /// Steps taken.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Mean loss of the step's tokens.
    pub loss: f32,
    /// Tokens predicted so far.
    pub tokens: u64,
}

/// A trained network whose weights are all its own.
pub struct FullWeights {
    /// The network, in f32.
    pub network: Network,
}

/// Trains a network of the given shape on `sequences`: every token but the first of each is predicted. The same seed
/// gives the same weights.
///
/// Weights begin normal with deviation 0.02, those that write to the residual stream divided by √(2·layers) (GPT-2), and
/// norms at 1.
///
/// Errors: no sequence of two tokens, one that is longer than the model's positions, a loss or gradient that is not finite.
pub fn pretrain(
    config: &ModelConfig,
    sequences: &[Vec<u32>],
    settings: &PretrainSettings,
    seed: u64,
    mut progress: impl FnMut(PretrainProgress),
) -> Result<FullWeights> {
    let longest = sequences.iter().map(Vec::len).max().unwrap_or(0);
    if longest < 2 || longest > config.max_position {
        let most = config.max_position;
        return Err(Error::train(format!("the longest sequence: expected 2 to {most} tokens, found {longest}")));
    }
    let options = NetworkOptions {
        quantization: Quantization::None,
        compute: settings.compute,
        positions: longest,
        trainable: true,
        ..NetworkOptions::default()
    };
    let mut network = Network::load(Cpu, config, options, |name, shape| Ok(initial(name, shape, config, seed)))?;
    let batches = batches(sequences, settings, seed);
    let mut optimiser = Optimiser::new(&network, settings.optimiser)?;
    let mut gradients = PerParameter::zeros(&network)?;
    let mut workspace = Workspace::default();
    let warmup = (settings.warmup * batches.len() as f64).round() as usize;
    let mut tokens = 0;
    for (index, batch) in batches.iter().enumerate() {
        let step = index + 1;
        let packed = network.pack(batch.iter().map(|&i| sequences[i].as_slice()))?;
        let targets = next_tokens(batch.iter().map(|&i| sequences[i].as_slice()));
        gradients.clear(&network)?;
        let training = Training::default();
        let losses = network.loss_and_gradients(&packed, &targets, training, &mut gradients, &mut workspace)?;
        let loss = losses.iter().sum::<f32>() / losses.len() as f32;
        if !loss.is_finite() {
            return Err(Error::train(format!("the loss of step {step} is `{loss}`, not a finite number")));
        }
        let rate = settings.learning_rate * settings.schedule.factor(step, batches.len(), warmup);
        optimiser.step(&mut network, &mut gradients, rate).map_err(|e| e.context(format!("step {step}")))?;
        tokens += losses.len() as u64;
        progress(PretrainProgress { step, steps: batches.len(), loss, tokens });
    }
    Ok(FullWeights { network })
}

/// The first values of a tensor; each name has random numbers of its own.
fn initial(name: &str, shape: &[usize], config: &ModelConfig, seed: u64) -> Vec<f32> {
    let count = shape.iter().product();
    if shape.len() == 1 {
        return vec![1.0; count];
    }
    let into_stream = name.contains("o_proj") || name.contains("down_proj");
    let deviation = if into_stream { 0.02 / (2.0 * config.layers as f32).sqrt() } else { 0.02 };
    let mut random = Random::new(seed, name);
    (0..count).map(|_| deviation * random.normal()).collect()
}

/// The sequences of every step: each epoch in an order of its own.
fn batches(sequences: &[Vec<u32>], settings: &PretrainSettings, seed: u64) -> Vec<Vec<usize>> {
    let mut out: Vec<Vec<usize>> = Vec::new();
    for epoch in 0..settings.epochs {
        let mut order: Vec<usize> = (0..sequences.len()).filter(|&i| sequences[i].len() > 1).collect();
        Random::new(seed, &format!("pretrain order {epoch}")).shuffle(&mut order);
        let mut room = 0;
        for index in order {
            let length = sequences[index].len();
            match out.last_mut() {
                Some(batch) if length <= room => {
                    batch.push(index);
                    room -= length;
                }
                _ => {
                    out.push(vec![index]);
                    room = settings.batch_tokens.saturating_sub(length);
                }
            }
        }
    }
    out
}

/// Every token but the first of each sequence, all of equal weight.
fn next_tokens<'a>(sequences: impl Iterator<Item = &'a [u32]>) -> Targets {
    let (mut targets, mut start) = (Targets::default(), 0);
    for sequence in sequences {
        targets.rows.extend(start..start + sequence.len() as u32 - 1);
        targets.tokens.extend_from_slice(&sequence[1..]);
        start += sequence.len() as u32;
    }
    targets.weights = vec![1.0 / targets.rows.len() as f32; targets.rows.len()];
    targets
}

impl FullWeights {
    /// Writes them; see [`save_weights`].
    pub fn save(&self, folder: &Path, precision: Precision) -> Result<()> {
        save_weights(&self.network, folder, precision)
    }
}
