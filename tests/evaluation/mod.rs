//! Metrics driven over predictions, comparisons, predictions files and the report, with a metric that lives in the test.

mod accepting;
mod builtin;
mod calibrating;
mod comparing;
pub mod counting;
mod footers;
mod intervals;
mod measuring;
mod predictions;
mod report;
pub mod sample;
mod terminal;
