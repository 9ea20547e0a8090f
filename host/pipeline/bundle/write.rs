//! Writing a bundle of a finished run.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::index::{Index, MODEL, NAME, Packed, RUN, SIGNATURE};
use crate::pipeline::measured::{Measured, Place, is_served};
use crate::pipeline::progress::Narrator;
use crate::pipeline::verify::checksums;
use crate::plugin::Policy;
use crate::{Error, Result, files};

/// What makes the text of a signature of some bytes.
pub type Sign<'a> = dyn Fn(&[u8]) -> Result<String> + 'a;

/// A bundle that was written.
#[derive(Clone, Debug)]
pub struct Bundled {
    /// What is in it.
    pub index: Index,
    /// The bytes of all its files.
    pub bytes: u64,
    /// How many of the run's held-out requests it holds.
    pub requests: usize,
}

/// Writes the bundle of the run in a folder to `out`. The run is opened as it is to be served, so that what does not decide as it was measured is refused
/// here; `sign` makes the signature of the index.
///
/// # Errors
/// A run that did not end or is not as it was recorded; a model that is another; two files of the model with one name.
pub fn write(
    place: &Place,
    out: &Path,
    policy: &Policy,
    sign: Option<&Sign<'_>>,
    narrator: Narrator,
) -> Result<Bundled> {
    let measured = Measured::open(place, policy, narrator)?;
    let folder = place.run.as_path();
    let mut packed: Vec<(Packed, PathBuf)> = Vec::new();
    let seal = checksums::read(folder)?;
    let names = seal.files.keys().filter(|name| is_served(name)).map(String::as_str).chain([checksums::FILE]);
    for name in names {
        packed.push(file(format!("{RUN}/{name}"), folder.join(name))?);
    }
    let mut seen = BTreeSet::new();
    for path in &measured.model_files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !seen.insert(name.clone()) {
            return Err(Error::model(format!(
                "two files of the model are called `{name}`: a bundle has one folder for them"
            )));
        }
        packed.push(file(format!("{MODEL}/{name}"), path.clone())?);
    }
    let model = match measured.model_files.as_slice() {
        [one] => format!("{MODEL}/{}", one.file_name().unwrap_or_default().to_string_lossy()),
        _ => MODEL.to_owned(),
    };
    packed.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    let index = Index::new(&measured.plan.name, model, packed.iter().map(|(own, _)| own.clone()).collect());
    let text = files::json(&index)?;
    Index::parse(&text)?;
    let signature = sign.map(|sign| sign(&text)).transpose()?;

    let mut failure = None;
    let written = files::write_with(out, |file| {
        let mut archive = Builder::new(file);
        append(&mut archive, NAME, text.len() as u64, text.as_slice())?;
        if let Some(signature) = &signature {
            append(&mut archive, SIGNATURE, signature.len() as u64, signature.as_bytes())?;
        }
        for (own, path) in &packed {
            let opened = files::open_unlinked(path).map_err(|error| {
                failure = Some(error);
                io::Error::other("a file could not be opened")
            })?;
            append(&mut archive, &own.path, own.bytes, opened)?;
        }
        archive.into_inner()?.flush()
    });
    failure.map_or(written, Err)?;
    let bytes = index.files.iter().map(|file| file.bytes).sum();
    Ok(Bundled { bytes, requests: measured.stored(usize::MAX).count(), index })
}

fn file(name: String, path: PathBuf) -> Result<(Packed, PathBuf)> {
    let path = fs::canonicalize(&path).map_err(|e| Error::io("read", &path, &e))?;
    let bytes = fs::metadata(&path).map_err(|e| Error::io("read", &path, &e))?.len();
    Ok((Packed { path: name, bytes, sha256: files::sha256_file(&path)? }, path))
}

/// An entry without anything that differs from one writing to the next.
fn append(archive: &mut Builder<impl Write>, name: &str, bytes: u64, data: impl io::Read) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(bytes);
    header.set_mode(0o644);
    let mut counted = Exactly { inner: data.take(bytes), left: bytes };
    archive.append_data(&mut header, name, &mut counted)
}

/// A reader that fails where a file has fewer bytes than it had when it was looked at.
struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: io::Read> io::Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::other("a file became shorter while it was read"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
