//! Where a component comes from, and how that is written: `builtin:NAME`, a path, `oci://REGISTRY/NAME:TAG`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// How a reference to a registry begins.
pub const SCHEME: &str = "oci://";

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComponentSource {
    /// A standard plugin that this program carries: one of [`super::builtin::NAMES`].
    Builtin(String),
    /// A file.
    Path(PathBuf),
    /// An artefact in a registry.
    Oci(Reference),
}

impl ComponentSource {
    /// Whether its bytes are part of this program.
    pub(super) fn is_carried(&self) -> bool {
        matches!(self, Self::Builtin(_)) && std::env::var_os(super::builtin::FOLDER_VARIABLE).is_none()
    }
}

impl fmt::Display for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(name) => write!(f, "builtin:{name}"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Oci(reference) => reference.fmt(f),
        }
    }
}

/// An artefact in an OCI registry: `oci://REGISTRY/NAME` with `:TAG`, `@sha256:DIGEST` (of its manifest), or both, where the digest
/// counts.
///
/// ```
/// use so8t_plugin::Reference;
/// let reference: Reference = "oci://ghcr.io/team/metric:1.0".parse().unwrap();
/// assert_eq!((reference.registry.as_str(), reference.repository.as_str()), ("ghcr.io", "team/metric"));
/// assert_eq!(reference.to_string(), "oci://ghcr.io/team/metric:1.0");
/// assert!("oci://ghcr.io/team/metric".parse::<Reference>().unwrap_err().contains("expected a tag or a digest"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Host and port.
    pub registry: String,
    /// The name within the registry.
    pub repository: String,
    /// The tag, which may move.
    pub tag: Option<String>,
    /// `sha256:` and 64 hexadecimal digits: the digest of the artefact's manifest.
    pub digest: Option<String>,
}

impl Reference {
    /// The same artefact by its digest alone.
    #[must_use]
    pub fn pinned(&self, digest: &str) -> Self {
        Self { tag: None, digest: Some(digest.to_owned()), ..self.clone() }
    }

    /// Whether the registry is on this machine, by name: it may be spoken to without encryption.
    pub fn is_loopback(&self) -> bool {
        let host = self.registry.rsplit_once(':').map_or(self.registry.as_str(), |(host, _)| host);
        host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |what: String| Err(format!("`{text}`: {what}"));
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return refuse(format!("expected `{SCHEME}REGISTRY/NAME:TAG`"));
        };
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (rest, None),
        };
        if let Some(digest) = digest.as_deref().filter(|digest| !is_digest(digest)) {
            return refuse(format!("`{digest}` is no digest: expected `sha256:` and 64 lower-case hexadecimal digits"));
        }
        let Some((registry, name)) = rest.split_once('/') else {
            return refuse("names no artefact: expected `oci://REGISTRY/NAME:TAG`".to_owned());
        };
        let (repository, tag) = match name.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (name, None),
        };
        let (host, port) = registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port)));
        let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
        if !is_host || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return refuse(format!("`{registry}` is no registry: expected a host, or a host and a port"));
        }
        let is_part = |part: &str| {
            let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
            edge(part.as_bytes().first()) && edge(part.as_bytes().last()) && part.bytes().all(inner)
        };
        if !repository.split('/').all(is_part) || repository.len() > 255 {
            return refuse(format!(
                "`{repository}` is no name: expected lower-case letters and digits, parted by `/`, `.`, `_` or `-`"
            ));
        }
        let is_tag = |tag: &str| {
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            tag.bytes().next().is_some_and(word)
                && tag.len() <= 128
                && tag.bytes().all(|b| word(b) || b".-".contains(&b))
        };
        if let Some(tag) = tag.as_deref().filter(|tag| !is_tag(tag)) {
            return refuse(format!("`{tag}` is no tag: expected letters, digits, `_`, `.` and `-`, at most 128"));
        }
        if tag.is_none() && digest.is_none() {
            return refuse("expected a tag or a digest, for example `:1.0`".to_owned());
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), tag, digest })
    }
}

/// Whether this is `sha256:` and 64 lower-case hexadecimal digits.
pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}
