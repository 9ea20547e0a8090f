#![doc = include_str!("README.md")]

mod access;
mod answer;
mod auditor;
mod endpoints;
mod engine;
mod failure;
mod http;
mod metrics;
mod options;
mod queue;
mod running;
mod shapes;
mod tls;

pub use access::{Access, ApiKey, Scope};
pub use answer::{Answer, Kind};
pub use auditor::{Auditor, Sink};
pub use engine::{About, Ask, Checked, Decide, Decided, Digests, Prepared, Unprepared};
pub use failure::Failure;
pub use options::Options;
pub use running::{Load, Running, Server, run, start};
pub use tls::Tls;

/// What the server answers, as OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("openapi.json");
