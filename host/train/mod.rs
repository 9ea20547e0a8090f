//! QLoRA: the loop, adapters, optimiser, schedule, checkpoints.

pub mod random;
