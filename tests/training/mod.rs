//! The network's gradients, the loop, adapters, checkpoints.

mod gradients;
mod scoring;
mod small;
