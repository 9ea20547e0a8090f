//! Metric plugins driven over all rows: overall, for each source, and for each resample.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::bounds::Bounds;
use super::clopper_pearson::clopper_pearson;
use super::counted::Remembered;
use super::measure::{Direction, Metric, MetricInfo, checked};
use super::measured::{Measured, Measurement, method};
use super::pass::{BySource, Feed, Job};
use super::resample::{Cluster, interval};
use super::row::EvaluatedRow;
use super::share::shares;
use super::source::{BATCH_ROWS, MemoryRows, RowSource};
use super::survey::Survey;
use so8t_base::{Error, Result};
use so8t_data::LabelSet;

/// How to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The run's seed, from which the resamples are drawn.
    pub seed: u64,
    /// The number of bootstrap resamples behind each interval; 0 for no intervals.
    pub resamples: u32,
    /// A value that rests on fewer rows is marked as resting on too few.
    pub min_support: u32,
    /// The most rows that one call of a plugin is given.
    pub batch_rows: usize,
    /// The most bytes that one call of a plugin is given, unless one row alone is larger.
    pub batch_bytes: usize,
    /// How many threads measure; 0 for one a processor. The values do not depend on it.
    pub threads: usize,
    /// How much memory the resamples that are fed at once may take, in bytes: the rows are read again for the others. One
    /// resample is always fed, whatever it takes.
    pub memory: u64,
    /// The requests' text by row, for metrics that may see it; empty where none does.
    pub texts: Arc<RequestTexts>,
    /// What the evaluation may come to.
    pub bounds: Bounds,
}

/// The text of each row's request, by the row's id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestTexts(HashMap<Cluster, String>);

impl RequestTexts {
    /// From ids and texts.
    pub fn new<'a>(rows: impl Iterator<Item = (&'a str, String)>) -> Self {
        Self(rows.map(|(id, text)| (Cluster::of("", id), text)).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text of a row.
    pub(super) fn get(&self, id: Cluster) -> Option<&str> {
        self.0.get(&id).map(String::as_str)
    }
}

impl Default for Options {
    fn default() -> Self {
        let (batch_rows, batch_bytes) = (BATCH_ROWS, 1 << 19);
        let (threads, memory) = (0, 128 << 20);
        Self {
            seed: 0,
            resamples: 200,
            min_support: 10,
            batch_rows,
            batch_bytes,
            threads,
            memory,
            texts: Arc::default(),
            bounds: Bounds::default(),
        }
    }
}

/// What an accumulator takes in the host besides the memory that it has grown by.
const ACCUMULATOR_BYTES: u64 = 192 << 10;

/// The values of one metric, over all rows and by source: the value and how many rows it rests on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pass {
    overall: Vec<(Option<f64>, u32)>,
    sources: Vec<Vec<(Option<f64>, u32)>>,
}

/// The values of one metric over a resample, over all rows and by source: those that have an interval alone, in their order; none is NaN.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Replicate {
    overall: Vec<f64>,
    sources: Vec<Vec<f64>>,
}

/// Measures the rows with every metric: each source on its own accumulator, whose state is merged into the overall
/// one. A value that is a share of rows has the exact interval of Clopper and Pearson where no two rows are of one group; any
/// other has that of a Poisson bootstrap (see [`super::Resample`]) through the plugin, with the resamples as row weights, in
/// whole groups. Values without a direction, such as counts, have none.
///
/// Neither the order of the rows nor the number of threads changes a bit of the values.
///
/// No row, or a single one, is an error: nothing can be measured on it. So is a metric that breaks its contract.
pub fn measure(
    metrics: &[&dyn Metric],
    labels: &LabelSet,
    rows: &[EvaluatedRow],
    options: &Options,
) -> Result<Measured> {
    measure_source(metrics, labels, &MemoryRows { rows, labels }, options)
}

