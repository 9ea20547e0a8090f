//! metrics → compare → report, from predictions alone.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::judge_file::{Metrics, chosen};
use super::ownership;
use super::{Judged, Plugins, Prepared, learner, locks, policy_details, prepare, repeat, validate};
use crate::data::{Example, LabelSet, Traits};
use crate::evaluate::{
    self, Acceptance, Calibration, Calibrations, Comparison, EvaluatedRow, Evaluation, Measured, MemoryRows, Metric,
    RequestTexts, predictions,
};
use crate::manifest::{ManifestFile, Plan};
use crate::plugin::lock::{EntryKind, Lock};
use crate::plugin::{MetricPlugin, Policy};
use crate::report::{self, Report, Timestamp, legacy};
use crate::{Error, Result, files};

/// What a report is made from.
pub(super) struct Evidence<'a> {
    pub(super) plan: &'a Plan,
    pub(super) command: &'static str,
    pub(super) plugins: &'a Plugins,
    pub(super) lock: &'a Lock,
    pub(super) folder: &'a Path,
    pub(super) prepared: &'a Prepared,
    pub(super) before: Option<&'a Judged>,
    pub(super) after: Option<&'a Judged>,
    /// The name and the SHA-256 of what was trained and is evaluated.
    pub(super) trained: Option<(&'static str, String)>,
    /// Facts about the run, shown in the report's head.
    pub(super) details: Map<String, Value>,
    /// The commands that give the same numbers again.
    pub(super) repeat: Vec<String>,
}

/// Measures, compares, and writes `report.json`, `report.html`, `report.md` and the old result file.
pub(super) fn report(evidence: &Evidence<'_>) -> Result<Report> {
    let created = Timestamp::now();
    let report = compose(evidence, created)?;
    let folder = evidence.folder;
    if let Some(measured) = report.latest() {
        remove_old_results(folder)?;
        ownership::add(folder, &legacy::file_name(created))?;
        legacy::write(folder, created, &report.run.labels, measured)?;
    }
    report.write(folder)?;
    Ok(report)
}

/// Measures and compares; nothing is written.
pub(super) fn compose(evidence: &Evidence<'_>, created: Timestamp) -> Result<Report> {
    let &Evidence { plan, plugins, prepared, folder, .. } = evidence;
    let labels = &prepared.labels;
    let metrics = metrics_of(plan, plugins, labels)?;
    let mut options = plan.options();
    if metrics.iter().any(|metric| metric.plugin().may_see_texts()) {
        options.texts = request_texts(&prepared.parts.eval);
    }
    let metrics: Vec<&dyn Metric> = metrics.iter().map(|metric| metric as &dyn Metric).collect();
    let [before, after] = [calibrated(evidence.before, labels)?, calibrated(evidence.after, labels)?];
    let measure = |rows: &Option<Cow<'_, [EvaluatedRow]>>| {
        let each = |rows: &Cow<'_, [EvaluatedRow]>| {
            evaluate::measure_each(&metrics, labels, &MemoryRows { rows, labels }, &options)
        };
        rows.as_ref().map(each).transpose()
    };

    let mut report = Report::new(report::Run {
        name: plan.name.clone(),
        command: evidence.command.to_owned(),
        created: created.iso(),
        so8t: env!("CARGO_PKG_VERSION").to_owned(),
        seed: plan.seed,
        labels: labels.names.clone(),
        repeat: evidence.repeat.clone(),
        details: evidence.details.clone(),
    });
    report.before = measure(&before)?;
    report.after = measure(&after)?;
    if let (Some(rows), Some(measured), Some(rows_after), Some(measured_after)) =
        (&before, &report.before, &after, &report.after)
    {
        let before = Evaluation { rows, measured };
        let after = Evaluation { rows: rows_after, measured: measured_after };
        let mut comparison = evaluate::compare(labels, before, after)?;
        describe(&mut comparison, labels, &prepared.parts.eval)?;
        report.comparison = Some(comparison);
    }
    report.accept = verdict(plan, &report);
    report.calibration = evidence.after.or(evidence.before).and_then(|judged| judged.calibration.clone());
    report.contamination.clone_from(&prepared.contamination);
    if evidence.command == "run" && evidence.after.is_some() {
        report.training = Some(learner::read_summary(folder)?);
        report.loss_curve = learner::read_losses(folder)?;
        report.validation = learner::read_validations(folder)?;
    }
    report.data = serde_json::to_value(&prepared.statistics)
        .map_err(|e| Error::internal(format!("the statistics have no JSON form: {e}")))?;
    report.digests = digests(evidence)?;
    report.warn(&prepared.statistics.warnings);
    report.warn(report.calibration.as_ref().and_then(Calibration::warning));
    report.gather_warnings();
    show_requests(&mut report, &prepared.parts.eval);
    Ok(report)
}

