//! Files that are whole or absent, and their digests.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Writes `bytes` to `path` through a temporary name beside it and a rename, so that a reader sees all or nothing.
/// Folders above it are made.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// As [`write`], with the bytes written by `fill`.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<()>) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let result = (|| {
        let mut file = io::BufWriter::with_capacity(1 << 16, File::create(&temporary)?);
        fill(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        fs::rename(&temporary, path)
    })();
    result.map_err(|e| {
        let _ = fs::remove_file(&temporary);
        Error::io("write", path, &e)
    })
}

/// Puts the names of a folder's files on the disk, so that a rename outlives a loss of power. Where a folder cannot be opened as
/// a file, nothing is done.
pub fn sync_folder(folder: &Path) -> Result<()> {
    match File::open(folder) {
        Ok(folder_file) if cfg!(unix) => folder_file.sync_all().map_err(|e| Error::io("write", folder, &e)),
        _ => Ok(()),
    }
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::io("read", path, &e))
}

/// Reads a whole file that must be UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|e| {
        Error::new(
            crate::Kind::Io,
            format!("cannot read `{}`: byte {} is not UTF-8", path.display(), e.utf8_error().valid_up_to()),
        )
    })
}

/// The SHA-256 of `bytes`, in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The SHA-256 of a file, in lower-case hexadecimal, read in pieces.
pub fn sha256_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|e| Error::io("read", path, &e))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(|e| Error::io("read", path, &e))? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// The SHA-256 of bytes that come in pieces.
#[derive(Default)]
pub struct Hash(Sha256);

impl Hash {
    /// Takes the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest in lower-case hexadecimal.
    pub fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

/// As [`sha256_file`], but that the digest of a file which is as it was is taken from `cache`, a folder that this user alone can
/// write to: models of many gigabytes are hashed once, not at every start. A file is as it was where its path, its size, its inode
/// and the times of its last change are: the time of the inode's change cannot be set, so that no write goes unseen but one
/// within the clock's step, and for that files of the last seconds are not kept. Without such a folder, and on systems that
/// have no inodes, every file is hashed.
pub fn sha256_file_cached(path: &Path, cache: Option<&Path>) -> Result<String> {
    let entry = cache.and_then(|cache| cached::entry(path, cache));
    if let Some(entry) = &entry
        && let Ok(digest) = fs::read_to_string(entry)
        && digest.len() == 64
        && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Ok(digest);
    }
    let digest = sha256_file(path)?;
    // The file must not have changed while it was hashed. A cache that cannot be written costs time and nothing else.
    if entry.is_some()
        && entry == cache.and_then(|cache| cached::entry(path, cache))
        && let Some(entry) = entry
    {
        let _ = write(&entry, digest.as_bytes());
    }
    Ok(digest)
}

#[cfg(unix)]
mod cached {
    use std::fs;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    use std::path::{Path, PathBuf};
    use std::time::{SystemTime, UNIX_EPOCH};

    /// How old the last change must be, in seconds.
    const SETTLED: i64 = 3;

    /// Where the digest of a file is kept; `None` where it must not be.
    pub(super) fn entry(path: &Path, cache: &Path) -> Option<PathBuf> {
        let path = fs::canonicalize(path).ok()?;
        let found = fs::metadata(&path).ok()?;
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
        if found.mtime().max(found.ctime()) + SETTLED > now {
            return None;
        }
        let key = format!(
            "{}\n{} {} {} {}.{} {}.{}",
            path.display(),
            found.len(),
            found.dev(),
            found.ino(),
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec()
        );
        Some(private(&cache.join("digests"))?.join(super::sha256(key.as_bytes())))
    }

    /// The folder, made where it lacks, if nobody else can write to it.
    fn private(folder: &Path) -> Option<&Path> {
        if !folder.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).ok()?;
        }
        let found = fs::symlink_metadata(folder).ok()?;
        let is_own = fs::metadata("/proc/self").map_or(true, |own| own.uid() == found.uid());
        (found.is_dir() && is_own && found.mode() & 0o022 == 0).then_some(folder)
    }
}

#[cfg(not(unix))]
mod cached {
    use std::path::{Path, PathBuf};

    pub(super) fn entry(_: &Path, _: &Path) -> Option<PathBuf> {
        None
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Indented JSON with a closing line break.
pub fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes =
        serde_json::to_vec_pretty(value).map_err(|e| Error::internal(format!("a result has no JSON form: {e}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}
