//! `SHA256SUMS`: the digest of every file of a run's folder, so that a changed byte is found and named. It is what `sha256sum`
//! writes, and `sha256sum -c SHA256SUMS` reads it; lines that begin with `#` say where the manifest lies, and what the digest of the
//! lines above is.

use std::collections::{BTreeMap, BTreeSet};
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

/// Writes the digests of all plain files in a run's folder. Returns what else lies there, which is not opened: its name, and what it is.
pub(in crate::pipeline) fn write(folder: &Path, manifest: &Path) -> Result<Vec<(String, &'static str)>> {
    let mut text =
        format!("{MANIFEST}{}\n", relative(manifest, folder).display().to_string().replace(['\n', '\r'], " "));
    let Listed { plain, others } = list(folder)?;
    for name in plain {
        let path = folder.join(&name);
        text.push_str(&format!("{}  {name}\n", files::sha256_of(&path, files::open_unlinked(&path)?)?));
    }
    text.push_str(&format!("{OWN}{}\n", files::sha256(text.as_bytes())));
    files::write(&folder.join(FILE), text.as_bytes())?;
    Ok(others)
}

/// Reads `SHA256SUMS`.
///
/// # Errors
/// Where it is lacking, or is not as it was written.
pub(in crate::pipeline) fn read(folder: &Path) -> Result<Seal> {
    let path = folder.join(FILE);
    if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
        return Err(Error::data(format!(
            "`{}` has no `{FILE}`: expected the folder of a run that ended",
            folder.display()
        ))
        .with_hint("the command that wrote the folder writes it at its end; run it again"));
    }
    let changed = || Error::data(format!("`{FILE}`: its own digest does not fit: the file was changed"));
    let text = files::read_text_at_most(&path, files::MOST_TEXT).map_err(|_| changed())?;
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

/// What is wrong with the files of a folder whose names are wanted: a name and what is wrong, for each that was changed, is lacking, or was added.
pub(in crate::pipeline) fn faults(
    folder: &Path,
    seal: &Seal,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<(String, String)>> {
    let Listed { plain, others } = list(folder)?;
    let found: BTreeSet<&str> = plain.iter().map(String::as_str).collect();
    let mut faults = Vec::new();
    for (name, expected) in seal.files.iter().filter(|(name, _)| wanted(name)) {
        let path = folder.join(name);
        if !found.contains(name.as_str()) {
            let what = match others.iter().find(|(other, _)| other == name) {
                Some((_, what)) => format!("is {what}: expected a plain file"),
                None => "is lacking".to_owned(),
            };
            faults.push((name.clone(), what));
            continue;
        }
        match files::open_unlinked(&path).and_then(|file| files::sha256_of(&path, file)) {
            Ok(digest) if digest == *expected => {}
            Ok(digest) => faults.push((name.clone(), format!("has sha256 `{digest}`, recorded is `{expected}`"))),
            Err(error) => faults.push((name.clone(), error.to_string())),
        }
    }
    let added = plain.iter().filter(|name| !seal.files.contains_key(*name) && wanted(name));
    faults.extend(added.map(|name| (name.clone(), "was added: it is not among the run's files".to_owned())));
    Ok(faults)
}

/// What lies in a folder and no seal names, for it is no plain file: its name, and what it is.
pub(in crate::pipeline) fn others(folder: &Path, seal: &Seal) -> Result<Vec<(String, &'static str)>> {
    let mut others = list(folder)?.others;
    others.retain(|(name, _)| !seal.files.contains_key(name));
    Ok(others)
}

/// What lies below a folder.
struct Listed {
    /// The plain files, by their paths with `/`, sorted.
    plain: Vec<String>,
    /// Whatever else there is, folders not counted, as it can be shown: its name, and what it is.
    others: Vec<(String, &'static str)>,
}

/// All that lies below a folder but the seal, and the list of what so8t wrote, which changes with each command. No link is followed.
fn list(folder: &Path) -> Result<Listed> {
    let (mut plain, mut others) = (Vec::new(), Vec::new());
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let full = folder.join(&inner);
        for entry in fs::read_dir(&full).map_err(|e| Error::io("read", &full, &e))? {
            let entry = entry.map_err(|e| Error::io("read", &full, &e))?;
            let path = inner.join(entry.file_name());
            let kind = entry.file_type().map_err(|e| Error::io("read", &full, &e))?;
            let shown = path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
            match () {
                () if shown == FILE => {}
                () if path.to_str().is_none() => others.push((shown, "of a name that is not UTF-8")),
                () if shown.contains(['\n', '\r']) => others.push((shown, "of a name with a line break")),
                () if kind.is_dir() => folders.push(path),
                () if kind.is_file() => plain.push(shown),
                () => others.push((shown, files::kind_of(kind))),
            }
        }
    }
    plain.sort();
    others.sort();
    Ok(Listed { plain, others })
}

/// `path` as it is found from `folder`, with as many `..` as are needed, so that both can be moved together.
fn relative(path: &Path, folder: &Path) -> PathBuf {
    let (Ok(path), Ok(folder)) = (fs::canonicalize(path), fs::canonicalize(folder)) else { return path.to_owned() };
    let same = path.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(same).map(|_| Component::ParentDir);
    up.chain(path.components().skip(same)).collect()
}
