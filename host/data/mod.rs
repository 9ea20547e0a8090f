//! Examples, label sets, splits, duplicates and statistics: plain data that can be written and read again.

mod columns;
mod contamination;
mod duplicates;
mod example;
mod minhash;
mod normalised;
mod split;
mod statistics;
mod storage;
pub mod thinking;
mod traits;

pub use columns::{ConvertedBatch, ExampleColumns, Rejection, Texts};
pub use contamination::{
    ContaminatedPair, Contamination, ContaminationCounts, ContaminationKind, ContaminationPolicy, ContaminationSettings,
};
pub use duplicates::{Conflict, Distinct, DuplicateCounts, is_thinking, remove_duplicates};
pub use example::{Candidate, Example, INVALID, LabelSet, Prediction, Request, Usage};
pub use minhash::{MinHash, Near, similarity};
pub use normalised::normalised;
pub use split::{Parts, split};
pub use statistics::{SourceStatistics, Statistics};
pub use storage::{read_examples, write_examples};
pub use traits::{LENGTH_SPANS, Language, Traits, length_span};
