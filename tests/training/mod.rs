//! The network's gradients, label scores, the loop, adapters, checkpoints, validation, forecasts.

mod adapters;
mod checkpoints;
mod counting;
mod forecasting;
mod generating;
mod golden;
mod gradients;
mod pretraining;
mod running;
mod scoring;
mod small;
mod validating;
