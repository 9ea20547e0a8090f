//! The plugins of a plan, loaded once, by name.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::Narrator;
use crate::manifest::Plan;
use crate::plugin::{Host, LogLevel, Plugin, PluginKind, default_cache_folder};
use crate::{Error, Result, files};

/// How many different lines are kept.
const MAX_LINES: usize = 10_000;

/// What plugins say during a run: kept for `plugins.log`, and shown at once from warnings on. A metric is opened once a resample
/// and says the same each time: equal lines are shown once, and counted.
#[derive(Clone, Default)]
pub struct PluginLog {
    lines: Arc<Mutex<Lines>>,
}

/// Different lines in the order of their first appearance, and how often each came.
#[derive(Default)]
struct Lines {
    counts: Vec<(String, u64)>,
    places: HashMap<String, usize>,
    left_out: u64,
}

impl Lines {
    /// Counts a line; whether it is a new one.
    fn add(&mut self, line: String) -> bool {
        if let Some(&place) = self.places.get(&line) {
            self.counts[place].1 += 1;
            return false;
        }
        if self.counts.len() == MAX_LINES {
            self.left_out += 1;
            return false;
        }
        self.places.insert(line.clone(), self.counts.len());
        self.counts.push((line, 1));
        true
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for (line, count) in &self.counts {
            out.push_str(line);
            if *count > 1 {
                out.push_str(&format!(" ({count} times)"));
            }
            out.push('\n');
        }
        if self.left_out > 0 {
            out.push_str(&format!("{} more lines were left out\n", self.left_out));
        }
        out
    }
}

impl PluginLog {
    /// A plugin host whose plugins write here.
    pub fn host(&self, narrator: Narrator) -> Result<Host> {
        let lines = Arc::clone(&self.lines);
        let host = Host::new(default_cache_folder().as_deref())?;
        Ok(host.with_log(move |line| {
            let is_new = lines.lock().is_ok_and(|mut lines| lines.add(line.to_string()));
            if is_new && line.level >= LogLevel::Warn {
                narrator.warn(line);
            }
        }))
    }

    /// Writes `plugins.log` where there is something to say.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        match self.lines.lock() {
            Ok(lines) if !lines.counts.is_empty() => files::write(&folder.join("plugins.log"), lines.text().as_bytes()),
            _ => Ok(()),
        }
    }
}

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
