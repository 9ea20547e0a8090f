//! How much memory a training takes and how much it multiplies, before it begins: its own code, run on [`Dry`].

use std::collections::BTreeSet;

use serde::Serialize;

use super::batches::{Sample, targets, total_weight};
use super::config::{Recompute, TrainConfig};
use super::optimiser::Optimiser;
use super::trained::{self, Method};
use so8t_base::{Error, Result};
use so8t_kernels::backend::Backend;
use so8t_kernels::dry::{Dry, Held, matrix_bytes};
use so8t_model::ModelConfig;
use so8t_model::modules::linears;
use so8t_model::network::{Dropout, Network, NetworkOptions, PerParameter, Targets, Training, Workspace};

/// A training on a device that only counts.
pub struct Rehearsal {
    dry: Dry,
    network: Network<Dry>,
    gradients: PerParameter<Dry>,
    dropout: f32,
    /// What is held throughout, by name.
    parts: Vec<Part>,
    /// The most that is held while the weights are loaded.
    loading: u64,
    /// What is held for a moment when a checkpoint is written.
    saving: u64,
    _rest: (Optimiser<Dry>, PerParameter<Dry>, Option<Held>),
}

/// Something that takes memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
}

impl Part {
    /// A part of so many bytes.
    pub fn new(name: impl Into<String>, bytes: u64) -> Self {
        Self { name: name.into(), bytes }
    }
}

/// What a training will take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// What is held at the peak of a step, by what it is; their sum is [`Forecast::step`].
    pub parts: Vec<Part>,
    /// Bytes at the peak of a step.
    pub step: u64,
    /// Bytes at the peak of loading the weights.
    pub loading: u64,
    /// Bytes at the peak of saving a checkpoint.
    pub saving: u64,
    /// Bytes at the greatest of these peaks.
    pub peak: u64,
    /// How many of the first layers are computed again.
    pub recomputed_layers: usize,
    /// Layers in all.
    pub layers: usize,
    /// Tokens of the pass, those that sequences share counted for each.
    pub tokens: usize,
    /// Multiplications and additions of the pass.
    pub operations: u64,
    /// Bytes of frozen weights that the pass reads.
    pub weights_read: u64,
}

impl Rehearsal {
    /// Builds the network and all that training holds besides. `exact_tables` as for [`Dry::new`].
    ///
    /// Errors: a target that matches no module, a rank of 0.
    pub fn new(model: &ModelConfig, options: NetworkOptions, exact_tables: bool, config: &TrainConfig) -> Result<Self> {
        let dry = Dry::new(exact_tables);
        let mut network = Network::load(dry.clone(), model, options, |_, _| Ok(Vec::new()))?;
        let (loaded, loading) = (dry.held(), dry.most());
        let tables = options.table_storage(|| exact_tables);
        let count = if model.tie_embeddings { 1 } else { 2 };
        let tables = count * matrix_bytes(model.vocab_size, model.hidden_size, tables);
        let norms = 4 * (model.hidden_size * (2 * model.layers + 1)) as u64;
        let turns = 4 * 2 * network.config().network_tables(network.options().positions).cos.len() as u64;
        let mut parts = vec![
            Part::new("weights of linears", loaded - tables - norms - turns),
            Part::new("embedding and head", tables),
            Part::new("norms and rotary tables", norms + turns),
        ];
        let mut held = loaded;
        let mut part = |name: &str| {
            parts.push(Part::new(name, dry.held() - held));
            held = dry.held();
        };
        trained::begin(&mut network, config, 0)?;
        let [gradients_part, good_part, best_part] = match config.method {
            Method::Lora => ["their gradients", "the last good adapters", "the best adapters"],
            Method::Full => ["the gradients of all weights", "the last good weights", "the best weights"],
        };
        if config.method == Method::Lora {
            part("adapters");
        }
        let gradients = PerParameter::zeros(&network)?;
        part(gradients_part);
        let optimiser = Optimiser::new(&network, config.optimiser())?;
        part("the optimiser's moments");
        let good = PerParameter::zeros(&network)?;
        part(good_part);
        let lengths = || network.parameters().iter().map(|parameter| parameter.len() as u64);
        let best = config.validation.is_some().then(|| dry.hold(4 * lengths().sum::<u64>()));
        if best.is_some() {
            part(best_part);
        }
        // Of one parameter at a time both moments, or its values and those of a piece.
        let saving = 8 * lengths().max().unwrap_or(0);
        let rest = (optimiser, good, best);
        Ok(Self { dry, network, gradients, dropout: config.dropout, parts, loading, saving, _rest: rest })
    }

