//! What the conformance kit asks of a loaded plugin.

use std::sync::Arc;

use super::{Exports, Loaded, Metadata, Plugin, PluginSpec};
use crate::session::{Returns, Session};
use crate::state::State;
use crate::{Limits, checks};
use so8t_base::Result;

impl Plugin {
    /// The configuration that `open` takes, as JSON.
    pub(crate) fn configuration(&self) -> &str {
        &self.loaded.config
    }

    /// The same plugin with another configuration, which must be a JSON object.
    pub(crate) fn with_configuration(&self, config: &serde_json::Value) -> Self {
        Self { loaded: Arc::new(Loaded { config: config.to_string(), ..Loaded::clone(&self.loaded) }) }
    }

    /// The same plugin with other limits, which must have passed their check.
    pub(crate) fn with_limits(&self, limits: Limits) -> Self {
        Self { loaded: Arc::new(Loaded { limits, ..Loaded::clone(&self.loaded) }) }
    }

    /// The limits of every call.
    pub(crate) fn limits(&self) -> &Limits {
        &self.loaded.limits
    }

    /// What the plugin says about itself when a fresh instance is asked twice.
    pub(crate) fn describe_twice(&self) -> Result<[Metadata; 2]> {
        let (mut session, instance) = Session::start(&self.loaded)?;
        let mut describe = || {
            let call = |store: &mut wasmtime::Store<State>| match &self.loaded.exports {
                Exports::Converter(indices) => indices.load(&mut *store, &instance)?.call_describe(store),
                Exports::LabelMapper(indices) => indices.load(&mut *store, &instance)?.call_describe(store),
                Exports::Metric(indices) => indices.load(&mut *store, &instance)?.call_describe(store),
            };
            session.call(
                "describe",
                Returns::Little,
                |store| call(store).map(Ok),
                |found| {
                    checks::metadata(Metadata {
                        name: found.name,
                        version: found.version,
                        licence: found.licence,
                        config_schema: found.config_schema,
                    })
                },
            )
        };
        Ok([describe()?, describe()?])
    }
}

/// The bytes that a plugin would be loaded from.
///
/// # Errors
/// A file that cannot be read, or is too large to be a component.
pub fn component_bytes(spec: &PluginSpec) -> Result<Vec<u8>> {
    Ok(super::Admission::default().fetch(spec)?.bytes.into_owned())
}
