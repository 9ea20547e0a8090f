//! metrics → compare → report, from predictions alone.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Narrator, PluginLog, Plugins, Prepared, learner, locks, repeat};
use crate::data::{Example, LabelSet, read_examples};
use crate::evaluate::{self, EvaluatedRow, Evaluation, Metric, Options, predictions};
use crate::manifest::{ManifestFile, Plan};
use crate::plugin::lock::{EntryKind, Lock};
use crate::plugin::{ComponentSource, MetricPlugin, PluginSpec};
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
    pub(super) before: Option<&'a [EvaluatedRow]>,
    pub(super) after: Option<&'a [EvaluatedRow]>,
    /// Facts about the run, shown in the report's head.
    pub(super) details: Map<String, Value>,
    /// The commands that give the same numbers again.
    pub(super) repeat: Vec<String>,
}

/// Measures, compares, and writes `report.json`, `report.html`, `report.md` and the old result file.
pub(super) fn report(evidence: Evidence<'_>) -> Result<Report> {
    let Evidence { plan, plugins, prepared, folder, .. } = evidence;
    let labels = &prepared.labels;
    let metrics = plan
        .metrics
        .iter()
        .map(|name| Ok(MetricPlugin::new(plugins.get(name)?.clone(), labels.names.clone())))
        .collect::<Result<Vec<_>>>()?;
    let metrics: Vec<&dyn Metric> = metrics.iter().map(|metric| metric as &dyn Metric).collect();
    let options = Options { seed: plan.seed, resamples: plan.resamples, ..Options::default() };
    let measure = |rows: Option<&[EvaluatedRow]>| {
        rows.map(|rows| evaluate::measure(&metrics, labels, rows, &options)).transpose()
    };

    let created = Timestamp::now();
    let mut report = Report::new(report::Run {
        name: plan.name.clone(),
        command: evidence.command.to_owned(),
        created: created.iso(),
        so8t: env!("CARGO_PKG_VERSION").to_owned(),
        seed: plan.seed,
        labels: labels.names.clone(),
        repeat: evidence.repeat,
        details: evidence.details,
    });
    report.before = measure(evidence.before)?;
    report.after = measure(evidence.after)?;
    if let (Some(rows), Some(measured), Some(rows_after), Some(measured_after)) =
        (evidence.before, &report.before, evidence.after, &report.after)
    {
        let before = Evaluation { rows, measured };
        let after = Evaluation { rows: rows_after, measured: measured_after };
        report.comparison = Some(evaluate::compare(labels, before, after)?);
    }
    if evidence.command == "run" && evidence.after.is_some() {
        report.training = Some(learner::read_summary(folder)?);
        report.loss_curve = learner::read_losses(folder)?;
    }
    report.data = serde_json::to_value(&prepared.statistics)
        .map_err(|e| Error::internal(format!("the statistics have no JSON form: {e}")))?;
    report.digests = digests(evidence.lock, folder, evidence.before.is_some(), evidence.after.is_some())?;
    report.warn(&prepared.statistics.warnings);
    report.gather_warnings();
    show_requests(&mut report, &prepared.parts.eval);

    if let Some(measured) = report.latest() {
        remove_old_results(folder);
        legacy::write(folder, created, &labels.names, measured)?;
    }
    report.write(folder)?;
    Ok(report)
}

/// Hands the page the requests of the rows whose decision changed.
fn show_requests(report: &mut Report, examples: &[Example]) {
    let Some(comparison) = &report.comparison else { return };
    let changed: BTreeSet<&str> = comparison.flips.iter().map(|flip| flip.id.as_str()).collect();
    let text = |example: &Example| match example.request.input.is_empty() {
        true => example.request.instruction.clone(),
        false => format!("{}\n\n{}", example.request.instruction, example.request.input),
    };
    let own = examples.iter().filter(|example| changed.contains(example.id.as_str()));
    report.texts = own.map(|example| (example.id.clone(), text(example))).collect();
}

