#![doc = include_str!("README.md")]

mod accept;
mod bounds;
mod calibrate;
mod clopper_pearson;
mod compare;
mod counted;
mod drive;
mod flips;
mod isolate;
mod mcnemar;
mod measure;
mod measured;
mod pass;
#[cfg(feature = "input")]
pub mod predictions;
mod random;
mod resample;
mod row;
mod shard;
mod shard_index;
mod share;
mod source;
mod state_file;
mod survey;
mod table;
mod thresholds;

pub use accept::{Acceptance, Bound, Rule, RuleOutcome, judge, judged_value};
pub use bounds::Bounds;
pub use calibrate::{Calibration, Calibrations, Thresholds};
pub use clopper_pearson::{beta_quantile, clopper_pearson, regularised_beta};
pub use compare::{Better, Comparison, Difference, Evaluation, SourceComparison, Verdict, compare};
pub use drive::{Options, RequestTexts, check_names, measure, measure_source};
pub use flips::{Change, ChangeCounts, Flip, FlipCounts, flips, gravity};
pub use isolate::measure_each;
pub use mcnemar::McNemar;
pub use measure::{Direction, Measure, Metric, MetricBatch, MetricInfo, MetricValue, Wants};
pub use measured::{Measured, Measurement, SourceMeasured, method};
pub use random::{Random, split_mix};
pub use resample::{Cluster, Resample, interval};
pub use row::{EvaluatedRow, check_rows};
pub use shard::{measure_shard, merge_states, order_states};
pub use shard_index::Shard;
pub use source::{BATCH_ROWS, MemoryRows, Part, RowBatch, RowRef, RowSource};
pub use state_file::{Common, MetricIdentity, StateFile};
pub use table::Table;
