//! What a run's folder already holds: a stage is done again only where something that it read has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Error, Result, files};

/// The stages that were done, each with the digest of everything that it depends on.
pub(in crate::pipeline) struct Stages {
    path: PathBuf,
    done: BTreeMap<String, String>,
}

impl Stages {
    /// Reads `stages.json` of a run's folder; an absent or unreadable one means that nothing was done.
    pub(in crate::pipeline) fn read(folder: &Path) -> Self {
        let path = folder.join("stages.json");
        let done = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { path, done }
    }

    /// Whether a stage was done with this key, and its files are still there.
    pub(in crate::pipeline) fn is_done(&self, stage: &str, key: &str, outputs: &[PathBuf]) -> bool {
        self.done.get(stage).is_some_and(|k| k == key) && outputs.iter().all(|path| path.is_file())
    }

    /// Notes that a stage was done.
    pub(in crate::pipeline) fn finish(&mut self, stage: &str, key: &str) -> Result<()> {
        self.done.insert(stage.to_owned(), key.to_owned());
        files::write(&self.path, &files::json(&self.done)?)
    }

    /// Notes that a stage is being done again, so that what it leaves half-done is not taken for a result.
    pub(in crate::pipeline) fn begin(&mut self, stage: &str) -> Result<()> {
        if self.done.remove(stage).is_some() {
            files::write(&self.path, &files::json(&self.done)?)?;
        }
        Ok(())
    }
}

/// The digest of what a stage depends on.
pub(in crate::pipeline) fn key(inputs: &impl Serialize) -> Result<String> {
    let bytes =
        serde_json::to_vec(inputs).map_err(|e| Error::internal(format!("a stage's key has no JSON form: {e}")))?;
    Ok(files::sha256(&bytes))
}
