//! QLoRA: the loop, adapters, optimiser, schedule, checkpoints.
