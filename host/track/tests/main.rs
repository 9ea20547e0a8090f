//! Tracking, exports and releases.

mod exports;
mod mlflow;
mod releases;
mod runs;
mod tensorboard;
