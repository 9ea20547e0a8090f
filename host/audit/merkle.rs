//! The hashes of RFC 6962, section 2.1, and a tree that grows by tiles of 256.

use ring::digest::{Context, SHA256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// How many hashes a full tile holds.
pub(crate) const TILE: usize = 256;

fn hashed(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// The hash of an entry: SHA-256(0x00 ‖ entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    hashed(&[&[0], entry])
}

/// The hash of a node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hashed(&[&[1], left, right])
}

/// The root of these subtrees, all of one height; RFC 6962 parts them at the largest power of two below their number.
pub(crate) fn root_of(nodes: &[Hash]) -> Option<Hash> {
    match nodes {
        [] => None,
        [one] => Some(*one),
        _ => {
            let split = nodes.len().next_power_of_two() / 2;
            let (left, right) = nodes.split_at(split);
            Some(node_hash(&root_of(left)?, &root_of(right)?))
        }
    }
}

/// A tile that became full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FullTile {
    pub(crate) level: usize,
    pub(crate) index: u64,
    pub(crate) hashes: Vec<Hash>,
}

/// A tree that grows: of each level of tiles, the hashes that do not fill one yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// The tree of `size` entries whose unfilled tiles are these.
    pub(crate) fn from_levels(size: u64, levels: Vec<Vec<Hash>>) -> Self {
        Self { size, levels }
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of each level that do not fill a tile yet.
    pub(crate) fn levels(&self) -> &[Vec<Hash>] {
        &self.levels
    }

    /// Adds the hash of an entry, and gives each tile that it fills to `full`.
    pub(crate) fn push(&mut self, leaf: Hash, full: &mut impl FnMut(FullTile)) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::with_capacity(TILE));
            }
            self.levels[level].push(hash);
            if self.levels[level].len() < TILE {
                return;
            }
            let hashes = std::mem::take(&mut self.levels[level]);
            let Some(parent) = root_of(&hashes) else { return };
            let index = (self.size >> (8 * (level + 1))) - 1;
            full(FullTile { level, index, hashes });
            hash = parent;
        }
    }

    /// The root; of no entries, the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut right: Option<Hash> = None;
        for nodes in &self.levels {
            // The nodes are subtrees of equal height, larger than what stands to their right.
            let mut end = nodes.len();
            while end > 0 {
                let start = end & (end - 1);
                if let Some(own) = root_of(&nodes[start..end]) {
                    right = Some(right.map_or(own, |right| node_hash(&own, &right)));
                }
                end = start;
            }
        }
        right.unwrap_or_else(|| hashed(&[]))
    }
}

/// The path of the entry `index` in the tree of these leaves (RFC 6962, section 2.1.1), from the leaf up.
pub(crate) fn path(index: u64, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut path, other) = match index < split as u64 {
        true => (path(index, left), root_of(right)),
        false => (path(index - split as u64, right), root_of(left)),
    };
    path.extend(other);
    path
}

/// The root that a path leads to (RFC 9162, section 2.1.3.2); `None` where it fits no tree of `size` entries.
pub(crate) fn root_by_path(index: u64, size: u64, leaf: Hash, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for other in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(other, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, other);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}
