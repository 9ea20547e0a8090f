//! Whether, and as what, a component comes in: the policy, the lock file, the registry and the cache of what was fetched.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lock::{Entry, EntryKind, Lock};
use super::opened::Opened;
use super::policy::{self, Policy};
use super::reference::{ComponentSource, Reference};
use super::registry::{self, layout::Manifest};
use super::signature::{self, Verdict};
use super::store::Store;
use super::{PluginSpec, default_cache_folder, load};
use so8t_base::{Error, Result, files};

/// What a remote reference may resolve to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// What the lock file says; a reference that it lacks is resolved.
    #[default]
    Open,
    /// What the lock file says, and nothing else.
    Locked,
    /// What the tag names now.
    Update,
}

/// Where a component came from, and who vouches for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// For a remote reference, the digest of its manifest: `sha256:` and 64 hexadecimal digits.
    pub resolved: Option<String>,
    /// The id of the trusted key that signed it.
    pub signer: Option<String>,
}

/// What decides which components a [`super::Host`] loads.
#[derive(Clone)]
pub struct Admission {
    policy: Arc<Policy>,
    lock: Arc<Lock>,
    resolution: Resolution,
    cache: Option<PathBuf>,
    notes: Notes,
}

type Notes = Arc<dyn Fn(&str) + Send + Sync>;

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("policy", &self.policy).field("resolution", &self.resolution).finish()
    }
}

impl Default for Admission {
    fn default() -> Self {
        Self::new(Policy::default())
    }
}

/// A component that may be loaded.
pub struct Admitted {
    /// The component.
    pub bytes: std::borrow::Cow<'static, [u8]>,
    /// Its SHA-256, in lower-case hexadecimal.
    pub digest: String,
    /// The text of its signature, where it has one.
    pub signature: Option<String>,
    /// Where it came from, and who signed it.
    pub provenance: Provenance,
}

