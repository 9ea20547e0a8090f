//! The stage that fits a calibration to a model.

use std::path::Path;

use serde_json::json;

use super::version::{Moment, Part};
use crate::data::LabelSet;
use crate::evaluate::{Calibration, Calibrations, EvaluatedRow};
use crate::manifest::CalibratePlan;
use crate::pipeline::progress::Narrator;
use crate::pipeline::stage_cache::{Stages, key};
use crate::{Result, files};

/// Temperature and thresholds of the base or of what was trained, fitted on the predictions of the calibration part. Each model has
/// its own, so that before and after are compared as each would be used, and what calibration alone gains is not taken for what
/// training does.
pub(in crate::pipeline) fn fit(
    plan: CalibratePlan,
    moment: Moment,
    (labels, rows): (&LabelSet, &[EvaluatedRow]),
    folder: &Path,
    stages: &mut Stages,
    narrator: &Narrator,
) -> Result<Calibration> {
    let stage = format!("calibrate {}", moment.name());
    let digest = files::sha256_file(&folder.join(Part::Calibration.predictions(moment)))?;
    let key = key(&json!(["calibrate/1", plan, digest]))?;
    let is_done = stages.is_done(&stage, &key, &[folder.join(Calibrations::FILE)]);
    let mut known = Calibrations::read(folder).unwrap_or_default().unwrap_or_default();
    let own = match moment {
        Moment::Before => &mut known.before,
        Moment::After => &mut known.after,
    };
    if let Some(own) = own.take_if(|_| is_done) {
        return Ok(own);
    }
    stages.begin(&stage)?;
    let fitted = Calibration::fit(labels, rows, plan.temperature, plan.thresholds)?;
    narrator.say(format!(
        "tuned    temperature {:.3} on {} rows, log loss {:.4} → {:.4}",
        fitted.temperature, fitted.n, fitted.log_loss_before, fitted.log_loss_after
    ));
    *own = Some(fitted.clone());
    known.write(folder)?;
    stages.finish(&stage, &key)?;
    Ok(fitted)
}
