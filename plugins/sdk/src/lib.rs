//! What a plugin of so8t written in Rust depends on.
//!
//! A plugin is a plain implementation of one of three traits, and one line that exports it:
//!
//! | kind | trait | macro | feature of this crate |
//! |---|---|---|---|
//! | reads a data format | `Converter` | `export_converter!` | `converter` |
//! | turns a source's labels into the experiment's | `Mapper` | `export_mapper!` | `mapper` |
//! | measures predictions | `Metric` | `export_metric!` | `metric` |
//!
//! The columns of the interface, its resources and its flags stay inside this crate: a plugin sees rows, builders, a
//! configuration that serde has read (an unknown key fails and names itself), and [`Failure`]s. Input is untrusted,
//! and no plugin needs to panic: columns are checked before the plugin sees them. Should one panic all the same, the
//! message goes to the log before the component traps.
//!
//! On a machine that is not WebAssembly the traits are ordinary code, so a plugin can be tested natively; messages of
//! [`log`] then go to standard error.

pub mod bindings;
mod column;
pub mod config;
#[cfg(feature = "metric")]
mod confusion;
#[cfg(feature = "converter")]
mod converter;
#[cfg(any(feature = "converter", feature = "mapper"))]
mod example;
mod export;
#[cfg(feature = "metric")]
mod labels;
pub mod log;
#[cfg(feature = "mapper")]
mod mapper;
#[cfg(feature = "metric")]
mod metric;

pub use column::Column;
#[cfg(feature = "metric")]
pub use confusion::Confusion;
#[cfg(feature = "converter")]
pub use converter::{Converter, ConverterExport, Examples};
#[cfg(any(feature = "converter", feature = "mapper"))]
pub use example::Example;
#[cfg(feature = "metric")]
pub use labels::{Labels, Safety};
#[cfg(feature = "mapper")]
pub use mapper::{Decision, LabelSet, Mapper, MapperExport};
#[cfg(feature = "metric")]
pub use metric::{Direction, Metric, MetricExport, MetricInfo, Rows, Value, Wants, counts};

/// Why a call did not succeed: the configuration, the input, or the plugin itself is at fault.
pub use bindings::types::Failure;

/// What a plugin says about itself.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The plugin's name.
    pub name: &'static str,
    /// A semantic version, for example `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// An SPDX expression.
    pub licence: &'static str,
    /// The JSON Schema of the configuration.
    pub config_schema: &'static str,
}

/// Builds an [`About`] from the crate's manifest and a JSON Schema: `about!("csv", include_str!("../config.json"))`.
#[macro_export]
macro_rules! about {
    ($name:expr, $schema:expr) => {
        $crate::About {
            name: $name,
            version: env!("CARGO_PKG_VERSION"),
            licence: env!("CARGO_PKG_LICENSE"),
            config_schema: $schema,
        }
    };
}

impl From<About> for bindings::types::Metadata {
    fn from(about: About) -> Self {
        Self {
            name: about.name.to_owned(),
            version: about.version.to_owned(),
            licence: about.licence.to_owned(),
            config_schema: about.config_schema.to_owned(),
        }
    }
}

/// The examples of `plugins/README.md`, so that they are compiled.
#[cfg(all(doctest, feature = "metric"))]
#[doc = include_str!("../../README.md")]
struct Readme;
