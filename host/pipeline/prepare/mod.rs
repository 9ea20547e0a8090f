//! convert → map → redact → duplicates → split.

mod contamination;
pub(super) mod convert;
pub(super) mod dataset_card;
mod group;
mod prepared;
mod read;
mod redact;
mod stage;

pub use prepared::Prepared;
pub(super) use prepared::{read_evaluation, read_labels};
pub use stage::prepare;
