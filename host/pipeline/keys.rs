//! What each stage depends on, as the digest under which it is kept.

use serde_json::{Value, json};

use super::lock::digests;
use super::plugins::Plugins;
use super::stage_cache::key;
use crate::Result;
use crate::manifest::Plan;
use crate::plugin::lock::{EntryKind, Lock};

/// The metrics of a plan for which `chosen` holds: name, component, configuration and whether texts are granted.
pub(super) fn metrics(plan: &Plan, plugins: &Plugins, chosen: impl Fn(&str) -> bool) -> Result<Vec<Value>> {
    let metric = |name: &String| {
        let spec = &plan.plugins[name];
        Ok(json!([name, plugins.get(name)?.digest(), spec.config, spec.texts]))
    };
    plan.metrics.iter().filter(|name| chosen(name)).map(metric).collect()
}

/// What chooses among the adapters of a training, besides its configuration; `None` where nothing does.
pub(super) fn validation_key(plan: &Plan, plugins: &Plugins) -> Result<Option<serde_json::Value>> {
    let Some(validation) = &plan.validation else { return Ok(None) };
    Ok(Some(json!([metrics(plan, plugins, |name| validation.asks(name))?, plan.min_support])))
}

/// What the prepared data depend on.
pub(super) fn prepare_key(plan: &Plan, plugins: &Plugins, lock: &Lock) -> Result<String> {
    let sources: Vec<_> = plan
        .sources
        .iter()
        .map(|s| {
            let group = format!("{:?}", s.group);
            let rules = (s.detection_only, &s.provenance);
            let input = format!("{:?}", s.input);
            json!([s.name, s.usage, group, s.category, s.max_rejected, s.converter, s.mapper, input, rules])
        })
        .collect();
    let components = plan.sources.iter().flat_map(|s| [&s.converter, &s.mapper]).collect::<Vec<_>>();
    let plugins = components
        .into_iter()
        .map(|name| Ok(json!([name, plugins.get(name)?.digest(), plan.plugins[name].config])))
        .collect::<Result<Vec<_>>>()?;
    let data = digests(lock, EntryKind::Data);
    let trains = plan.train.is_some();
    let share = plan.calibrate.map(|own| own.share);
    let validation = plan.validation.as_ref().map(|own| own.share);
    let mut split = json!([plan.eval_share, plan.seed, trains, share, plan.contamination, validation]);
    if let (Some(share), Some(split)) = (plan.trial_share, split.as_array_mut()) {
        split.push(json!({ "trial": share }));
    }
    let rules = (plan.policy, &plan.quality, plan.rebalance);
    key(&json!(["prepare/4", sources, plugins, data, split, rules]))
}

/// What a prediction of the base model depends on besides the data.
pub(super) fn model_key(plan: &Plan, lock: &Lock) -> Result<String> {
    let compute = plan.predict.compute;
    key(&json!(["model/3", digests(lock, EntryKind::Model), plan.quantization, plan.embeddings, compute]))
}
