#![doc = include_str!("README.md")]

pub mod allowed;
mod classes;
mod config;
mod config_fields;
pub mod decoder;
mod decoder_fields;
pub mod device;
mod encoding;
mod export_check;
mod export_folder;
mod export_gguf;
mod gguf;
mod gguf_decoder;
mod gguf_fields;
mod gguf_model;
mod gguf_tokenizer;
mod gguf_vocabulary;
mod gguf_writer;
mod hub;
mod jinja;
mod mapped;
pub mod modules;
pub mod network;
mod open;
pub mod recognise;
mod rope;
mod rope_fields;
mod safetensors;
mod safetensors_writer;
mod selection;
mod template;
mod tokenizer;
mod tokenizer_fields;
mod weights;

pub use config::{Architecture, ModelConfig};
pub use export_check::export_warnings;
pub use export_folder::{Precision, Written, export_folder, is_exported};
pub use export_gguf::export_gguf;
pub use gguf_writer::TensorKind;
pub use mapped::MappedFile;
pub use modules::parameters_report;
pub use open::{ModelFiles, ModelShape, open, shape};
pub use rope::RopeScaling;
pub use safetensors_writer::{TensorEntry, header};
pub use template::{ChatTemplate, ContentForm, Message};
pub use tokenizer::{Part, TextTokenizer};
pub use weights::Weights;

/// Opens the weights of a Hugging Face folder; see [`Weights`].
pub fn open_weights(folder: &std::path::Path) -> so8t_base::Result<Weights> {
    safetensors::open_folder(folder)
}
