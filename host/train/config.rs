//! What a manifest's `[train]` says.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::optimiser::{OptimiserKind, OptimiserSettings};
use super::schedule::Schedule;
use super::so8::So8Config;
use super::trained::Method;
use super::validation::ValidationConfig;
use so8t_base::{Error, Result};
use so8t_kernels::backend::Backend;
use so8t_kernels::gemm::Compute;
use so8t_model::modules::{EXPRESSION, Pattern};
use so8t_model::network::{AdapterSettings, Network};

/// What the model is trained to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AnswerForm {
    /// The label alone.
    #[default]
    Decision,
    /// The thinking of the source's own answer, and the label in a final part.
    Thinking,
}

/// Which layers are computed again for their backward pass, so that less of the forward pass is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recompute {
    /// `false`: none.
    #[default]
    None,
    /// `true`: all; about a third slower, for a fraction of the memory.
    All,
    /// `"auto"`: as many of the first ones as are needed to stay within `memory_mb`.
    Auto,
}

impl From<bool> for Recompute {
    fn from(all: bool) -> Self {
        if all { Self::All } else { Self::None }
    }
}

impl Serialize for Recompute {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_bool(false),
            Self::All => serializer.serialize_bool(true),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}

impl<'de> Deserialize<'de> for Recompute {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Ok(match WrittenRecompute::deserialize(deserializer)? {
            WrittenRecompute::Flag(all) => all.into(),
            WrittenRecompute::Word(RecomputeWord::Auto) => Self::Auto,
        })
    }
}

