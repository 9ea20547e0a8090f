#![doc = include_str!("README.md")]

pub mod curves;
pub mod export;
pub mod finished;
mod follow;
mod http;
mod mlflow;
mod names;
pub mod release;
pub mod tensorboard;
mod time;

pub use finished::{Entry, FinishedRun, Row, Step, Value, Verdict};
pub use follow::{Following, follow};
pub use mlflow::{Artefact, Mlflow, Pushed};
