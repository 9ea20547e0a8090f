//! From a component's bytes to a plugin that can be opened: every check that comes before a guest runs.

pub(super) mod probe;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::component::{Component, InstancePre};

use super::bindings::{conversion, mapping, measurement};
use super::cache::Cache;
use super::engine::Runtime;
use super::inspect::{check_import_types, inspect};
use super::log::{LogLine, Sink, printable};
use super::session::{Returns, Session};
use super::state::State;
use super::{Converter, Limits, Mapper, Measurement, PluginKind, builtin, checks};
use crate::{Error, Result, files};

/// The most bytes that a component may have.
const MAX_COMPONENT_BYTES: u64 = 64 << 20;

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComponentSource {
    /// A standard plugin that this program carries: one of [`builtin::NAMES`].
    Builtin(String),
    /// A file.
    Path(PathBuf),
}

impl fmt::Display for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(name) => write!(f, "builtin:{name}"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What a manifest says about a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginSpec {
    /// The plugin's name in the manifest: errors and log lines carry it.
    pub name: String,
    /// Where the component comes from.
    pub component: ComponentSource,
    /// The SHA-256 that the component must have, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// The configuration that `open` takes: a JSON object, or null for an empty one.
    pub config: serde_json::Value,
    /// The limits of every call.
    pub limits: Limits,
}

impl PluginSpec {
    /// A plugin with an empty configuration and the default limits.
    pub fn new(name: impl Into<String>, component: ComponentSource) -> Self {
        Self { name: name.into(), component, sha256: None, config: serde_json::Value::Null, limits: Limits::default() }
    }
}

/// What a plugin says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The plugin's own name.
    pub name: String,
    /// A semantic version.
    pub version: String,
    /// An SPDX expression.
    pub licence: String,
    /// The JSON Schema of the configuration that `open` takes.
    pub config_schema: String,
}

/// Loads plugins: one engine, one clock, and a cache of compiled components.
pub struct Host {
    runtime: Arc<Runtime>,
    cache: Option<Cache>,
    log: Sink,
}

impl Host {
    /// A host that keeps compiled components below `cache_folder` (see [`super::default_cache_folder`]), or nowhere. What
    /// plugins log is dropped until [`Host::with_log`] says where it goes.
    ///
    /// # Errors
    ///
    /// When the engine does not start, or the cache cannot be made private.
    pub fn new(cache_folder: Option<&Path>) -> Result<Self> {
        let runtime = Runtime::new()?;
        let cache = cache_folder.map(|folder| Cache::open(folder, &runtime.engine)).transpose()?;
        Ok(Self { runtime, cache, log: Arc::new(|_| {}) })
    }

    /// Sends the log lines of plugins loaded from now on to `sink`.
    #[must_use]
    pub fn with_log(mut self, sink: impl Fn(&LogLine) + Send + Sync + 'static) -> Self {
        self.log = Arc::new(sink);
        self
    }

    /// Loads a plugin: checks its digest, imports, exports and interface version, compiles it, and asks what it is.
    ///
    /// # Errors
    ///
    /// When a check fails, the component is not valid, or its `describe` breaks a limit or the contract.
    pub fn load(&self, spec: &PluginSpec) -> Result<Plugin> {
        let refuse = |text: String| Error::plugin(format!("plugin `{}`: `{}` {text}", spec.name, spec.component));
        spec.limits.check().map_err(|text| Error::manifest(format!("plugin `{}`: limits: {text}", spec.name)))?;
        let config = configuration(spec)?;
        let bytes = read(spec)?;
        let digest = files::sha256(&bytes);
        check_digest(spec, &digest)?;
        let kind = inspect(&bytes).map_err(refuse)?;

        let compile = || {
            Component::from_binary(&self.runtime.engine, &bytes)
                .map_err(|e| refuse(format!("is not a valid component: {}", printable(&format!("{e:#}"), 400))))
        };
        let (component, cached) = match &self.cache {
            Some(cache) => cache.component(&self.runtime.engine, &digest, compile)?,
            None => (compile()?, false),
        };
        check_import_types(&component, &self.runtime.engine).map_err(refuse)?;
        let mismatch = |e: wasmtime::Error| {
            refuse(format!("does not fit the interface of a {kind}: {}", printable(&format!("{e:#}"), 400)))
        };
        let instantiate = self.runtime.linker.instantiate_pre(&component).map_err(mismatch)?;
        let exports = match kind {
            PluginKind::Converter => conversion::GuestIndices::new(&instantiate).map(Exports::Converter),
            PluginKind::LabelMapper => mapping::GuestIndices::new(&instantiate).map(Exports::LabelMapper),
            PluginKind::Metric => measurement::GuestIndices::new(&instantiate).map(Exports::Metric),
        }
        .map_err(mismatch)?;

        let mut loaded = Loaded {
            name: spec.name.clone(),
            metadata: Metadata::default(),
            limits: spec.limits.clone(),
            config,
            digest,
            kind,
            cached,
            exports,
            instantiate,
            runtime: Arc::clone(&self.runtime),
            log: Arc::clone(&self.log),
        };
        loaded.metadata = describe(&Arc::new(loaded.clone()))?;
        Ok(Plugin { loaded: Arc::new(loaded) })
    }
}

/// A plugin that was checked and compiled. Cheap to clone, and to share between threads.
#[derive(Clone)]
pub struct Plugin {
    loaded: Arc<Loaded>,
}

impl Plugin {
    /// The plugin's name in the manifest.
    pub fn name(&self) -> &str {
        &self.loaded.name
    }

