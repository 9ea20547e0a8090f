//! Two run folders compared by their predictions.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::data::{Example, LabelSet};
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
    if run.exists() && !run.is_dir() {
        return Err(Error::data(format!(
            "`{}`: expected a run's folder or a regular file of predictions, found a pipe or a device",
            run.display()
        ))
        .with_hint("write the predictions to a file, and name that"));
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
/// the two sets differ. `asked` holds the examples beside each file, where there are some: they tell the requests of predictions that
/// hold no digests of them. Where requests cannot be held against each other, a warning says so.
pub fn compare_runs(
    a: &Path,
    b: &Path,
    labels: &LabelSet,
    metrics: &[&dyn Metric],
    options: &Options,
    asked: [Option<&[Example]>; 2],
) -> Result<RunComparison> {
    let files = [predictions_of(a)?, predictions_of(b)?];
    let rows = |place: usize| {
        let mut rows = predictions::read(&files[place], labels)?;
        if rows.iter().any(|row| row.request.is_none()) {
            let examples = asked[place].unwrap_or_default();
            let examples: HashMap<&str, &Example> = examples.iter().map(|own| (own.id.as_str(), own)).collect();
            for row in rows.iter_mut().filter(|row| row.request.is_none()) {
                row.request = examples.get(row.id.as_str()).map(|example| example.request.digest());
            }
        }
        Calibrations::apply_beside(&files[place], labels, rows)
    };
    let [first, second] = [rows(0)?, rows(1)?];
    let measure = |rows: &[EvaluatedRow]| measure_each(metrics, labels, &MemoryRows { rows, labels }, options);
    let (before, after) = (measure(&first)?, measure(&second)?);
    let mut comparison =
        compare(labels, Evaluation { rows: &first, measured: &before }, Evaluation { rows: &second, measured: &after })
            .map_err(|e| e.context(format!("`{}` and `{}`", files[0].display(), files[1].display())))?;
    let unknown = |rows: &[EvaluatedRow]| rows.iter().filter(|row| row.request.is_none()).count();
    for (file, rows) in files.iter().zip([&first, &second]) {
        let (unknown, all) = (unknown(rows), rows.len());
        if unknown > 0 {
            comparison.warnings.push(format!(
                "`{}`: {unknown} of {all} predictions hold no digest of their request, and there is no `evaluation.jsonl` beside them \
                 with it: whether both runs were asked the same is not checked",
                file.display()
            ));
        }
    }
    Ok(RunComparison { files, before, after, comparison })
}
