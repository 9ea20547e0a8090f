//! QLoRA: the loop, adapters, optimiser, schedule, checkpoints.
//!
//! [`train`] is the whole loop. It knows samples as tokens, not as text: [`crate::predict::Prompter`] makes those.

mod batches;
mod checkpoint;
mod config;
pub mod log;
pub mod optimiser;
pub mod peft;
pub mod pretrain;
pub mod random;
mod run;
mod schedule;

pub use batches::Sample;
pub use config::{AnswerForm, TrainConfig};
pub use run::{Progress, TrainFiles, TrainingSummary, train};
pub use schedule::Schedule;
