//! `so8t.lock`: the digest of every component, model file and data file that a run used.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use so8t_base::{Error, Result, files};

/// What a locked file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A plugin's component.
    Component,
    /// A file of the model.
    Model,
    /// A file of a source.
    Data,
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Component => "component",
            Self::Model => "model",
            Self::Data => "data",
        })
    }
}

/// One file and its digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What the file is.
    pub kind: EntryKind,
    /// The name in the manifest of the plugin or source that uses it; for a model, its name.
    pub name: String,
    /// Where it lies, as the manifest spells it: `builtin:NAME`, `oci://…`, or a path relative to the manifest.
    pub path: String,
    /// The SHA-256, in lower-case hexadecimal.
    pub sha256: String,
    /// For a component from a registry, the digest of the manifest that its reference named: `sha256:` and the digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
    /// For a component that a trusted key signed, the key's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
}

impl Entry {
    /// A file that is known by its digest alone.
    pub fn new(kind: EntryKind, name: impl Into<String>, path: impl Into<String>, sha256: impl Into<String>) -> Self {
        let (name, path, sha256) = (name.into(), path.into(), sha256.into());
        Self { kind, name, path, sha256, resolved: None, signer: None }
    }
}

/// What a run used.
///
/// ```
/// use so8t_plugin::lock::{Entry, EntryKind, Lock};
/// let entry = |sha256: &str| Entry::new(EntryKind::Data, "a", "a.jsonl", sha256);
/// let locked = Lock { entries: vec![entry("00")] };
/// assert!(locked.verify(&locked).is_ok());
/// assert!(locked.verify(&Lock { entries: vec![entry("11")] }).unwrap_err().to_string().contains("`a.jsonl`"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The files, in any order; they are sorted when they are written.
    #[serde(default, rename = "entry", skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Entry>,
}

const HEADER: &str = "# What the run used, by SHA-256. Written by so8t; `--locked` refuses anything else.\n";

impl Lock {
    /// The usual file name.
    pub const FILE: &str = "so8t.lock";

    /// Whether a file begins as [`Lock::write`] begins one, or is empty: nothing is lost where it is replaced.
    pub fn is_one(path: &Path) -> bool {
        let begin = || -> std::io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            std::fs::File::open(path)?.take(HEADER.len() as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        std::fs::metadata(path).is_ok_and(|found| found.is_file())
            && begin().is_ok_and(|bytes| bytes.is_empty() || bytes == HEADER.as_bytes())
    }

    /// Reads a lock file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is not TOML, or has unknown keys.
    pub fn read(path: &Path) -> Result<Self> {
        let text = files::read_text_at_most(path, files::MOST_TEXT)?;
        toml::from_str(&text).map_err(|e| {
            let line = e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            Error::manifest(format!("`{}`, line {line}: {}", path.display(), e.message()))
                .with_hint("remove the file and run without `--locked` to write it again")
        })
    }

    /// Writes the lock as sorted TOML: the same files give the same bytes.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        files::write(path, self.to_toml()?.as_bytes())
    }

    /// The text of the lock file.
    ///
    /// # Errors
    ///
    /// Never for entries made by this program.
    pub fn to_toml(&self) -> Result<String> {
        let mut sorted = self.clone();
        sorted.entries.sort();
        sorted.entries.dedup();
        let body = toml::to_string(&sorted).map_err(|e| Error::internal(format!("the lock cannot be written: {e}")))?;
        Ok(if body.is_empty() { HEADER.into() } else { format!("{HEADER}\n{body}") })
    }

    /// Compares what a run is about to use with what was locked.
    ///
    /// # Errors
    ///
    /// When a file was changed, is new, or is used no more: the message names each.
    pub fn verify(&self, actual: &Self) -> Result<()> {
        let index = |lock: &Self| -> BTreeMap<_, _> {
            lock.entries.iter().map(|e| ((e.kind, e.name.clone(), e.path.clone()), e.sha256.clone())).collect()
        };
        let (locked, found) = (index(self), index(actual));
        let mut differences = Vec::new();
        for ((kind, name, path), digest) in &found {
            match locked.get(&(*kind, name.clone(), path.clone())) {
                Some(expected) if expected == digest => {}
                Some(expected) => {
                    differences
                        .push(format!("{kind} `{name}`: `{path}` has sha256 `{digest}`, locked is `{expected}`"));
                }
                None => differences.push(format!("{kind} `{name}`: `{path}` is not locked")),
            }
        }
        for (kind, name, path) in locked.keys().filter(|key| !found.contains_key(*key)) {
            differences.push(format!("{kind} `{name}`: `{path}` is locked and not used"));
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::manifest(format!("what the run uses differs from `{}`: {}", Self::FILE, differences.join("; ")))
            .with_hint("run without `--locked` to record what is used now"))
    }
}
