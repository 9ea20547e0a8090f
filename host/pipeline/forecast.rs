//! What a manifest's training will take, from the shape of its model alone: no weights, no data and no plugin are read.

use serde::Serialize;

use crate::kernels::gemm::Compute;
use crate::manifest::ManifestFile;
use crate::model::network::{NetworkOptions, Quantization, Targets};
use crate::model::{self, ModelConfig};
use crate::train::forecast::{Forecast, Rehearsal};
use crate::train::speed::measure_step;
use crate::train::{AnswerForm, Method, TrainConfig};
use crate::{Error, Result};

/// Tokens of a decision and the end of its turn, about.
const DECISION: usize = 8;

/// A training that was planned.
#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    /// The model's name.
    pub model: String,
    /// Its shape.
    #[serde(skip)]
    pub config: ModelConfig,
    /// How the frozen weights are kept.
    pub quantization: Quantization,
    /// The precision of products.
    pub compute: Compute,
    /// Which weights are trained.
    pub method: Method,
    /// The adapters' rank, where there are adapters.
    pub rank: Option<usize>,
    /// Samples of the pass.
    pub samples: usize,
    /// Tokens of each of them.
    pub length: usize,
    /// How many of them are predicted.
    pub predicted: usize,
    /// Memory and operations.
    pub forecast: Forecast,
    #[serde(skip)]
    options: NetworkOptions,
    #[serde(skip)]
    train: TrainConfig,
}

/// Rows of a pass that is measured, about; a longer sequence is measured whole.
const MEASURED: usize = 512;

impl Planned {
    /// The seconds that the pass and its share of what is done once a step take on this processor: measured now on fewer layers, and for a larger
    /// pass on some of its sequences. `clock` as for [`measure_step`].
    ///
    /// # Errors
    /// Memory that is lacking.
    pub fn measure(&self, clock: &dyn Fn() -> f64) -> Result<f64> {
        let Self { config, options, train, samples, length, predicted, forecast, .. } = self;
        let few = (MEASURED / length).clamp(1, *samples);
        let pass = Pass::new(config, few, *length, *predicted);
        let measured = measure_step(
            config,
            *options,
            train,
            (&pass.sequences(), &pass.targets),
            forecast.recomputed_layers,
            clock,
        )?;
        let once = measured.once / train.accumulation as f64;
        Ok(measured.pass * *samples as f64 / few as f64 + once)
    }
}

/// Sequences that share nothing, and what is predicted of them.
struct Pass {
    tokens: Vec<Vec<u32>>,
    targets: Targets,
}

impl Pass {
    fn new(config: &ModelConfig, samples: usize, length: usize, predicted: usize) -> Self {
        // Sequences that begin with tokens of their own share no row.
        let tokens = (0..samples).map(|s| vec![(s % config.vocab_size) as u32; length]).collect();
        let rows = (0..samples).flat_map(|s| (length - predicted..length).map(move |at| (s * length + at - 1) as u32));
        let rows: Vec<u32> = rows.collect();
        let targets = Targets { tokens: vec![0; rows.len()], weights: vec![1.0; rows.len()], rows };
        Self { tokens, targets }
    }

    fn sequences(&self) -> Vec<&[u32]> {
        self.tokens.iter().map(Vec::as_slice).collect()
    }
}

/// Plans the training of a manifest for passes of its largest size: samples of `length` tokens, or of `max_length`, that share nothing.
///
/// # Errors
/// A manifest without `[model]` or `[train]`; a model whose shape cannot be read; targets that match nothing; a `memory_mb` that is not
/// enough.
pub fn forecast(manifest: &ManifestFile, length: Option<usize>) -> Result<Planned> {
    let plan = manifest.resolve()?;
    let lacks = |table: &str| Error::manifest(format!("{} has no `[{table}]` table", manifest.path.display()));
    let config = plan.train.as_ref().ok_or_else(|| lacks("train"))?;
    let base = plan.base.as_deref().ok_or_else(|| lacks("model"))?;
    let shape = model::shape(base, &plan.folder)
        .map_err(|e| e.context(format!("{}: `[model] base`", manifest.path.display())))?;
    let options = NetworkOptions {
        quantization: plan.quantization,
        embeddings: plan.embeddings,
        compute: config.compute,
        positions: (plan.predict.max_length + plan.predict.answer_room()).max(config.max_length),
        trainable: config.method.trains_base(),
    };
    let length = length.unwrap_or(config.max_length);
    if !(2..=config.max_length).contains(&length) {
        let most = config.max_length;
        return Err(Error::manifest(format!("`--length`: expected 2 to `max_length` ({most}), found `{length}`")));
    }
    let TrainConfig { batch, batch_tokens, method, compute, .. } = *config;
    let rank = (method == Method::Lora).then_some(config.rank);
    let samples = if batch_tokens == 0 { batch } else { (batch_tokens / length).max(1) };
    let predicted = match config.answer {
        AnswerForm::Decision => DECISION.min(length - 1),
        AnswerForm::Thinking => length / 2,
    };
    let pass = Pass::new(&shape.config, samples, length, predicted);
    let mut rehearsal = Rehearsal::new(&shape.config, options, shape.exact_tables, config)?;
    let layers = Rehearsal::recomputed(config, shape.config.layers, |recompute| {
        Ok(rehearsal.pass(&pass.sequences(), &pass.targets, recompute)?.peak)
    })?;
    let forecast = rehearsal.pass(&pass.sequences(), &pass.targets, layers)?;
    Ok(Planned {
        model: shape.name,
        config: shape.config,
        quantization: plan.quantization,
        compute,
        method,
        rank,
        samples,
        length,
        predicted,
        forecast,
        options,
        train: config.clone(),
    })
}
