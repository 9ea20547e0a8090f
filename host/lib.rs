//! so8t evaluates and retrains safety classifiers built on language models, and lets sandboxed WebAssembly components
//! decide what the data mean and what is measured.
//!
//! | module | what it holds |
//! |---|---|
//! | [`manifest`] | `so8t.toml` as text, and the checked plan that it resolves to |
//! | [`plugin`] | the sandbox: engine, limits, lock file, compile cache, contract checks |
//! | [`data`] | examples, label sets, splits, duplicates, statistics |
//! | [`model`] | configuration, tokenizer, weights, the network |
//! | [`kernels`] | fused operations: a plain twin and a CPU version each, behind one trait for devices |
//! | [`train`] | QLoRA, and training of all weights: the loop, adapters, optimiser, checkpoints |
//! | [`predict`] | label scoring, generated answers |
//! | [`evaluate`] | metric plugins driven over predictions, comparison |
//! | [`report`] | JSON, HTML and terminal output |
//! | [`pipeline`] | the stages in order |
//!
//! `data` knows neither the sandbox nor the model, and `plugin` and `train` never import each other: only `pipeline`
//! joins them. Without the feature `model` only the sandbox, the data and the evaluation remain.

pub mod data;
pub mod error;
pub mod evaluate;
pub mod files;
mod location;
pub mod plain;
pub mod plugin;
mod split_mix;

#[cfg(feature = "model")]
pub mod cli;
#[cfg(feature = "model")]
pub mod kernels;
#[cfg(feature = "model")]
pub mod manifest;
#[cfg(feature = "model")]
pub mod model;
#[cfg(feature = "model")]
pub mod pipeline;
#[cfg(feature = "model")]
pub mod predict;
#[cfg(feature = "model")]
pub mod report;
#[cfg(feature = "model")]
pub mod scaffold;
#[cfg(feature = "model")]
pub mod train;

pub use error::{Error, Fault, Kind, Result};
