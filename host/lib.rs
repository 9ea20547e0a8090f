#![doc = include_str!("README.md")]

pub use so8t_audit as audit;
pub use so8t_base::{Error, Fault, Kind, Result, error, files, plain};
pub use so8t_data as data;
pub use so8t_evaluate as evaluate;
pub use so8t_kernels as kernels;
pub use so8t_model as model;
pub use so8t_plugin as plugin;
pub use so8t_serve as serve;
pub use so8t_train as train;

pub mod cli;
pub mod manifest;
pub mod pipeline;
pub mod predict;
pub mod report;
pub mod scaffold;
pub mod service;

use so8t_base::location;
