//! The network's gradients, label scores, the loop, adapters, checkpoints, validation, forecasts.

mod adapters;
mod checkpoints;
mod counting;
mod forecasting;
mod full;
mod gates;
mod generating;
pub(crate) mod golden;
pub(crate) mod gradients;
mod kinds;
mod pretraining;
mod running;
mod scoring;
mod small;
mod validating;
mod variants;
