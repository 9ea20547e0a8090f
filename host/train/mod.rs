//! QLoRA: the loop, adapters, optimiser, schedule, checkpoints.
//!
//! [`train`] is the whole loop. It knows samples as tokens, not as text: [`crate::predict::Prompter`] makes those.

mod batches;
mod checkpoint;
mod config;
pub mod gate_files;
pub mod log;
pub mod merge;
pub mod optimiser;
pub mod peft;
pub mod pretrain;
pub mod random;
mod run;
mod schedule;
mod so8;

pub use batches::Sample;
pub use config::{AnswerForm, TrainConfig};
pub use run::{Progress, TrainFiles, TrainingSummary, train};
pub use schedule::Schedule;
pub use so8::{LayerRange, Layers, Pet, So8Config};
