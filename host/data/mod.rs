//! Examples, label sets, splits, duplicates and statistics: plain data that can be written and read again.

mod columns;
mod example;

pub use columns::{ConvertedBatch, ExampleColumns, Rejection, Texts};
pub use example::{Example, INVALID, LabelSet, Prediction, Request};
