//! metrics → compare → report, from predictions alone.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value};

use super::annotate::{describe, show_requests, verdict};
use super::metrics::{metrics_of, request_texts};
use crate::data::LabelSet;
use crate::evaluate::{self, Calibration, Calibrations, EvaluatedRow, Evaluation, MemoryRows, Metric, predictions};
use crate::manifest::Plan;
use crate::pipeline::lock;
use crate::pipeline::model::version::Judged;
use crate::pipeline::ownership;
use crate::pipeline::plugins::Plugins;
use crate::pipeline::prepare::Prepared;
use crate::pipeline::train::files::{read_losses, read_summary, read_validations};
use crate::plugin::lock::{EntryKind, Lock};
use crate::report::{self, Report, Timestamp, legacy};
use crate::{Error, Result, files};

/// What a report is made from.
pub(in crate::pipeline) struct Evidence<'a> {
    pub(in crate::pipeline) plan: &'a Plan,
    pub(in crate::pipeline) command: &'static str,
    pub(in crate::pipeline) plugins: &'a Plugins,
    pub(in crate::pipeline) lock: &'a Lock,
    pub(in crate::pipeline) folder: &'a Path,
    pub(in crate::pipeline) prepared: &'a Prepared,
    pub(in crate::pipeline) before: Option<&'a Judged>,
    pub(in crate::pipeline) after: Option<&'a Judged>,
    /// The name and the SHA-256 of what was trained and is evaluated.
    pub(in crate::pipeline) trained: Option<(&'static str, String)>,
    /// Facts about the run, shown in the report's head.
    pub(in crate::pipeline) details: Map<String, Value>,
    /// The commands that give the same numbers again.
    pub(in crate::pipeline) repeat: Vec<String>,
}

/// Measures, compares, and writes `report.json`, `report.html`, `report.md` and the old result file.
pub(in crate::pipeline) fn report(evidence: &Evidence<'_>) -> Result<Report> {
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
pub(in crate::pipeline) fn compose(evidence: &Evidence<'_>, created: Timestamp) -> Result<Report> {
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
    report.headline = plan.headline.iter().map(|(name, _)| name.clone()).collect();
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
        report.training = Some(read_summary(folder)?);
        report.loss_curve = read_losses(folder)?;
        report.validation = read_validations(folder)?;
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

/// The digests of everything that was read, and of the predictions that the numbers come from.
fn digests(evidence: &Evidence<'_>) -> Result<Value> {
    let &Evidence { lock, folder, before, after, .. } = evidence;
    let mut out = Map::new();
    for (name, kind) in [("components", EntryKind::Component), ("model", EntryKind::Model), ("data", EntryKind::Data)] {
        let of_kind = lock::digests(lock, kind).into_iter().map(|(file, digest)| (file, Value::from(digest)));
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

/// A run's folder holds one old result file: that of its report.
fn remove_old_results(folder: &Path) -> Result<()> {
    let own = ownership::list(folder)?.unwrap_or_default();
    let is_old = |name: &&String| name.starts_with("evaluation_") && name.ends_with(".json") && !name.contains('/');
    for name in own.iter().filter(is_old) {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &path, &e)),
            _ => {}
        }
    }
    Ok(())
}
