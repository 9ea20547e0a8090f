//! Configuration, weights, tokenizers, templates and prompts.

mod config;
mod export;
mod framing;
mod gguf;
mod hub;
mod jinja;
mod modules;
mod open;
mod prompt;
mod reference;
mod rope;
mod safetensors;
mod settings;
mod shared;
pub(crate) mod small;
mod smollm2;
mod target;
mod template;
mod tokenizer;
