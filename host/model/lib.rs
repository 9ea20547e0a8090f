//! Configuration, tokenizer, chat template, weights and network.
//!
//! | file | what it holds |
//! |---|---|
//! | `open.rs` | [`open`]: a folder, a GGUF file or a repository of the hub → [`ModelFiles`] |
//! | `config.rs`, `rope.rs` | [`ModelConfig`]: the model's shape, and its rotary frequencies |
//! | `modules.rs`, `selection.rs` | [`modules`]: tensors, linears, parameter counts; which linears are meant |
//! | `weights.rs`, `encoding.rs`, `mapped.rs` | [`Weights`]: tensors, widened to f32 one by one |
//! | `safetensors.rs`, `gguf.rs`, `gguf_model.rs` | where the tensors lie |
//! | `safetensors_writer.rs` | the beginning of a safetensors file that is written tensor by tensor |
//! | `tokenizer.rs`, `gguf_tokenizer.rs` | [`TextTokenizer`] |
//! | `template.rs` | [`ChatTemplate`] |
//! | `export_folder.rs` | [`export_folder`]: a model as a Hugging Face folder |
//! | `export_gguf.rs`, `gguf_writer.rs`, `gguf_vocabulary.rs` | [`export_gguf`]: a model as a GGUF file |
//! | `device.rs` | [`device`]: the choice of a device, and a network on whichever it is |
//! | `hub.rs` | the Hugging Face hub |

mod config;
pub mod device;
mod encoding;
mod export_folder;
mod export_gguf;
mod gguf;
mod gguf_model;
mod gguf_tokenizer;
mod gguf_vocabulary;
mod gguf_writer;
mod hub;
mod mapped;
pub mod modules;
pub mod network;
mod open;
mod rope;
mod safetensors;
mod safetensors_writer;
mod selection;
mod template;
mod tokenizer;
mod weights;

pub use config::{Architecture, ModelConfig};
pub use export_folder::{Precision, Written, export_folder, is_exported};
pub use export_gguf::export_gguf;
pub use gguf_writer::TensorKind;
pub use mapped::MappedFile;
pub use modules::parameters_report;
pub use open::{ModelFiles, ModelShape, open, shape};
pub use rope::RopeScaling;
pub use safetensors_writer::{TensorEntry, header};
pub use template::{ChatTemplate, Message};
pub use tokenizer::{Part, TextTokenizer};
pub use weights::Weights;

/// Opens the weights of a Hugging Face folder; see [`Weights`].
pub fn open_weights(folder: &std::path::Path) -> so8t_base::Result<Weights> {
    safetensors::open_folder(folder)
}
