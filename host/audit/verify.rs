//! A log held against its signatures, entry by entry.

use std::path::Path;

use serde::Serialize;

use crate::merkle::{FullTile, TILE, leaf_hash};
use crate::note::{Checkpoint, Verifier};
use crate::reader::Stored;
use crate::{Tree, sealed, tiles};
use so8t_base::{Error, Result, files};

/// What a verification came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The number of entries.
    pub entries: u64,
    /// How many of them are in tiles; the others are in the journal.
    pub published: u64,
    /// How many tiles of hashes were computed again.
    pub tiles: u64,
    /// Sealed contents that are there, and those that are not, since they were shredded.
    pub sealed: [u64; 2],
    /// Bytes at the journal's end that are no whole group: what was torn off, and never answered.
    pub torn: u64,
    /// The number of entries of the old checkpoint that the log still holds.
    pub since: Option<u64>,
    /// What checked the signatures.
    pub verifier: String,
}

/// Computes every hash of a log again and holds it against its tiles and signatures; with an old checkpoint, also that the log of that time is
/// the beginning of this one.
///
/// # Errors
/// The first thing that is not as it was written.
pub fn verify(folder: &Path, verifier: Option<&Verifier>, old: Option<&str>) -> Result<Verified> {
    let stored = Stored::read(folder, verifier)?;
    let old = old.map(|note| stored.verifier.open(note).map_err(|e| e.context("the old checkpoint"))).transpose()?;
    let mut run = Run { folder, old, tiles: 0, sealed: [0; 2] };
    let mut tree = Tree::default();
    run.hold_old(&tree)?;
    stored.published_entries(|_, entry| run.entry(&mut tree, entry, true))?;
    if tree.root() != stored.published.root {
        return Err(Error::data(format!(
            "the entries do not give the root of the checkpoint of {} entries",
            stored.published.size
        )));
    }
    if tree.levels() != stored.tree.levels() {
        return Err(Error::data("the partial tiles are not those of the entries"));
    }
    let published = tree.size();
    let end = stored.journal(&mut tree, |tree, entry| run.entry(tree, entry, false))?;
    let torn = end.map_or(0, |(_, length, end)| length - end.good);
    if end.is_some_and(|(.., end)| end.is_changed) {
        return Err(Error::data("the last group of the journal is not what was signed"));
    }
    if let Some(old) = run.old.as_ref().filter(|old| old.size > tree.size()) {
        return Err(Error::data(format!(
            "the old checkpoint is over {} entries, the log has {}: its end was cut off",
            old.size,
            tree.size()
        )));
    }
    Ok(Verified {
        entries: tree.size(),
        published,
        tiles: run.tiles,
        sealed: run.sealed,
        torn: torn as u64,
        since: run.old.map(|old| old.size),
        verifier: stored.verifier.to_string(),
    })
}

struct Run<'a> {
    folder: &'a Path,
    old: Option<Checkpoint>,
    tiles: u64,
    sealed: [u64; 2],
}

impl Run<'_> {
    fn entry(&mut self, tree: &mut Tree, entry: &[u8], is_published: bool) -> Result<()> {
        let mut full = Vec::new();
        tree.push(leaf_hash(entry), &mut |tile| full.push(tile));
        for FullTile { level, index, hashes } in full.into_iter().filter(|_| is_published) {
            let path = self.folder.join(tiles::tile(level, index, TILE));
            if files::read(&path)? != hashes.concat() {
                return Err(Error::data(format!("`{}` does not hold the hashes of the entries", path.display())));
            }
            self.tiles += 1;
        }
        if let Some(is_there) = sealed::check(self.folder, entry)? {
            self.sealed[usize::from(!is_there)] += 1;
        }
        self.hold_old(tree)
    }

    fn hold_old(&self, tree: &Tree) -> Result<()> {
        match &self.old {
            Some(old) if old.size == tree.size() && old.root != tree.root() => Err(Error::data(format!(
                "the first {} entries are not those of the old checkpoint: the log was rewritten",
                old.size
            ))),
            _ => Ok(()),
        }
    }
}
