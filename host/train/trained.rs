//! What is trained: adapters beside a frozen base, or all weights of the network.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config::TrainConfig;
use super::peft;
use super::pieces::{not_finite, write_pieces};
use so8t_base::{Error, Result, files};
use so8t_kernels::backend::Backend;
use so8t_model::network::{Network, Quantization};
use so8t_model::{ModelFiles, Precision, Written, export_folder};

/// Which weights are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Low-rank adapters, and rotation gates, beside a frozen base.
    #[default]
    Lora,
    /// All weights of the model, embeddings included, in f32.
    Full,
}

impl Method {
    /// What a training gives, in words.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Lora => "adapter",
            Self::Full => "model",
        }
    }

    /// Whether the network's own weights are what is trained, so that it must be built for that.
    pub fn trains_base(self) -> bool {
        self == Self::Full
    }
}

/// Bytes of a file of weights, at most.
const SHARD: u64 = 4 << 30;

/// Makes a network ready to be trained from its base: fresh adapters and gates, which change nothing yet; or nothing, where all its weights
/// are trained.
///
/// Errors: a target that matches no module; a network that was not built for what is to be trained.
pub(super) fn begin<B: Backend>(network: &mut Network<B>, config: &TrainConfig, seed: u64) -> Result<()> {
    match config.method {
        Method::Lora => {
            peft::attach_fresh(network, config.adapters(), seed)?;
            config.attach_gates(network)
        }
        Method::Full if network.options().trainable && network.options().quantization == Quantization::None => Ok(()),
        Method::Full => Err(Error::train("`method = \"full\"` trains weights in f32, and this network's are frozen")),
    }
}

/// Writes what is trained into a folder: PEFT's files, or all weights with `config.json`.
///
/// Errors: a number that is not finite.
pub(super) fn save<B: Backend>(network: &Network<B>, folder: &Path, config: &TrainConfig) -> Result<()> {
    match config.method {
        Method::Lora => peft::save(network, folder, "", config),
        Method::Full => save_weights(network, folder, Precision::F32),
    }
}

/// Writes all weights of a network that trains its own as `model.safetensors` and `config.json`, as Transformers reads them. The tokenizer is the caller's.
///
/// Errors: a number that is not finite, or that the precision cannot hold.
pub fn save_weights<B: Backend>(network: &Network<B>, folder: &Path, precision: Precision) -> Result<()> {
    write_pieces(network, &folder.join("model.safetensors"), "pt", precision, "weights", |_| true)?;
    let mut config = network.config().to_json();
    config["dtype"] = precision.dtype().into();
    files::write(&folder.join("config.json"), format!("{config:#}\n").as_bytes())
}

/// Writes a network that trained all its weights as a Hugging Face folder, with the configuration, tokenizer and template of its base.
///
/// Errors: something that lies at `folder` already; a number that is not finite.
pub fn save_model<B: Backend>(network: &Network<B>, base: &ModelFiles, folder: &Path) -> Result<Written> {
    if let Some(name) = not_finite(network, |_| true)? {
        return Err(Error::train(format!(
            "tensor `{name}` holds a number that is not finite; weights that are not finite are not saved"
        )));
    }
    export_folder(base, folder, Precision::F32, SHARD, |name| {
        let found = network.find_piece(name);
        let (parameter, piece) = found.ok_or_else(|| Error::internal(format!("tensor `{name}` was not trained")))?;
        Ok((piece.shape.clone(), network.read_piece(parameter, piece)?))
    })
}
