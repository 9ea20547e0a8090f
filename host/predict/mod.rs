//! Decisions: a probability for every label, or an answer that is generated and read.

mod branches;
mod decision;
mod frame;
mod generate;
pub mod prompt;
mod score;
mod target;

pub use branches::Branches;
pub use decision::decide;
pub use generate::{Generation, generate};
pub use prompt::Prompter;
pub use score::score;
pub use target::{ThinkingAnswer, Thought};
