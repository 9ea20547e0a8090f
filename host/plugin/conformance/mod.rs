//! The conformance kit: laws that every plugin must keep, tried on made-up data and on the user's own.
//!
//! A check of a single call cannot see whether a state merges in any order, or whether the cutting of a source into chunks shows
//! in its examples; yet sharding, resampling and streaming rest on it. Each law of [`LAWS`] has a name. [`check`] tries all that
//! concern a plugin, whether or not others were broken, and gives the smallest input found that breaks one.

mod bytes;
mod component;
mod config;
mod converters;
mod kit;
mod law;
mod limits;
mod mappers;
mod metrics;
mod report;
mod shrink;

use super::load::probe::component_bytes;
use super::{Host, Plugin, PluginKind, PluginSpec};
use so8t_base::{Error, Fault, Result, files};

pub use law::{LAWS, Law};
pub use mappers::Row as ExampleRow;
pub use metrics::Row as MetricRow;
pub use report::{Broken, Conformance, Finding, Outcome};

use kit::Kit;

pub use made::{metric_batch, some_examples, some_rows, some_source};

/// What is made up, for measuring how fast a plugin is.
mod made {
    use super::{ExampleRow, MetricRow, Plugin, converters, mappers, metrics};
    use so8t_evaluate::{MetricBatch, Random};

    /// Predictions over so many labels.
    pub fn some_rows(count: usize, labels: usize) -> Vec<MetricRow> {
        metrics::made_up(count, labels, &mut Random::new(1, 0))
    }

    /// Predictions as a metric takes them.
    pub fn metric_batch(rows: &[MetricRow]) -> MetricBatch {
        metrics::batch(rows)
    }

    /// Examples with these labels.
    pub fn some_examples(count: usize, labels: &[String]) -> Vec<ExampleRow> {
        mappers::made_up(count, labels, &mut Random::new(1, 0))
    }

    /// A source that a converter reads, where one is known.
    pub fn some_source(plugin: &Plugin, records: usize) -> Option<Vec<u8>> {
        converters::Subject::new(plugin, None, records).made_up(records)
    }
}

/// What a plugin is tried on besides what is made up.
#[derive(Clone, Debug, Default)]
pub enum Sample {
    /// Nothing.
    #[default]
    None,
    /// The bytes of a file, for a converter.
    Source(Vec<u8>),
    /// Examples, for a label mapper.
    Examples(Vec<ExampleRow>),
    /// Predictions, for a metric: their ids are those of [`Trials::labels`].
    Predictions(Vec<MetricRow>),
}

/// How the laws are tried.
#[derive(Clone, Debug)]
pub struct Trials {
    /// The labels that a metric is opened with.
    pub labels: Vec<String>,
    /// The user's own data.
    pub sample: Sample,
    /// What counts as many rows or records.
    pub many: usize,
    /// The names of the laws to try; all where there are none.
    pub only: Vec<String>,
}

impl Default for Trials {
    /// The four decisions, no sample, 100,000 rows.
    fn default() -> Self {
        let labels = so8t_data::LabelSet::four_decisions().names;
        Self { labels, sample: Sample::None, many: 100_000, only: Vec::new() }
    }
}

/// Tries every law on a component, and tells `tell` of each finding as soon as it is made.
///
/// # Errors
/// When the component cannot be read, the configuration or the limits are none, or the sample is not for this kind of plugin.
/// A broken law is no error.
pub fn check(host: &Host, spec: &PluginSpec, trials: &Trials, tell: &mut dyn FnMut(&Finding)) -> Result<Conformance> {
    if let Some(unknown) = trials.only.iter().find(|name| LAWS.iter().all(|law| law.name != **name)) {
        return Err(Error::manifest(format!("there is no law `{unknown}`")));
    }
    let bytes = component_bytes(spec)?;
    let mut kit = Kit::new(&trials.only, tell);
    let plugin = component::load(&mut kit, host, spec, &bytes)?;
    if let Some(plugin) = &plugin {
        let opens = config::laws(&mut kit, plugin, &trials.labels);
        if opens {
            of_kind(&mut kit, plugin, trials)?;
        }
        let reason = "it does not open with the configuration given";
        let left: Vec<Law> = left(&kit).filter(|law| law.concerns(plugin.kind())).collect();
        left.into_iter().for_each(|law| kit.skip(law, reason));
    } else {
        let left: Vec<Law> = left(&kit).filter(|law| KINDS.iter().all(|kind| !law.name.starts_with(kind))).collect();
        left.into_iter().for_each(|law| kit.skip(law, "it cannot be loaded, as the laws of the component say"));
    }
    let mut laws = kit.findings;
    laws.sort_by_key(|finding| LAWS.iter().position(|law| *law == finding.law));
    let count = |of: fn(&Outcome) -> bool| laws.iter().filter(|finding| of(&finding.outcome)).count();
    Ok(Conformance {
        component: spec.component.to_string(),
        sha256: files::sha256(&bytes),
        kind: plugin.as_ref().map(|plugin| plugin.kind().to_string()),
        name: plugin.as_ref().map(|plugin| plugin.metadata().name.clone()),
        version: plugin.as_ref().map(|plugin| plugin.version().to_owned()),
        config: spec.config.clone(),
        passed: count(|outcome| matches!(outcome, Outcome::Passed { .. })),
        failed: count(|outcome| matches!(outcome, Outcome::Failed(_))),
        not_applicable: count(|outcome| matches!(outcome, Outcome::NotApplicable { .. })),
        laws,
    })
}

