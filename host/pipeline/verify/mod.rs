//! A finished run held against what it says of itself.

pub(super) mod checksums;
mod stage;

pub use stage::{Fault, Repeated, Verification, verify};
