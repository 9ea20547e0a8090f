#![doc = include_str!("README.md")]

mod by_hash;
mod columns;
mod contamination;
mod detection_only;
mod duplicates;
mod example;
#[cfg(feature = "input")]
pub mod input;
mod minhash;
mod normalised;
pub mod policy;
mod provenance;
mod quality;
mod rebalance;
mod split;
mod statistics;
mod storage;
mod text;
pub mod thinking;
mod traits;

pub use by_hash::ByHash;
pub use columns::{ConvertedBatch, ExampleColumns, ExampleRows, Rejection, TextRows, Texts};
pub use contamination::{
    ContaminatedPair, Contamination, ContaminationCounts, ContaminationKind, ContaminationPolicy, ContaminationSettings,
};
pub use detection_only::{Withheld, withhold};
pub use duplicates::{Conflict, Distinct, DuplicateCounts, is_thinking, remove_duplicates};
pub use example::{Candidate, Example, INVALID, INVALID_NAME, LabelSet, Prediction, Request, Training, Usage};
pub use minhash::{MinHash, Near, similarity};
pub use normalised::{normalise, normalised};
pub use provenance::{Provenance, is_date};
pub use quality::{ClassSize, Counted, Gate, GateAction, GateOutcome, QualitySettings, gates};
pub use rebalance::{RebalanceMethod, RebalanceSettings, Rebalanced, rebalance};
pub use split::{Parts, split};
pub use statistics::{Profile, SourceStatistics, Statistics};
pub use storage::{read_examples, write_examples};
pub use text::Text;
pub use traits::{LENGTH_SPANS, Language, Traits, length_span};
