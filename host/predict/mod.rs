//! Label scoring.

mod branches;
pub mod prompt;
mod score;

pub use branches::Branches;
pub use prompt::Prompter;
pub use score::score;
