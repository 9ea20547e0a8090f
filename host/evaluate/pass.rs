//! One pass over the rows that feeds many accumulators at once: memory grows with their number, never with the rows.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::Options;
use super::counted::{Accumulator, Remembered, fed};
use super::measure::{Measure, Metric, MetricBatch, Wants};
use super::resample::{Cluster, Resample};
use super::source::{Part, RowBatch, RowSource};
use so8t_base::{Error, Result};
use so8t_data::{INVALID, Texts};

/// How many batches wait for a thread at the most.
const WAITING: usize = 2;

/// Metrics, and how they are fed.
pub(super) struct Feed<'a> {
    pub(super) metrics: &'a [&'a dyn Metric],
    pub(super) wants: Vec<Wants>,
    pub(super) labels: usize,
    pub(super) options: &'a Options,
    /// What the metrics made of counts; `None` where their states alone are asked for.
    pub(super) remembered: Option<Remembered>,
}

/// What one resample, or the rows as they are, asks of some metrics.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// The resample; `None` for the rows as they are.
    pub(super) resample: Option<u32>,
    /// Places in [`Feed::metrics`].
    pub(super) metrics: Vec<usize>,
}

/// The accumulators of one metric by source, in the order of the sources' names.
pub(super) type BySource<'m> = BTreeMap<String, Accumulator<'m>>;

enum Message {
    Rows(Arc<RowBatch>),
    End,
}

impl<'a> Feed<'a> {
    /// Whether the resamples of a metric are fed as counts: where it sees nothing of a row but its gold and its predicted label,
    /// rows that agree in both are one row that counts as often as all of them together. That is what a weight means
    /// (`wit/metric.wit`), and it spares the sandbox nearly all of the work.
    pub(super) fn counts(&self, metric: usize) -> bool {
        let wants = self.wants[metric];
        wants.weights && !wants.scores && !wants.groups && !self.gives_texts(metric)
    }

    /// Whether a metric is given the requests' text, as far as it may see it.
    fn gives_texts(&self, metric: usize) -> bool {
        self.wants[metric].texts && !self.options.texts.is_empty()
    }

