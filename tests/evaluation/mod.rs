//! Metrics driven over predictions, comparisons, predictions files and the report, with a metric that lives in the test.

mod builtin;
mod comparing;
pub mod counting;
mod measuring;
mod predictions;
mod report;
pub mod sample;
mod terminal;
