//! A finished run held against what it says of itself.

pub(super) mod checksums;
mod missing;
mod stage;

pub(super) use stage::check_trained;
pub use stage::{Fault, Repeated, Verification, verify};