/// The text of every example's request, for metrics that may see it.
pub(super) fn request_texts(examples: &[Example]) -> Arc<RequestTexts> {
    Arc::new(RequestTexts::new(examples.iter().map(|example| (example.id.as_str(), text(example)))))
}

fn text(example: &Example) -> String {
    match example.request.input.is_empty() {
        true => example.request.instruction.as_str().to_owned(),
        false => format!("{}\n\n{}", example.request.instruction, example.request.input),
    }
}

/// Hands the page the requests of the rows whose decision changed.
fn show_requests(report: &mut Report, examples: &[Example]) {
    let Some(comparison) = &report.comparison else { return };
    let changed: BTreeSet<&str> = comparison.flips.iter().map(|flip| flip.id.as_str()).collect();
    let own = examples.iter().filter(|example| changed.contains(example.id.as_str()));
    report.texts = own.map(|example| (example.id.as_str().to_owned(), text(example))).collect();
}

/// The digests of everything that was read, and of the predictions that the numbers come from.
fn digests(evidence: &Evidence<'_>) -> Result<Value> {
    let &Evidence { lock, folder, before, after, .. } = evidence;
    let mut out = Map::new();
    for (name, kind) in [("components", EntryKind::Component), ("model", EntryKind::Model), ("data", EntryKind::Data)] {
        let of_kind = locks::digests(lock, kind).into_iter().map(|(file, digest)| (file, Value::from(digest)));
        out.insert(name.to_owned(), Value::Object(of_kind.collect()));
    }
    for (present, name) in [(before, predictions::BEFORE), (after, predictions::AFTER)] {
        if present.is_some() {
            out.insert(name.to_owned(), Value::from(files::sha256_file(&folder.join(name))?));
        }
    }
    let calibration = folder.join(Calibrations::FILE);
    if calibration.is_file() {
        out.insert(Calibrations::FILE.to_owned(), Value::from(files::sha256_file(&calibration)?));
    }
    if let Some((name, digest)) = &evidence.trained {
        out.insert((*name).to_owned(), Value::from(digest.as_str()));
    }
    Ok(Value::Object(out))
}

/// A model's predictions as they are to be measured.
fn calibrated<'a>(judged: Option<&'a Judged>, labels: &LabelSet) -> Result<Option<Cow<'a, [EvaluatedRow]>>> {
    let apply = |judged: &'a Judged| match &judged.calibration {
        Some(calibration) => calibration.apply(labels, &judged.rows),
        None => Ok(Cow::Borrowed(judged.rows.as_slice())),
    };
    judged.map(apply).transpose()
}

/// Counts the flips by what their requests are like.
fn describe(comparison: &mut Comparison, labels: &LabelSet, examples: &[Example]) -> Result<()> {
    let traits = examples.iter().map(|example| (example.id.as_str(), Traits::of(example))).collect();
    comparison.describe(labels, &traits)
}

