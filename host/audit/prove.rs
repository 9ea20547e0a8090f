//! Proofs that an entry is in a log, for whoever holds its checkpoint alone.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::merkle::{leaf_hash, path, root_by_path};
use crate::note::Verifier;
use crate::reader::each_entry;
use crate::verify;
use so8t_base::{Error, Result};

/// An entry, its place, and the hashes that lead from it to the root of a signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The entry's bytes, which are JSON.
    pub entry: String,
    /// Its index in the log.
    pub index: u64,
    /// The hashes from the leaf up, in Base64.
    pub hashes: Vec<String>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

impl Proof {
    /// Checks it with a key alone.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, verifier: &Verifier) -> Result<()> {
        let checkpoint = verifier.open(&self.checkpoint)?;
        let hash = |text: &String| STANDARD.decode(text).ok()?.try_into().ok();
        let hashes: Option<Vec<_>> = self.hashes.iter().map(hash).collect();
        let hashes = hashes.ok_or_else(|| Error::data("expected hashes of 32 bytes in Base64"))?;
        match root_by_path(self.index, checkpoint.size, leaf_hash(self.entry.as_bytes()), &hashes) {
            Some(root) if root == checkpoint.root => Ok(()),
            _ => Err(Error::data(format!("the proof does not lead from entry {} to the root", self.index))),
        }
    }
}

/// The entry with an audit id, and its index.
///
/// # Errors
/// A log that cannot be read; no such entry.
pub fn find(folder: &Path, verifier: Option<&Verifier>, id: &str) -> Result<(u64, String)> {
    let mut found = None;
    let mark = format!("\"audit_id\":{}", Value::from(id));
    each_entry(folder, verifier, |index, entry| {
        if let Ok(text) = std::str::from_utf8(entry)
            && text.contains(&mark)
            && serde_json::from_str::<Value>(text).is_ok_and(|value| value["audit_id"] == id)
        {
            found = Some((index, text.to_owned()));
        }
        Ok(())
    })?;
    found.ok_or_else(|| Error::data(format!("the log has no entry with the audit id `{id}`")))
}

/// Proves that the entry with an audit id is under the published checkpoint.
///
/// # Errors
/// A log that is not as it was written; no such entry, or one that is in the journal alone.
pub fn prove(folder: &Path, verifier: Option<&Verifier>, id: &str) -> Result<Proof> {
    verify(folder, verifier, None)?;
    let (index, entry) = find(folder, verifier, id)?;
    let published = folder.join(crate::log::CHECKPOINT);
    let checkpoint = std::fs::read_to_string(&published).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::data("the log has not published a checkpoint yet")
            .with_hint("try again in a second: a log that is left alone publishes"),
        _ => Error::io("read", &published, &e),
    })?;
    let known = crate::Stored::read(folder, verifier)?.verifier;
    let size = known.open(&checkpoint)?.size;
    if index >= size {
        return Err(Error::data(format!("entry {index} is not under the published checkpoint of {size} entries yet"))
            .with_hint("try again in a second: a log that is left alone publishes"));
    }
    let mut leaves = Vec::new();
    each_entry(folder, verifier, |index, entry| {
        if index < size {
            leaves.push(leaf_hash(entry));
        }
        Ok(())
    })?;
    let hashes = path(index, &leaves).iter().map(|hash| STANDARD.encode(hash)).collect();
    let proof = Proof { entry, index, hashes, checkpoint };
    proof.check(&known)?;
    Ok(proof)
}