    /// The plugin's own version.
    pub fn version(&self) -> &str {
        &self.loaded.metadata.version
    }

    /// The SHA-256 of the component, in lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.loaded.digest
    }

    /// What the plugin does.
    pub fn kind(&self) -> PluginKind {
        self.loaded.kind
    }

    /// What the plugin says about itself.
    pub fn metadata(&self) -> &Metadata {
        &self.loaded.metadata
    }

    /// Whether the compiled component came from the cache.
    pub fn from_cache(&self) -> bool {
        self.loaded.cached
    }

    /// Opens a converter for one source file.
    ///
    /// # Errors
    ///
    /// When the plugin is no converter, refuses its configuration, or breaks a limit.
    pub fn open_converter(&self) -> Result<Converter> {
        match &self.loaded.exports {
            Exports::Converter(indices) => Converter::open(&self.loaded, indices),
            _ => Err(self.is_not(PluginKind::Converter)),
        }
    }

    /// Opens a label mapper for one source.
    ///
    /// # Errors
    ///
    /// When the plugin is no label mapper, refuses its configuration, breaks a limit, or declares bad labels.
    pub fn open_mapper(&self) -> Result<Mapper> {
        match &self.loaded.exports {
            Exports::LabelMapper(indices) => Mapper::open(&self.loaded, indices),
            _ => Err(self.is_not(PluginKind::LabelMapper)),
        }
    }

    /// Opens a measurement over labels, given by id. The request's text is never sent; see [`super::MetricPlugin`].
    ///
    /// # Errors
    ///
    /// When the plugin is no metric, refuses its configuration or the labels, breaks a limit, or declares bad values.
    pub fn open_metric(&self, labels: &[String]) -> Result<Measurement> {
        match &self.loaded.exports {
            Exports::Metric(indices) => Measurement::open(&self.loaded, indices, labels),
            _ => Err(self.is_not(PluginKind::Metric)),
        }
    }

    fn is_not(&self, expected: PluginKind) -> Error {
        Error::plugin(format!("{} is a {}: expected a {expected}", self.loaded.title(), self.loaded.kind))
    }
}

/// What a plugin's stores share.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) name: String,
    metadata: Metadata,
    pub(super) limits: Limits,
    /// The configuration as JSON.
    pub(super) config: String,
    digest: String,
    kind: PluginKind,
    cached: bool,
    exports: Exports,
    pub(super) instantiate: InstancePre<State>,
    pub(super) runtime: Arc<Runtime>,
    pub(super) log: Sink,
}

impl Loaded {
    /// How errors begin: plugin, name and version.
    pub(super) fn title(&self) -> String {
        match self.metadata.version.as_str() {
            "" => format!("plugin `{}`", self.name),
            version => format!("plugin `{}` {version}", self.name),
        }
    }
}

/// Where in the component the functions of its interface are.
#[derive(Clone)]
enum Exports {
    Converter(conversion::GuestIndices),
    LabelMapper(mapping::GuestIndices),
    Metric(measurement::GuestIndices),
}

/// Asks a plugin what it is, in a store of its own; so too are the types of its functions checked.
fn describe(loaded: &Arc<Loaded>) -> Result<Metadata> {
    let (mut session, instance) = Session::start(loaded)?;
    let call = |store: &mut wasmtime::Store<State>| match &loaded.exports {
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
}

fn configuration(spec: &PluginSpec) -> Result<String> {
    match &spec.config {
        serde_json::Value::Null => Ok("{}".into()),
        object @ serde_json::Value::Object(_) => Ok(object.to_string()),
        other => Err(Error::manifest(format!("plugin `{}`: config: expected a table, found `{other}`", spec.name))),
    }
}

fn read(spec: &PluginSpec) -> Result<Vec<u8>> {
    let bytes = match &spec.component {
        ComponentSource::Builtin(name) => {
            builtin::bytes(name).map_err(|e| e.context(format!("plugin `{}`", spec.name)))?.into_owned()
        }
        ComponentSource::Path(path) => {
            let file = |e: std::io::Error| Error::io("read", path, &e).context(format!("plugin `{}`", spec.name));
            let found = std::fs::metadata(path).map_err(file)?;
            if found.len() > MAX_COMPONENT_BYTES {
                return Err(too_large(spec, found.len()));
            }
            std::fs::read(path).map_err(file)?
        }
    };
    if bytes.len() as u64 > MAX_COMPONENT_BYTES {
        return Err(too_large(spec, bytes.len() as u64));
    }
    Ok(bytes)
}

fn too_large(spec: &PluginSpec, bytes: u64) -> Error {
    Error::plugin(format!(
        "plugin `{}`: `{}` has {bytes} bytes: expected at most {MAX_COMPONENT_BYTES}",
        spec.name, spec.component
    ))
}

fn check_digest(spec: &PluginSpec, found: &str) -> Result<()> {
    let Some(expected) = &spec.sha256 else { return Ok(()) };
    if expected.len() != 64 || !expected.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Error::manifest(format!(
            "plugin `{}`: sha256: expected 64 lower-case hexadecimal digits, found `{expected}`",
            spec.name
        )));
    }
    if expected != found {
        return Err(Error::plugin(format!(
            "plugin `{}`: `{}` has sha256 `{found}`: expected `{expected}`",
            spec.name, spec.component
        ))
        .with_hint("the component is not the one that the manifest names; check it before you change `sha256`"));
    }
    Ok(())
}
