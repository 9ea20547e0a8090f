//! The plugins of a plan, loaded once, by name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::Narrator;
use crate::manifest::Plan;
use crate::plugin::{Admission, Host, LogLevel, Plugin, PluginKind, PluginSpec, default_cache_folder};
use crate::{Error, Result, files};

/// What plugins say during a run: kept for `plugins.log`, and shown at once from warnings on.
#[derive(Clone, Default)]
pub struct PluginLog {
    lines: Arc<Mutex<String>>,
}

impl PluginLog {
    /// A plugin host whose plugins write here, and that lets in what `admission` allows.
    pub fn host(&self, narrator: Narrator, admission: Admission) -> Result<Host> {
        let lines = Arc::clone(&self.lines);
        let admission = admission.with_notes(move |note| narrator.warn(note));
        let host = Host::new(default_cache_folder().as_deref())?.with_admission(admission);
        Ok(host.with_log(move |line| {
            if line.level >= LogLevel::Warn {
                narrator.warn(line);
            }
            if let Ok(mut lines) = lines.lock() {
                lines.push_str(&format!("{line}\n"));
            }
        }))
    }

    /// Writes `plugins.log` where there is something to say.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        match self.lines.lock() {
            Ok(lines) if !lines.is_empty() => files::write(&folder.join("plugins.log"), lines.as_bytes()),
            _ => Ok(()),
        }
    }
}

/// Loads a plugin, and checks that it reads its configuration; errors say where in the plan's manifest.
pub(super) fn load(host: &Host, spec: &PluginSpec, plan: Option<&Plan>) -> Result<Plugin> {
    let mut spec = spec.clone();
    if let Some(plan) = plan {
        plan.places.hold_limits(&mut spec, host.admission().policy())?;
    }
    let locate = |error: Error| match plan {
        Some(plan) => plan.places.locate(&spec.name, error),
        None => error,
    };
    let plugin = host.load(&spec).map_err(locate)?;
    if spec.texts && plugin.kind() != PluginKind::Metric {
        let error = Error::manifest(format!(
            "plugin `{}`: `texts` is for metrics, and this is a {}, which sees them anyway",
            spec.name,
            plugin.kind()
        ));
        return Err(locate(error));
    }
    if let Some(plan) = plan {
        plan.places.check_config(&plugin)?;
    }
    Ok(plugin)
}

/// Every plugin that a plan names.
pub struct Plugins {
    loaded: BTreeMap<String, Plugin>,
}

impl Plugins {
    /// Loads them, and checks that each has a configuration that it reads, and is of the kind that its use needs.
    pub fn load(host: &Host, plan: &Plan) -> Result<Self> {
        let mut loaded = BTreeMap::new();
        for (name, spec) in &plan.plugins {
            loaded.insert(name.clone(), load(host, spec, Some(plan))?);
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
