//! What the training loop is told of its adapters: metric plugins over what the network predicts of the validation part.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::data::{Example, LabelSet};
use crate::evaluate::{self, Bound, EvaluatedRow, Measured, Metric, Options, judged_value};
use crate::kernels::backend::Backend;
use crate::manifest::{Plan, ValidationPlan};
use crate::model::network::Network;
use crate::pipeline::model::answers;
use crate::pipeline::model::prompts::{self, Asked};
use crate::pipeline::plugins::Plugins;
use crate::pipeline::prepare::Prepared;
use crate::pipeline::progress::Narrator;
use crate::pipeline::report::metrics::{check_validation, metrics_of, request_texts};
use crate::plugin::MetricPlugin;
use crate::train::{GuardOutcome, Judgement, Validated};
use crate::{Error, Result};

/// Measures a network while it is trained.
pub(in crate::pipeline) struct Validator<'a> {
    plan: &'a ValidationPlan,
    labels: &'a LabelSet,
    examples: &'a [Example],
    asked: Asked<'a>,
    metrics: Vec<MetricPlugin>,
    higher_is_better: bool,
    options: Options,
    stop: &'a AtomicBool,
}

impl<'a> Validator<'a> {
    pub(in crate::pipeline) fn new(
        plan: &'a Plan,
        validation: &'a ValidationPlan,
        plugins: &Plugins,
        prepared: &'a Prepared,
        asked: Asked<'a>,
        stop: &'a AtomicBool,
    ) -> Result<Self> {
        answers::check_metrics(plan, plugins, &prepared.labels)?;
        let examples = &prepared.parts.validation;
        let all = metrics_of(plan, plugins, &prepared.labels)?;
        let higher_is_better =
            check_validation(validation, &all.iter().map(|metric| metric as &dyn Metric).collect::<Vec<_>>())?;
        let metrics: Vec<MetricPlugin> = all.into_iter().filter(|metric| validation.asks(metric.name())).collect();
        let mut options = Options { resamples: 0, ..plan.options() };
        if metrics.iter().any(|metric| metric.plugin().may_see_texts()) {
            options.texts = request_texts(examples);
        }
        Ok(Self {
            plan: validation,
            labels: &prepared.labels,
            examples,
            asked,
            metrics,
            higher_is_better,
            options,
            stop,
        })
    }

    /// Measures the network; `base` is what was measured before the first step.
    pub(in crate::pipeline) fn judge<B: Backend>(
        &self,
        network: &Network<B>,
        base: Option<&Validated>,
    ) -> Result<Judgement> {
        let progress = |_: usize| match self.stop.load(Ordering::Relaxed) {
            true => Err(Error::interrupted("validation was stopped")),
            false => Ok(()),
        };
        let (predictions, _) = self.asked.answer(network, self.labels, progress)?;
        let unknown = vec![None; self.examples.len()];
        let rows: Vec<EvaluatedRow> = prompts::rows(self.examples, predictions, unknown);
        let metrics: Vec<&dyn Metric> = self.metrics.iter().map(|metric| metric as &dyn Metric).collect();
        let measured = evaluate::measure(&metrics, self.labels, &rows, &self.options)?;
        let guards = self.plan.guards.iter().enumerate().map(|(index, guard)| {
            let was = base.map(|base| base.guards.get(index).and_then(|outcome| outcome.value));
            outcome(&guard.rule.to_string(), &guard.rule.metric, guard.rule.bound, &measured, was)
        });
        Ok(Judgement {
            value: measured.metrics.get(&self.plan.metric).and_then(|measurement| measurement.value),
            higher_is_better: self.higher_is_better,
            guards: guards.collect(),
        })
    }
}

/// What becomes of a guard; `was` is the base's value, where this is not the base itself. What cannot be judged does not hold.
fn outcome(guard: &str, metric: &str, bound: Bound, measured: &Measured, was: Option<Option<f64>>) -> GuardOutcome {
    let measurement = measured.metrics.get(metric);
    let value = measurement.and_then(|own| own.value);
    let judged = measurement.map_or_else(|| Err(format!("there is no `{metric}`")), judged_value);
    let (holds, reason) = match (judged, was) {
        (Err(why), _) => (false, why),
        (Ok(is), None) => (true, format!("the base model's value is {is:.4}")),
        (Ok(is), Some(was)) => match bound.keeps(was, is) {
            Some(holds) => {
                let was = was.filter(|_| bound.compares());
                (
                    holds,
                    format!(
                        "it is {is:.4}{}",
                        was.map_or_else(String::new, |was| format!(", before training {was:.4}"))
                    ),
                )
            }
            None => (false, "the base model has no value to compare with".to_owned()),
        },
    };
    GuardOutcome { guard: guard.to_owned(), holds, value, reason }
}

/// Says what a validation found, on one line.
pub(in crate::pipeline) fn say(narrator: &Narrator, validated: &Validated) {
    let value = validated.value.map_or_else(|| "no value".to_owned(), |value| format!("{value:.4}"));
    let what = match validated.guards.iter().find(|guard| !guard.holds) {
        Some(guard) if validated.step > 0 => format!("; not kept: {} does not hold, {}", guard.guard, guard.reason),
        _ if validated.best => "; the best so far".to_owned(),
        _ => String::new(),
    };
    narrator.say(format!("valid    after step {}: `{}` {value}{what}", validated.step, validated.metric));
}
