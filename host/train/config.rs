//! What a manifest's `[train]` says.

use serde::{Deserialize, Serialize};

use super::optimiser::OptimiserSettings;
use super::schedule::Schedule;
use super::so8::So8Config;
use crate::kernels::gemm::Compute;
use crate::model::network::AdapterSettings;
use crate::{Error, Result};

/// What the model is trained to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerForm {
    /// The label alone.
    #[default]
    Decision,
    /// The thinking of the source's own answer, and the label in a final part.
    Thinking,
}

/// How adapters are trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// The adapters' inner dimension.
    pub rank: usize,
    /// Their product is multiplied by alpha / rank.
    pub alpha: f64,
    /// Divide alpha by √rank instead (rsLoRA).
    pub rank_stabilised: bool,
    /// The probability of dropping an element of an adapter's input, 0 ≤ p < 1.
    pub dropout: f32,
    /// What the model is trained to answer.
    pub answer: AnswerForm,
    /// Modules that get an adapter; `all-linear` stands for all.
    pub targets: Vec<String>,
    /// The learning rate's greatest value.
    pub learning_rate: f64,
    /// How often each sample is seen.
    pub epochs: usize,
    /// Samples of one forward and backward pass.
    pub batch: usize,
    /// Passes of one optimiser step.
    pub accumulation: usize,
    /// The share of all steps during which the learning rate rises, 0 to 1.
    pub warmup: f64,
    /// What the learning rate does afterwards.
    pub schedule: Schedule,
    /// The longest sample in tokens.
    pub max_length: usize,
    /// Keep only each layer's input and compute the layer again for its backward pass: about a third slower, for a
    /// fraction of the memory.
    pub recompute: bool,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// The gradient's global norm is brought down to this; 0: never.
    pub max_grad_norm: f64,
    /// A checkpoint is written every so many steps; 0: only when training stops.
    pub checkpoint_steps: usize,
    /// The precision of matrix products, whose sums are f32 always: `f32`, or `bf16` where the processor has it.
    pub compute: Compute,
    /// Rotation gates beside the adapters; none where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub so8: Option<So8Config>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            rank: 16,
            alpha: 32.0,
            rank_stabilised: false,
            dropout: 0.0,
            answer: AnswerForm::Decision,
            targets: vec!["all-linear".to_string()],
            learning_rate: 3e-4,
            epochs: 3,
            batch: 16,
            accumulation: 1,
            warmup: 0.05,
            schedule: Schedule::Cosine,
            max_length: 512,
            recompute: false,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            checkpoint_steps: 100,
            compute: Compute::F32,
            so8: None,
        }
    }
}

impl TrainConfig {
    /// Checks every number's range. The error names the key and what was found.
    pub fn check(&self) -> Result<()> {
        let bad = |key: &str, expected: &str, found: &dyn std::fmt::Display| {
            Err(Error::manifest(format!("`train.{key}`: expected {expected}, found `{found}`")))
        };
        let whole =
            [("rank", self.rank), ("epochs", self.epochs), ("batch", self.batch), ("accumulation", self.accumulation)];
        if let Some((key, found)) = whole.into_iter().find(|(_, value)| !(1..=65_536).contains(value)) {
            return bad(key, "a whole number from 1 to 65536", &found);
        }
        if self.max_length < 2 {
            return bad("max_length", "at least 2 tokens", &self.max_length);
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return bad("alpha", "a number above 0", &self.alpha);
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return bad("learning_rate", "a number above 0", &self.learning_rate);
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return bad("dropout", "a number from 0 to below 1", &self.dropout);
        }
        if !(0.0..=1.0).contains(&self.warmup) {
            return bad("warmup", "a share of all steps from 0 to 1", &self.warmup);
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return bad("weight_decay", "a number of at least 0", &self.weight_decay);
        }
        if !(self.max_grad_norm.is_finite() && self.max_grad_norm >= 0.0) {
            return bad("max_grad_norm", "a number of at least 0", &self.max_grad_norm);
        }
        self.so8.as_ref().map_or(Ok(()), So8Config::check)
    }

    /// The adapters that this configuration asks for.
    pub fn adapters(&self) -> AdapterSettings {
        let (rank, alpha, rank_stabilised) = (self.rank, self.alpha, self.rank_stabilised);
        AdapterSettings { rank, alpha, rank_stabilised, targets: self.targets.clone() }
    }

    /// The optimiser that this configuration asks for.
    pub fn optimiser(&self) -> OptimiserSettings {
        let (weight_decay, max_grad_norm) = (self.weight_decay, self.max_grad_norm);
        OptimiserSettings { weight_decay, max_grad_norm, ..OptimiserSettings::default() }
    }
}
