#![doc = include_str!("README.md")]

mod acquire;
mod design;
mod gaussian;
pub mod halving;
mod journal;
mod lease;
mod matrix;
mod normal;
mod sampler;
mod space;
mod study;
mod work;

pub use journal::{Direction, Journal, State, Trial};
pub use lease::Lease;
pub use sampler::{Sampler, propose};
pub use space::{Assignment, Domain, Parameter, Space};
pub use study::{Study, StudySettings};
pub use work::{Decision, Ended, Objective, Outcome, Reporter, work};
