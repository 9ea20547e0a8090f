//! The prepared data of a run: what they are, and their files in the run's folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::contamination;
use crate::data::{Contamination, Example, LabelSet, Parts, Statistics, read_examples, write_examples};
use crate::manifest::Plan;
use crate::{Error, Result, files};

/// The dataset card, in the run's folder.
pub(super) const DATASET_CARD: &str = "dataset_card.md";
/// The duplicates whose labels disagree, in the run's folder.
pub(super) const CONFLICTS: &str = "conflicts.jsonl";
/// The examples that a calibration is fitted on, in the run's folder.
const CALIBRATION: &str = "calibration_set.jsonl";
/// The examples that are measured while training, in the run's folder.
const VALIDATION: &str = "validation_set.jsonl";

/// The prepared data of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The labels that all mappers map into.
    pub labels: LabelSet,
    /// The two parts.
    pub parts: Parts,
    /// Counts and warnings.
    pub statistics: Statistics,
    /// What of the evaluation training holds too, where it was looked for; with the first pairs.
    pub contamination: Option<Contamination>,
}

#[derive(Serialize, Deserialize)]
struct Summary {
    labels: LabelSet,
    statistics: Statistics,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contamination: Option<Contamination>,
}

impl Prepared {
    /// The files that [`Prepared::write`] makes.
    pub fn paths(folder: &Path) -> [PathBuf; 3] {
        ["dataset.jsonl", "evaluation.jsonl", "statistics.json"].map(|name| folder.join(name))
    }

    /// The files that [`Prepared::write`] makes and those that the plan asks for besides.
    pub(in crate::pipeline) fn paths_of(plan: &Plan, folder: &Path) -> Vec<PathBuf> {
        let mut paths = Self::paths(folder).to_vec();
        paths.extend([CONFLICTS, DATASET_CARD].map(|name| folder.join(name)));
        paths.extend(plan.calibrate.map(|_| folder.join(CALIBRATION)));
        paths.extend(plan.validation.as_ref().map(|_| folder.join(VALIDATION)));
        paths.extend(plan.contamination.map(|_| folder.join(contamination::FILE)));
        paths
    }

    /// Writes `dataset.jsonl` (training), `evaluation.jsonl` and `statistics.json`, and `calibration_set.jsonl` and
    /// `validation_set.jsonl` where something is calibrated or validated.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let [dataset, evaluation, statistics] = Self::paths(folder);
        write_examples(&dataset, &self.parts.train, &self.labels)?;
        write_examples(&evaluation, &self.parts.eval, &self.labels)?;
        for (name, part) in [(CALIBRATION, &self.parts.calibration), (VALIDATION, &self.parts.validation)] {
            match part.is_empty() {
                true => drop(std::fs::remove_file(folder.join(name))),
                false => write_examples(&folder.join(name), part, &self.labels)?,
            }
        }
        let summary = Summary {
            labels: self.labels.clone(),
            statistics: self.statistics.clone(),
            contamination: self.contamination.clone(),
        };
        files::write(&statistics, &files::json(&summary)?)
    }

    /// Reads what [`Prepared::write`] wrote.
    pub fn read(folder: &Path) -> Result<Self> {
        let [dataset, evaluation, _] = Self::paths(folder);
        let Summary { labels, statistics, contamination } = read_summary(folder)?;
        let optional = |name: &str| {
            let path = folder.join(name);
            if path.is_file() { read_examples(&path, &labels) } else { Ok(Vec::new()) }
        };
        let parts = Parts {
            train: read_examples(&dataset, &labels)?,
            eval: read_examples(&evaluation, &labels)?,
            calibration: optional(CALIBRATION)?,
            validation: optional(VALIDATION)?,
            ..Parts::default()
        };
        Ok(Self { labels, parts, statistics, contamination })
    }
}

/// The labels of the prepared data in a run's folder.
pub(in crate::pipeline) fn read_labels(folder: &Path) -> Result<LabelSet> {
    Ok(read_summary(folder)?.labels)
}

/// The evaluation part of the prepared data in a run's folder; `None` where the folder holds none.
pub(in crate::pipeline) fn read_evaluation(folder: &Path, labels: &LabelSet) -> Result<Option<Vec<Example>>> {
    let [_, path, _] = Prepared::paths(folder);
    if path.is_file() { read_examples(&path, labels).map(Some) } else { Ok(None) }
}

fn read_summary(folder: &Path) -> Result<Summary> {
    let [_, _, path] = Prepared::paths(folder);
    let text = files::read_text(&path)?;
    let summary: Summary = serde_json::from_str(&text)
        .map_err(|e| Error::data(format!("{}:{}:{}: {e}", path.display(), e.line(), e.column())))?;
    LabelSet::check_names(&summary.labels.names).map_err(|what| Error::data(format!("{}: {what}", path.display())))?;
    Ok(summary)
}
