//! Components and manifests from registries, kept by their digests below the cache folder: what was fetched once needs no network.

use std::fs;
use std::path::{Path, PathBuf};

use super::cache::make_private;
use super::reference::is_digest;
use so8t_base::{Result, files};

/// A private folder of blobs.
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens `folder`/artefacts, and makes it where it lacks. A folder that others can write to is refused.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let folder = folder.join("artefacts");
        make_private(&folder)?;
        Ok(Self { folder })
    }

    /// The blob with this digest (`sha256:…`), if it is there and whole.
    pub(super) fn get(&self, digest: &str) -> Option<Vec<u8>> {
        let bytes = fs::read(self.path(digest)?).ok()?;
        (format!("sha256:{}", files::sha256(&bytes)) == digest).then_some(bytes)
    }

    /// Keeps a blob.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<()> {
        files::write(&self.folder.join(format!("sha256-{}", files::sha256(bytes))), bytes)
    }

    fn path(&self, digest: &str) -> Option<PathBuf> {
        is_digest(digest).then(|| self.folder.join(digest.replace(':', "-")))
    }
}
