//! metrics → report, from a predictions file alone: in one process, or in parts.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::metrics::{Metrics, chosen, policy_details};
use crate::data::LabelSet;
use crate::evaluate::predictions::PredictionsFile;
use crate::evaluate::{
    Common, Measured, MetricIdentity, Options, Shard, StateFile, Table, measure_each, measure_shard, merge_states,
    order_states,
};
use crate::manifest::ManifestFile;
use crate::plugin::{ComponentSource, PluginSpec, Policy};
use crate::report::{self, Report, Timestamp};
use crate::{Error, Result, files};

/// With what, and how, a predictions file is measured.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The metrics, the seed and the rest of a manifest.
    pub manifest: Option<ManifestFile>,
    /// Standard metrics by name, where there is no manifest; `classification` where there are none.
    pub metrics: Vec<String>,
    /// The number of resamples, instead of the manifest's.
    pub resamples: Option<u32>,
    /// See [`Options::threads`].
    pub threads: usize,
    /// What this host allows.
    pub policy: Policy,
}

impl Choice {
    fn load(&self, labels: &[String]) -> Result<(Metrics, Options)> {
        let plan = self.manifest.as_ref().map(ManifestFile::resolve).transpose()?;
        let (specs, mut options) = chosen(plan.as_ref(), &self.metrics);
        options.resamples = self.resamples.unwrap_or(options.resamples);
        options.threads = self.threads;
        options.bounds = self.policy.bounds.evaluation;
        Ok((Metrics::load(specs, labels, plan.as_ref(), &self.policy)?, options))
    }
}

/// Measures a predictions file, whatever its length.
///
/// # Errors
/// A file that holds no predictions; a manifest or a metric that cannot be used.
pub fn evaluate_file(path: &Path, choice: &Choice) -> Result<Report> {
    let source = PredictionsFile::open(path)?;
    let (metrics, mut options) = choice.load(&source.labels().names)?;
    options.texts = metrics.texts(path, source.labels())?;
    let measured = measure_each(&metrics.as_metrics(), source.labels(), &source, &options)
        .map_err(|e| if e.to_string().starts_with('`') { e } else { e.context(format!("`{}`", path.display())) })?;
    let common = common(path, source.labels(), &metrics, &options)?;
    let mut report = report_of("evaluate", &common, measured, policy_details(&choice.policy).into_iter().collect());
    let plan = choice.manifest.as_ref().map(ManifestFile::resolve).transpose()?;
    report.headline = plan.iter().flat_map(|plan| &plan.headline).map(|(name, _)| name.clone()).collect();
    Ok(report)
}

/// Measures one part of a predictions file, and writes its state into a folder. Returns the state's path, and the error of each metric
/// that failed, which the state holds too.
///
/// # Errors
/// As [`evaluate_file`].
pub fn evaluate_shard(path: &Path, choice: &Choice, shard: Shard, folder: &Path) -> Result<(PathBuf, Table<String>)> {
    let source = PredictionsFile::open(path)?;
    let (metrics, mut options) = choice.load(&source.labels().names)?;
    options.texts = metrics.texts(path, source.labels())?;
    let common = common(path, source.labels(), &metrics, &options)?;
    let state = folder.join(format!("shard_{}_of_{}.state", shard.index, shard.count));
    let failed = measure_shard(&metrics.as_metrics(), source.labels(), &source, &options, &common, shard, &state)?;
    Ok((state, failed))
}

/// Joins the states of all parts of a predictions file. The components are those that the states name: builtins, or those of
/// a manifest.
///
/// # Errors
/// States of different evaluations, a part that is lacking, a component that is not the one that was used.
pub fn merge_shards(paths: &[PathBuf], manifest: Option<&ManifestFile>, policy: &Policy) -> Result<Report> {
    let mut states = order_states(paths.iter().map(|path| StateFile::open(path)).collect::<Result<_>>()?)?;
    let Some(common) = states.first().map(|state| state.common().clone()) else {
        return Err(Error::manifest("expected at least one state file"));
    };
    let plan = manifest.map(ManifestFile::resolve).transpose()?;
    let spec = |identity: &MetricIdentity| -> Result<PluginSpec> {
        let known = plan.as_ref().and_then(|plan| plan.plugins.get(&identity.name));
        let spec = match (known, identity.component.strip_prefix("builtin:")) {
            (Some(spec), _) => spec.clone(),
            (None, Some(builtin)) => PluginSpec::new(&identity.name, ComponentSource::Builtin(builtin.to_owned())),
            (None, None) => {
                return Err(Error::manifest(format!(
                    "metric `{}` is the component `{}`, which is not built in",
                    identity.name, identity.component
                ))
                .with_hint("give the manifest with `--manifest`"));
            }
        };
        Ok(PluginSpec { config: identity.config.clone(), sha256: Some(identity.sha256.clone()), ..spec })
    };
    let specs = common.metrics.iter().map(spec).collect::<Result<Vec<_>>>()?;
    let metrics = Metrics::load(specs, &common.labels, plan.as_ref(), policy)?;
    LabelSet::check_names(&common.labels).map_err(|what| Error::data(format!("the states' labels: {what}")))?;
    let labels = labels(common.labels.clone());
    let measured = merge_states(&metrics.as_metrics(), &labels, &mut states, policy.bounds.evaluation)?;
    let mut details = Map::from_iter([("shards".to_owned(), Value::from(states.len()))]);
    details.extend(policy_details(policy));
    Ok(report_of("merge", &common, measured, details))
}

fn labels(names: Vec<String>) -> LabelSet {
    LabelSet { severity: (0..=u8::MAX).take(names.len()).collect(), names }
}

fn common(path: &Path, labels: &LabelSet, metrics: &Metrics, options: &Options) -> Result<Common> {
    Ok(Common {
        so8t: env!("CARGO_PKG_VERSION").to_owned(),
        predictions: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        sha256: files::sha256_file(path)?,
        labels: labels.names.clone(),
        metrics: metrics.identities(),
        seed: options.seed,
        resamples: options.resamples,
        min_support: options.min_support,
    })
}

fn report_of(command: &str, common: &Common, measured: Measured, details: Map<String, Value>) -> Report {
    let mut report = Report::new(report::Run {
        name: common.predictions.clone(),
        command: command.to_owned(),
        created: Timestamp::now().iso(),
        so8t: common.so8t.clone(),
        seed: common.seed,
        labels: common.labels.clone(),
        repeat: Vec::new(),
        details,
    });
    let components: Map<String, Value> =
        common.metrics.iter().map(|metric| (metric.name.clone(), Value::from(metric.sha256.clone()))).collect();
    let predictions = Map::from_iter([(common.predictions.clone(), Value::from(common.sha256.clone()))]);
    report.digests = json!({ "components": components, "predictions": predictions });
    report.before = Some(measured);
    report.gather_warnings();
    report
}
