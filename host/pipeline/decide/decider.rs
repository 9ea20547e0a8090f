//! Requests in, decisions out: the model, the prompt, the redaction, the calibration and the thresholds of a run.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::asking::Asking;
use super::opened::Opened;
use super::{Decided, Deciding};
use crate::data::{LabelSet, Prediction, Request};
use crate::model::device::on_network;
use crate::pipeline::model::prompts;
use crate::pipeline::progress::Narrator;
use crate::pipeline::settings::Settings;
use crate::{Error, Result};

/// A decision on one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The decision and the probabilities as they are judged: calibrated where the run is.
    pub judged: Prediction,
    /// What the model said.
    pub raw: Prediction,
    /// The text of the answer, where answers are generated.
    pub answer: Option<String>,
    /// Whether the request was cut to fit `max_length`.
    pub cut: bool,
}

/// A run that decides.
pub struct Decider {
    opened: Opened,
    asking: Arc<Asking>,
    /// How many requests hold what the run's policy leaves out.
    left_out: u64,
    narrator: Narrator,
    stop: Arc<AtomicBool>,
}

impl Decider {
    /// Opens the run in a folder, or the run that a manifest makes. No weights are read.
    ///
    /// # Errors
    /// A run that is not whole or was changed, a model or an adapter that is another.
    pub fn open(run: &Path, deciding: &Deciding, settings: &Settings) -> Result<Self> {
        Self::of(Opened::open(run, deciding, settings)?, Narrator::new(settings.quiet), Arc::clone(&settings.stop))
    }

    pub(in crate::pipeline) fn of(opened: Opened, narrator: Narrator, stop: Arc<AtomicBool>) -> Result<Self> {
        let prompter = opened.learner.prompter(&opened.plan, &opened.labels, opened.plan.predict.max_length)?;
        let asking = Arc::new(Asking::new(&opened.plan, prompter)?);
        Ok(Self { opened, asking, left_out: 0, narrator, stop })
    }

    /// The labels, by id.
    pub fn labels(&self) -> &LabelSet {
        &self.opened.labels
    }

    /// What decides, in words.
    pub fn measured(&self) -> &str {
        &self.opened.measured
    }

    pub(in crate::pipeline) fn opened(&self) -> &Opened {
        &self.opened
    }

    pub(in crate::pipeline) fn asking(&self) -> &Arc<Asking> {
        &self.asking
    }

    /// Reads the weights, which the first decision would do otherwise.
    ///
    /// # Errors
    /// Weights or an adapter that cannot be read, or are not those that the run used.
    pub fn load(&mut self) -> Result<()> {
        let Opened { plan, learner, trained, .. } = &mut self.opened;
        if learner.network.is_none() {
            learner.ready(plan, trained.as_ref(), &self.narrator)?;
        }
        Ok(())
    }

    /// The decision on every request, in their order. Each is the same whatever the others are.
    ///
    /// # Errors
    /// Weights that cannot be read, a score that is not finite, or that the user stopped.
    pub fn decide(&mut self, requests: &[Request]) -> Result<Vec<Decision>> {
        self.decide_with(requests, |_| ())
    }

    /// As [`decide`](Self::decide); `progress` is told after every pass how many requests are done.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub fn decide_with(&mut self, requests: &[Request], progress: impl Fn(usize)) -> Result<Vec<Decision>> {
        let mut cut = Vec::with_capacity(requests.len());
        let mut tokens = Vec::with_capacity(requests.len());
        for request in requests {
            let (request, found) = self.asking.redacted(request);
            self.left_out += u64::from(found.is_left_out);
            let (prompt, is_cut) = self.asking.prompt(&request)?;
            tokens.push(prompt);
            cut.push(is_cut);
        }
        let mut decisions = self.answer(&tokens, progress)?;
        decisions.iter_mut().zip(cut).for_each(|(decision, cut)| decision.cut = cut);
        Ok(decisions)
    }

    /// The decision on every prompt, in their order.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub(in crate::pipeline) fn answer(
        &mut self,
        prompts: &[Vec<u32>],
        progress: impl Fn(usize),
    ) -> Result<Vec<Decision>> {
        self.load()?;
        let Self { opened, asking, stop, .. } = self;
        let Opened { plan, labels, learner, calibration, .. } = opened;
        let Some((_, network)) = &learner.network else {
            return Err(Error::internal("the network was just read"));
        };
        let passed = |done: usize| {
            progress(done);
            if stop.load(Ordering::Relaxed) { Err(Error::interrupted("prediction was stopped")) } else { Ok(()) }
        };
        let asking = (asking.prompter(), &learner.files.tokenizer);
        let (raw, answers) = on_network!(network, network => {
            prompts::answer(network, prompts, asking, &plan.predict, labels, passed)
        })?;
        let judged = match calibration {
            Some(calibration) => calibration.judge(labels, &raw)?,
            None => raw.clone(),
        };
        let mut answers = answers.map(Vec::into_iter);
        let decisions = judged.into_iter().zip(raw).map(|(judged, raw)| Decision {
            judged,
            raw,
            answer: answers.as_mut().and_then(Iterator::next),
            cut: false,
        });
        Ok(decisions.collect())
    }

    /// What a reader of the decisions must know.
    pub(super) fn warnings(&self, decided: &Decided) -> Vec<String> {
        let mut warnings = Vec::new();
        if decided.cut > 0 {
            warnings.push(format!("{} of {} requests were cut to fit `max_length`", decided.cut, decided.rows));
        }
        if self.left_out > 0 {
            warnings.push(format!(
                "{} of {} requests hold what the run's `[redaction]` leaves out of its data: they were decided on with placeholders in its place, and no evaluation says how well",
                self.left_out, decided.rows
            ));
        }
        warnings
    }
}
