//! The host's policy: which plugins may be loaded, what they may use, and which of them may see the requests' text.
//!
//! It belongs to whoever runs so8t and is never looked for beside a manifest: whoever writes a manifest may also write what lies
//! beside it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::bounds::{Bounds, BoundsTable};
use super::reference::{SCHEME, is_digest};
use super::registry::Manner;
use super::signature::TrustedKey;
use super::{CompileBounds, ComponentSource, Limits, Reference};
use so8t_base::location::Location;
use so8t_base::{Error, Result, files};

/// The most bytes that a policy may have.
const MAX_POLICY_BYTES: u64 = 1 << 20;

/// What a host allows.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The file that it was read from; `None` for the defaults.
    pub path: Option<PathBuf>,
    /// The digest of that file.
    pub sha256: Option<String>,
    /// Which components may be loaded.
    pub allow: Vec<Pattern>,
    /// Whether every component that this program does not carry itself must be signed by a trusted key.
    pub require_signature: bool,
    /// The keys whose signatures count.
    pub trusted_keys: Vec<TrustedKey>,
    /// Which components may see the requests' text, where their manifest entry asks.
    pub text: Vec<Pattern>,
    /// The most that a manifest may ask for.
    pub maxima: Maxima,
    /// What compiling one component in a child process may take, for [`ChildCompiler::bounds`](super::ChildCompiler::bounds).
    pub compile: CompileBounds,
    /// Registries that are spoken to without encryption, besides those on this machine.
    pub plain_http: Vec<String>,
    /// Hosts that may be given a registry's credentials, for they make its tokens, besides the registry's own.
    pub token_hosts: Vec<String>,
    /// Which environment variables a manifest's paths may use.
    pub environment: EnvironmentRule,
    /// What a source's data and a metric's states may amount to.
    pub bounds: Bounds,
}

/// Which environment variables a manifest's paths may use, besides those that the command line names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EnvironmentRule {
    /// Those whose value is the absolute path of something that exists, whatever their names: what a path may say anyway.
    #[default]
    Places,
    /// Those of these names.
    Names(Vec<String>),
}

/// The most that a manifest may ask for; no bound where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maxima {
    /// See [`Limits::fuel`].
    pub fuel: Option<u64>,
    /// See [`Limits::seconds`].
    pub seconds: Option<f64>,
    /// See [`Limits::memory_bytes`], in MiB.
    pub memory_mb: Option<u64>,
    /// See [`Limits::lifted_bytes`], in MiB.
    #[serde(alias = "lifted_mb")]
    pub result_mb: Option<u64>,
}

