#![doc = include_str!("README.md")]

mod adapter_file;
mod adapter_settings;
mod batches;
mod begun;
mod cards;
mod checkpoint;
mod config;
mod files;
pub mod forecast;
pub mod gate_files;
pub mod log;
pub mod merge;
pub mod optimiser;
pub mod peft;
mod pieces;
pub mod pretrain;
pub mod random;
mod run;
mod schedule;
mod singular;
mod so8;
pub mod speed;
mod state;
mod trained;
mod validation;
mod watch;

pub use batches::Sample;
pub use cards::{Card, CardSpeed, REACHED};
pub use config::{ADAPTER_KEYS, AnswerForm, Recompute, TrainConfig};
pub use files::TrainFiles;
pub use run::{Progress, TrainingSummary, train, train_watched};
pub use schedule::Schedule;
pub use so8::{LayerRange, Layers, Pet, So8Config};
pub use trained::{Method, save_model, save_weights};
pub use validation::{Fallback, GuardConfig, GuardOutcome, Judgement, Validated, ValidationConfig, ValidationSummary};
pub use watch::Watcher;
