//! so8t evaluates and retrains safety classifiers built on language models, and lets sandboxed WebAssembly components
//! decide what the data mean and what is measured.
//!
//! | module | what it holds | crate |
//! |---|---|---|
//! | [`plugin`] | the sandbox: engine, limits, lock file, compile cache, contract checks | `so8t-plugin` |
//! | [`data`] | examples, label sets, splits, duplicates, statistics, data files | `so8t-data` |
//! | [`evaluate`] | metric plugins driven over predictions, comparison, predictions files | `so8t-evaluate` |
//! | [`kernels`] | fused operations: a reference and a CPU version each, behind one trait for devices | `so8t-kernels` |
//! | [`model`] | configuration, tokenizer, weights, the network | `so8t-model` |
//! | [`train`] | QLoRA, and training of all weights: the loop, adapters, optimizer, checkpoints | `so8t-train` |
//! | [`manifest`] | `so8t.toml` as text, and the checked plan that it resolves to | this crate |
//! | [`predict`] | label scoring, generated answers | this crate |
//! | [`report`] | JSON, HTML and terminal output | this crate |
//! | [`pipeline`] | the stages in order | this crate |
//!
//! The crates enforce the architecture: `so8t-data` knows neither the sandbox nor the model, and `so8t-plugin` and
//! `so8t-train` cannot name each other: only [`pipeline`] joins them.

pub use so8t_base::{Error, Fault, Kind, Result, error, files, plain};
pub use so8t_data as data;
pub use so8t_evaluate as evaluate;
pub use so8t_kernels as kernels;
pub use so8t_model as model;
pub use so8t_plugin as plugin;
pub use so8t_train as train;

pub mod cli;
pub mod manifest;
pub mod pipeline;
pub mod predict;
pub mod report;
pub mod scaffold;

use so8t_base::location;
