#![doc = include_str!("README.md")]

pub mod error;
pub mod files;
pub mod location;
pub mod plain;
pub mod split_mix;

pub use error::{Error, Fault, Kind, Result};
