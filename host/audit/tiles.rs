//! Where tiles and bundles of entries lie (C2SP tlog-tiles), and what they hold.

use std::path::PathBuf;

use crate::Hash;
use crate::merkle::TILE;
use so8t_base::{Error, Result};

/// `12345` as `x012/345`; with the width of a partial tile, `x012/345.p/7`.
fn number(index: u64, width: usize) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    if width < TILE { format!("{text}.p/{width}") } else { text }
}

/// The path of a tile of hashes.
pub(crate) fn tile(level: usize, index: u64, width: usize) -> PathBuf {
    PathBuf::from(format!("tile/{level}/{}", number(index, width)))
}

/// The path of a bundle of entries.
pub(crate) fn bundle(index: u64, width: usize) -> PathBuf {
    PathBuf::from(format!("tile/entries/{}", number(index, width)))
}

/// The width of the partial tile at a level of a log of `size` entries; 0 where there is none.
pub(crate) fn partial(level: usize, size: u64) -> usize {
    let shifted = if 8 * level < 64 { size >> (8 * level) } else { 0 };
    (shifted % TILE as u64) as usize
}

/// The hashes of a tile.
pub(crate) fn hashes(bytes: &[u8], width: usize) -> Result<Vec<Hash>> {
    let (whole, rest) = bytes.as_chunks::<32>();
    if whole.len() != width || !rest.is_empty() {
        return Err(Error::data(format!("expected {width} hashes of 32 bytes, found {} bytes", bytes.len())));
    }
    Ok(whole.to_vec())
}

/// Appends an entry to a bundle: its length in two bytes, and itself.
pub(crate) fn put(bundle: &mut Vec<u8>, entry: &[u8]) {
    bundle.extend((entry.len() as u16).to_be_bytes());
    bundle.extend(entry);
}

/// The next entry of a bundle, which is cut off its beginning; `None` where it is not whole.
pub(crate) fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bytes = rest;
    Some(entry)
}

/// The entries of a bundle of `width`.
pub(crate) fn entries(mut bytes: &[u8], width: usize) -> Result<Vec<&[u8]>> {
    let mut out = Vec::with_capacity(width);
    while out.len() < width {
        out.push(take(&mut bytes).ok_or_else(|| Error::data("a bundle ends within an entry"))?);
    }
    if bytes.is_empty() { Ok(out) } else { Err(Error::data(format!("a bundle holds more than {width} entries"))) }
}
