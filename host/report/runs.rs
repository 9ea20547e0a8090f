//! Two run folders compared by their predictions.

use std::path::{Path, PathBuf};

use crate::data::LabelSet;
use crate::evaluate::{
    Calibrations, Comparison, EvaluatedRow, Evaluation, Measured, MemoryRows, Metric, Options, compare, measure_each,
    predictions,
};
use crate::{Error, Result};

/// What two runs' predictions gave.
#[derive(Clone, Debug)]
pub struct RunComparison {
    /// The predictions files that were read: the first run's and the second's.
    pub files: [PathBuf; 2],
    /// The first run.
    pub before: Measured,
    /// The second run.
    pub after: Measured,
    /// What changed from the first to the second.
    pub comparison: Comparison,
}

/// The predictions that stand for a run: those after training, else those before. `run` may also be a predictions file.
pub fn predictions_of(run: &Path) -> Result<PathBuf> {
    if run.is_file() {
        return Ok(run.to_owned());
    }
    let names = [predictions::AFTER, predictions::BEFORE];
    names.iter().map(|name| run.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        Error::manifest(format!(
            "`{}`: expected a run's folder with `{}` or `{}`, found neither",
            run.display(),
            names[0],
            names[1]
        ))
    })
}

/// Measures and compares the predictions of two runs, each calibrated as its run was. The rows are matched by id; it is an error if
/// the two sets differ.
pub fn compare_runs(
    a: &Path,
    b: &Path,
    labels: &LabelSet,
    metrics: &[&dyn Metric],
    options: &Options,
) -> Result<RunComparison> {
    let files = [predictions_of(a)?, predictions_of(b)?];
    let rows = |file: &Path| Calibrations::apply_beside(file, labels, predictions::read(file, labels)?);
    let [first, second] = [rows(&files[0])?, rows(&files[1])?];
    let measure = |rows: &[EvaluatedRow]| measure_each(metrics, labels, &MemoryRows { rows, labels }, options);
    let (before, after) = (measure(&first)?, measure(&second)?);
    let comparison =
        compare(labels, Evaluation { rows: &first, measured: &before }, Evaluation { rows: &second, measured: &after })
            .map_err(|e| e.context(format!("`{}` and `{}`", files[0].display(), files[1].display())))?;
    Ok(RunComparison { files, before, after, comparison })
}
