//! A log as it lies in its folder, read while another process may write it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::journal::{self, End};
use crate::log::{CHECKPOINT, VERIFIER};
use crate::merkle::{TILE, Tree};
use crate::note::{Checkpoint, Verifier};
use crate::tiles;
use so8t_base::{Error, Result, files};

/// How often a log is read again that changes while it is read.
const TRIES: usize = 20;

/// What of a log changes: its checkpoint, its partial tiles, and its journal.
#[derive(Debug)]
pub struct Stored {
    folder: PathBuf,
    /// What checks its signatures.
    pub verifier: Verifier,
    /// The published checkpoint; of a log that published none, that of no entries.
    pub published: Checkpoint,
    /// The hashes of each level that do not fill a tile.
    pub(crate) tree: Tree,
    /// The bundle of the last entries before `published`.
    pub(crate) partial: Vec<u8>,
    /// The number of entries before each segment, and its bytes.
    pub(crate) segments: Vec<(u64, Vec<u8>)>,
}

impl Stored {
    /// Reads what changes. Without a verifier, the one in the folder is believed.
    ///
    /// # Errors
    /// A folder that is no log; a checkpoint that the key did not sign; partial tiles that do not give its root.
    pub fn read(folder: &Path, verifier: Option<&Verifier>) -> Result<Self> {
        let verifier = match verifier {
            Some(verifier) => verifier.clone(),
            None => {
                let path = folder.join(VERIFIER);
                if !path.is_file() {
                    return Err(Error::data(format!(
                        "`{}` has no `{VERIFIER}`: expected an audit log",
                        folder.display()
                    )));
                }
                Verifier::parse(&files::read_text(&path)?).map_err(|e| e.context(format!("`{}`", path.display())))?
            }
        };
        let mut failure = None;
        for _ in 0..TRIES {
            match Self::read_once(folder, &verifier) {
                Ok(stored) => return Ok(stored),
                Err(error) => failure = Some(error),
            }
            // Whoever writes it needs as long to publish.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Err(failure.unwrap_or_else(|| Error::internal("a log was not read")))
    }

    fn read_once(folder: &Path, verifier: &Verifier) -> Result<Self> {
        let path = folder.join(CHECKPOINT);
        let note = |path: &Path| if path.is_file() { files::read_text(path).map(Some) } else { Ok(None) };
        let before = note(&path)?;
        let published = match &before {
            Some(text) => verifier.open(text).map_err(|e| e.context(format!("`{}`", path.display())))?,
            None => Checkpoint { origin: verifier.name().to_owned(), size: 0, root: Tree::default().root() },
        };
        let size = published.size;
        let mut levels = Vec::new();
        let mut level = 0;
        while level < 8 && size >> (8 * level) > 0 {
            let width = tiles::partial(level, size);
            levels.push(match width {
                0 => Vec::new(),
                _ => {
                    let path = folder.join(tiles::tile(level, size >> (8 * (level + 1)), width));
                    tiles::hashes(&files::read(&path)?, width)
                        .map_err(|e| e.context(format!("`{}`", path.display())))?
                }
            });
            level += 1;
        }
        let width = tiles::partial(0, size);
        let partial = match width {
            0 => Vec::new(),
            _ => files::read(&folder.join(tiles::bundle(size / TILE as u64, width)))?,
        };
        let mut segments = Vec::new();
        let journal = folder.join(journal::FOLDER);
        let listed = match fs::read_dir(&journal) {
            Ok(listed) => listed,
            Err(e) => return Err(Error::io("read", &journal, &e)),
        };
        for entry in listed {
            let entry = entry.map_err(|e| Error::io("read", &journal, &e))?;
            let first = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            let Some(first) = first else {
                let name = entry.path();
                return Err(Error::data(format!("`{}` is no part of an audit log", name.display())));
            };
            segments.push((first, files::read(&entry.path())?));
        }
        segments.sort_by_key(|segment| segment.0);
        if note(&path)? != before {
            return Err(Error::data("the log changes faster than it can be read"));
        }
        let tree = Tree::from_levels(size, levels);
        if tree.root() != published.root {
            return Err(Error::data(format!(
                "`{}`: the partial tiles give another root than the checkpoint of {size} entries",
                folder.display()
            )));
        }
        Ok(Self { folder: folder.to_owned(), verifier: verifier.clone(), published, tree, partial, segments })
    }

    /// Gives the entries of the tiles to `each`, with their bundle's number and bytes to `bundle`.
    pub(crate) fn published_entries(&self, mut each: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let size = self.published.size;
        for index in 0..size.div_ceil(TILE as u64) {
            let width = (size - index * TILE as u64).min(TILE as u64) as usize;
            let path = self.folder.join(tiles::bundle(index, width));
            let read;
            let bytes = match width == TILE {
                true => {
                    read = files::read(&path)?;
                    &read
                }
                false => &self.partial,
            };
            let entries = tiles::entries(bytes, width).map_err(|e| e.context(format!("`{}`", path.display())))?;
            for (offset, entry) in entries.into_iter().enumerate() {
                each(index * TILE as u64 + offset as u64, entry)?;
            }
        }
        Ok(())
    }

    /// Replays the journal behind `tree`. Returns the last segment's end.
    pub(crate) fn journal(
        &self,
        tree: &mut Tree,
        mut each: impl FnMut(&mut Tree, &[u8]) -> Result<()>,
    ) -> Result<Option<(u64, usize, End)>> {
        let mut last = None;
        for (index, (first, bytes)) in self.segments.iter().enumerate() {
            let path = self.folder.join(journal::FOLDER).join(journal::name(*first));
            if *first > tree.size() {
                let found = tree.size();
                return Err(Error::data(format!(
                    "`{}` goes on behind {first} entries: found {found} before it",
                    path.display()
                )));
            }
            let end = journal::replay(bytes, &self.verifier, tree, &mut each)
                .map_err(|e| e.context(format!("`{}`", path.display())))?;
            if end.good < bytes.len() && index + 1 < self.segments.len() {
                return Err(Error::data(format!(
                    "`{}`: byte {} begins no signed group, and another segment follows",
                    path.display(),
                    end.good
                )));
            }
            last = Some((*first, bytes.len(), end));
        }
        Ok(last)
    }
}

/// Gives every entry of a log to `each`, with its index. Signatures of the journal are checked; [`verify`](crate::verify()) checks all.
///
/// # Errors
/// As [`Stored::read`]; bundles that are lacking or broken; what `each` says.
pub fn each_entry(
    folder: &Path,
    verifier: Option<&Verifier>,
    mut each: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let stored = Stored::read(folder, verifier)?;
    stored.published_entries(&mut each)?;
    let mut tree = stored.tree.clone();
    stored.journal(&mut tree, |tree, entry| {
        let index = tree.size();
        tree.push(crate::leaf_hash(entry), &mut |_| ());
        each(index, entry)
    })?;
    Ok(())
}