/// As [`measure`], over rows that need not fit into memory: they are read once for the values, and again for as many resamples
/// at once as [`Options::memory`] allows. Besides, eight bytes a row are held while their ids are checked.
pub fn measure_source(
    metrics: &[&dyn Metric],
    labels: &LabelSet,
    source: &dyn RowSource,
    options: &Options,
) -> Result<Measured> {
    let driver = Driver::new(metrics, labels, options)?;
    let all = 0..source.rows()?;
    let values = |metric: usize, accumulators: BySource<'_>| driver.values(metric, accumulators);
    let (mut survey, bases, bytes) = driver.base(source, all.clone(), &values)?;
    survey.check()?;
    survey.forget_hashes();
    let mut resamples = Vec::new();
    if survey.several_clusters {
        driver.check_numbers(&survey)?;
        let replicate = |metric: usize, accumulators: BySource<'_>| driver.replicate(metric, accumulators);
        driver.resamples(source, all, bytes, &replicate, &mut |passes| {
            resamples.push(passes);
            Ok(())
        })?;
    }
    Ok(driver.assemble(&survey, &bases, &resamples))
}

/// Metrics that were asked what they give.
pub(super) struct Driver<'a> {
    pub(super) feed: Feed<'a>,
    labels: &'a LabelSet,
    infos: Vec<Vec<MetricInfo>>,
    asks_for_texts: Vec<bool>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(metrics: &'a [&'a dyn Metric], labels: &'a LabelSet, options: &'a Options) -> Result<Self> {
        let mut names = BTreeSet::new();
        let mut driver = Self {
            feed: Feed {
                metrics,
                wants: Vec::new(),
                labels: labels.len(),
                options,
                remembered: Some(Remembered::default()),
            },
            labels,
            infos: Vec::new(),
            asks_for_texts: Vec::new(),
        };
        for metric in metrics {
            if !names.insert(metric.name()) {
                return Err(Error::manifest(format!("expected each metric once, found `{}` twice", metric.name())));
            }
            let probe = metric.open()?;
            driver.infos.push(probe.metrics().to_vec());
            driver.asks_for_texts.push(probe.wants().texts);
            driver.feed.wants.push(probe.wants());
            probe.close();
        }
        let values = metrics.iter().zip(&driver.infos).map(|(metric, infos)| (metric.name(), infos.as_slice()));
        check_names(values)?;
        Ok(driver)
    }

    fn threads(&self) -> usize {
        match self.feed.options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// The metrics that can be resampled.
    pub(super) fn resampled(&self) -> Vec<usize> {
        (0..self.infos.len()).filter(|&metric| self.feed.wants[metric].weights).collect()
    }

    /// The rows as they are: what is to be known of them, what `end` makes of each metric, and how many bytes one resample of all
    /// metrics takes.
    pub(super) fn base<T: Send>(
        &self,
        source: &dyn RowSource,
        range: Range<u64>,
        end: &(dyn Fn(usize, BySource<'_>) -> Result<T> + Sync),
    ) -> Result<(Survey, Vec<T>, u64)> {
        let jobs = (0..self.infos.len()).map(|metric| Job { resample: None, metrics: vec![metric] }).collect();
        let mut survey = Survey::with_rows(range.end - range.start);
        let sized = |metric: usize, accumulators: BySource<'_>| {
            let cells = (self.feed.labels * (self.feed.labels + 1) * 8) as u64;
            let bytes = match self.feed.counts(metric) {
                true => cells * accumulators.len() as u64,
                false => accumulators.values().map(|own| ACCUMULATOR_BYTES + own.memory_bytes()).sum(),
            };
            Ok((end(metric, accumulators)?, bytes))
        };
        let threads = self.threads();
        let results = self.feed.pass(source, range.clone(), jobs, threads, &mut |batch| survey.add(batch), &sized)?;
        survey.settle();
        survey.check_ids(source, range)?;
        let bytes = self.resampled().iter().filter_map(|&metric| results.get(metric)?.first()).map(|(_, b)| b).sum();
        Ok((survey, results.into_iter().flatten().map(|(result, _)| result).collect(), bytes))
    }

    /// All resamples, of those metrics that can be resampled: `take` is given what `end` made of them, in their order. `bytes` is what
    /// one of them takes.
    pub(super) fn resamples<T: Send>(
        &self,
        source: &dyn RowSource,
        range: Range<u64>,
        bytes: u64,
        end: &(dyn Fn(usize, BySource<'_>) -> Result<T> + Sync),
        take: &mut dyn FnMut(Vec<T>) -> Result<()>,
    ) -> Result<()> {
        let options = self.feed.options;
        let metrics = self.resampled();
        if metrics.is_empty() || options.resamples == 0 {
            return Ok(());
        }
        let at_once = u32::try_from(options.memory / bytes.max(1)).unwrap_or(u32::MAX).max(1);
        let mut next = 0;
        while next < options.resamples {
            let group = next..options.resamples.min(next.saturating_add(at_once));
            next = group.end;
            let jobs = group.map(|index| Job { resample: Some(index), metrics: metrics.clone() }).collect();
            let results = self.feed.pass(source, range.clone(), jobs, self.threads(), &mut |_| {}, end)?;
            results.into_iter().try_for_each(&mut *take)?;
        }
        Ok(())
    }

    /// The values of one metric, from its accumulators by source.
    pub(super) fn values(&self, metric: usize, accumulators: BySource<'_>) -> Result<Pass> {
        let (metric, infos) = (self.feed.metrics[metric], &self.infos[metric]);
        let mut overall = metric.open()?;
        let mut sources = Vec::with_capacity(accumulators.len());
        for mut accumulator in accumulators.into_values() {
            sources.push(checked(metric, infos, accumulator.finalize()?)?);
            overall.merge(&accumulator.state()?)?;
            accumulator.close();
        }
        let values = checked(metric, infos, overall.finalize()?)?;
        overall.close();
        Ok(Pass { overall: values, sources })
    }

    /// The values of one metric over a resample, from its accumulators by source.
    pub(super) fn replicate(&self, metric: usize, accumulators: BySource<'_>) -> Result<Replicate> {
        let Pass { overall, sources } = self.values(metric, accumulators)?;
        let infos = &self.infos[metric];
        let kept = |values: Vec<(Option<f64>, u32)>| -> Vec<f64> {
            let own = values.into_iter().zip(infos).filter(|(_, info)| info.direction != Direction::Neither);
            own.map(|((value, _), _)| value.unwrap_or(f64::NAN)).collect()
        };
        Ok(Replicate { overall: kept(overall), sources: sources.into_iter().map(kept).collect() })
    }

    /// Holds the numbers that the resamples will give against their bound.
    pub(super) fn check_numbers(&self, survey: &Survey) -> Result<()> {
        let values = |metric: usize| {
            self.infos[metric].iter().filter(|info| info.direction != Direction::Neither).count() as u64
        };
        let values = self.resampled().into_iter().map(values).sum();
        let Options { bounds, resamples, .. } = self.feed.options;
        bounds.check_numbers(values, survey.sources.len() as u64, u64::from(*resamples))
    }

    /// Holds the rows that values rest on against those that there are: states that were read from files are not believed.
    ///
    /// # Errors
    /// A value that rests on more rows than there are, over all rows or in one source.
    pub(super) fn check_supports(&self, survey: &Survey, bases: &[Pass]) -> Result<()> {
        for (metric, base) in bases.iter().enumerate() {
            let sources = base.sources.iter().zip(survey.sources.values().copied());
            for (values, rows) in sources.chain([(&base.overall, survey.rows)]) {
                let found = values.iter().zip(&self.infos[metric]).find(|((_, n), _)| u64::from(*n) > rows);
                if let Some(((_, n), info)) = found {
                    let name = self.feed.metrics[metric].name();
                    return Err(Error::data(format!(
                        "the states of metric `{name}` give `{}` over {n} rows: expected at most {rows}",
                        info.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// Values and intervals. `bases` holds every metric, each of `resamples` those of [`Driver::resampled`].
    pub(super) fn assemble(&self, survey: &Survey, bases: &[Pass], resamples: &[Vec<Replicate>]) -> Measured {
        let options = self.feed.options;
        let mut measured = Measured { warnings: survey.warnings(self.labels), ..Measured::default() };
        if !survey.several_clusters && options.resamples > 0 {
            measured.warnings.push("all rows are one group: no interval can be given".to_owned());
        }
        measured.resampled.seed = options.seed;
        measured.resampled.resamples = if survey.several_clusters { options.resamples } else { 0 };
        let resampled = self.resampled();
        for (metric, base) in bases.iter().enumerate() {
            let (own, infos, wants) = (self.feed.metrics[metric], &self.infos[metric], self.feed.wants[metric]);
            let place = resampled.iter().position(|&other| other == metric);
            if self.asks_for_texts[metric] && options.texts.is_empty() {
                let text = format!("metric `{}` asks for the requests' text and is not given it", own.name());
                measured.warnings.push(text);
            }
            if !wants.weights && options.resamples > 0 {
                let text = format!("metric `{}` takes no weights: its values have no bootstrap intervals", own.name());
                measured.warnings.push(text);
            }
            let shares = match survey.shared_group {
                true => vec![false; infos.len()],
                false => shares(own, infos, wants, self.feed.labels),
            };
            // Where each value that has an interval stands among those.
            let mut directed = 0;
            for (index, info) in infos.iter().enumerate() {
                let own_place = directed;
                directed += usize::from(info.direction != Direction::Neither);
                let name = format!("{}.{}", own.name(), info.name);
                let series = |pick: &dyn Fn(&Replicate) -> f64| -> Vec<Option<f64>> {
                    let has_interval = info.direction != Direction::Neither;
                    let place = place.filter(|_| has_interval);
                    let number = |all: &Vec<Replicate>, place: usize| Some(pick(&all[place])).filter(|x| !x.is_nan());
                    place.map_or_else(Vec::new, |place| resamples.iter().map(|all| number(all, place)).collect())
                };
                let with_interval = |(value, n): (Option<f64>, u32), replicates: &[Option<f64>]| {
                    let few = info.direction != Direction::Neither && n < options.min_support;
                    let (range, method) = match value {
                        None => (None, ""),
                        Some(value) if shares[index] => {
                            let hits = (value * f64::from(n)).round() as u64;
                            (clopper_pearson(hits, u64::from(n)), method::CLOPPER_PEARSON)
                        }
                        Some(_) if survey.shared_group => (interval(replicates), method::CLUSTERED_BOOTSTRAP),
                        Some(_) => (interval(replicates), method::BOOTSTRAP),
                    };
                    let (low, high) = (range.map(|range| range.0), range.map(|range| range.1));
                    let method = range.map(|_| method.to_owned());
                    Measurement { value, n, low, high, method, few }
                };
                let overall = series(&|pass| pass.overall[own_place]);
                measured.metrics.insert(&*name, with_interval(base.overall[index], &overall));
                for (place, source) in survey.sources.keys().enumerate() {
                    let own = series(&|pass| pass.sources[place][own_place]);
                    let value = with_interval(base.sources[place][index], &own);
                    measured.sources.entry(source).metrics.insert(&*name, value);
                    measured.resampled.sources.entry(source).insert(&*name, own);
                }
                measured.resampled.metrics.insert(&*name, overall);
                measured.info.insert(name, info.clone());
            }
        }
        measured
    }
}

/// Checks that no two values have one full name: the plugin's, a dot, and the value's, both of which may hold dots.
///
/// # Errors
/// Two values of one full name.
pub fn check_names<'a>(metrics: impl Iterator<Item = (&'a str, &'a [MetricInfo])>) -> Result<()> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for (name, infos) in metrics {
        for info in infos {
            let full = format!("{name}.{}", info.name);
            if let Some(other) = seen.insert(full.clone(), name) {
                return Err(Error::manifest(format!(
                    "metrics `{other}` and `{name}` both give a value `{full}`: expected distinct names"
                ))
                .with_hint("give one of the plugins another name in the manifest"));
            }
        }
    }
    Ok(())
}
