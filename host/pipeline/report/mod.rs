//! metrics → compare → report: of a run, of two runs, of a predictions file.

mod annotate;
mod compare;
pub(super) mod metrics;
mod predictions_file;
pub(super) mod reproduce;
pub(super) mod stage;

pub use compare::compare_runs;
pub use predictions_file::{Choice, evaluate_file, evaluate_shard, merge_shards};