/// [`Recompute`] as a manifest writes it.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(untagged, expecting = "expected `true`, `false` or `\"auto\"`")]
enum WrittenRecompute {
    Flag(bool),
    Word(RecomputeWord),
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RecomputeWord {
    Auto,
}

/// The keys of `[train]` that speak of adapters, aliases included.
pub const ADAPTER_KEYS: [&str; 14] = [
    "rank",
    "alpha",
    "rank_stabilised",
    "use_rslora",
    "dora",
    "use_dora",
    "rank_pattern",
    "alpha_pattern",
    "lora_plus_ratio",
    "dropout",
    "targets",
    "exclude_modules",
    "layers_to_transform",
    "so8",
];

/// How a model is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Which weights are trained; [`ADAPTER_KEYS`] are of adapters alone.
    pub method: Method,
    /// The adapters' inner dimension.
    pub rank: usize,
    /// Their product is multiplied by alpha / rank.
    pub alpha: f64,
    /// Divide alpha by √rank instead (rsLoRA).
    #[serde(alias = "use_rslora")]
    pub rank_stabilised: bool,
    /// Train the length of each row of the weight apart from its direction (DoRA).
    #[serde(alias = "use_dora")]
    pub dora: bool,
    /// Ranks of some modules: the first key that matches a path decides.
    #[schemars(with = "BTreeMap<String, usize>")]
    pub rank_pattern: Pattern<usize>,
    /// Alphas of some modules, likewise.
    #[schemars(with = "BTreeMap<String, f64>")]
    pub alpha_pattern: Pattern<f64>,
    /// What the learning rate of `B` and of DoRA's magnitudes is multiplied by (LoRA+); 1: nothing.
    pub lora_plus_ratio: f64,
    /// The probability of dropping an element of an adapter's input, 0 ≤ p < 1.
    pub dropout: f32,
    /// What the model is trained to answer.
    pub answer: AnswerForm,
    /// Modules that get an adapter; `all-linear` stands for all. A text in place of a list is a regular expression for whole paths, as in PEFT.
    #[serde(deserialize_with = "names")]
    #[schemars(with = "Names")]
    pub targets: Vec<String>,
    /// Modules that get none all the same, named likewise.
    #[serde(deserialize_with = "names")]
    #[schemars(with = "Names")]
    pub exclude_modules: Vec<String>,
    /// The layers whose modules get one, from 0; all where absent.
    pub layers_to_transform: Option<Vec<usize>>,
    /// The learning rate's greatest value.
    pub learning_rate: f64,
    /// How often each sample is seen.
    pub epochs: usize,
    /// Samples of one forward and backward pass.
    pub batch: usize,
    /// Instead of `batch`: a pass takes whole samples, in the epoch's order, until the next would make it longer than so
    /// many tokens; at least one. 0: `batch` decides.
    pub batch_tokens: usize,
    /// Passes of one optimiser step.
    pub accumulation: usize,
    /// The share of all steps during which the learning rate rises, 0 to 1.
    pub warmup: f64,
    /// What the learning rate does afterwards.
    pub schedule: Schedule,
    /// The longest sample in tokens.
    pub max_length: usize,
    /// Which layers keep only their input, and are computed again for their backward pass.
    #[schemars(with = "WrittenRecompute")]
    pub recompute: Recompute,
    /// What training may take in memory, in MB of 2²⁰ bytes, the model included; read by `recompute = "auto"`.
    pub memory_mb: u64,
    /// What the loss of a label's samples is multiplied by, by name; 1 where absent.
    pub class_weights: BTreeMap<String, f32>,
    /// The share of each target that is spread over the whole vocabulary, 0 ≤ s < 1.
    pub label_smoothing: f32,
    /// How the moments of the gradients are kept.
    pub optimizer: OptimiserKind,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// The gradient's global norm is brought down to this; 0: never.
    pub max_grad_norm: f64,
    /// A checkpoint is written every so many steps; 0: not by steps.
    pub checkpoint_steps: usize,
    /// A checkpoint is written after the first step that ends so many minutes after the last one; 0: not by time.
    pub checkpoint_minutes: f64,
    /// How many checkpoints are kept: where the newest is damaged, the one before is used.
    pub keep_checkpoints: usize,
    /// The precision of matrix products, whose sums are f32 always: `f32`, or `bf16` where the processor has it.
    pub compute: Compute,
    /// Rotation gates beside the adapters; none where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub so8: Option<So8Config>,
    /// The seed of what training draws: order, dropout, first values; the run's where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What is measured while training, and decides which adapter is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationConfig>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            method: Method::Lora,
            rank: 16,
            alpha: 32.0,
            rank_stabilised: false,
            dora: false,
            rank_pattern: Pattern::default(),
            alpha_pattern: Pattern::default(),
            lora_plus_ratio: 1.0,
            dropout: 0.0,
            answer: AnswerForm::Decision,
            targets: vec!["all-linear".to_string()],
            exclude_modules: Vec::new(),
            layers_to_transform: None,
            learning_rate: 3e-4,
            epochs: 3,
            batch: 16,
            batch_tokens: 0,
            accumulation: 1,
            warmup: 0.05,
            schedule: Schedule::Cosine,
            max_length: 512,
            recompute: Recompute::None,
            memory_mb: 0,
            class_weights: BTreeMap::new(),
            label_smoothing: 0.0,
            optimizer: OptimiserKind::AdamW,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            checkpoint_steps: 100,
            checkpoint_minutes: 10.0,
            keep_checkpoints: 2,
            compute: Compute::F32,
            so8: None,
            seed: None,
            validation: None,
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
        if !(self.lora_plus_ratio.is_finite() && self.lora_plus_ratio > 0.0) {
            return bad("lora_plus_ratio", "a number above 0", &self.lora_plus_ratio);
        }
        if let Some((key, found)) = self.rank_pattern.0.iter().find(|(_, rank)| !(1..=65_536).contains(rank)) {
            return bad(&format!("rank_pattern.{key}"), "a whole number from 1 to 65536", found);
        }
        if let Some((key, found)) = self.alpha_pattern.0.iter().find(|(_, alpha)| !(alpha.is_finite() && *alpha > 0.0))
        {
            return bad(&format!("alpha_pattern.{key}"), "a number above 0", found);
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return bad("learning_rate", "a number above 0", &self.learning_rate);
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return bad("dropout", "a number from 0 to below 1", &self.dropout);
        }
        if let Some((label, weight)) =
            self.class_weights.iter().find(|(_, weight)| !(weight.is_finite() && **weight >= 0.0))
        {
            return bad(&format!("class_weights.{label}"), "a number of at least 0", weight);
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return bad("label_smoothing", "a number from 0 to below 1", &self.label_smoothing);
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
        if !(self.checkpoint_minutes.is_finite() && self.checkpoint_minutes >= 0.0) {
            return bad("checkpoint_minutes", "a number of at least 0", &self.checkpoint_minutes);
        }
        if self.keep_checkpoints == 0 {
            return bad("keep_checkpoints", "at least 1", &self.keep_checkpoints);
        }
        if self.recompute == Recompute::Auto && self.memory_mb == 0 {
            return bad("memory_mb", "the memory that `recompute = \"auto\"` is to stay within", &self.memory_mb);
        }
        if let Some((key, found)) = self.of_adapters() {
            return bad(key, "nothing, since `method = \"full\"` trains no adapter", &found);
        }
        self.so8.as_ref().map_or(Ok(()), So8Config::check)?;
        self.validation.as_ref().map_or(Ok(()), ValidationConfig::check)
    }

