//! Configuration, tokenizer, chat template, weights and network.

mod config;
mod encoding;
mod mapped;
pub mod modules;
mod rope;
mod safetensors;
mod weights;

pub use config::{Architecture, ModelConfig};
pub use modules::parameters_report;
pub use rope::RopeScaling;
pub use weights::Weights;

/// Opens the weights of a Hugging Face folder; see [`Weights`].
pub fn open_weights(folder: &std::path::Path) -> crate::Result<Weights> {
    safetensors::open_folder(folder)
}
