//! Metric plugins driven over predictions, and the comparison of two evaluations.
//!
//! [`measure()`] gives every value overall and by source with its interval, [`compare()`] what changed between two
//! evaluations of the same rows, and [`predictions`] keeps the rows in files from which all of it can be computed again.

mod accept;
mod calibrate;
mod compare;
mod drive;
mod flips;
mod mcnemar;
mod measure;
pub mod predictions;
mod random;
mod resample;
mod row;
mod table;

pub use accept::{Acceptance, RuleOutcome};
pub use calibrate::Calibration;
pub use compare::{Better, Comparison, Difference, Evaluation, SourceComparison, Verdict, compare};
pub use drive::{Measured, Measurement, Options, SourceMeasured, measure};
pub use flips::{Change, ChangeCounts, Flip, FlipCounts, flips, gravity};
pub use mcnemar::McNemar;
pub use measure::{Direction, Measure, Metric, MetricBatch, MetricInfo, MetricValue, Wants};
pub use random::{Random, split_mix};
pub use resample::{Clusters, interval};
pub use row::{EvaluatedRow, check_rows};
pub use table::Table;
