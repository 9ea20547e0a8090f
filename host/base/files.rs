//! Files that are whole or absent, and their digests.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

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
    let (temporary, file) = create_beside(path).map_err(|e| Error::io("write", path, &e))?;
    let result = (|| {
        let mut file = io::BufWriter::with_capacity(1 << 16, file);
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

/// How often a temporary name is drawn before it is believed that none is free.
const DRAWS: usize = 16;

/// A name beside `path` that nobody can guess and that [`is_temporary`] recognises: `NAME.`, 16 hexadecimal digits, `.tmp`.
pub fn temporary_beside(path: &Path) -> PathBuf {
    // The keys of the standard library's hashes come from the system's source of randomness.
    let drawn = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{drawn:016x}.tmp"));
    path.with_file_name(name)
}

/// Whether a name is one that [`temporary_beside`] gives for the file or folder `of`.
pub fn is_temporary(name: &str, of: &str) -> bool {
    let drawn = name.strip_prefix(of).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".tmp"));
    drawn.is_some_and(|drawn| {
        drawn.len() == 16 && drawn.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// A new file under a temporary name beside `path`. Whatever lies at a name already, a link too, is left alone and never opened.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..DRAWS {
        let temporary = temporary_beside(path);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => last = e,
            Err(e) => return Err(e),
        }
    }
    Err(last)
}

/// A new, empty folder under a temporary name beside `path`. Folders above it are made.
pub fn folder_beside(path: &Path) -> Result<PathBuf> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, &e))?;
    }
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..DRAWS {
        let temporary = temporary_beside(path);
        match fs::create_dir(&temporary) {
            Ok(()) => return Ok(temporary),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => last = e,
            Err(e) => return Err(Error::io("create", &temporary, &e)),
        }
    }
    Err(Error::io("create", path, &last))
}

/// Puts the names of a folder's files on the disk, so that a rename outlives a loss of power. Where a folder cannot be opened as
/// a file, nothing is done.
pub fn sync_folder(folder: &Path) -> Result<()> {
    match File::open(folder) {
        Ok(folder_file) if cfg!(unix) => folder_file.sync_all().map_err(|e| Error::io("write", folder, &e)),
        _ => Ok(()),
    }
}

/// The most bytes of a file that is read whole, where nothing smaller is said of its kind: 8 GiB.
pub const MOST_WHOLE: u64 = 8 << 30;
/// The most bytes of a small text that a person or so8t writes, such as a manifest, a policy, a key or a report: 256 MiB.
pub const MOST_TEXT: u64 = 256 << 20;
/// The most bytes that are read from what is no plain file and so tells no length: a pipe, a terminal, a device: 64 MiB.
pub const MOST_UNSIZED: u64 = 64 << 20;

/// Reads a whole file of at most [`MOST_WHOLE`] bytes.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_at_most(path, MOST_WHOLE)
}

/// Reads a whole file of at most `most` bytes; of what is no plain file, at most [`MOST_UNSIZED`] too.
///
/// # Errors
/// A file that cannot be read or is longer.
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let io = |e: io::Error| Error::io("read", path, &e);
    let file = File::open(path).map_err(io)?;
    let found = file.metadata().map_err(io)?;
    let (most, length) = match found.is_file() {
        true => (most, found.len()),
        false => (most.min(MOST_UNSIZED), 0),
    };
    let too_long = |found: &str| {
        let text = format!("cannot read `{}`: expected at most {most} bytes, found {found}", path.display());
        Error::new(crate::Kind::Io, text)
    };
    if length > most {
        return Err(too_long(&format!("{length}")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(most + 1).read_to_end(&mut bytes).map_err(io)?;
    match bytes.len() as u64 > most {
        true => Err(too_long("more")),
        false => Ok(bytes),
    }
}

/// Reads a whole file that must be UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    text(path, read(path)?)
}

/// Reads a whole file of at most `most` bytes that must be UTF-8.
///
/// # Errors
/// As [`read_at_most`]; bytes that are not UTF-8.
pub fn read_text_at_most(path: &Path, most: u64) -> Result<String> {
    text(path, read_at_most(path, most)?)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|e| {
        Error::new(
            crate::Kind::Io,
            format!("cannot read `{}`: byte {} is not UTF-8", path.display(), e.utf8_error().valid_up_to()),
        )
    })
}

/// Opens a plain file. A link is followed; a folder, a pipe or a device is refused before it is opened, since opening one may
/// wait for ever, and again when it is open.
///
/// # Errors
/// A file that cannot be opened, or is none.
pub fn open_plain(path: &Path) -> Result<File> {
    let io = |e: io::Error| Error::io("read", path, &e);
    let other = || Error::new(crate::Kind::Io, format!("`{}` is no plain file: expected one", path.display()));
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(other());
    }
    let file = File::open(path).map_err(io)?;
    match file.metadata().map_err(io)?.is_file() {
        true => Ok(file),
        false => Err(other()),
    }
}

/// As [`open_plain`], but that a link is refused too: what is opened is the file of that name itself.
///
/// # Errors
/// As [`open_plain`]; a link.
pub fn open_unlinked(path: &Path) -> Result<File> {
    let io = |e: io::Error| Error::io("read", path, &e);
    let other =
        |what: &str| Error::new(crate::Kind::Io, format!("`{}` is {what}: expected a plain file", path.display()));
    let named = fs::symlink_metadata(path).map_err(io)?;
    if !named.is_file() {
        return Err(other(kind_of(named.file_type())));
    }
    let file = File::open(path).map_err(io)?;
    let found = file.metadata().map_err(io)?;
    #[cfg(unix)]
    let same = {
        use std::os::unix::fs::MetadataExt as _;
        (found.dev(), found.ino()) == (named.dev(), named.ino())
    };
    #[cfg(not(unix))]
    let same = true;
    match found.is_file() && same {
        true => Ok(file),
        false => Err(other("another file than a moment ago")),
    }
}

/// What a name in a folder leads to, in words, where it is no plain file.
pub fn kind_of(kind: fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    match () {
        () if kind.is_symlink() => "a link",
        () if kind.is_dir() => "a folder",
        () if kind.is_file() => "a plain file",
        () => "no plain file",
    }
}

/// The SHA-256 of `bytes`, in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The SHA-256 of a plain file, in lower-case hexadecimal, read in pieces.
pub fn sha256_file(path: &Path) -> Result<String> {
    sha256_of(path, open_plain(path)?)
}

/// The SHA-256 of an open file, from where it stands; `path` is for errors.
pub fn sha256_of(path: &Path, mut file: File) -> Result<String> {
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
