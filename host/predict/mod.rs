//! Label scoring.

pub mod prompt;

pub use prompt::Prompter;
