//! From a component's bytes to a plugin that can be opened: every check that comes before a guest runs.

pub(super) mod probe;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use wasmtime::component::InstancePre;

use super::admission::{Admission, Admitted, Provenance};
use super::bindings::{conversion, mapping, measurement};
use super::cache::{Cache, of_child};
use super::compile::{self, Compiled, Compiler, Refusal};
use super::engine::{Runtime, Trust};
use super::inspect::{check_import_types, inspect};
use super::log::{LogLine, Sink, printable};
use super::opened::Opened;
use super::schema::{Mismatch, Schema};
use super::session::{Returns, Session};
use super::state::State;
use super::warm::Warm;
use super::{ComponentSource, Converter, Limits, Mapper, Measurement, PluginKind, builtin, checks};
use so8t_base::{Error, Result};

/// The most bytes that a component may have.
pub(super) const MAX_COMPONENT_BYTES: u64 = 64 << 20;

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
    /// Whether a metric asks to see the requests' text; the policy must grant it.
    pub texts: bool,
}

impl PluginSpec {
    /// A plugin with an empty configuration and the default limits.
    pub fn new(name: impl Into<String>, component: ComponentSource) -> Self {
        let (config, limits) = (serde_json::Value::Null, Limits::default());
        Self { name: name.into(), component, sha256: None, config, limits, texts: false }
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

/// Loads plugins: an engine with its clock for foreign components and one for those that the program carries, and a cache of
/// compiled components.
pub struct Host {
    foreign: Arc<Runtime>,
    carried: Arc<Runtime>,
    cache: Option<Cache>,
    compiler: Compiler,
    log: Sink,
    admission: Admission,
    /// Whether fuel is counted for components that the program carries too.
    counting: bool,
}

impl Host {
    /// A host that keeps compiled components below `cache_folder` (see [`super::default_cache_folder`]), or nowhere. What
    /// plugins log is dropped until [`Host::with_log`] says where it goes, and components are compiled in this process, without
    /// bounds, unless [`Host::with_compiler`] or [`Compiler::use_everywhere`] says otherwise.
    ///
    /// # Errors
    ///
    /// When the engine does not start, or the cache cannot be made private.
    pub fn new(cache_folder: Option<&Path>) -> Result<Self> {
        let [foreign, carried] = [Runtime::new(Trust::Foreign)?, Runtime::new(Trust::Carried)?];
        let admission = Admission::default().with_cache(cache_folder);
        let cache = cache_folder.map(Cache::open).transpose()?;
        Ok(Self {
            foreign,
            carried,
            cache,
            compiler: Compiler::of_program(),
            log: Arc::new(|_| {}),
            admission,
            counting: false,
        })
    }

    /// Compiles the components of plugins loaded from now on with `compiler`; those that this program carries are compiled in
    /// this process whatever it is.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// Counts fuel for every component, also for those that the program carries: so that a limit of any size cuts each.
    #[must_use]
    pub fn counting(mut self) -> Self {
        self.counting = true;
        self
    }

    /// Lets in what a policy allows and a lock file names. Without it the default policy holds.
    #[must_use]
    pub fn with_admission(mut self, admission: Admission) -> Self {
        self.admission = admission;
        self
    }

    /// What decides which components are let in.
    pub fn admission(&self) -> &Admission {
        &self.admission
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
        let Admitted { bytes, digest, provenance, .. } = self.admission.fetch(spec)?;
        check_digest(spec, &digest)?;
        let kind = inspect(&bytes).map_err(refuse)?;

        let is_carried =
            !self.counting && matches!(bytes, Cow::Borrowed(_)) && spec.limits.fuel == Limits::default().fuel;
        let runtime = if is_carried { &self.carried } else { &self.foreign };
        let engine = &runtime.engine;
        let uncompiled = |refusal: Refusal| match refusal.key {
            Some(key) => refuse(refusal.text)
                .with_hint(format!("whoever runs this host bounds it: `[compile] {key}` in the policy of so8t")),
            None => refuse(refusal.text),
        };
        let compile = || -> Result<Compiled> {
            match &self.compiler {
                Compiler::Child(child) if !spec.component.is_carried() => {
                    let named = |e: Error| e.context(format!("plugin `{}`", spec.name));
                    compile::in_child(child, &bytes, &digest).map_err(named)?.map_err(uncompiled)
                }
                _ => compile::in_process(engine, &bytes).map_err(uncompiled),
            }
        };
        let (component, cached) = match &self.cache {
            Some(cache) => cache.component(engine, &digest, compile)?,
            None => match compile()? {
                Compiled::Here(component) => (component, false),
                Compiled::Serialised(content) => (of_child(engine, &content)?, false),
            },
        };
        check_import_types(&component, &runtime.engine).map_err(refuse)?;
        let mismatch = |e: wasmtime::Error| {
            refuse(format!("does not fit the interface of a {kind}: {}", printable(&format!("{e:#}"), 400)))
        };
        let instantiate = runtime.linker.instantiate_pre(&component).map_err(mismatch)?;
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
            provenance,
            texts: spec.texts,
            instantiate,
            runtime: Arc::clone(runtime),
            log: Arc::clone(&self.log),
            warm: Arc::default(),
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

    /// Where the component came from, and who signed it.
    pub fn provenance(&self) -> &Provenance {
        &self.loaded.provenance
    }

    /// Whether the plugin may see the requests' text: its spec asks, and the policy grants it.
    pub fn may_see_texts(&self) -> bool {
        self.loaded.texts
    }

    /// Where the configuration differs from the schema that the plugin declares: nothing where it does not.
    ///
    /// # Errors
    ///
    /// A schema that is not sound: the plugin's fault.
    pub fn check_config(&self) -> Result<Vec<Mismatch>> {
        let title = |text: String| Error::plugin(format!("{}: its config schema {text}", self.loaded.title()));
        let schema = Schema::parse(&self.loaded.metadata.config_schema).map_err(title)?;
        let config = serde_json::from_str(&self.loaded.config)
            .map_err(|e| Error::internal(format!("a configuration that was written cannot be read: {e}")))?;
        schema.mismatches(&config).map_err(title)
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
    provenance: Provenance,
    texts: bool,
    pub(super) instantiate: InstancePre<State>,
    pub(super) runtime: Arc<Runtime>,
    pub(super) log: Sink,
    /// Instances that may measure again.
    pub(super) warm: Arc<Warm>,
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

/// The bytes of a component that lies in no registry: of the file that is open, else borrowed from this program.
pub(super) fn read(spec: &PluginSpec, opened: Option<Opened>) -> Result<Cow<'static, [u8]>> {
    match (opened, &spec.component) {
        (Some(opened), _) => match opened.read().map_err(|e| e.context(format!("plugin `{}`", spec.name)))? {
            Ok(bytes) => Ok(Cow::Owned(bytes)),
            Err(found) => Err(too_large(spec, found)),
        },
        (None, ComponentSource::Builtin(name)) => {
            builtin::bytes(name).map_err(|e| e.context(format!("plugin `{}`", spec.name)))
        }
        (None, other) => Err(Error::internal(format!("`{other}` is read as a component of this program"))),
    }
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