impl Admission {
    /// A policy, without a lock file.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy: Arc::new(policy),
            lock: Arc::default(),
            resolution: Resolution::Open,
            cache: default_cache_folder(),
            notes: Arc::new(|_| {}),
        }
    }

    /// What remote references resolve to.
    #[must_use]
    pub fn with_lock(mut self, lock: Lock, resolution: Resolution) -> Self {
        (self.lock, self.resolution) = (Arc::new(lock), resolution);
        self
    }

    /// Keeps what is fetched below another folder, or nowhere.
    #[must_use]
    pub fn with_cache(mut self, folder: Option<&Path>) -> Self {
        self.cache = folder.map(Path::to_owned);
        self
    }

    /// Tells `notes` what a user should know, such as a tag that has moved.
    #[must_use]
    pub fn with_notes(mut self, notes: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.notes = Arc::new(notes);
        self
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Holds a plugin against the policy and the lock file, and gets its bytes. It is not compiled, let alone run.
    ///
    /// # Errors
    ///
    /// A component that is not allowed, not signed as it must be, not what is locked, or that cannot be had.
    pub fn fetch(&self, spec: &PluginSpec) -> Result<Admitted> {
        let policy = &*self.policy;
        if let Some((key, asked, most)) = policy.maxima.beyond(&spec.limits).into_iter().next() {
            return Err(Error::plugin(format!(
                "plugin `{}`: asks for `{key} = {asked}`: {} allows at most `{key} = {most}`",
                spec.name,
                policy.title()
            )));
        }
        let source = &spec.component;
        // A file is opened once, and the policy is asked about the file that is open.
        let opened = Opened::of(spec)?;
        let (is_file, beside) = (opened.is_some(), opened.as_ref().map(|opened| opened.named.clone()));
        let written = opened.as_ref().map_or_else(|| source.to_string(), Opened::written);
        let by_name = policy.allows_written(&written, None);
        // Only a digest can still let it in; a registry that is not allowed is asked for nothing that is not pinned.
        let known = match source {
            ComponentSource::Oci(reference) => {
                spec.sha256.clone().or_else(|| Some(self.locked(spec, reference)?.sha256.clone()))
            }
            _ => None,
        };
        let may_be = match source {
            ComponentSource::Oci(_) => known.is_some() && policy.allows_written(&written, known.as_deref()),
            _ => policy.allows_digests(),
        };
        if !by_name && !may_be {
            return Err(policy::refused(policy, &spec.name, &written, known.as_deref()));
        }
        let (bytes, signature, resolved) = match source {
            ComponentSource::Oci(reference) => {
                let (bytes, signature, resolved) = self.remote(spec, reference)?;
                (bytes.into(), signature, resolved)
            }
            ComponentSource::Path(_) | ComponentSource::Builtin(_) => {
                let signature = beside.map(|path| self.signature_beside(spec, &path)).transpose()?.flatten();
                (load::read(spec, opened)?, signature, None)
            }
        };
        let digest = files::sha256(&bytes);
        if !by_name && !policy.allows_written(&written, Some(&digest)) {
            return Err(policy::refused(policy, &spec.name, &written, Some(&digest)));
        }
        let is_carried = !is_file && matches!(source, ComponentSource::Builtin(_));
        let signer = self.signer(spec, &bytes, signature.as_deref(), is_carried)?;
        if spec.texts && !policy.grants_text_written(&written, &digest) {
            let text = format!(
                "plugin `{}`: asks for the requests' text (`texts = true`), which {} does not grant to `{}`",
                spec.name,
                policy.title(),
                written
            );
            let hint = policy.advice(&format!("text = [\"{written}\"]"));
            return Err(Error::plugin(text).with_hint(hint));
        }
        Ok(Admitted { bytes, digest, signature, provenance: Provenance { resolved, signer } })
    }

    /// The id of the trusted key that signed a component.
    fn signer(
        &self,
        spec: &PluginSpec,
        bytes: &[u8],
        signature: Option<&str>,
        is_carried: bool,
    ) -> Result<Option<String>> {
        let policy = &*self.policy;
        let refuse = |text: String| Error::plugin(format!("plugin `{}`: `{}` {text}", spec.name, spec.component));
        let required = policy.require_signature && !is_carried;
        let ids = || policy.trusted_keys.iter().map(|key| key.id().to_owned()).collect::<Vec<_>>().join("`, `");
        match signature {
            None if required => {
                let text = format!("is not signed: {} wants a signature by one of `{}`", policy.title(), ids());
                Err(refuse(text).with_hint(
                    "whoever holds such a key signs the component with `so8t plugin sign`, and pushes it again where it lies in a registry",
                ))
            }
            None => Ok(None),
            Some(text) => match signature::verify(bytes, text, &policy.trusted_keys) {
                Ok(Verdict::Signed(id)) => Ok(Some(id)),
                Ok(Verdict::Unknown(id)) if required => Err(refuse(format!(
                    "is signed by key `{id}`, which {} does not trust: expected one of `{}`",
                    policy.title(),
                    ids()
                ))),
                Ok(Verdict::Unknown(_)) => Ok(None),
                Err(text) if required || !policy.trusted_keys.is_empty() => Err(refuse(text)),
                Err(_) => Ok(None),
            },
        }
    }

    /// The signature beside a file, where there is one.
    fn signature_beside(&self, spec: &PluginSpec, path: &Path) -> Result<Option<String>> {
        let path = signature::beside(path);
        let most = signature::MAX_SIGNATURE_BYTES as u64;
        match std::fs::metadata(&path) {
            Ok(found) if found.is_file() && found.len() <= most => files::read_text_at_most(&path, most)
                .map(Some)
                .map_err(|e| e.context(format!("plugin `{}`", spec.name))),
            // What is no signature file is answered as a broken signature.
            Ok(_) => Ok(Some(String::new())),
            Err(_) => Ok(None),
        }
    }

    /// What the lock file says of a remote reference.
    fn locked(&self, spec: &PluginSpec, reference: &Reference) -> Option<&Entry> {
        let path = reference.to_string();
        self.lock.entries.iter().find(|entry| {
            entry.kind == EntryKind::Component
                && entry.name == spec.name
                && entry.path == path
                && entry.resolved.is_some()
        })
    }

    /// The bytes and the signature of a remote component, and its manifest's digest.
    fn remote(&self, spec: &PluginSpec, reference: &Reference) -> Result<(Vec<u8>, Option<String>, Option<String>)> {
        let title = |e: Error| e.context(format!("plugin `{}`", spec.name));
        let store = self.cache.as_deref().map(Store::open).transpose()?;
        let manner = self.policy.manner(reference);
        let locked = self.locked(spec, reference);
        if locked.is_none() && reference.digest.is_none() && self.resolution == Resolution::Locked {
            let text = format!("plugin `{}`: `{reference}` is not in `{}`", spec.name, Lock::FILE);
            return Err(Error::manifest(text).with_hint(
                "name it by its digest, as `so8t plugin push` and `pull` print it; or `so8t prepare` without `--locked` records what it names now",
            ));
        }
        let pinned = match locked.filter(|_| self.resolution != Resolution::Update) {
            Some(entry) => entry.resolved.clone(),
            None => reference.digest.clone(),
        };
        let cached = |digest: &String| {
            let manifest = store.as_ref()?.get(digest)?;
            let layer = Manifest::parse(&manifest).ok()?.layer().digest.clone();
            Some((store.as_ref()?.get(&layer)?, manifest))
        };
        let (bytes, manifest, digest) = match pinned.as_ref().and_then(|digest| Some((cached(digest)?, digest.clone())))
        {
            Some(((bytes, manifest), digest)) => (bytes, manifest, digest),
            None => {
                let asked = pinned.as_deref().map_or_else(|| reference.clone(), |digest| reference.pinned(digest));
                let fetched = registry::fetch(&asked, manner).map_err(title)?;
                self.tell_of_a_move(spec, reference, locked, &fetched.digest, manner);
                if let Some(store) = &store {
                    // A cache that cannot be written costs time and nothing else.
                    let _ = store.put(&fetched.manifest).and_then(|()| store.put(&fetched.component));
                }
                (fetched.component, fetched.manifest, fetched.digest)
            }
        };
        if let Some(entry) = locked.filter(|_| self.resolution != Resolution::Update) {
            let found = files::sha256(&bytes);
            if found != entry.sha256 {
                return Err(Error::plugin(format!(
                    "plugin `{}`: `{reference}` has sha256 `{found}`, locked is `{}`",
                    spec.name, entry.sha256
                )));
            }
        }
        let refuse = |text: String| Error::plugin(format!("plugin `{}`: `{reference}` {text}", spec.name));
        let signature = Manifest::parse(&manifest).map_err(refuse)?.signature().map(str::to_owned);
        Ok((bytes, signature, Some(digest)))
    }

    /// Says where a tag names another artefact than the lock file does. It is asked only where the network is used anyway.
    fn tell_of_a_move(
        &self,
        spec: &PluginSpec,
        reference: &Reference,
        locked: Option<&Entry>,
        used: &str,
        manner: registry::Manner<'_>,
    ) {
        let Some(before) = locked.and_then(|entry| entry.resolved.as_deref()) else { return };
        if reference.tag.is_none() || reference.digest.is_some() {
            return;
        }
        let (now, what) = match self.resolution {
            Resolution::Update => (Ok(used.to_owned()), "which is used from now on"),
            _ => (registry::digest_of(reference, manner), "which is not used"),
        };
        if let Some(now) = now.ok().filter(|now| now != before) {
            (self.notes)(&format!(
                "plugin `{}`: the tag of `{reference}` has moved since it was locked, from `{before}` to `{now}`, {what}",
                spec.name
            ));
        }
    }
}
