//! The files of a training in a run's folder: its summary, its log, what validation found.

use std::path::Path;

use serde_json::Value;

use crate::train::Validated;
use crate::{Error, Result, files};

/// The summary of a training, in the run's folder.
pub(in crate::pipeline) const SUMMARY: &str = "training.json";
/// The log of a training, in the run's folder.
const LOG: &str = "training.jsonl";
/// What validation found while training, in the run's folder.
const VALIDATION: &str = "validation.jsonl";

/// The summary of the training in a run's folder.
pub(in crate::pipeline) fn read_summary(folder: &Path) -> Result<Value> {
    let path = folder.join(SUMMARY);
    serde_json::from_str(&files::read_text(&path)?)
        .map_err(|e| Error::data(format!("{}:{}:{}: {e}", path.display(), e.line(), e.column())))
}

/// Step and loss of every line of the training log.
pub(in crate::pipeline) fn read_losses(folder: &Path) -> Result<Vec<(u64, f64)>> {
    let path = folder.join(LOG);
    files::read_text(&path)?
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let entry: Value = serde_json::from_str(line)
                .map_err(|e| Error::data(format!("{}:{}: {e}", path.display(), index + 1)))?;
            match (entry["step"].as_u64(), entry["loss"].as_f64()) {
                (Some(step), Some(loss)) => Ok((step, loss)),
                _ => Err(Error::data(format!("{}:{}: expected `step` and `loss`", path.display(), index + 1))),
            }
        })
        .collect()
}

/// What validation found while training, in order; empty where nothing was validated.
pub(in crate::pipeline) fn read_validations(folder: &Path) -> Result<Vec<Validated>> {
    let path = folder.join(VALIDATION);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| Error::data(format!("{}:{}: {e}", path.display(), index + 1)))
    };
    files::read_text(&path)?.lines().enumerate().map(parse).collect()
}
