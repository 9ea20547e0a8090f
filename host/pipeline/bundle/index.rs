//! What a bundle says of itself.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The first entry of a bundle.
pub(super) const NAME: &str = "bundle.json";
/// The second, where it is signed.
pub(super) const SIGNATURE: &str = "bundle.json.minisig";
/// Where the run's files lie in it, and the model's.
pub(super) const RUN: &str = "run";
pub(super) const MODEL: &str = "model";
/// The most bytes of an index.
pub(super) const MOST_INDEX: u64 = 4 << 20;
const FORMAT: &str = "so8t.bundle/1";

/// The index of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// The form of the bundle, `so8t.bundle/1`.
    pub format: String,
    /// The version of so8t that wrote it.
    pub so8t: String,
    /// The run's name.
    pub name: String,
    /// What the manifest's `[model] base` stands for: a folder or a file of the bundle.
    pub model: String,
    /// The files, in the order of the archive.
    pub files: Vec<Packed>,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// Its path in the archive, with `/`.
    pub path: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// The SHA-256 of them, in hexadecimal digits.
    pub sha256: String,
}

impl Index {
    pub(super) fn new(name: &str, model: String, files: Vec<Packed>) -> Self {
        let so8t = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT.to_owned(), so8t, name: name.to_owned(), model, files }
    }

    /// Reads an index. Its paths stay below the two folders, and none comes twice.
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        let bad = |what: String| Error::data(format!("`{NAME}`: {what}"));
        let index: Self = serde_json::from_slice(text).map_err(|e| bad(e.to_string()))?;
        if index.format != FORMAT {
            return Err(bad(format!("expected a bundle of the form `{FORMAT}`, found `{}`", index.format))
                .with_hint("a newer so8t may read it"));
        }
        let mut seen = BTreeSet::new();
        for file in &index.files {
            if !is_inside(&file.path) {
                return Err(bad(format!("expected a path below `{RUN}` or `{MODEL}`, found `{}`", file.path)));
            }
            if !seen.insert(file.path.as_str()) {
                return Err(bad(format!("`{}` is there twice", file.path)));
            }
        }
        let is_there = |file: &Packed| file.path == index.model || index.model == MODEL;
        if !index.files.iter().filter(|file| file.path.starts_with("model/")).any(is_there) {
            return Err(bad(format!("the model `{}` is not among its files", index.model)));
        }
        Ok(index)
    }
}

/// Whether a path leads to a file below one of the two folders, on every system.
fn is_inside(path: &str) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let parts = path.split('/').count();
    // As many bytes as an entry's own head holds: longer names would be entries of their own.
    path.len() <= 100
        && !path.contains(|c: char| c.is_control() || c == '\\' || c == ':')
        && [RUN, MODEL].iter().any(|folder| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
        && Path::new(path).components().all(plain)
        && Path::new(path).components().count() == parts
}
