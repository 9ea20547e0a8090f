//! The network's gradients, the loop, adapters, checkpoints.

mod gradients;
mod pretraining;
mod scoring;
mod small;
