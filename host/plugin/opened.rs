//! A component's file, opened once: what the policy is asked about is the file that is then read, whatever its name leads to meanwhile.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::load::MAX_COMPONENT_BYTES;
use super::reference::ComponentSource;
use super::{PluginSpec, builtin};
use so8t_base::{Error, Result};

/// A file that is open, and where it lies.
pub(super) struct Opened {
    file: File,
    /// As it was named.
    pub(super) named: PathBuf,
    /// Its whole path, links and `..` followed, under which this very file lay when it was open.
    path: PathBuf,
}

/// How often a file is opened whose name leads elsewhere each time.
const TRIES: usize = 8;

impl Opened {
    /// Opens the file that a plugin's component lies in; `None` for one that this program carries or a registry has.
    ///
    /// # Errors
    /// A file that cannot be opened, is none, or whose name leads to another one each time.
    pub(super) fn of(spec: &PluginSpec) -> Result<Option<Self>> {
        let path = match &spec.component {
            ComponentSource::Path(path) => path.clone(),
            ComponentSource::Builtin(name) => match builtin::file(name) {
                Some(path) => path,
                None => return Ok(None),
            },
            ComponentSource::Oci(_) => return Ok(None),
        };
        Self::open(&path).map(Some).map_err(|e| e.context(format!("plugin `{}`", spec.name)))
    }

    fn open(named: &Path) -> Result<Self> {
        let io = |e: std::io::Error| Error::io("read", named, &e);
        let no_file = || Error::plugin(format!("`{}` is not a file: expected a component", named.display()));
        for _ in 0..TRIES {
            // To open a pipe would be to wait for who writes it.
            if !fs::metadata(named).map_err(io)?.is_file() {
                return Err(no_file());
            }
            let file = File::open(named).map_err(io)?;
            if !file.metadata().map_err(io)?.is_file() {
                return Err(no_file());
            }
            let path = fs::canonicalize(named).map_err(io)?;
            if is_at(&file, &path) {
                return Ok(Self { file, named: named.to_owned(), path });
            }
        }
        Err(Error::plugin(format!("`{}` leads to another file each time: expected one component", named.display())))
    }

    /// As a policy's patterns spell it.
    pub(super) fn written(&self) -> String {
        format!("path:{}", self.path.display())
    }

    /// What it holds, or the number of its bytes where they are too many.
    pub(super) fn read(self) -> Result<std::result::Result<Vec<u8>, u64>> {
        let io = |e: std::io::Error| Error::io("read", &self.named, &e);
        let length = self.file.metadata().map_err(io)?.len();
        if length > MAX_COMPONENT_BYTES {
            return Ok(Err(length));
        }
        let mut bytes = Vec::new();
        (&self.file).take(MAX_COMPONENT_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        let read = bytes.len() as u64;
        Ok(if read > MAX_COMPONENT_BYTES { Err(read) } else { Ok(bytes) })
    }
}

/// Whether the file of this whole path, no link, is the one that is open.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |found: &fs::Metadata| (found.dev(), found.ino());
    let (Ok(open), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    there.is_file() && identity(&open) == identity(&there)
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}
