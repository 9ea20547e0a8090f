//! Joins a finished run to the server: what decides is what the report measured.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::data::{Request, thinking};
use crate::manifest::{PredictMode, ServePlan};
use crate::pipeline::measured::Measured;
use crate::pipeline::{Narrator, Place};
use crate::plugin::Policy;
use crate::serve::{About, Ask, Checked, Decide, Decided, Digests, Prepared, Unprepared};
use crate::{Error, Result, files};

/// A run that is served.
pub struct Service {
    measured: Measured,
    about: About,
}

impl Service {
    /// Opens a run, whose files, model and adapter must be those that were measured.
    ///
    /// # Errors
    /// A run that did not end, or that is not as it was recorded; a model that cannot be read.
    pub fn open(place: &Place, policy: &Policy, narrator: Narrator) -> Result<Self> {
        let measured = Measured::open(place, policy, narrator)?;
        let calibration = measured.calibration.as_ref().map(|own| Ok::<_, Error>(files::sha256(&files::json(own)?)));
        let plan = &measured.plan;
        let about = About {
            name: plan.name.clone(),
            created: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            labels: measured.labels.names.clone(),
            severity: measured.labels.severity.clone(),
            label_tokens: measured
                .asking
                .prompter()
                .labels()
                .iter()
                .filter_map(|tokens| tokens.first().copied())
                .collect(),
            batch_tokens: plan.predict.batch,
            generates: plan.predict.mode == PredictMode::Generate,
            digests: Digests {
                model: measured.model_digest.clone(),
                adapter: measured.trained.as_ref().map(|(_, digest)| digest.clone()),
                policy: plan.predict.system_prompt.as_ref().map(|text| files::sha256(text.as_bytes())),
                calibration: calibration.transpose()?,
                plugins: Some(measured.lock_digest.clone()),
            },
        };
        Ok(Self { measured, about })
    }

    /// What the run's manifest says of serving it.
    pub fn plan(&self) -> &ServePlan {
        &self.measured.plan.serve
    }
}

impl Decide for Service {
    fn about(&self) -> &About {
        &self.about
    }

    fn prepare(&self, ask: &Ask) -> std::result::Result<Prepared, Unprepared> {
        let request = Request { instruction: ask.instruction.as_str().into(), input: ask.input.as_str().into() };
        let asking = &self.measured.asking;
        let (request, found) = asking.redacted(&request);
        if found.is_left_out {
            return Err(Unprepared::Policy(asking.leaving_out(&found)));
        }
        let (tokens, is_cut) = asking.prompt(&request).map_err(Unprepared::Error)?;
        Ok(Prepared { tokens, is_cut, found: found.counts.by_name().into_iter().collect() })
    }

    fn decide(&self, batch: &[Prepared]) -> Result<Vec<Decided>> {
        let prompts: Vec<Vec<u32>> = batch.iter().map(|one| one.tokens.clone()).collect();
        let decided = self.measured.say(&prompts)?.into_iter().map(|said| {
            // Of a generated answer, nothing but the final part may be shown.
            let shown = said
                .answer
                .as_deref()
                .and_then(thinking::parse)
                .and_then(|parts| parts.final_part().map(str::to_owned));
            Decided {
                label: said.judged.label,
                raw: said.raw.scores,
                calibrated: self.measured.calibration.is_some().then_some(said.judged.scores),
                answer: said.answer,
                shown,
            }
        });
        Ok(decided.collect())
    }

    fn check(&self, rows: usize) -> Result<Checked> {
        let stored: Vec<_> = self.measured.stored(rows).collect();
        if stored.is_empty() {
            return Err(Error::data("the run has no stored decision to be held against"));
        }
        let mut prompts = Vec::with_capacity(stored.len());
        for (example, row) in &stored {
            let ask =
                Ask { instruction: example.request.instruction.to_string(), input: example.request.input.to_string() };
            let prepared = self.prepare(&ask).map_err(|unprepared| match unprepared {
                Unprepared::Error(error) => error.context(&row.id),
                Unprepared::Policy(kinds) => Error::data(format!("`{}` holds `{}`", row.id, kinds.join("`, `"))),
            })?;
            prompts.push(prepared.tokens);
        }
        let mut checked = Checked { rows: stored.len(), ..Checked::default() };
        for ((_, row), said) in stored.iter().zip(self.measured.say(&prompts)?) {
            let (expected, found) = (&row.prediction, &said.raw);
            checked.decisions += usize::from(expected.label != found.label);
            let pairs = || expected.scores.iter().zip(&found.scores);
            checked.bits += usize::from(pairs().any(|(a, b)| a.to_bits() != b.to_bits()));
            checked.largest_difference = pairs().map(|(a, b)| (a - b).abs()).fold(checked.largest_difference, f32::max);
        }
        Ok(checked)
    }
}
