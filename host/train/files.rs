//! Where a training writes.

use std::path::{Path, PathBuf};

use so8t_base::{Error, Result, files};

/// Where a run's files go, and whether it goes on from them.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainFiles {
    /// The folder that holds them all.
    pub folder: PathBuf,
    /// Go on from the newest checkpoint that is whole, if there is one.
    pub resume: bool,
}

impl TrainFiles {
    /// The folder of the checkpoints: the states of the run, and the newest adapters as PEFT's two files.
    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint")
    }

    /// The state of the run after a step.
    pub fn state(&self, step: usize) -> PathBuf {
        self.checkpoint().join(format!("state-{step:08}.safetensors"))
    }

    /// Every state that was written: its step and its file, the newest first.
    pub fn states(&self) -> Vec<(usize, PathBuf)> {
        let step = |path: &Path| {
            let name = path.file_name()?.to_str()?;
            name.strip_prefix("state-")?.strip_suffix(".safetensors")?.parse::<usize>().ok()
        };
        let entries = std::fs::read_dir(self.checkpoint()).into_iter().flatten().flatten();
        let mut states: Vec<_> = entries.filter_map(|entry| Some((step(&entry.path())?, entry.path()))).collect();
        states.sort_unstable_by(|a, b| b.cmp(a));
        states
    }

    /// The training log, JSON lines.
    pub fn log(&self) -> PathBuf {
        self.folder.join("training.jsonl")
    }

    /// What validation found, JSON lines.
    pub fn validation(&self) -> PathBuf {
        self.folder.join("validation.jsonl")
    }

    /// Removes all states but the newest `keep`.
    pub(super) fn prune(&self, keep: usize) -> Result<()> {
        self.states().iter().skip(keep).try_for_each(|(_, path)| remove(path))
    }

    /// Removes what a run that goes on after `step` does not use: states of later steps, which are damaged, all states where it begins
    /// anew, and what a killed process left half-written.
    pub(super) fn sweep(&self, step: Option<usize>) -> Result<()> {
        let later = |own: usize| step.is_none_or(|step| own > step);
        self.states().iter().filter(|(own, _)| later(*own)).try_for_each(|(_, path)| remove(path))?;
        for folder in [&self.folder, &self.checkpoint()] {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let of = name.strip_suffix(".tmp").and_then(|rest| rest.rsplit_once('.')).map_or("", |(of, _)| of);
                let own = ["state-", "adapter_", "model.safetensors", "training.jsonl", "validation.jsonl"];
                let is_plain = entry.file_type().is_ok_and(|kind| kind.is_file());
                // A name that is drawn at random is nobody else's.
                if is_plain && files::is_temporary(&name, of) && own.iter().any(|start| of.starts_with(start)) {
                    remove(&entry.path())?;
                }
            }
        }
        Ok(())
    }
}

fn remove(path: &Path) -> Result<()> {
    std::fs::remove_file(path).map_err(|e| Error::io("remove", path, &e))
}
