//! Components in OCI registries.

#[cfg(feature = "registry")]
mod client;
pub mod layout;

#[cfg(feature = "registry")]
pub use client::{digest_of, fetch, push};

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
    use super::Fetched;
    use crate::Reference;
    use so8t_base::{Error, Result};

    fn absent(reference: &Reference) -> Error {
        Error::plugin(format!("`{reference}` cannot be reached: this build of so8t has no registry client"))
            .with_hint("build it with the feature `registry`")
    }

    /// Without the feature `registry` there is no client.
    pub fn digest_of(reference: &Reference, _: bool) -> Result<String> {
        Err(absent(reference))
    }

    /// Without the feature `registry` there is no client.
    pub fn fetch(reference: &Reference, _: bool) -> Result<Fetched> {
        Err(absent(reference))
    }
}
#[cfg(not(feature = "registry"))]
pub use absent::{digest_of, fetch};