    /// One pass over `sequences`, of which `targets` are predicted, with the first `recompute` layers computed again.
    pub fn pass(&mut self, sequences: &[&[u32]], targets: &Targets, recompute: usize) -> Result<Forecast> {
        let Self { dry, network, gradients, .. } = self;
        let (layers, before) = (network.config().layers, dry.held());
        let recompute = recompute.min(layers);
        dry.forget();
        let mut workspace = Workspace::default();
        let packed = network.pack(sequences.iter().copied())?;
        let dropout = Some(Dropout { key: 0, probability: self.dropout });
        let training = Training { dropout, recompute, ..Training::default() };
        network.loss_and_gradients(&packed, targets, training, gradients, &mut workspace)?;
        let (most, operations, weights_read) = (dry.most(), dry.operations(), dry.weights_read());
        // The workspace gives its buffers back before a checkpoint is written.
        let saving = before + self.saving;

        let (kept, inputs) = kept(network, packed.distinct(), packed.rows());
        let kept = kept * (layers - recompute) as u64 + inputs * recompute as u64;
        let logits = 4 * (network.config().vocab_size * targets.len().min(network.logit_rows())) as u64;
        let scratch = (most - before).saturating_sub(kept + logits);
        let mut parts = self.parts.clone();
        parts.extend([
            Part::new("kept of the forward pass", kept),
            Part::new("logits", logits),
            Part::new("other intermediate values", scratch),
        ]);
        let step = parts.iter().map(|part| part.bytes).sum();
        let loading = self.loading;
        let peak = most.max(loading).max(saving);
        let (recomputed_layers, tokens) = (recompute, packed.rows());
        Ok(Forecast { parts, step, loading, saving, peak, recomputed_layers, layers, tokens, operations, weights_read })
    }

    /// As [`Rehearsal::pass`], over samples.
    fn samples(&mut self, samples: &[Sample], chosen: &[usize], recompute: usize) -> Result<Forecast> {
        let sequences: Vec<&[u32]> = chosen.iter().map(|&i| samples[i].tokens.as_slice()).collect();
        let total = total_weight(samples, chosen.iter().copied()).max(f32::MIN_POSITIVE);
        self.pass(&sequences, &targets(samples, chosen, total), recompute)
    }

    /// The layers that are computed again: as the configuration says, or the fewest of the first ones with which the peaks of `passes`
    /// stay within `memory_mb`. `peak` gives a number of layers its peak in bytes.
    ///
    /// Errors: not even all layers are enough.
    pub fn recomputed(
        config: &TrainConfig,
        layers: usize,
        mut peak: impl FnMut(usize) -> Result<u64>,
    ) -> Result<usize> {
        let budget = match config.recompute {
            Recompute::None => return Ok(0),
            Recompute::All => return Ok(layers),
            Recompute::Auto => config.memory_mb << 20,
        };
        let least = peak(layers)?;
        if least > budget {
            return Err(Error::manifest(format!(
                "`train.memory_mb`: training takes at least {} MB by prediction, with all {layers} layers computed again: expected \
                 as much, found `{}`",
                least.div_ceil(1 << 20),
                config.memory_mb
            ))
            .with_hint("a smaller `batch` or `batch_tokens`, a shorter `max_length` or a coarser `quantization` takes less"));
        }
        let (mut enough, mut below) = (layers, 0);
        while below < enough {
            let middle = usize::midpoint(below, enough);
            if peak(middle)? <= budget { enough = middle } else { below = middle + 1 }
        }
        Ok(enough)
    }
}

/// How many of a run's largest passes are rehearsed.
const LARGEST: usize = 4;

/// How many of the first layers a run computes again; see [`Rehearsal::recomputed`].
pub(super) fn layers_to_recompute<B: Backend>(
    network: &Network<B>,
    samples: &[Sample],
    passes: impl FnOnce() -> Vec<Vec<usize>>,
    config: &TrainConfig,
) -> Result<usize> {
    let layers = network.config().layers;
    if config.recompute != Recompute::Auto {
        return Rehearsal::recomputed(config, layers, |_| Ok(0));
    }
    let tokens = |pass: &Vec<usize>| pass.iter().map(|&i| samples[i].tokens.len()).sum::<usize>();
    let mut largest = passes();
    largest.sort_by_key(|pass| std::cmp::Reverse(tokens(pass)));
    largest.truncate(LARGEST);
    let mut rehearsal = Rehearsal::new(network.config(), *network.options(), false, config)?;
    Rehearsal::recomputed(config, layers, |recompute| {
        let peaks = largest.iter().map(|pass| Ok(rehearsal.samples(samples, pass, recompute)?.peak));
        peaks.collect::<Result<BTreeSet<u64>>>().map(|peaks| peaks.last().copied().unwrap_or(0))
    })
}

/// The bytes that one layer keeps for its backward pass, and those of its input alone; `rows` are computed, `all` attended.
fn kept(network: &Network<Dry>, rows: usize, all: usize) -> (u64, u64) {
    let (config, heads) = (network.config(), network.config().heads);
    let one_layer = linears(config).into_iter().filter(|module| module.layer == 0);
    let outputs: usize =
        one_layer.filter(|module| !matches!(module.name, "o_proj" | "down_proj")).map(|module| module.outputs).sum();
    let adapted = network.adapters().and_then(|adapters| adapters.modules(config).ok()).unwrap_or_default();
    let reduced = adapted.iter().map(|adapted| adapted.rank).sum::<usize>() / config.layers;
    let attended = heads * config.head_dim;
    let state = rows * (2 * config.hidden_size + outputs + attended + reduced) + all * heads;
    (4 * state as u64, 4 * (rows * config.hidden_size) as u64)
}
