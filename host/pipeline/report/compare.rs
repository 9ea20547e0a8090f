//! Two runs compared, from their predictions.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::annotate::{describe, judged, show_requests, verdict};
use super::metrics::{Metrics, check_named, check_rules_of, chosen, folder_of, policy_details};
use super::reproduce;
use crate::data::LabelSet;
use crate::evaluate::{Bound, Options, Rule};
use crate::manifest::{ManifestFile, Plan, RulePlan};
use crate::pipeline::folder_lock::FolderLock;
use crate::pipeline::ownership;
use crate::pipeline::prepare::{Prepared, read_evaluation, read_labels};
use crate::pipeline::verify::checksums;
use crate::plugin::Policy;
use crate::report::{self, Report, Timestamp};
use crate::{Error, Result, files};

/// Compares the predictions of two runs with the metrics of a manifest, of the judged run, or with `classification`. `rules` are judged besides those of the
/// manifest. With `output`, the report is written there.
///
/// # Errors
/// Folders without predictions, runs whose labels or examples differ.
pub fn compare_runs(
    before: &Path,
    after: &Path,
    manifest: Option<&ManifestFile>,
    rules: &[Rule],
    output: Option<&Path>,
    policy: &Policy,
) -> Result<Report> {
    let labels = labels_of(after)?;
    if labels_of(before)? != labels {
        return Err(Error::data(format!(
            "`{}` and `{}` have different labels: expected two runs over one label set",
            before.display(),
            after.display()
        )));
    }
    let (mut plan, loaded, mut options, own) = match manifest {
        Some(file) => with_plan(file.resolve()?, &labels, policy)?,
        None => with_own(after, &labels, policy)?,
    };
    if let Some(plan) = &mut plan {
        if manifest.is_none() {
            // A run's own rules are about its base, and not about another run.
            plan.accept.clear();
        }
        plan.accept.extend(rules.iter().map(|rule| RulePlan::new(rule.clone(), "--rule".to_owned())));
    }
    let metrics = loaded.as_metrics();
    match &plan {
        Some(plan) => check_rules_of(plan, &metrics)?,
        None => check_named(rules, &metrics)?,
    }
    options.bounds = policy.bounds.evaluation;
    options.texts = loaded.texts(after, &labels)?;
    let examples = read_evaluation(folder_of(after), &labels)?;
    let first = read_evaluation(folder_of(before), &labels)?;
    let asked = [first.as_deref(), examples.as_deref()];
    let mut compared = report::compare_runs(before, after, &labels, &metrics, &options, asked)?;
    if let Some(examples) = &examples {
        describe(&mut compared.comparison, &labels, examples)?;
    }

    let shown = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut details = Map::new();
    details.insert("first".to_owned(), Value::from(before.display().to_string()));
    details.insert("second".to_owned(), Value::from(after.display().to_string()));
    details.extend(policy_details(policy));
    let arguments = [("--manifest", manifest.map(|file| file.path.as_path())), ("--out", output)];
    let mut report = Report::new(report::Run {
        name: format!("{} → {}", shown(before), shown(after)),
        command: "compare".to_owned(),
        created: Timestamp::now().iso(),
        so8t: env!("CARGO_PKG_VERSION").to_owned(),
        seed: options.seed,
        labels: labels.names.clone(),
        repeat: vec![reproduce::command(
            "compare",
            &[before, after],
            &arguments,
            &stated(rules).iter().map(String::as_str).collect::<Vec<_>>(),
        )],
        details,
    });
    let mut predictions = Map::new();
    for path in &compared.files {
        predictions.insert(path.display().to_string(), Value::from(files::sha256_file(path)?));
    }
    report.digests = json!({
        "components": loaded.plugins.iter().map(|p| (p.name(), p.digest())).collect::<std::collections::BTreeMap<_, _>>(),
        "predictions": predictions,
    });
    report.headline = plan.iter().flat_map(|plan| &plan.headline).map(|(name, _)| name.clone()).collect();
    report.before = Some(compared.before);
    report.after = Some(compared.after);
    report.comparison = Some(compared.comparison);
    report.accept = match &plan {
        Some(plan) => verdict(plan, &report),
        None => judged(rules, &report),
    };
    report.warn(own);
    report.gather_warnings();
    if let Some(folder) = output {
        let _lock = FolderLock::take(folder)?;
        if let Some(examples) = &examples {
            show_requests(&mut report, examples);
        }
        ownership::check_report(folder)?;
        report.write(folder)?;
    }
    Ok(report)
}

/// What is measured with: the plan where there is one, the metrics, how, and what a reader must know of the choice.
type Chosen = (Option<Plan>, Metrics, Options, Option<String>);

fn with_plan(plan: Plan, labels: &LabelSet, policy: &Policy) -> Result<Chosen> {
    let (specs, options) = chosen(Some(&plan), &[]);
    let metrics = Metrics::load(specs, &labels.names, Some(&plan), policy)?;
    Ok((Some(plan), metrics, options, None))
}

/// The metrics, the seed and the resamples of the judged run's own manifest, where it and its plugins are here; else the standard ones.
fn with_own(run: &Path, labels: &LabelSet, policy: &Policy) -> Result<Chosen> {
    let own = || -> Result<Option<Chosen>> {
        let copy = run.join("so8t.toml");
        if !run.is_dir() || !copy.is_file() {
            return Ok(None);
        }
        let seal = checksums::read(run)?;
        let file = ManifestFile::parse(&run.join(&seal.manifest), files::read_text(&copy)?)?;
        with_plan(file.resolve()?, labels, policy).map(Some)
    };
    let why = match own() {
        Ok(Some(chosen)) => return Ok(chosen),
        Ok(None) => None,
        Err(error) => Some(format!(
            "`classification` alone is measured: the metrics of the run in `{}` cannot be opened: {error}",
            run.display()
        )),
    };
    let (specs, options) = chosen(None, &[]);
    Ok((None, Metrics::load(specs, &labels.names, None, policy)?, options, why))
}

/// The rules of a command line, as it states them again.
fn stated(rules: &[Rule]) -> Vec<String> {
    rules.iter().flat_map(|rule| ["--rule".to_owned(), format!("'{}'", spelled(rule))]).collect()
}

/// A rule as [`crate::manifest::parse_rule`] reads it.
fn spelled(rule: &Rule) -> String {
    let bound = match rule.bound {
        Bound::Min(n) => format!("min={n}"),
        Bound::Max(n) => format!("max={n}"),
        Bound::Rise(n) => format!("rise={n}"),
        Bound::Drop(n) => format!("drop={n}"),
        Bound::MaxRise(n) => format!("max_rise={n}"),
        Bound::MaxDrop(n) => format!("max_drop={n}"),
    };
    let source = rule.source.as_ref().map_or(String::new(), |source| format!(" source={source}"));
    format!("{} {bound}{source}{}", rule.metric, if rule.sure { " significant" } else { "" })
}

/// The labels of a run's folder.
fn labels_of(run: &Path) -> Result<LabelSet> {
    let [_, _, statistics] = Prepared::paths(folder_of(run));
    if !statistics.is_file() {
        return Err(Error::manifest(format!(
            "`{}` is no run: expected the folder of one, or a predictions file in it, found no `{}`",
            run.display(),
            statistics.display()
        ))
        .with_hint(
            "a run's folder is `runs/NAME` beside its manifest, unless `--out` or `[run] output` says otherwise",
        ));
    }
    read_labels(folder_of(run))
}
