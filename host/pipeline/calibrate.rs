//! The stage that fits a calibration to a model.

use serde_json::json;

use super::stages::key;
use super::{Moment, Part, Prepared, Run, Trained};
use crate::evaluate::{Calibration, Calibrations};
use crate::{Result, files};

impl Run<'_> {
    /// Temperature and thresholds of the base or of what was trained, fitted on the calibration part, where the manifest asks for it.
    /// Each model has its own, so that before and after are compared as each would be used, and what calibration alone gains
    /// is not taken for what training does.
    pub(super) fn calibrate(
        &mut self,
        prepared: &Prepared,
        moment: Moment,
        trained: Option<&Trained>,
    ) -> Result<Option<Calibration>> {
        let Some(plan) = self.plan.calibrate else {
            let _ = std::fs::remove_file(self.folder.join(Calibrations::FILE));
            return Ok(None);
        };
        let rows = self.predict(&prepared.for_calibration(), Part::Calibration, moment, trained)?;
        let stage = format!("calibrate {}", moment.name());
        let digest = files::sha256_file(&self.predictions_path(Part::Calibration, moment))?;
        let key = key(&json!(["calibrate/1", plan, digest]))?;
        let path = self.folder.join(Calibrations::FILE);
        let is_done = self.stages.is_done(&stage, &key, std::slice::from_ref(&path));
        let mut known = Calibrations::read(&self.folder).unwrap_or_default().unwrap_or_default();
        let own = match moment {
            Moment::Before => &mut known.before,
            Moment::After => &mut known.after,
        };
        if let Some(own) = own.take_if(|_| is_done) {
            return Ok(Some(own));
        }
        self.stages.begin(&stage)?;
        let fitted = Calibration::fit(&prepared.labels, &rows, plan.temperature, plan.thresholds)?;
        self.narrator.say(format!(
            "tuned    temperature {:.3} on {} rows, log loss {:.4} → {:.4}",
            fitted.temperature, fitted.n, fitted.log_loss_before, fitted.log_loss_after
        ));
        *own = Some(fitted.clone());
        known.write(&self.folder)?;
        self.stages.finish(&stage, &key)?;
        Ok(Some(fitted))
    }
}
