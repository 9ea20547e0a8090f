//! What every crate of so8t shares: its error, whole files and their digests, places in TOML files, random bits.

pub mod error;
pub mod files;
pub mod location;
pub mod plain;
pub mod split_mix;

pub use error::{Error, Fault, Kind, Result};