/// The digests of everything that was read, and of the predictions that the numbers come from.
fn digests(lock: &Lock, folder: &Path, before: bool, after: bool) -> Result<Value> {
    let mut out = Map::new();
    for (name, kind) in [("components", EntryKind::Component), ("model", EntryKind::Model), ("data", EntryKind::Data)] {
        let of_kind = locks::digests(lock, kind).into_iter().map(|(file, digest)| (file, Value::from(digest)));
        out.insert(name.to_owned(), Value::Object(of_kind.collect()));
    }
    for (present, name) in [(before, predictions::BEFORE), (after, predictions::AFTER)] {
        if present {
            out.insert(name.to_owned(), Value::from(files::sha256_file(&folder.join(name))?));
        }
    }
    let adapter = folder.join("adapter/adapter_model.safetensors");
    if after && adapter.is_file() {
        out.insert("adapter".to_owned(), Value::from(files::sha256_file(&adapter)?));
    }
    Ok(Value::Object(out))
}

/// A run's folder holds one old result file: that of its report.
fn remove_old_results(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("evaluation_") && name.ends_with(".json") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
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
) -> Result<Report> {
    let labels = labels_of(after)?;
    if labels_of(before)? != labels {
        return Err(Error::data(format!(
            "`{}` and `{}` have different labels: expected two runs over one label set",
            before.display(),
            after.display()
        )));
    }
    let host = PluginLog::default().host(Narrator::new(false))?;
    let (specs, seed, resamples) = match manifest {
        Some(file) => {
            let plan = file.resolve()?;
            let specs = plan.metrics.iter().map(|name| plan.plugins[name].clone()).collect();
            (specs, plan.seed, plan.resamples)
        }
        None => {
            let spec = PluginSpec::new("classification", ComponentSource::Builtin("classification".to_owned()));
            (vec![spec], 0, 1000)
        }
    };
    let plugins = specs.iter().map(|spec| host.load(spec)).collect::<Result<Vec<_>>>()?;
    let metrics: Vec<MetricPlugin> =
        plugins.iter().map(|plugin| MetricPlugin::new(plugin.clone(), labels.names.clone())).collect();
    let metrics: Vec<&dyn Metric> = metrics.iter().map(|metric| metric as &dyn Metric).collect();
    let options = Options { seed, resamples, ..Options::default() };
    let compared = report::compare_runs(before, after, &labels, &metrics, &options)?;

    let shown = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut details = Map::new();
    details.insert("first".to_owned(), Value::from(before.display().to_string()));
    details.insert("second".to_owned(), Value::from(after.display().to_string()));
    let options = [("--manifest", manifest.map(|file| file.path.as_path())), ("--out", output)];
    let mut report = Report::new(report::Run {
        name: format!("{} → {}", shown(before), shown(after)),
        command: "compare".to_owned(),
        created: Timestamp::now().iso(),
        so8t: env!("CARGO_PKG_VERSION").to_owned(),
        seed,
        labels: labels.names.clone(),
        repeat: vec![repeat::command("compare", &[before, after], &options, &[])],
        details,
    });
    let mut predictions = Map::new();
    for path in &compared.files {
        predictions.insert(path.display().to_string(), Value::from(files::sha256_file(path)?));
    }
    report.digests = json!({
        "components": plugins.iter().map(|p| (p.name(), p.digest())).collect::<std::collections::BTreeMap<_, _>>(),
        "predictions": predictions,
    });
    report.before = Some(compared.before);
    report.after = Some(compared.after);
    report.comparison = Some(compared.comparison);
    report.gather_warnings();
    if let Some(folder) = output {
        let [_, evaluation, _] = Prepared::paths(if after.is_file() { after.parent().unwrap_or(after) } else { after });
        if evaluation.is_file() {
            show_requests(&mut report, &read_examples(&evaluation, &labels)?);
        }
        report.write(folder)?;
    }
    Ok(report)
}

/// The labels of a run's folder.
fn labels_of(run: &Path) -> Result<LabelSet> {
    let folder = if run.is_file() { run.parent().unwrap_or(run) } else { run };
    Ok(super::prepare::read_summary(folder)?.0)
}
