//! QLoRA: the loop, adapters, optimiser, schedule, checkpoints.

pub mod optimiser;
pub mod pretrain;
pub mod random;
mod schedule;

pub use schedule::Schedule;
