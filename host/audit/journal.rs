//! The journal: what was answered and is not in tiles yet, in groups that one `fsync` put on the disk together.
//!
//! A group is the mark, the number of entries and the length of what follows (four bytes each), the entries as in a bundle, and the checkpoint
//! over the log with them, signed, behind its length. So each byte of the journal is signed too. A segment is a file named by the number of entries
//! before it.

use crate::merkle::{Tree, leaf_hash};
use crate::note::Verifier;
use crate::tiles;
use so8t_base::{Error, Result};

/// The folder of segments.
pub(crate) const FOLDER: &str = "journal";
const MARK: &[u8; 8] = b"so8tgrp1";

/// The name of the segment behind `first` entries.
pub(crate) fn name(first: u64) -> String {
    format!("{first:020}")
}

/// A group's bytes.
pub(crate) fn group(entries: &[Vec<u8>], note: &str) -> Vec<u8> {
    let mut body = Vec::new();
    entries.iter().for_each(|entry| tiles::put(&mut body, entry));
    tiles::put(&mut body, note.as_bytes());
    let mut out = MARK.to_vec();
    out.extend((entries.len() as u32).to_be_bytes());
    out.extend((body.len() as u32).to_be_bytes());
    out.extend(body);
    out
}

struct Group<'a> {
    entries: Vec<&'a [u8]>,
    note: &'a str,
    length: usize,
}

/// The group at the beginning of `bytes`; `None` where it is not whole.
fn parse(bytes: &[u8]) -> Option<Group<'_>> {
    let rest = bytes.strip_prefix(MARK)?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let mut body = rest.get(..length)?;
    let count = u32::from_be_bytes(*count) as usize;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(tiles::take(&mut body)?);
    }
    let note = std::str::from_utf8(tiles::take(&mut body)?).ok()?;
    body.is_empty().then_some(Group { entries, note, length: MARK.len() + 8 + length })
}

/// What the end of a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// How many bytes are whole groups that are signed.
    pub(crate) good: usize,
    /// Whether what follows them is a whole group that is not what was signed.
    pub(crate) is_changed: bool,
}

/// Adds the groups of a segment that `tree` does not hold yet, and gives their entries to `each`.
///
/// # Errors
/// A segment in whose midst something is not as it was written; what `each` says.
pub(crate) fn replay(
    bytes: &[u8],
    verifier: &Verifier,
    tree: &mut Tree,
    mut each: impl FnMut(&mut Tree, &[u8]) -> Result<()>,
) -> Result<End> {
    let mut at = 0;
    while at < bytes.len() {
        let Some(group) = parse(&bytes[at..]) else { break };
        let Ok(checkpoint) = verifier.open(group.note) else { break };
        if checkpoint.size > tree.size() {
            let mut next = tree.clone();
            group.entries.iter().for_each(|entry| next.push(leaf_hash(entry), &mut |_| ()));
            if next.size() != checkpoint.size || next.root() != checkpoint.root {
                break;
            }
            for entry in &group.entries {
                each(tree, entry)?;
            }
        }
        at += group.length;
    }
    let rest = &bytes[at..];
    let is_changed = parse(rest).is_some();
    // What was torn off is the end: no signed group stands behind it.
    for later in 1..rest.len().saturating_sub(MARK.len()) {
        if rest[later..].starts_with(MARK)
            && let Some(group) = parse(&rest[later..])
            && verifier.open(group.note).is_ok()
        {
            return Err(Error::data(format!(
                "the journal is not as it was written: byte {at} begins no signed group, and byte {} does",
                at + later
            )));
        }
    }
    Ok(End { good: at, is_changed })
}
