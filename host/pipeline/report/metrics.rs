//! The metrics of a run or of a predictions file: loaded, opened, and checked against the rules that name them.

use std::path::Path;
use std::sync::Arc;

use super::annotate::text;
use crate::data::{Example, LabelSet};
use crate::evaluate::{Direction, Metric, MetricIdentity, Options, RequestTexts, Rule, check_names};
use crate::manifest::{Plan, RulePlan, ValidationPlan, check_metric};
use crate::pipeline::lock;
use crate::pipeline::plugins::{self, PluginLog, Plugins};
use crate::pipeline::prepare::read_evaluation;
use crate::pipeline::progress::Narrator;
use crate::plugin::{ComponentSource, MetricPlugin, Plugin, PluginSpec, Policy, Resolution};
use crate::{Error, Result};

/// The metrics and options of a plan; without one the standard metrics of these names, or `classification` where there are none.
pub(in crate::pipeline) fn chosen(plan: Option<&Plan>, names: &[String]) -> (Vec<PluginSpec>, Options) {
    if let Some(plan) = plan {
        return (plan.metrics.iter().map(|name| plan.plugins[name].clone()).collect(), plan.options());
    }
    let builtin = |name: &str| PluginSpec::new(name, ComponentSource::Builtin(name.to_owned()));
    let specs = match names {
        [] => vec![builtin("classification")],
        names => names.iter().map(|name| builtin(name)).collect(),
    };
    (specs, Options { resamples: 1000, ..Options::default() })
}

/// The plugins of some specs, loaded.
pub(in crate::pipeline) struct Metrics {
    specs: Vec<PluginSpec>,
    pub(in crate::pipeline) plugins: Vec<Plugin>,
    opened: Vec<MetricPlugin>,
}

impl Metrics {
    /// Loads them, those of a plan's manifest as its lock file says.
    pub(in crate::pipeline) fn load(
        specs: Vec<PluginSpec>,
        labels: &[String],
        plan: Option<&Plan>,
        policy: &Policy,
    ) -> Result<Self> {
        let admission = lock::admission(plan, policy, Resolution::Locked)?;
        let host = PluginLog::default().host(Narrator::new(false), admission)?;
        let plugins = specs.iter().map(|spec| plugins::load(&host, spec, plan)).collect::<Result<Vec<_>>>()?;
        let opened = plugins.iter().map(|plugin| MetricPlugin::new(plugin.clone(), labels.to_vec())).collect();
        Ok(Self { specs, plugins, opened })
    }

    /// The requests' text for metrics that may see it, from the examples in the folder of a run or of its predictions.
    pub(in crate::pipeline) fn texts(&self, predictions: &Path, labels: &LabelSet) -> Result<Arc<RequestTexts>> {
        let Some(asking) = self.plugins.iter().find(|plugin| plugin.may_see_texts()) else { return Ok(Arc::default()) };
        match read_evaluation(folder_of(predictions), labels)? {
            Some(examples) => Ok(request_texts(&examples)),
            None => Err(Error::data(format!(
                "metric `{}` reads the requests' text, and there is no `evaluation.jsonl` beside `{}`",
                asking.name(),
                predictions.display()
            ))),
        }
    }

    pub(in crate::pipeline) fn as_metrics(&self) -> Vec<&dyn Metric> {
        self.opened.iter().map(|metric| metric as &dyn Metric).collect()
    }

    pub(super) fn identities(&self) -> Vec<MetricIdentity> {
        let identity = |(spec, plugin): (&PluginSpec, &Plugin)| MetricIdentity {
            name: spec.name.clone(),
            component: spec.component.to_string(),
            sha256: plugin.digest().to_owned(),
            config: spec.config.clone(),
        };
        self.specs.iter().zip(&self.plugins).map(identity).collect()
    }
}

