//! `[train.validation]`: what is measured while training.

use super::Places;
use super::accept::{RulePlan, check_metric, is_of_a_plugin};
use crate::evaluate::{Bound, Rule};
use crate::train::{GuardConfig, TrainConfig};
use crate::{Error, Result};

/// What is validated, and what an adapter must keep to.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidationPlan {
    /// The share of the training part that is kept for it.
    pub share: f64,
    /// `plugin.metric`: the adapter with the best value is kept.
    pub metric: String,
    /// What an adapter must keep to, in order.
    pub guards: Vec<RulePlan>,
    /// Where the manifest names the metric.
    place: String,
}

impl ValidationPlan {
    /// Checks that the metrics exist; `known` are the names of all `plugin.metric`s of the run.
    ///
    /// # Errors
    /// A name that is not among them, with its place in the manifest and the name that it was perhaps meant to be.
    pub fn check(&self, known: &[String]) -> Result<()> {
        check_metric(&self.metric, &self.place, known)?;
        self.guards.iter().try_for_each(|guard| guard.check(known))
    }

    /// Whether one of its metrics is of this plugin.
    pub fn asks(&self, plugin: &str) -> bool {
        let mut names = std::iter::once(&self.metric).chain(self.guards.iter().map(|guard| &guard.rule.metric));
        names.any(|name| name.strip_prefix(plugin).is_some_and(|rest| rest.starts_with('.')))
    }

    /// An error about the metric, at its place in the manifest.
    pub fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::manifest(format!("{}: {what}", self.place))
    }
}

/// Checks the names as far as it can be done without opening a plugin; the numbers were checked with the rest of `[train]`.
pub(super) fn resolve(config: &TrainConfig, metrics: &[String], places: &Places) -> Result<Option<ValidationPlan>> {
    let Some(validation) = &config.validation else { return Ok(None) };
    let named = |metric: &String, path: &[&str]| match is_of_a_plugin(metric, metrics) {
        true => Ok(places.place(path)),
        false => Err(Error::manifest(format!(
            "{}: `{metric}` is no metric: expected `PLUGIN.METRIC` with a plugin of `[evaluate] metrics`",
            places.place(path)
        ))
        .with_hint(format!("for example `{}.…`", metrics.join(".…`, `")))),
    };
    let guard = |(index, guard): (usize, &GuardConfig)| {
        let place = named(&guard.metric, &["train", "validation", "guards", &index.to_string(), "metric"])?;
        let bounds = [
            guard.min.map(Bound::Min),
            guard.max.map(Bound::Max),
            guard.max_rise.map(Bound::MaxRise),
            guard.max_drop.map(Bound::MaxDrop),
        ];
        let bound = bounds.into_iter().flatten().next();
        let bound = bound.ok_or_else(|| Error::internal("a guard without a bound was not refused"))?;
        Ok(RulePlan::new(Rule { metric: guard.metric.clone(), source: None, bound, sure: false }, place))
    };
    Ok(Some(ValidationPlan {
        share: validation.share,
        metric: validation.metric.clone(),
        place: named(&validation.metric, &["train", "validation", "metric"])?,
        guards: validation.guards.iter().enumerate().map(guard).collect::<Result<_>>()?,
    }))
}
