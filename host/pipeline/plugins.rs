//! The plugins of a plan, loaded once, by name.

use std::collections::BTreeMap;

use crate::manifest::Plan;
use crate::plugin::{Host, Plugin, PluginKind};
use crate::{Error, Result};

/// Every plugin that a plan names.
pub struct Plugins {
    loaded: BTreeMap<String, Plugin>,
}

impl Plugins {
    /// Loads them, and checks that each is of the kind that its use needs.
    pub fn load(host: &Host, plan: &Plan) -> Result<Self> {
        let mut loaded = BTreeMap::new();
        for (name, spec) in &plan.plugins {
            loaded.insert(name.clone(), host.load(spec)?);
        }
        let plugins = Self { loaded };
        for source in &plan.sources {
            plugins.expect(&source.converter, PluginKind::Converter, "converter", &source.name)?;
            plugins.expect(&source.mapper, PluginKind::LabelMapper, "mapper", &source.name)?;
        }
        for metric in &plan.metrics {
            plugins.expect(metric, PluginKind::Metric, "metrics", "[evaluate]")?;
        }
        Ok(plugins)
    }

    /// A plugin by its name in the manifest.
    pub fn get(&self, name: &str) -> Result<&Plugin> {
        self.loaded.get(name).ok_or_else(|| Error::internal(format!("plugin `{name}` was not loaded")))
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Plugin)> {
        self.loaded.iter().map(|(name, plugin)| (name.as_str(), plugin))
    }

    fn expect(&self, name: &str, kind: PluginKind, key: &str, place: &str) -> Result<()> {
        let plugin = self.get(name)?;
        if plugin.kind() == kind {
            return Ok(());
        }
        Err(Error::manifest(format!(
            "`{place}` names plugin `{name}` as `{key}`: expected a {kind}, found a {}",
            plugin.kind()
        )))
    }
}
