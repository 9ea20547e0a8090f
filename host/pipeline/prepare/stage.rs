//! convert → map → duplicates → split: from the manifest's files to two lists of examples.

use std::io::Write as _;
use std::path::Path;

use super::contamination;
use super::prepared::{CONFLICTS, Prepared};
use super::read::Reading;
use super::redact::Enforcer;
use crate::data::{self, ClassSize, Conflict, Counted, GateOutcome, LabelSet, Parts, SourceStatistics, Statistics};
use crate::manifest::{Plan, SourcePlan};
use crate::pipeline::plugins::Plugins;
use crate::pipeline::progress::Narrator;
use crate::plugin::Bounds;
use crate::{Error, Result, files};

/// Reads every source through its plugins, and parts the examples. `rejected.jsonl` in `folder` lists what was refused,
/// also where the stage fails for it.
///
/// # Errors
/// A file, a plugin, too many rejected records, mappers that disagree about the labels, or data that make the result
/// meaningless.
pub fn prepare(plan: &Plan, plugins: &Plugins, folder: &Path, narrator: &Narrator) -> Result<Prepared> {
    let mut reading = Reading::default();
    let mut enforcer = plan.policy.map(|policy| Enforcer::new(policy.settings)).transpose()?;
    let mut sources = Vec::new();
    let mut failure = None;
    for source in &plan.sources {
        let files = source.files.len();
        narrator.say(format!("reading {} ({files} {})", source.name, if files == 1 { "file" } else { "files" }));
        match read(source, plugins, &plan.bounds, &mut reading, enforcer.as_mut()) {
            Ok(statistics) => sources.push(statistics),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let withheld = data::withhold(&mut reading.candidates);
    let distinct = data::remove_duplicates(reading.candidates);
    for conflict in &distinct.conflicts {
        reading.refused.push(
            serde_json::to_string(&serde_json::json!({
                "source": conflict.removed.split(':').next(), "id": conflict.removed,
                "reason": format!("duplicate of `{}` with another label", conflict.kept),
            }))
            .unwrap_or_default(),
        );
    }
    files::write_with(&folder.join("rejected.jsonl"), |file| {
        reading.refused.iter().try_for_each(|line| writeln!(file, "{line}"))
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    let labels = reading.labels.ok_or_else(|| Error::internal("a plan without sources was prepared"))?;
    write_conflicts(&folder.join(CONFLICTS), &distinct.conflicts, &labels)?;
    for source in &mut sources {
        source.duplicates = distinct.by_source.get(&source.name).copied().unwrap_or(0);
    }
    let mut parts = data::split(distinct.candidates, plan.eval_share, plan.seed);
    if let Some(share) = plan.trial_share {
        parts.hold_out_trial(share, plan.seed);
    }
    let contamination = contamination::look_for(plan, &mut parts, folder)?;
    if let Some(calibrate) = &plan.calibrate {
        parts.hold_out_calibration(calibrate.share, plan.seed);
    }
    if let Some(validation) = &plan.validation {
        parts.hold_out_validation(validation.share, plan.seed);
    }
    let mut statistics = Statistics::new(sources, &parts, distinct.counts, &labels);
    statistics.policy = enforcer.as_ref().map(Enforcer::statistics);
    statistics.withheld = plan.sources.iter().any(|source| source.detection_only).then_some(withheld);
    statistics.warnings.extend(reading.warnings);
    statistics.check(&labels, plan.train.is_some())?;
    statistics.warnings.extend(contamination.as_ref().and_then(|found| contamination::warning(found, &parts)));
    statistics.rebalanced =
        plan.rebalance.map(|settings| data::rebalance(&mut parts.train, &labels, settings, plan.seed));
    let gates = gates(plan, &statistics, &parts, &labels);
    statistics.judge(gates)?;
    if plan.calibrate.is_some() && parts.calibration.is_empty() {
        return Err(Error::data("no example is left to calibrate on: expected some in the training part")
            .with_hint("give a source with `use = \"train\"` or `\"both\"`, or raise `[calibrate] share`"));
    }
    if plan.validation.is_some() && parts.validation.len() < 2 {
        let found = parts.validation.len();
        return Err(Error::data(format!("{found} examples are left to validate on: expected at least 2"))
            .with_hint("give a source with `use = \"train\"` or `\"both\"`, or raise `[train.validation] share`"));
    }
    Ok(Prepared { labels, parts, statistics, contamination })
}

/// Reads one source, and applies the policy to it.
fn read(
    source: &SourcePlan,
    plugins: &Plugins,
    bounds: &Bounds,
    reading: &mut Reading,
    enforcer: Option<&mut Enforcer>,
) -> Result<SourceStatistics> {
    let result = reading.source(source, plugins, bounds);
    let mut statistics = match (result, enforcer) {
        (Err(error), Some(enforcer)) => return Err(enforcer.error(error, reading)),
        (Err(error), None) => return Err(error),
        (Ok(statistics), None) => statistics,
        (Ok(mut statistics), Some(enforcer)) => {
            enforcer.source(reading, &mut statistics)?;
            statistics
        }
    };
    statistics.detection_only = source.detection_only;
    statistics.provenance.clone_from(&source.provenance);
    Ok(statistics)
}

/// Measures the quality gates. Balance is that of what is learnt: after sampling, and by weight where examples are weighted; near
/// duplicates do not count the copies that sampling made.
fn gates(plan: &Plan, statistics: &Statistics, parts: &Parts, labels: &LabelSet) -> Vec<GateOutcome> {
    let counted = Counted {
        sources: &statistics.sources,
        duplicates: statistics.duplicates.exact + statistics.duplicates.normalised,
        conflicts: statistics.duplicates.conflicts,
    };
    let rebalanced = statistics.rebalanced.as_ref();
    let classes: Vec<ClassSize> = labels
        .names
        .iter()
        .map(|name| ClassSize {
            name: name.clone(),
            examples: rebalanced.map_or(&statistics.train, |own| &own.after)[name],
            weight: rebalanced.and_then(|own| own.weights.get(name)).map_or(1.0, |weight| f64::from(*weight)),
        })
        .collect();
    data::gates(&plan.quality, counted, parts, &classes, plan.seed)
}

/// Lists every duplicate whose label differs from that of the example that was kept: ids and labels.
fn write_conflicts(path: &Path, conflicts: &[Conflict], labels: &LabelSet) -> Result<()> {
    files::write_with(path, |file| {
        conflicts.iter().try_for_each(|conflict| {
            let line = serde_json::json!({
                "kept": conflict.kept, "kept_label": labels.name(conflict.kept_label),
                "removed": conflict.removed, "removed_label": labels.name(conflict.removed_label),
            });
            writeln!(file, "{line}")
        })
    })
}
