//! `SHA256SUMS`: the digest of every file of a run's folder, so that a changed byte is found and named. It is what `sha256sum`
//! writes, and `sha256sum -c SHA256SUMS` reads it; lines that begin with `#` say where the manifest lies, and what the digest of the
//! lines above is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::{Error, Result, files};

/// The file's name.
pub(in crate::pipeline) const FILE: &str = "SHA256SUMS";

const MANIFEST: &str = "# manifest: ";
const OWN: &str = "# sha256 of the lines above: ";

/// What `SHA256SUMS` says.
#[derive(Debug)]
pub(in crate::pipeline) struct Seal {
    /// The digest of each file, by its path in the folder.
    pub(in crate::pipeline) files: BTreeMap<String, String>,
    /// The manifest that was run, relative to the folder.
    pub(in crate::pipeline) manifest: PathBuf,
}

/// Takes the seal off a folder that is about to change.
pub(in crate::pipeline) fn lift(folder: &Path) -> Result<()> {
    let path = folder.join(FILE);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &path, &e)),
        _ => Ok(()),
    }
}

/// Writes the digests of all files in a run's folder.
pub(in crate::pipeline) fn write(folder: &Path, manifest: &Path) -> Result<()> {
    let mut text = format!("{MANIFEST}{}\n", relative(manifest, folder).display());
    for name in list(folder)? {
        text.push_str(&format!("{}  {name}\n", files::sha256_file(&folder.join(&name))?));
    }
    text.push_str(&format!("{OWN}{}\n", files::sha256(text.as_bytes())));
    files::write(&folder.join(FILE), text.as_bytes())
}

/// Reads `SHA256SUMS`.
///
/// # Errors
/// Where it is lacking, or is not as it was written.
pub(in crate::pipeline) fn read(folder: &Path) -> Result<Seal> {
    let path = folder.join(FILE);
    if !path.is_file() {
        return Err(Error::data(format!(
            "`{}` has no `{FILE}`: expected the folder of a run that ended",
            folder.display()
        ))
        .with_hint("the command that wrote the folder writes it at its end; run it again"));
    }
    let changed = || Error::data(format!("`{FILE}`: its own digest does not fit: the file was changed"));
    let text = files::read_text(&path).map_err(|_| changed())?;
    let (body, own) = text.rfind(OWN).map(|place| text.split_at(place)).ok_or_else(changed)?;
    if own != format!("{OWN}{}\n", files::sha256(body.as_bytes())) {
        return Err(changed());
    }
    let mut lines = body.lines();
    let manifest = lines.next().and_then(|line| line.strip_prefix(MANIFEST)).ok_or_else(changed)?;
    let entry = |line: &str| line.split_once("  ").map(|(digest, name)| (name.to_owned(), digest.to_owned()));
    let files = lines.map(entry).collect::<Option<_>>().ok_or_else(changed)?;
    Ok(Seal { files, manifest: PathBuf::from(manifest) })
}

/// What is wrong with the files of a folder: a name and what is wrong, for each that was changed, is lacking, or was added.
pub(in crate::pipeline) fn faults(folder: &Path, seal: &Seal) -> Result<Vec<(String, String)>> {
    let found = list(folder)?;
    let mut faults = Vec::new();
    for (name, expected) in &seal.files {
        let path = folder.join(name);
        if !found.contains(name) {
            faults.push((name.clone(), "is lacking".to_owned()));
            continue;
        }
        match files::sha256_file(&path) {
            Ok(digest) if digest == *expected => {}
            Ok(digest) => faults.push((name.clone(), format!("has sha256 `{digest}`, recorded is `{expected}`"))),
            Err(error) => faults.push((name.clone(), error.to_string())),
        }
    }
    let added = found.into_iter().filter(|name| !seal.files.contains_key(name));
    faults.extend(added.map(|name| (name, "was added: it is not among the run's files".to_owned())));
    Ok(faults)
}

/// All files below a folder but the seal, by their paths with `/`, sorted.
fn list(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let full = folder.join(&inner);
        for entry in fs::read_dir(&full).map_err(|e| Error::io("read", &full, &e))? {
            let entry = entry.map_err(|e| Error::io("read", &full, &e))?;
            let path = inner.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                _ => names.push(path),
            }
        }
    }
    let spelled = |path: PathBuf| path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
    let mut names: Vec<String> = names.into_iter().map(spelled).filter(|name| name != FILE).collect();
    names.sort();
    Ok(names)
}

/// `path` as it is found from `folder`, with as many `..` as are needed, so that both can be moved together.
fn relative(path: &Path, folder: &Path) -> PathBuf {
    let (Ok(path), Ok(folder)) = (fs::canonicalize(path), fs::canonicalize(folder)) else { return path.to_owned() };
    let same = path.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(same).map(|_| Component::ParentDir);
    up.chain(path.components().skip(same)).collect()
}
