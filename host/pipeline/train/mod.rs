//! Training on the training part, and what it leaves in a run's folder.

pub(super) mod artifact;
pub(super) mod files;
mod samples;
mod stage;
mod validate;

pub(super) use stage::train;
