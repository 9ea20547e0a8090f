//! convert → map → duplicates → split: from the manifest's files to two lists of examples.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::policy::Enforcer;
use super::reading::Reading;
use super::{Narrator, Plugins, card, contamination};
use crate::data::{
    self, ClassSize, Conflict, Contamination, Counted, Example, GateOutcome, LabelSet, Parts, SourceStatistics,
    Statistics, read_examples, write_examples,
};
use crate::plugin::Bounds;
use crate::manifest::{Plan, SourcePlan};
use crate::{Error, Result, files};

/// The duplicates whose labels disagree, in the run's folder.
const CONFLICTS: &str = "conflicts.jsonl";
/// The examples that a calibration is fitted on, in the run's folder.
const CALIBRATION: &str = "calibration_set.jsonl";
/// The examples that are measured while training, in the run's folder.
const VALIDATION: &str = "validation_set.jsonl";

/// The prepared data of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The labels that all mappers map into.
    pub labels: LabelSet,
    /// The two parts.
    pub parts: Parts,
    /// Counts and warnings.
    pub statistics: Statistics,
    /// What of the evaluation training holds too, where it was looked for; with the first pairs.
    pub contamination: Option<Contamination>,
}

#[derive(Serialize, Deserialize)]
struct Summary {
    labels: LabelSet,
    statistics: Statistics,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contamination: Option<Contamination>,
}

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

impl Prepared {
    /// The files that [`Prepared::write`] makes.
    pub fn paths(folder: &Path) -> [PathBuf; 3] {
        ["dataset.jsonl", "evaluation.jsonl", "statistics.json"].map(|name| folder.join(name))
    }

    /// The files that [`Prepared::write`] makes and those that the plan asks for besides.
    pub(super) fn paths_of(plan: &Plan, folder: &Path) -> Vec<PathBuf> {
        let mut paths = Self::paths(folder).to_vec();
        paths.extend([CONFLICTS, card::FILE].map(|name| folder.join(name)));
        paths.extend(plan.calibrate.map(|_| folder.join(CALIBRATION)));
        paths.extend(plan.validation.as_ref().map(|_| folder.join(VALIDATION)));
        paths.extend(plan.contamination.map(|_| folder.join(contamination::FILE)));
        paths
    }

    /// The same with the calibration part in the place of the evaluation part.
    pub(super) fn for_calibration(&self) -> Self {
        Self {
            labels: self.labels.clone(),
            parts: Parts { eval: self.parts.calibration.clone(), ..Parts::default() },
            statistics: Statistics::default(),
            contamination: None,
        }
    }

    /// Writes `dataset.jsonl` (training), `evaluation.jsonl` and `statistics.json`, and `calibration_set.jsonl` and
    /// `validation_set.jsonl` where something is calibrated or validated.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let [dataset, evaluation, statistics] = Self::paths(folder);
        write_examples(&dataset, &self.parts.train, &self.labels)?;
        write_examples(&evaluation, &self.parts.eval, &self.labels)?;
        for (name, part) in [(CALIBRATION, &self.parts.calibration), (VALIDATION, &self.parts.validation)] {
            match part.is_empty() {
                true => drop(std::fs::remove_file(folder.join(name))),
                false => write_examples(&folder.join(name), part, &self.labels)?,
            }
        }
        let summary = Summary {
            labels: self.labels.clone(),
            statistics: self.statistics.clone(),
            contamination: self.contamination.clone(),
        };
        files::write(&statistics, &files::json(&summary)?)
    }

    /// Reads what [`Prepared::write`] wrote.
    pub fn read(folder: &Path) -> Result<Self> {
        let [dataset, evaluation, _] = Self::paths(folder);
        let Summary { labels, statistics, contamination } = read_summary(folder)?;
        let optional = |name: &str| {
            let path = folder.join(name);
            if path.is_file() { read_examples(&path, &labels) } else { Ok(Vec::new()) }
        };
        let parts = Parts {
            train: read_examples(&dataset, &labels)?,
            eval: read_examples(&evaluation, &labels)?,
            calibration: optional(CALIBRATION)?,
            validation: optional(VALIDATION)?,
            ..Parts::default()
        };
        Ok(Self { labels, parts, statistics, contamination })
    }
}

/// The labels of the prepared data in a run's folder.
pub(super) fn read_labels(folder: &Path) -> Result<LabelSet> {
    Ok(read_summary(folder)?.labels)
}

/// The evaluation part of the prepared data in a run's folder; `None` where the folder holds none.
pub(super) fn read_evaluation(folder: &Path, labels: &LabelSet) -> Result<Option<Vec<Example>>> {
    let [_, path, _] = Prepared::paths(folder);
    if path.is_file() { read_examples(&path, labels).map(Some) } else { Ok(None) }
}

fn read_summary(folder: &Path) -> Result<Summary> {
    let [_, _, path] = Prepared::paths(folder);
    let text = files::read_text(&path)?;
    serde_json::from_str(&text).map_err(|e| Error::data(format!("{}:{}:{}: {e}", path.display(), e.line(), e.column())))
}