    /// Feeds the rows of `range` to all jobs, on up to `threads` threads beside the one that reads, and hands the accumulators
    /// of each job and metric to `end`. `observe` sees every batch. The results are in the order of the jobs; each job sees all
    /// rows in their order, whichever thread has it.
    pub(super) fn pass<T: Send>(
        &self,
        source: &dyn RowSource,
        range: Range<u64>,
        jobs: Vec<Job>,
        threads: usize,
        observe: &mut dyn FnMut(&RowBatch),
        end: &(dyn Fn(usize, BySource<'_>) -> Result<T> + Sync),
    ) -> Result<Vec<Vec<T>>> {
        let used = || jobs.iter().flat_map(|job| &job.metrics).map(|&metric| self.wants[metric]);
        // The rows as they are show every score, so that a broken one is found whatever the metrics want.
        let scores = used().any(|wants| wants.scores) || jobs.iter().any(|job| job.resample.is_none());
        let mut numbers = used().any(|wants| wants.groups).then(HashMap::new);

        let count = threads.min(jobs.len()).max(1);
        let mut lists: Vec<Vec<(usize, Job)>> = vec![Vec::new(); count];
        jobs.into_iter().enumerate().for_each(|(place, job)| lists[place % count].push((place, job)));
        let mut results = std::thread::scope(|scope| {
            let mut senders = Vec::new();
            let mut threads = Vec::new();
            for list in lists {
                let (sender, receiver) = sync_channel(WAITING);
                senders.push(sender);
                threads.push(scope.spawn(move || self.work(list, &receiver, end)));
            }
            let mut stopped = false;
            let read = source.read(range, scores, &mut |mut batch| {
                if let Some(numbers) = &mut numbers {
                    number_clusters(&mut batch, numbers);
                }
                observe(&batch);
                stopped = !send(&senders, || Message::Rows(Arc::new(batch)));
                if stopped { Err(Error::internal("a thread stopped")) } else { Ok(()) }
            });
            if read.is_ok() {
                send(&senders, || Message::End);
            }
            drop(senders);
            let mut results = Vec::new();
            for thread in threads {
                let done = thread.join().map_err(|_| Error::internal("a thread that measures panicked"))?;
                results.extend(done?);
            }
            // Where a thread stopped, its own error was returned above.
            read.map(|()| results)
        })?;
        results.sort_by_key(|(place, _)| *place);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    /// One thread: its jobs, batch after batch. Where the reading failed there is no result.
    fn work<T>(
        &self,
        list: Vec<(usize, Job)>,
        batches: &Receiver<Message>,
        end: &(dyn Fn(usize, BySource<'_>) -> Result<T> + Sync),
    ) -> Result<Vec<(usize, Vec<T>)>> {
        let mut jobs: Vec<_> = list.into_iter().map(|(place, job)| (place, Active::new(self, job))).collect();
        for message in batches {
            let Message::Rows(batch) = message else {
                return jobs.into_iter().map(|(place, job)| Ok((place, job.end(end)?))).collect();
            };
            for (_, job) in &mut jobs {
                batch.parts.iter().try_for_each(|part| job.take(part))?;
            }
        }
        Ok(Vec::new())
    }
}

/// Sends a message to every thread; false where one is no longer there.
fn send(senders: &[SyncSender<Message>], message: impl FnOnce() -> Message) -> bool {
    let message = message();
    senders.iter().all(|sender| {
        let copy = match &message {
            Message::Rows(batch) => Message::Rows(Arc::clone(batch)),
            Message::End => Message::End,
        };
        sender.send(copy).is_ok()
    })
}

/// Numbers the clusters in the order in which they appear.
fn number_clusters(batch: &mut RowBatch, numbers: &mut HashMap<Cluster, u32>) {
    for part in &mut batch.parts {
        for cluster in &part.clusters {
            let next = numbers.len() as u32;
            part.numbers.push(*numbers.entry(*cluster).or_insert(next));
        }
    }
}

/// A job at work.
struct Active<'a, 'f> {
    feed: &'f Feed<'a>,
    resample: Option<Resample>,
    /// The metrics that are fed rows, and those that are fed counts.
    by_row: Vec<usize>,
    by_count: Vec<usize>,
    order: Vec<usize>,
    sources: BTreeMap<String, OfSource<'f>>,
    weights: Vec<u32>,
    batch: MetricBatch,
    /// How many rows a call is given at the most.
    cap: usize,
    /// Whether some metric that is fed rows is given the requests' text.
    gives_texts: bool,
    /// The memory that the accumulators of each metric that is fed rows have grown by.
    grown: BTreeMap<usize, u64>,
}

/// What a job has of one source.
#[derive(Default)]
struct OfSource<'f> {
    /// By gold label, then predicted label, the last of which is INVALID.
    cells: Vec<u64>,
    open: Vec<Box<dyn Measure + 'f>>,
}

impl<'a, 'f> Active<'a, 'f> {
    fn new(feed: &'f Feed<'a>, job: Job) -> Self {
        let (by_count, by_row): (Vec<_>, Vec<_>) =
            job.metrics.iter().partition(|&&metric| job.resample.is_some() && feed.counts(metric));
        let wants = |test: fn(&Wants) -> bool| job.metrics.iter().any(|&metric| test(&feed.wants[metric]));
        let row_bytes = 2
            + if wants(|w| w.scores) { 4 * feed.labels } else { 0 }
            + if wants(|w| w.weights) { 4 } else { 0 }
            + if wants(|w| w.groups) { 4 } else { 0 };
        Self {
            feed,
            gives_texts: by_row.iter().any(|&metric| feed.gives_texts(metric)),
            resample: job.resample.map(|index| Resample::new(feed.options.seed, index)),
            by_row,
            by_count,
            order: job.metrics,
            sources: BTreeMap::new(),
            weights: Vec::new(),
            grown: BTreeMap::new(),
            batch: MetricBatch { texts: Texts::lacking(), ..MetricBatch::default() },
            cap: feed.options.batch_rows.min(feed.options.batch_bytes / row_bytes).max(1),
        }
    }

    fn take(&mut self, part: &Part) -> Result<()> {
        let (feed, columns) = (self.feed, self.feed.labels + 1);
        if !self.sources.contains_key(&part.source) {
            feed.options.bounds.check_sources(self.sources.len() as u64 + 1)?;
            let open = self.by_row.iter().map(|&metric| feed.metrics[metric].open()).collect::<Result<_>>()?;
            let cells = if self.by_count.is_empty() { Vec::new() } else { vec![0; feed.labels * columns] };
            self.sources.insert(part.source.clone(), OfSource { cells, open });
        }
        let Some(own) = self.sources.get_mut(&part.source) else { return Ok(()) };
        self.weights.clear();
        if let Some(resample) = self.resample {
            self.weights.extend(part.clusters.iter().map(|&cluster| resample.weight(cluster)));
        }
        if !own.cells.is_empty() {
            for ((&gold, &predicted), &weight) in part.gold.iter().zip(&part.predicted).zip(&self.weights) {
                let column = usize::from(predicted).min(columns - 1);
                own.cells[usize::from(gold) * columns + column] += u64::from(weight);
            }
        }
        if own.open.is_empty() {
            return Ok(());
        }
        // What does not count is not sent.
        let counts = |row: &usize| self.weights.get(*row).is_none_or(|&weight| weight > 0);
        let mut rows = (0..part.gold.len()).filter(counts).peekable();
        while rows.peek().is_some() {
            clear(&mut self.batch);
            if self.gives_texts {
                self.batch.texts = std::iter::empty().collect();
            }
            for row in rows.by_ref().take(self.cap) {
                self.batch.gold.push(part.gold[row]);
                self.batch.predicted.push(part.predicted[row]);
                self.batch.weights.extend(self.weights.get(row));
                self.batch.groups.extend(part.numbers.get(row));
                if self.gives_texts {
                    let text = feed.options.texts.get(part.ids[row]).ok_or_else(|| {
                        Error::data(format!(
                            "a metric reads the requests' text, and a row of `{}` has none",
                            part.source
                        ))
                    })?;
                    self.batch.texts.push(text);
                }
                if !part.scores.is_empty() {
                    let scores = &part.scores[row * feed.labels..(row + 1) * feed.labels];
                    self.batch.scores.extend_from_slice(scores);
                }
            }
            for (measure, &metric) in own.open.iter_mut().zip(&self.by_row) {
                let before = measure.memory_bytes();
                measure.update(&self.batch)?;
                let grown = self.grown.entry(metric).or_default();
                *grown = grown.saturating_add(measure.memory_bytes()).saturating_sub(before);
                feed.options.bounds.check_states(feed.metrics[metric].name(), *grown)?;
            }
        }
        Ok(())
    }

    /// Hands over the accumulators, metric by metric. Those that are fed counts are opened only now.
    fn end<T>(self, end: &(dyn Fn(usize, BySource<'_>) -> Result<T> + Sync)) -> Result<Vec<T>> {
        let Self { feed, by_row, order, sources, cap, .. } = self;
        let mut cells = BTreeMap::new();
        let mut open: Vec<BySource<'f>> = by_row.iter().map(|_| BTreeMap::new()).collect();
        for (source, own) in sources {
            for (accumulators, measure) in open.iter_mut().zip(own.open) {
                accumulators.insert(source.clone(), Accumulator::Open(measure));
            }
            cells.insert(source, own.cells);
        }
        let mut open = by_row.into_iter().zip(open).collect::<BTreeMap<_, _>>();
        let mut results = Vec::new();
        for metric in order {
            let accumulators = match open.remove(&metric) {
                Some(accumulators) => accumulators,
                None => {
                    let mut grown = 0_u64;
                    let count = |(source, cells): (&String, &Vec<u64>)| {
                        let rows = count_rows(cells, feed.labels + 1, cap);
                        let open = || feed.metrics[metric].open();
                        let measure = match &feed.remembered {
                            Some(remembered) => remembered.accumulator(metric, cells, open, rows)?,
                            None => Accumulator::Open(fed(open()?, rows)?),
                        };
                        grown = grown.saturating_add(measure.memory_bytes());
                        feed.options.bounds.check_states(feed.metrics[metric].name(), grown)?;
                        Ok((source.clone(), measure))
                    };
                    cells.iter().map(count).collect::<Result<_>>()?
                }
            };
            results.push(end(metric, accumulators)?);
        }
        Ok(results)
    }
}

fn clear(batch: &mut MetricBatch) {
    batch.gold.clear();
    batch.predicted.clear();
    batch.scores.clear();
    batch.weights.clear();
    batch.groups.clear();
}

/// The cells that are not empty as rows with weights, in batches of at most `cap`.
fn count_rows(cells: &[u64], columns: usize, cap: usize) -> impl Iterator<Item = MetricBatch> {
    let mut rows = cells.iter().enumerate().flat_map(move |(cell, &count)| {
        let id = |index: usize| u8::try_from(index).unwrap_or(INVALID);
        let predicted = if cell % columns == columns - 1 { INVALID } else { id(cell % columns) };
        let mut left = count;
        std::iter::from_fn(move || {
            let weight = u32::try_from(left).unwrap_or(u32::MAX);
            left -= u64::from(weight);
            (weight > 0).then_some((id(cell / columns), predicted, weight))
        })
    });
    std::iter::from_fn(move || {
        let mut batch = MetricBatch { texts: Texts::lacking(), ..MetricBatch::default() };
        for (gold, predicted, weight) in rows.by_ref().take(cap) {
            batch.gold.push(gold);
            batch.predicted.push(predicted);
            batch.weights.push(weight);
        }
        (!batch.gold.is_empty()).then_some(batch)
    })
}
