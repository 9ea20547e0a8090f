//! Metric plugins driven over predictions, and the comparison of two evaluations.

mod measure;

pub use measure::{Direction, Measure, Metric, MetricBatch, MetricInfo, MetricValue, Wants};