/// How the names of laws begin that concern one kind of plugin alone.
const KINDS: [&str; 3] = ["converter.", "mapper.", "metric."];

fn left<'a>(kit: &'a Kit<'_>) -> impl Iterator<Item = Law> + use<'a> {
    let tried: Vec<&str> = kit.findings.iter().map(|finding| finding.law.name).collect();
    LAWS.iter().copied().filter(move |law| !tried.contains(&law.name))
}

fn of_kind(kit: &mut Kit<'_>, plugin: &Plugin, trials: &Trials) -> Result<()> {
    let wrong = |expected: &str| {
        Err(Error::manifest(format!("the sample is not for a {}: expected {expected}", plugin.kind())))
    };
    match (plugin.kind(), &trials.sample) {
        (PluginKind::Converter, Sample::None | Sample::Source(_)) => {
            let sample = match &trials.sample {
                Sample::Source(bytes) => Some(bytes.as_slice()),
                _ => None,
            };
            let subject = converters::Subject::new(plugin, sample, trials.many);
            converters::laws(kit, &subject);
            limits::laws(
                kit,
                plugin,
                &|plugin, size| subject.work(plugin, size),
                subject.work_size(),
                subject.work_unit(),
            );
        }
        (PluginKind::LabelMapper, Sample::None | Sample::Examples(_)) => {
            let sample = match &trials.sample {
                Sample::Examples(rows) => rows.as_slice(),
                _ => &[],
            };
            let subject = mappers::Subject::new(plugin, sample, trials.many)?;
            mappers::laws(kit, &subject);
            limits::laws(kit, plugin, &|plugin, size| subject.work(plugin, size), subject.many.len(), "rows");
        }
        (PluginKind::Metric, Sample::None | Sample::Predictions(_)) => {
            let sample = match &trials.sample {
                Sample::Predictions(rows) => rows.as_slice(),
                _ => &[],
            };
            let subject = metrics::Subject::new(plugin, &trials.labels, sample, trials.many)?;
            metrics::laws(kit, &subject);
            limits::laws(kit, plugin, &|plugin, size| subject.work(plugin, size), subject.many.len(), "rows");
        }
        (PluginKind::Converter, _) => return wrong("a source"),
        (PluginKind::LabelMapper, _) => return wrong("examples"),
        (PluginKind::Metric, _) => return wrong("predictions"),
    }
    Ok(())
}

/// Tries the laws of a metric plugin on which sharding and resampling rest, on made-up rows over `labels`.
///
/// # Errors
///
/// When it does not open, or breaks a law: the message names the first, and its counterexample.
pub fn check_metric(plugin: &Plugin, labels: &[String]) -> Result<()> {
    let subject = metrics::Subject::new(plugin, labels, &[], 0)?;
    let mut tell = |_: &Finding| {};
    let mut kit = Kit::new(&[], &mut tell);
    metrics::merge_laws(&mut kit, &subject);
    let broken = kit.findings.iter().find_map(|finding| match &finding.outcome {
        Outcome::Failed(broken) => Some((finding.law, broken)),
        _ => None,
    });
    match broken {
        None => Ok(()),
        Some((law, broken)) => Err(Error::plugin(format!(
            "plugin `{}` {}: breaks the law `{}`: {}, on {}",
            plugin.name(),
            plugin.version(),
            law.name,
            broken.found,
            broken.input.replace('\n', "; ")
        ))),
    }
}

/// Whether an error is a failure that the plugin reported: it was not cut, and broke neither a limit nor the interface.
fn is_tolerable(error: &Error) -> bool {
    matches!(error.fault(), Some(Fault::Config | Fault::Input | Fault::Internal))
}
