//! metrics → compare → report, from predictions alone.

use std::path::Path;

use serde_json::json;

use super::{Plugins, Prepared, learner};
use crate::data::LabelSet;
use crate::evaluate::{self, Comparison, EvaluatedRow, Evaluation, Measured, Metric, Options};
use crate::manifest::Plan;
use crate::plugin::lock::Lock;
use crate::plugin::{Host, MetricPlugin};
use crate::report::{self, Report};
use crate::{Error, Result};

pub(super) fn write(path: &Path, rows: &[EvaluatedRow], prepared: &Prepared) -> Result<()> {
    evaluate::write_predictions(path, &prepared.labels, rows)
}

pub(super) fn read(path: &Path, prepared: &Prepared) -> Result<Vec<EvaluatedRow>> {
    evaluate::read_predictions(path, &prepared.labels)
}
