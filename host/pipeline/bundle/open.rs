//! Opening a bundle: its files are unpacked to a folder of their own, each held against the index.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tar::{Archive, Entry, EntryType};

use super::index::{Index, MOST_INDEX, NAME, SIGNATURE};
use crate::plugin::signature::{self, MAX_SIGNATURE_BYTES, TrustedKey, Verdict};
use crate::{Error, Result, files};

/// Whose bundles are opened.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those that one of these keys signed.
    Keys(Vec<TrustedKey>),
    /// Any: the digests say that it is whole, and nobody says whose it is.
    Anybody,
}

/// A bundle whose files lie in a folder.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// The run's folder.
    pub run: PathBuf,
    /// What `[model] base` stands for.
    pub model: PathBuf,
    /// The id of the key that signed it.
    pub signed_by: Option<String>,
}

/// Whether a file is an archive that begins with an index.
pub fn is_bundle(path: &Path) -> bool {
    let mut head = [0; 512];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    path.is_file()
        && read.is_ok()
        && head.starts_with(NAME.as_bytes())
        && head[NAME.len()] == 0
        && head[257..262] == *b"ustar"
}

/// Unpacks a bundle below `cache`, where it stays for the next time. What lies there already is held against the index again.
///
/// # Errors
/// An archive that is not whole, or holds anything but what its index says; a signature that is missing, broken, or by another key.
pub fn open(path: &Path, cache: &Path, trust: &Trust) -> Result<Unpacked> {
    let bad = |what: String| Error::data(format!("the bundle `{}` {what}", path.display()));
    let file = files::open_plain(path)?;
    let length = file.metadata().map_err(|e| Error::io("read", path, &e))?.len();
    let mut archive = Archive::new(BufReader::with_capacity(1 << 20, file));
    let mut entries = archive.entries().map_err(|e| Error::io("read", path, &e))?.raw(true);
    let mut next = || match entries.next() {
        None => Ok(None),
        Some(entry) => entry.map(Some).map_err(|e| bad(format!("is not whole: {e}"))),
    };

    let text = match next()? {
        Some(entry) if named(&entry, NAME) => small(entry, MOST_INDEX, path)?,
        _ => return Err(bad(format!("does not begin with `{NAME}`: expected what `so8t bundle` writes"))),
    };
    let index = Index::parse(&text).map_err(|error| error.context(path.display()))?;
    if index.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.bytes)).is_none_or(|sum| sum > length) {
        return Err(bad("is shorter than its index says: it was cut off".to_owned()));
    }
    let mut waiting = next()?;
    let mut signed = None;
    if waiting.as_ref().is_some_and(|entry| named(entry, SIGNATURE)) {
        let entry = waiting.take().ok_or_else(|| Error::internal("an entry that was there"))?;
        signed = Some(String::from_utf8_lossy(&small(entry, MAX_SIGNATURE_BYTES as u64, path)?).into_owned());
        waiting = next()?;
    }
    let signed_by = match trust {
        Trust::Anybody => None,
        Trust::Keys(keys) => Some(check(&text, signed.as_deref(), keys).map_err(bad)?),
    };

    let folder = cache.join("bundles").join(files::sha256(&text));
    let unpacked = Unpacked { run: folder.join("run"), model: folder.join(&index.model), signed_by };
    if folder.is_dir() {
        match lies_there(&folder, &index) {
            Ok(()) => return Ok(unpacked),
            // It is made anew below.
            Err(_) => fs::remove_dir_all(&folder).map_err(|e| Error::io("remove", &folder, &e))?,
        }
    }
    let temporary = files::temporary_beside(&folder);
    let filled = (|| {
        for own in &index.files {
            let mut entry = match waiting.take() {
                Some(entry) => Some(entry),
                None => next()?,
            }
            .filter(|entry| named(entry, &own.path) && entry.size() == own.bytes)
            .ok_or_else(|| bad(format!("lacks `{}` where its index says that it is", own.path)))?;
            let found = place(&mut entry, &temporary.join(&own.path), path)?;
            if found != own.sha256 {
                return Err(bad(format!("has another `{}` than its index says: sha256 `{found}`", own.path)));
            }
        }
        match next()? {
            None => Ok(()),
            Some(_) => Err(bad("holds more than its index says".to_owned())),
        }
    })();
    // Another process may have been faster; what it made is as good.
    let moved = filled.and_then(|()| match fs::rename(&temporary, &folder) {
        Err(_) if folder.is_dir() => lies_there(&folder, &index),
        renamed => renamed.map_err(|e| Error::io("write", &folder, &e)),
    });
    if temporary.is_dir() {
        let _ = fs::remove_dir_all(&temporary);
    }
    moved.map(|()| unpacked)
}

/// The id of the key that signed an index.
fn check(index: &[u8], signed: Option<&str>, keys: &[TrustedKey]) -> std::result::Result<String, String> {
    let signed = signed.ok_or("is not signed, and a signature is asked for")?;
    match signature::verify(index, signed, keys)? {
        Verdict::Signed(id) => Ok(id),
        Verdict::Unknown(id) => Err(format!("is signed by key `{id}`, which is not trusted")),
    }
}

/// Whether an entry is a plain file of that name.
fn named(entry: &Entry<'_, impl Read>, name: &str) -> bool {
    entry.header().entry_type() == EntryType::Regular && *entry.path_bytes() == *name.as_bytes()
}

/// A small entry, whole.
fn small(entry: Entry<'_, impl Read>, most: u64, path: &Path) -> Result<Vec<u8>> {
    if entry.size() > most {
        return Err(Error::data(format!(
            "the bundle `{}` has an index or a signature of {} bytes: expected at most {most}",
            path.display(),
            entry.size()
        )));
    }
    let mut bytes = Vec::new();
    entry.take(most).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, &e))?;
    Ok(bytes)
}

/// Writes an entry to a new file and gives its digest.
fn place(entry: &mut impl Read, to: &Path, from: &Path) -> Result<String> {
    let parent = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, &e))?;
    let mut file = File::create_new(to).map_err(|e| Error::io("write", to, &e))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = entry.read(&mut buffer).map_err(|e| Error::io("read", from, &e))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        io::Write::write_all(&mut file, &buffer[..read]).map_err(|e| Error::io("write", to, &e))?;
    }
    file.sync_all().map_err(|e| Error::io("write", to, &e))?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Holds an unpacked bundle against its index.
fn lies_there(folder: &Path, index: &Index) -> Result<()> {
    for own in &index.files {
        let path = folder.join(&own.path);
        let found = files::sha256_of(&path, files::open_unlinked(&path)?)?;
        if found != own.sha256 {
            return Err(Error::data(format!("`{}` is not what the bundle holds", path.display())));
        }
    }
    Ok(())
}
