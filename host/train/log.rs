//! The training log: one JSON object a step.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use so8t_base::{Error, Result, files};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Optimiser steps taken, this one included.
    pub step: usize,
    /// Epochs finished, as a fraction.
    pub epoch: f64,
    /// Mean loss of the step's completion tokens.
    pub loss: f32,
    /// What the regularisation added to it; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalty: Option<f64>,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Tokens seen so far.
    pub tokens: u64,
    /// Tokens of this step divided by its seconds.
    pub tokens_per_second: f64,
}

/// The log of a run, open for appending.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log of a run that has taken `steps` steps: later lines, which an interrupted run may have left, go.
    pub fn open(path: &Path, steps: usize) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
        }
        let mut kept = String::new();
        if steps > 0 && path.exists() {
            let step = |line: &str| serde_json::from_str::<LogLine>(line).map_or(usize::MAX, |line| line.step);
            for line in files::read_text(path)?.lines().filter(|line| step(line) <= steps) {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        files::write(path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path).map_err(|e| Error::io("open", path, &e))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Puts what was written on the disk, so that no later checkpoint knows of a step that the log does not.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io("write", &self.path, &e))
    }

    /// Writes one line.
    pub fn write(&mut self, line: &LogLine) -> Result<()> {
        let mut text = serde_json::to_string(line).map_err(|e| Error::internal(e.to_string()))?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(|e| Error::io("write", &self.path, &e))
    }
}

/// How many steps the log at `path` holds without a gap, from the first on.
pub fn whole_steps(path: &Path) -> usize {
    let text = files::read_text(path).unwrap_or_default();
    let step = |line: &str| serde_json::from_str::<LogLine>(line).map_or(0, |line| line.step);
    text.lines().enumerate().take_while(|(i, line)| step(line) == i + 1).count()
}

/// Reads a log back.
pub fn read(path: &Path) -> Result<Vec<LogLine>> {
    let text = files::read_text(path)?;
    let lines = text.lines().enumerate();
    lines
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|e| Error::data(format!("`{}`:{}: {e}", path.display(), i + 1)))
        })
        .collect()
}
