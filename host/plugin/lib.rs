#![doc = include_str!("README.md")]

mod admission;
pub mod anatomy;
mod backtrace;
mod bindings;
mod bounds;
pub mod builtin;
mod cache;
pub mod checks;
mod compile;
pub mod conformance;
mod converter;
mod engine;
mod inspect;
mod limits;
mod load;
pub mod lock;
mod log;
mod mapper;
mod metric;
mod opened;
pub mod policy;
pub mod presets;
mod reference;
pub mod registry;
pub mod schema;
mod session;
pub mod signature;
mod state;
mod store;
mod warm;

pub use so8t_base::{Error, Fault, Result};
pub use {so8t_data as data, so8t_evaluate as evaluate};

pub use admission::{Admission, Admitted, Provenance, Resolution};
pub use bounds::Bounds;
pub use cache::default_cache_folder;
pub use compile::{ChildCompiler, CompileBounds, Compiler, compile_component};
pub use converter::Converter;
pub use inspect::{PluginKind, component_names};
pub use limits::Limits;
pub use load::{Host, Metadata, Plugin, PluginSpec};
pub use lock::Lock;
pub use log::{LogLevel, LogLine};
pub use mapper::Mapper;
pub use metric::{Measurement, MetricPlugin};
pub use policy::{EnvironmentRule, Policy};
pub use reference::{ComponentSource, Reference};

use load::Loaded;
pub use load::probe::component_bytes;
