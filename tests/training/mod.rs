//! The network's gradients, label scores, the loop, adapters, checkpoints.

mod adapters;
mod generating;
mod golden;
mod gradients;
mod kinds;
mod pretraining;
mod running;
mod scoring;
mod small;