/// Whether the manifest's rules are met; `None` where it has none.
fn verdict(plan: &Plan, report: &Report) -> Option<Acceptance> {
    let rules: Vec<_> = plan.accept.iter().map(|plan| plan.rule.clone()).collect();
    let judge = || {
        let [before, after]: [Option<&Measured>; 2] = [report.before.as_ref(), report.after.as_ref()];
        evaluate::judge(&rules, before, after, report.comparison.as_ref())
    };
    (!rules.is_empty()).then(judge)
}

/// Opens every metric once, so that one which refuses its configuration or the labels is told of before any model is asked; and
/// checks that every metric that the manifest's rules name is one of the run's.
///
/// # Errors
/// A metric that cannot be opened; one that no plugin gives, with its place in the manifest.
pub(super) fn check_rules(plan: &Plan, plugins: &Plugins, labels: &LabelSet) -> Result<()> {
    let metrics = metrics_of(plan, plugins, labels)?;
    check_rules_of(plan, &metrics.iter().map(|metric| metric as &dyn Metric).collect::<Vec<_>>())
}

fn check_rules_of(plan: &Plan, metrics: &[&dyn Metric]) -> Result<()> {
    let mut known = Vec::new();
    if let Some(validation) = &plan.validation {
        validate::check(validation, metrics)?;
    }
    for metric in metrics {
        known.extend(metric.open()?.metrics().iter().map(|info| format!("{}.{}", metric.name(), info.name)));
    }
    plan.accept.iter().try_for_each(|plan| plan.check(&known))
}

/// The plan's metrics, over the run's labels.
pub(super) fn metrics_of(plan: &Plan, plugins: &Plugins, labels: &LabelSet) -> Result<Vec<MetricPlugin>> {
    let metric = |name: &String| Ok(MetricPlugin::new(plugins.get(name)?.clone(), labels.names.clone()));
    plan.metrics.iter().map(metric).collect()
}

/// A run's folder holds one old result file: that of its report.
fn remove_old_results(folder: &Path) -> Result<()> {
    let own = ownership::list(folder)?.unwrap_or_default();
    for name in
        own.iter().filter(|name| name.starts_with("evaluation_") && name.ends_with(".json") && !name.contains('/'))
    {
        match std::fs::remove_file(folder.join(name)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &folder.join(name), &e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Compares the predictions of two runs with the metrics of a manifest, or with `classification`. With `output`, the report is
/// written there.
///
/// # Errors
/// Folders without predictions, runs whose labels or examples differ.
pub fn compare_runs(
    before: &Path,
    after: &Path,
    manifest: Option<&ManifestFile>,
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
    let plan = manifest.map(ManifestFile::resolve).transpose()?;
    let (specs, mut options) = chosen(plan.as_ref(), &[]);
    let loaded = Metrics::load(specs, &labels.names, plan.as_ref(), policy)?;
    let metrics = loaded.as_metrics();
    if let Some(plan) = &plan {
        check_rules_of(plan, &metrics)?;
    }
    options.bounds = policy.bounds.evaluation;
    options.texts = loaded.texts(after, &labels)?;
    let mut compared = report::compare_runs(before, after, &labels, &metrics, &options)?;
    let examples = prepare::read_evaluation(folder_of(after), &labels)?;
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
        repeat: vec![repeat::command("compare", &[before, after], &arguments, &[])],
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
    report.before = Some(compared.before);
    report.after = Some(compared.after);
    report.comparison = Some(compared.comparison);
    report.accept = plan.as_ref().and_then(|plan| verdict(plan, &report));
    report.gather_warnings();
    if let Some(folder) = output {
        if let Some(examples) = &examples {
            show_requests(&mut report, examples);
        }
        ownership::check_report(folder)?;
        report.write(folder)?;
    }
    Ok(report)
}

/// The labels of a run's folder.
fn labels_of(run: &Path) -> Result<LabelSet> {
    prepare::read_labels(folder_of(run))
}

/// The folder of a run, or of a run's file.
pub(super) fn folder_of(run: &Path) -> &Path {
    if run.is_file() { run.parent().unwrap_or(run) } else { run }
}
