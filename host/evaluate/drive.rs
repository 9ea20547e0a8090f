//! Metric plugins driven over all rows: overall, for each source, and for each resample.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::measure::{Direction, Metric, MetricBatch, MetricInfo, MetricValue, Wants};
use super::resample::{Clusters, interval};
use super::row::{EvaluatedRow, check_rows};
use super::table::Table;
use crate::data::{LabelSet, Texts};
use crate::{Error, Result};

/// How to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The run's seed, from which the resamples are drawn.
    pub seed: u64,
    /// The number of bootstrap resamples behind each interval; 0 for no intervals.
    pub resamples: u32,
    /// The most rows that one call of a plugin is given.
    pub batch_rows: usize,
    /// The most bytes that one call of a plugin is given, unless one row alone is larger.
    pub batch_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 0, resamples: 200, batch_rows: 65_536, batch_bytes: 4 << 20 }
    }
}

/// One value of a metric and how sure it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// Absent (null) where it is not defined.
    pub value: Option<f64>,
    /// How many rows it rests on.
    pub n: u32,
    /// The lower end of the 95 % interval, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end of the 95 % interval, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// How the interval was made: `bootstrap`, `clustered bootstrap` or `Clopper-Pearson`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Whether `n` is below the configured support: the value is not to be relied on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub few: bool,
}

/// The values of one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceMeasured {
    /// Values by `plugin.metric`.
    pub metrics: Table<Measurement>,
}

/// The values of an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Values over all rows by `plugin.metric`, as the plugins declared them.
    pub metrics: Table<Measurement>,
    /// Values by source, in the order of the rows.
    pub sources: Table<SourceMeasured>,
    /// What a reader must know before believing the values.
    #[serde(skip)]
    pub warnings: Vec<String>,
    /// What each value is, by `plugin.metric`. Empty where the evaluation was read from a report.
    #[serde(skip)]
    pub info: Table<MetricInfo>,
    /// What the resamples gave; the comparison pairs them.
    #[serde(skip)]
    pub(super) resampled: Resampled,
}

/// What the resamples gave, in order. Two evaluations of the same rows with the same seed drew the same resamples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Resampled {
    pub(super) seed: u64,
    pub(super) resamples: u32,
    pub(super) metrics: Table<Vec<Option<f64>>>,
    pub(super) sources: Table<Table<Vec<Option<f64>>>>,
}

/// The rows of one source as columns, cut into batches; beside each batch the rows that it holds.
struct Shard {
    batches: Vec<(Vec<usize>, MetricBatch)>,
}

/// What one pass over all shards gave.
struct Pass {
    overall: Vec<MetricValue>,
    sources: Vec<Vec<MetricValue>>,
}

/// Measures the rows with every metric: each source on its own accumulator, whose state is merged into the overall
/// one. Intervals are those of a seeded, clustered bootstrap (see [`Clusters`]) through the plugin, with the
/// resamples as row weights; values without a direction, such as counts, have none.
///
/// No row, or a single one, is an error: nothing can be measured on it. So is a metric that breaks its contract.
pub fn measure(
    metrics: &[&dyn Metric],
    labels: &LabelSet,
    rows: &[EvaluatedRow],
    options: &Options,
) -> Result<Measured> {
    check_rows(labels, rows)?;
    if rows.len() < 2 {
        return Err(Error::data(format!(
            "expected at least 2 rows to evaluate, found {}: no metric means anything on that",
            rows.len()
        ))
        .with_hint("give `[[data]]` entries with `use = \"eval\"` or a larger `[split] eval`"));
    }
    let clusters = Clusters::new(rows);
    let sources = rows_by_source(rows);
    let mut measured = Measured { warnings: warnings_about(labels, rows, &sources), ..Measured::default() };
    if clusters.count() < 2 && options.resamples > 0 {
        measured.warnings.push("all rows are one group: no interval can be given".to_owned());
    }
    measured.resampled.seed = options.seed;
    measured.resampled.resamples = if clusters.count() < 2 { 0 } else { options.resamples };
    let mut names = BTreeSet::new();
    for metric in metrics {
        if !names.insert(metric.name()) {
            return Err(Error::manifest(format!("expected each metric once, found `{}` twice", metric.name())));
        }
        measure_one(*metric, labels, rows, &clusters, &sources, options, &mut measured)?;
    }
    Ok(measured)
}

/// The rows of each source, in the order in which the sources appear.
fn rows_by_source(rows: &[EvaluatedRow]) -> Vec<(String, Vec<usize>)> {
    let mut places = BTreeMap::new();
    let mut sources: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let place = *places.entry(row.source.as_str()).or_insert_with(|| {
            sources.push((row.source.clone(), Vec::new()));
            sources.len() - 1
        });
        sources[place].1.push(index);
    }
    sources
}

/// What makes the values of these rows weak.
fn warnings_about(labels: &LabelSet, rows: &[EvaluatedRow], sources: &[(String, Vec<usize>)]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (id, name) in labels.names.iter().enumerate() {
        if !rows.iter().any(|row| usize::from(row.gold) == id) {
            warnings.push(format!("class {name} has no evaluation example: its recall and F1 say nothing"));
        }
    }
    for (source, indices) in sources {
        if indices.len() == 1 {
            warnings.push(format!("source `{source}` has a single row in the evaluation: its values mean nothing"));
        }
    }
    let first = rows[0].prediction.label;
    if rows.iter().all(|row| row.prediction.label == first) && rows.iter().any(|row| row.gold != rows[0].gold) {
        warnings.push(format!("every prediction is `{}`, whatever the request", labels.name(first)));
    }
    warnings
}

