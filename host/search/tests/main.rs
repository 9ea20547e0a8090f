//! The search.

mod journals;
mod proposals;
mod spaces;
mod working;
