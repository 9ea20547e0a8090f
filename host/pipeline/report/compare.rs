//! Two runs compared, from their predictions.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::annotate::{describe, show_requests, verdict};
use super::metrics::{Metrics, check_rules_of, chosen, folder_of, policy_details};
use super::reproduce;
use crate::data::LabelSet;
use crate::manifest::ManifestFile;
use crate::pipeline::folder_lock::FolderLock;
use crate::pipeline::ownership;
use crate::pipeline::prepare::{read_evaluation, read_labels};
use crate::plugin::Policy;
use crate::report::{self, Report, Timestamp};
use crate::{Error, Result, files};

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
        repeat: vec![reproduce::command("compare", &[before, after], &arguments, &[])],
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
        let _lock = FolderLock::take(folder)?;
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
    read_labels(folder_of(run))
}
