//! The plugins of a plan, loaded once, by name.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::data::policy::Policy;
use crate::manifest::Plan;
use crate::pipeline::progress::Narrator;
use crate::plugin::{Admission, Host, LogLevel, Plugin, PluginKind, PluginSpec, default_cache_folder};
use crate::{Error, Result, files};

/// How many different lines are kept.
const MAX_LINES: usize = 10_000;

/// What plugins say during a run: kept for `plugins.log`, and shown at once from warnings on. A metric is opened once a resample
/// and says the same each time: equal lines are shown once, and counted.
#[derive(Clone, Default)]
pub struct PluginLog {
    lines: Arc<Mutex<Lines>>,
    /// What must not stand in a line, where the manifest has a policy.
    policy: Option<Arc<Policy>>,
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
    /// A log whose lines hold nothing that the plan's policy looks for.
    pub(in crate::pipeline) fn of(plan: &Plan) -> Result<Self> {
        let policy = plan.policy.map(|policy| Policy::new(policy.settings).map(Arc::new)).transpose()?;
        Ok(Self { policy, ..Self::default() })
    }

    /// A plugin host whose plugins write here, and that lets in what `admission` allows.
    pub fn host(&self, narrator: Narrator, admission: Admission) -> Result<Host> {
        let lines = Arc::clone(&self.lines);
        let admission = admission.with_notes(move |note| narrator.warn(note));
        let host = Host::new(default_cache_folder().as_deref())?.with_admission(admission);
        let policy = self.policy.clone();
        Ok(host.with_log(move |line| {
            let text = line.to_string();
            let text = policy.as_ref().map_or(text.clone(), |policy| policy.text(&text));
            let (lines, is_loud) = (Arc::clone(&lines), line.level >= LogLevel::Warn);
            let say = Box::new(move || {
                let is_new = lines.lock().is_ok_and(|mut lines| lines.add(text.clone()));
                if is_new && is_loud {
                    narrator.warn(&text);
                }
            });
            HELD.with_borrow_mut(|held| match held {
                Some(held) => held.push(say),
                None => say(),
            });
        }))
    }

    /// Writes `plugins.log` where there is something to say.
    pub(in crate::pipeline) fn write(&self, folder: &Path) -> Result<()> {
        match self.lines.lock() {
            Ok(lines) if !lines.counts.is_empty() => files::write(&folder.join("plugins.log"), lines.text().as_bytes()),
            _ => Ok(()),
        }
    }
}

/// A line that is yet to be said.
pub(in crate::pipeline) type Saying = Box<dyn FnOnce() + Send>;

thread_local! {
    /// What plugins said on this thread, where it is held back.
    static HELD: RefCell<Option<Vec<Saying>>> = const { RefCell::new(None) };
}

/// Runs `work`, and holds back what plugins say meanwhile on this thread. Work that is done ahead of its turn says it when its
/// turn has come, so that the log has one order.
pub(in crate::pipeline) fn holding_back<T>(work: impl FnOnce() -> T) -> (T, Vec<Saying>) {
    HELD.set(Some(Vec::new()));
    let result = work();
    (result, HELD.take().unwrap_or_default())
}

/// Loads a plugin, and checks that it reads its configuration; errors say where in the plan's manifest.
pub(in crate::pipeline) fn load(host: &Host, spec: &PluginSpec, plan: Option<&Plan>) -> Result<Plugin> {
    let mut spec = spec.clone();
    if let Some(plan) = plan {
        plan.places.check_open(&spec)?;
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