/// Opens every metric once, so that one which refuses its configuration or the labels is told of before any model is asked; and
/// checks that every metric that the manifest's rules name is one of the run's.
///
/// # Errors
/// A metric that cannot be opened; one that no plugin gives, with its place in the manifest.
pub(in crate::pipeline) fn check_rules(plan: &Plan, plugins: &Plugins, labels: &LabelSet) -> Result<()> {
    let metrics = metrics_of(plan, plugins, labels)?;
    check_rules_of(plan, &metrics.iter().map(|metric| metric as &dyn Metric).collect::<Vec<_>>())
}

pub(super) fn check_rules_of(plan: &Plan, metrics: &[&dyn Metric]) -> Result<()> {
    let mut known = Vec::new();
    if let Some(validation) = &plan.validation {
        check_validation(validation, metrics)?;
    }
    let mut infos = Vec::with_capacity(metrics.len());
    for metric in metrics {
        let own = metric.open()?.metrics().to_vec();
        known.extend(own.iter().map(|info| format!("{}.{}", metric.name(), info.name)));
        infos.push(own);
    }
    check_names(metrics.iter().zip(&infos).map(|(metric, own)| (metric.name(), own.as_slice())))?;
    plan.headline.iter().try_for_each(|(name, place)| check_metric(name, place, &known))?;
    plan.accept.iter().try_for_each(|plan| plan.check(&known))
}

/// Checks that every metric that rules of a command line name is one that is measured.
pub(super) fn check_named(rules: &[Rule], metrics: &[&dyn Metric]) -> Result<()> {
    let mut known = Vec::new();
    for metric in metrics {
        known.extend(metric.open()?.metrics().iter().map(|info| format!("{}.{}", metric.name(), info.name)));
    }
    rules.iter().try_for_each(|rule| RulePlan::new(rule.clone(), "--rule".to_owned()).check(&known))
}

/// The plan's metrics, over the run's labels.
pub(in crate::pipeline) fn metrics_of(plan: &Plan, plugins: &Plugins, labels: &LabelSet) -> Result<Vec<MetricPlugin>> {
    let metric = |name: &String| Ok(MetricPlugin::new(plugins.get(name)?.clone(), labels.names.clone()));
    plan.metrics.iter().map(metric).collect()
}

/// Checks that the metrics of the validation exist, and that the one which decides can get better. Returns whether a larger value of it
/// is better.
///
/// # Errors
/// A metric that cannot be opened, does not exist, or has no direction.
pub(in crate::pipeline) fn check_validation(plan: &ValidationPlan, metrics: &[&dyn Metric]) -> Result<bool> {
    let mut known = Vec::new();
    for metric in metrics {
        let infos = metric.open()?.metrics().to_vec();
        known.extend(infos.into_iter().map(|info| (format!("{}.{}", metric.name(), info.name), info.direction)));
    }
    plan.check(&known.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>())?;
    match known.iter().find(|(name, _)| *name == plan.metric).map(|(_, direction)| direction) {
        Some(Direction::Higher) => Ok(true),
        Some(Direction::Lower) => Ok(false),
        _ => Err(plan.error(format!(
            "`{}` has no direction in which it gets better: no adapter can be chosen by it",
            plan.metric
        ))),
    }
}

/// The text of every example's request, for metrics that may see it.
pub(in crate::pipeline) fn request_texts(examples: &[Example]) -> Arc<RequestTexts> {
    Arc::new(RequestTexts::new(examples.iter().map(|example| (example.id.as_str(), text(example)))))
}

/// The folder of a run, or of a run's file.
pub(in crate::pipeline) fn folder_of(run: &Path) -> &Path {
    if run.is_file() { run.parent().unwrap_or(run) } else { run }
}

/// What a report says of the host's policy: the digest of its file, where there is one.
pub(in crate::pipeline) fn policy_details(policy: &Policy) -> Option<(String, serde_json::Value)> {
    policy.sha256.as_ref().map(|sha256| ("host_policy".to_owned(), serde_json::Value::from(sha256.clone())))
}