    /// A setting of adapters that is not at its default where none is trained.
    fn of_adapters(&self) -> Option<(&'static str, serde_json::Value)> {
        if self.method == Method::Lora {
            return None;
        }
        let fields = |config: &Self| serde_json::to_value(config).unwrap_or_default();
        let (own, default) = (fields(self), fields(&Self::default()));
        let differs = |key: &&str| own.get(*key) != default.get(*key);
        ADAPTER_KEYS.into_iter().find(differs).map(|key| (key, own.get(key).cloned().unwrap_or_default()))
    }

    /// What the samples of each of `labels` are multiplied by.
    ///
    /// Errors: a weight of a label that is not among them.
    pub fn weights_of(&self, labels: &[String]) -> Result<Vec<f32>> {
        if let Some(label) = self.class_weights.keys().find(|label| !labels.contains(label)) {
            let known = labels.join("`, `");
            return Err(Error::manifest(format!(
                "`train.class_weights`: expected labels among `{known}`, found `{label}`"
            )));
        }
        Ok(labels.iter().map(|label| self.class_weights.get(label).copied().unwrap_or(1.0)).collect())
    }

    /// The same with what does not change a bit of the result at its default: how often checkpoints are written, and what
    /// is computed again.
    pub fn deciding(&self) -> Self {
        let default = Self::default();
        Self {
            recompute: default.recompute,
            memory_mb: default.memory_mb,
            checkpoint_steps: default.checkpoint_steps,
            checkpoint_minutes: default.checkpoint_minutes,
            keep_checkpoints: default.keep_checkpoints,
            ..self.clone()
        }
    }

    /// The adapters that this configuration asks for.
    pub fn adapters(&self) -> AdapterSettings {
        AdapterSettings {
            rank: self.rank,
            alpha: self.alpha,
            rank_stabilised: self.rank_stabilised,
            targets: self.targets.clone(),
            exclude: self.exclude_modules.clone(),
            layers: self.layers_to_transform.clone(),
            rank_pattern: self.rank_pattern.clone(),
            alpha_pattern: self.alpha_pattern.clone(),
            dora: self.dora,
            lora_plus_ratio: self.lora_plus_ratio,
        }
    }

    /// Puts the rotation gates that this configuration asks for, if any, on a network: they change nothing yet.
    pub(super) fn attach_gates<B: Backend>(&self, network: &mut Network<B>) -> Result<()> {
        let Some(so8) = &self.so8 else { return Ok(()) };
        let zeros = |_: &str, shape: &[usize]| Ok(vec![0.0; shape.iter().product()]);
        network.attach_gates(so8.gates(network.config())?, so8.learning_rate_factor, zeros)
    }

    /// The optimiser that this configuration asks for.
    pub fn optimiser(&self) -> OptimiserSettings {
        let Self { optimizer: kind, weight_decay, max_grad_norm, .. } = *self;
        OptimiserSettings { kind, weight_decay, max_grad_norm, ..OptimiserSettings::default() }
    }
}

/// Modules as a manifest names them.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(untagged, expecting = "expected a list of modules, `all-linear`, or a regular expression for their paths")]
enum Names {
    List(Vec<String>),
    Text(String),
}

/// A list of names; a text is `all-linear`, or a regular expression.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match Names::deserialize(deserializer)? {
        Names::List(names) => names,
        Names::Text(text) => vec![one_name(text)],
    })
}

/// What a text in place of a list stands for.
pub(super) fn one_name(text: String) -> String {
    match text == "all-linear" || text.starts_with(EXPRESSION) {
        true => text,
        false => format!("{EXPRESSION}{text}"),
    }
}