/// A reference with `*` for any text, or a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Default for Policy {
    /// What holds without a policy file: any component may be loaded, signed or not; none sees text; limits are the manifest's;
    /// compiling has the default bounds.
    fn default() -> Self {
        let allow = ["builtin:*", "path:*", "oci://*"].map(|text| Pattern(text.to_owned())).to_vec();
        Self {
            path: None,
            sha256: None,
            allow,
            require_signature: false,
            trusted_keys: Vec::new(),
            text: Vec::new(),
            maxima: Maxima::default(),
            compile: CompileBounds::default(),
            plain_http: Vec::new(),
            token_hosts: Vec::new(),
            environment: EnvironmentRule::default(),
            bounds: Bounds::default(),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Tables {
    plugins: PluginsTable,
    limits: Option<Spanned<Maxima>>,
    compile: CompileTable,
    registries: RegistriesTable,
    environment: Option<EnvironmentTable>,
    bounds: BoundsTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentTable {
    names: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PluginsTable {
    allow: Option<Vec<Spanned<String>>>,
    require_signature: bool,
    trusted_keys: Vec<Spanned<String>>,
    text: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct CompileTable {
    seconds: Option<Spanned<f64>>,
    memory_mb: Option<Spanned<u64>>,
    code_mb: Option<Spanned<u64>>,
}

impl CompileTable {
    /// The bounds, those that are not said as the defaults have them; or where a wrong value stands, and what is wrong.
    fn bounds(&self) -> Result<CompileBounds, (Range<usize>, String)> {
        let mut bounds = CompileBounds::default();
        if let Some(seconds) = &self.seconds {
            bounds.seconds = *seconds.get_ref();
            if !(bounds.seconds > 0.0 && bounds.seconds <= 86_400.0) {
                let found = bounds.seconds;
                let text = format!("`[compile] seconds`: expected a number above 0 and up to 86400, found `{found}`");
                return Err((seconds.span(), text));
            }
        }
        let keys = [
            ("memory_mb", &self.memory_mb, &mut bounds.memory_bytes),
            ("code_mb", &self.code_mb, &mut bounds.code_bytes),
        ];
        for (key, value, bytes) in keys {
            let Some(value) = value else { continue };
            let found = *value.get_ref();
            match found.checked_mul(1 << 20).filter(|bytes| (1..=1 << 50).contains(bytes)) {
                Some(found) => *bytes = found,
                None => {
                    let text = format!("`[compile] {key}`: expected MiB from 1 to 1073741824, found `{found}`");
                    return Err((value.span(), text));
                }
            }
        }
        Ok(bounds)
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RegistriesTable {
    plain_http: Vec<Spanned<String>>,
    token_hosts: Vec<Spanned<String>>,
}

impl Policy {
    /// The variable of the environment that names the policy file.
    pub const VARIABLE: &str = "SO8T_POLICY";

    /// The policy of this host: the file that is given, else the one that `$SO8T_POLICY` names, else `so8t/policy.toml` in
    /// `$XDG_CONFIG_HOME` or `~/.config` where there is one, else the defaults.
    ///
    /// # Errors
    ///
    /// A file that is named and cannot be read, or is wrong, with line and column.
    pub fn find(given: Option<&Path>) -> Result<Self> {
        let named = std::env::var_os(Self::VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = given.map(Path::to_owned).or(named) {
            return Self::read(&path);
        }
        // Absent means absent: whatever else lies there, a broken link too, was meant to be read.
        let is_meant =
            |path: &PathBuf| is_there(path) || path.parent().is_some_and(|folder| is_there(folder) && !folder.is_dir());
        match default_path().filter(is_meant) {
            Some(path) => Self::read(&path),
            None => Ok(Self::default()),
        }
    }

    /// Reads a policy file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read; a syntax error, an unknown key or a wrong value, with line and column.
    pub fn read(path: &Path) -> Result<Self> {
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let text = format!("the policy `{}` is no plain file: expected one", path.display());
            return Err(Error::new(so8t_base::Kind::Io, text));
        }
        let text = files::read_text_at_most(path, MAX_POLICY_BYTES).map_err(|e| e.context("the policy"))?;
        Self::parse(path, &text)
    }

    /// Parses a policy as if it stood at `path`.
    ///
    /// # Errors
    ///
    /// As [`Policy::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let tables: Tables = toml::from_str(text).map_err(|e| Location::new(path, text, e.span()).parse_error(&e))?;
        let at = |span| Location::new(path, text, Some(span));
        let patterns = |list: &[Spanned<String>]| {
            list.iter()
                .map(|entry| Pattern::parse(entry.get_ref()).map_err(|e| at(entry.span()).error(e)))
                .collect::<Result<Vec<_>>>()
        };
        let defaults = Self::default();
        let plugins = &tables.plugins;
        let key = |entry: &Spanned<String>| {
            TrustedKey::parse(entry.get_ref()).map_err(|e| at(entry.span()).error(format!("`trusted_keys`: {e}")))
        };
        let trusted_keys = plugins.trusted_keys.iter().map(key).collect::<Result<Vec<_>>>()?;
        if plugins.require_signature && trusted_keys.is_empty() {
            let error = Location::new(path, text, None)
                .error("`[plugins] require_signature` without `trusted_keys`: no component could ever be loaded");
            return Err(
                error.with_hint("`so8t plugin keygen` makes a key; its public half belongs into `trusted_keys`")
            );
        }
        let maxima = tables.limits.as_ref().map(|limits| *limits.get_ref()).unwrap_or_default();
        if let Some(limits) =
            tables.limits.filter(|limits| limits.get_ref().seconds.is_some_and(|most| most.is_nan() || most <= 0.0))
        {
            return Err(at(limits.span()).error("`[limits] seconds`: expected a number greater than 0"));
        }
        let registry =
            |entry: &Spanned<String>| {
                let name = entry.get_ref();
                match format!("{SCHEME}{name}/a:b").parse::<Reference>() {
                    Ok(reference) if reference.registry == *name => Ok(name.clone()),
                    _ => Err(at(entry.span())
                        .error(format!("`{name}` is no registry: expected a host, or a host and a port"))),
                }
            };
        let variable = |entry: &Spanned<String>| {
            let name = entry.get_ref();
            match !name.is_empty() && !name.contains(['=', '}', '\0']) {
                true => Ok(name.clone()),
                false => {
                    Err(at(entry.span()).error(format!("`[environment] names`: `{name}` is no name of a variable")))
                }
            }
        };
        Ok(Self {
            path: Some(path.to_owned()),
            sha256: Some(files::sha256(text.as_bytes())),
            allow: plugins.allow.as_deref().map(patterns).transpose()?.unwrap_or(defaults.allow),
            require_signature: plugins.require_signature,
            trusted_keys,
            text: patterns(&plugins.text)?,
            maxima,
            compile: tables.compile.bounds().map_err(|(span, text)| at(span).error(text))?,
            plain_http: tables.registries.plain_http.iter().map(registry).collect::<Result<_>>()?,
            token_hosts: tables.registries.token_hosts.iter().map(registry).collect::<Result<_>>()?,
            environment: match &tables.environment {
                Some(table) => EnvironmentRule::Names(table.names.iter().map(variable).collect::<Result<_>>()?),
                None => EnvironmentRule::default(),
            },
            bounds: tables.bounds.bounds().map_err(|(span, text)| at(span).error(text))?,
        })
    }

    /// How messages name the policy.
    pub fn title(&self) -> String {
        match &self.path {
            Some(path) => format!("the policy `{}`", path.display()),
            None => "the default policy".to_owned(),
        }
    }

    /// What a user has to write, and where, so that something is granted.
    pub(super) fn advice(&self, line: &str) -> String {
        let place = self.path.clone().or_else(default_path).unwrap_or_else(|| "policy.toml".into());
        format!("under `[plugins]` in `{}`, this line would allow it: `{line}`", place.display())
    }

    /// Whether components of this reference, or those with this digest, may be loaded.
    pub fn allows(&self, source: &ComponentSource, sha256: Option<&str>) -> bool {
        self.allows_written(&written(source), sha256)
    }

    /// As [`Policy::allows`], of a source as [`written`] gives it.
    pub(super) fn allows_written(&self, written: &str, sha256: Option<&str>) -> bool {
        self.allow.iter().any(|pattern| pattern.matches(written, sha256))
    }

    /// Whether some components are allowed by their digest.
    pub(super) fn allows_digests(&self) -> bool {
        self.allow.iter().any(|pattern| is_digest(&pattern.0))
    }

    /// Whether a component may see the requests' text.
    pub fn grants_text(&self, source: &ComponentSource, sha256: &str) -> bool {
        self.grants_text_written(&written(source), sha256)
    }

    /// As [`Policy::grants_text`], of a source as [`written`] gives it.
    pub(super) fn grants_text_written(&self, written: &str, sha256: &str) -> bool {
        self.text.iter().any(|pattern| pattern.matches(written, Some(sha256)))
    }

    /// How a registry is spoken to.
    pub fn manner(&self, reference: &Reference) -> Manner<'_> {
        Manner { plain: self.is_plain(reference), token_hosts: &self.token_hosts }
    }

    /// Whether a registry is spoken to without encryption.
    pub fn is_plain(&self, reference: &Reference) -> bool {
        reference.is_loopback() || self.plain_http.contains(&reference.registry)
    }
}

impl Maxima {
    /// The keys whose limits are beyond what is allowed: what is asked for, and the most.
    pub fn beyond(&self, limits: &Limits) -> Vec<(&'static str, String, String)> {
        const MIB: u64 = 1 << 20;
        let whole = |key, asked: u64, most: Option<u64>, unit: u64| {
            let most = most.filter(|most| asked > most.saturating_mul(unit))?;
            Some((key, asked.div_ceil(unit).to_string(), most.to_string()))
        };
        let seconds = self.seconds.filter(|most| limits.seconds > *most);
        [
            whole("fuel", limits.fuel, self.fuel, 1),
            seconds.map(|most| ("seconds", limits.seconds.to_string(), most.to_string())),
            whole("memory_mb", limits.memory_bytes, self.memory_mb, MIB),
            whole("result_mb", limits.lifted_bytes, self.result_mb, MIB),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Lowers the limit of a key to the most that is allowed.
    pub fn lower(&self, limits: &mut Limits, key: &str) {
        const MIB: u64 = 1 << 20;
        match key {
            "fuel" => limits.fuel = self.fuel.unwrap_or(limits.fuel),
            "seconds" => limits.seconds = self.seconds.unwrap_or(limits.seconds),
            "memory_mb" => limits.memory_bytes = self.memory_mb.map_or(limits.memory_bytes, |most| most * MIB),
            "result_mb" => limits.lifted_bytes = self.result_mb.map_or(limits.lifted_bytes, |most| most * MIB),
            _ => {}
        }
    }
}

impl Pattern {
    /// Reads `builtin:…`, `path:…`, `oci://…` (each with `*` for any text) or `sha256:` and a digest.
    ///
    /// # Errors
    ///
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("sha256:") {
            return match is_digest(text) {
                true => Ok(Self(text.to_owned())),
                false => Err(format!("`{text}`: expected `sha256:` and 64 lower-case hexadecimal digits")),
            };
        }
        if let Some(rest) = text.strip_prefix(SCHEME) {
            // `oci://ghcr.io*` would let in `ghcr.io.elsewhere.org`.
            return match rest.split_once('/') {
                _ if rest == "*" => Ok(Self(text.to_owned())),
                Some((registry, name)) if !registry.contains('*') && !name.is_empty() => Ok(Self(text.to_owned())),
                _ => {
                    Err(format!("`{text}`: expected a whole registry before the first `*`, such as `oci://ghcr.io/*`"))
                }
            };
        }
        match text.starts_with("builtin:") || text.starts_with("path:") {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("`{text}`: expected `builtin:…`, `path:…`, `oci://…` or `sha256:…`")),
        }
    }

    fn matches(&self, written: &str, sha256: Option<&str>) -> bool {
        if let Some(digest) = self.0.strip_prefix("sha256:") {
            return sha256 == Some(digest);
        }
        matches(self.0.as_bytes(), written.as_bytes())
    }
}

/// A source as patterns are compared with it: paths are absolute, links and `..` are followed.
fn written(source: &ComponentSource) -> String {
    let path = match source {
        ComponentSource::Path(path) => path.clone(),
        ComponentSource::Builtin(name) => match super::builtin::file(name) {
            Some(path) => path,
            None => return source.to_string(),
        },
        ComponentSource::Oci(_) => return source.to_string(),
    };
    let full = std::fs::canonicalize(&path).or_else(|_| std::path::absolute(&path));
    format!("path:{}", full.unwrap_or(path).display())
}

/// Whether a text matches a pattern in which `*` stands for any text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut pieces = pattern.split(|byte| *byte == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for piece in pieces {
        if let Some(piece) = last.replace(piece) {
            let piece: &[u8] = piece;
            match (0..=rest.len()).find(|start| rest[*start..].starts_with(piece)) {
                Some(start) => rest = &rest[start + piece.len()..],
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// Whether something lies at a path. What cannot be looked at, for want of a permission for example, is taken to be there: to read it then
/// fails, and is told.
fn is_there(path: &Path) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    !matches!(std::fs::symlink_metadata(path), Err(e) if matches!(e.kind(), NotFound | NotADirectory))
}

/// `so8t/policy.toml` in the user's folder of configurations.
fn default_path() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(base.join("so8t").join("policy.toml"))
}

/// An error of a component that the policy does not let in.
pub(super) fn refused(policy: &Policy, plugin: &str, written: &str, sha256: Option<&str>) -> Error {
    let digest = sha256.map(|sha256| format!(" (sha256 `{sha256}`)")).unwrap_or_default();
    let text = format!("plugin `{plugin}`: {} does not allow `{}`{digest}", policy.title(), written);
    let mut allow: Vec<&str> = policy.allow.iter().map(|pattern| pattern.0.as_str()).collect();
    allow.push(written);
    Error::plugin(text).with_hint(policy.advice(&format!("allow = [\"{}\"]", allow.join("\", \""))))
}
