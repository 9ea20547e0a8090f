//! Components in OCI registries.

#[cfg(feature = "registry")]
mod client;
#[cfg(feature = "registry")]
mod http;
pub mod layout;
#[cfg(feature = "registry")]
mod token;

#[cfg(feature = "registry")]
pub use client::{digest_of, fetch, push};

/// How a registry is spoken to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner<'a> {
    /// Whether without encryption.
    pub plain: bool,
    /// Hosts that may be given any registry's credentials, besides the registry's own, for they make its tokens.
    pub token_hosts: &'a [String],
}

/// An artefact that was fetched, its digests checked.
pub struct Fetched {
    /// The digest of the manifest: what a lock file pins.
    pub digest: String,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The component.
    pub component: Vec<u8>,
}

#[cfg(not(feature = "registry"))]
mod absent {
    use super::{Fetched, Manner};
    use crate::Reference;
    use so8t_base::{Error, Result};

    fn absent(reference: &Reference) -> Error {
        Error::plugin(format!("`{reference}` cannot be reached: this build of so8t has no registry client"))
            .with_hint("build it with the feature `registry`")
    }

    /// Without the feature `registry` there is no client.
    pub fn digest_of(reference: &Reference, _: Manner<'_>) -> Result<String> {
        Err(absent(reference))
    }

    /// Without the feature `registry` there is no client.
    pub fn fetch(reference: &Reference, _: Manner<'_>) -> Result<Fetched> {
        Err(absent(reference))
    }
}
#[cfg(not(feature = "registry"))]
pub use absent::{digest_of, fetch};