/// Runs one metric plugin and adds what it gave to `measured`.
fn measure_one(
    metric: &dyn Metric,
    labels: &LabelSet,
    rows: &[EvaluatedRow],
    clusters: &Clusters,
    sources: &[(String, Vec<usize>)],
    options: &Options,
    measured: &mut Measured,
) -> Result<()> {
    let probe = metric.open()?;
    let (infos, wants) = (probe.metrics().to_vec(), probe.wants());
    drop(probe);
    if wants.texts {
        measured.warnings.push(format!("metric `{}` asks for the requests' text and is not given it", metric.name()));
    }
    let mut shards: Vec<Shard> =
        sources.iter().map(|(_, indices)| shard(rows, indices, labels.len(), clusters, wants, options)).collect();

    let pass = run_pass(metric, &infos, &mut shards, None)?;
    let mut replicates = Vec::new();
    if wants.weights {
        for index in 0..measured.resampled.resamples {
            let weights = clusters.weights(options.seed, index);
            replicates.push(run_pass(metric, &infos, &mut shards, Some(&weights))?);
        }
    } else if options.resamples > 0 {
        measured.warnings.push(format!("metric `{}` takes no weights: its values have no intervals", metric.name()));
    }

    for (index, info) in infos.iter().enumerate() {
        let name = format!("{}.{}", metric.name(), info.name);
        let series = |pick: &dyn Fn(&Pass) -> Option<f64>| -> Vec<Option<f64>> {
            if info.direction == Direction::Neither { Vec::new() } else { replicates.iter().map(pick).collect() }
        };
        let overall = series(&|pass| pass.overall[index].value);
        measured.metrics.insert(&*name, with_interval(&pass.overall[index], &overall));
        for (place, (source, _)) in sources.iter().enumerate() {
            let own = series(&|pass| pass.sources[place][index].value);
            let value = with_interval(&pass.sources[place][index], &own);
            measured.sources.entry(source).metrics.insert(&*name, value);
            measured.resampled.sources.entry(source).insert(&*name, own);
        }
        measured.resampled.metrics.insert(&*name, overall);
        measured.info.insert(name, info.clone());
    }
    Ok(())
}

fn with_interval(value: &MetricValue, replicates: &[Option<f64>]) -> Measurement {
    let range = value.value.and_then(|_| interval(replicates));
    Measurement {
        value: value.value,
        n: value.support,
        low: range.map(|r| r.0),
        high: range.map(|r| r.1),
        method: None,
        few: false,
    }
}

/// Cuts the rows of one source into batches with the columns that are wanted; weights are filled in later.
fn shard(
    rows: &[EvaluatedRow],
    indices: &[usize],
    labels: usize,
    clusters: &Clusters,
    wants: Wants,
    options: &Options,
) -> Shard {
    let row_bytes = 2
        + if wants.scores { 4 * labels } else { 0 }
        + if wants.weights { 4 } else { 0 }
        + if wants.groups { 4 } else { 0 };
    let size = options.batch_rows.min(options.batch_bytes / row_bytes).max(1);
    let batch = |indices: &[usize]| MetricBatch {
        gold: indices.iter().map(|&i| rows[i].gold).collect(),
        predicted: indices.iter().map(|&i| rows[i].prediction.label).collect(),
        scores: match wants.scores {
            true => indices.iter().flat_map(|&i| rows[i].prediction.scores.iter().copied()).collect(),
            false => Vec::new(),
        },
        weights: Vec::new(),
        groups: match wants.groups {
            true => indices.iter().map(|&i| clusters.of(i)).collect(),
            false => Vec::new(),
        },
        texts: Texts::lacking(),
    };
    Shard { batches: indices.chunks(size).map(|part| (part.to_vec(), batch(part))).collect() }
}

/// Measures all shards once, each row counting as often as `weights` says, or once.
fn run_pass(metric: &dyn Metric, infos: &[MetricInfo], shards: &mut [Shard], weights: Option<&[u32]>) -> Result<Pass> {
    let mut overall = metric.open()?;
    let mut sources = Vec::with_capacity(shards.len());
    for shard in shards {
        let mut accumulator = metric.open()?;
        for (indices, batch) in &mut shard.batches {
            batch.weights.clear();
            if let Some(weights) = weights {
                batch.weights.extend(indices.iter().map(|&row| weights[row]));
            }
            accumulator.update(batch)?;
        }
        sources.push(checked(metric, infos, accumulator.finalize()?)?);
        overall.merge(&accumulator.state()?)?;
    }
    Ok(Pass { overall: checked(metric, infos, overall.finalize()?)?, sources })
}

/// The values of `finalize`: those that the plugin declared, in that order, and finite.
fn checked(metric: &dyn Metric, infos: &[MetricInfo], values: Vec<MetricValue>) -> Result<Vec<MetricValue>> {
    let fault = |what: String| Err(Error::plugin(format!("metric `{}`: `finalize`: {what}", metric.name())));
    if values.len() != infos.len() {
        return fault(format!("expected {} values, as `metrics` declares, found {}", infos.len(), values.len()));
    }
    for (info, value) in infos.iter().zip(&values) {
        if info.name != value.name {
            return fault(format!("expected a value for `{}`, found one for `{}`", info.name, value.name));
        }
        if let Some(number) = value.value.filter(|number| !number.is_finite()) {
            return fault(format!("expected a finite value for `{}`, found `{number}`", info.name));
        }
    }
    Ok(values)
}
