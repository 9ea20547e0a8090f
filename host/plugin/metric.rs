//! Metrics: predictions in, numbers out.

mod probe;

use std::ops::Range;
use std::sync::Arc;

use wasmtime::component::ResourceAny;

use super::bindings::{measurement, types};
use super::session::{Returns, Session};
use super::warm::Instance;
use super::{Loaded, Plugin, checks};
use so8t_base::{Error, Result};
use so8t_data::Texts;
use so8t_evaluate::{Direction, Measure, Metric, MetricBatch, MetricInfo, MetricValue, Wants};

/// The most rows that one call of `update` takes; a larger batch is sent in pieces.
const ROWS_PER_CALL: usize = 1 << 18;
/// The most bytes of text that one call of `update` takes, but for a single row that has more.
const TEXT_BYTES_PER_CALL: u32 = 16 << 20;

/// One measurement of a metric plugin.
pub struct Measurement {
    session: Session,
    guest: measurement::Guest,
    resource: ResourceAny,
    labels: Arc<[String]>,
    metrics: Arc<[MetricInfo]>,
    wants: Wants,
    texts_granted: bool,
    /// How many rows, by weight, were taken in; unknown after a merge.
    taken: Option<u64>,
    /// The guest's memory when it was opened.
    memory_at_first: u64,
}

impl Measurement {
    pub(super) fn open(plugin: &Arc<Loaded>, indices: &measurement::GuestIndices, labels: &[String]) -> Result<Self> {
        let names: Vec<&str> = labels.iter().map(String::as_str).collect();
        if let Some(Instance { store, guest, labels, metrics, wants, memory_at_first }) = plugin.warm.take(labels) {
            let mut session = Session::resume(plugin, store);
            let open = |store: &mut _| guest.accumulator().call_open(store, &plugin.config, &names);
            let resource = session.call("open", Returns::Little, open, Ok)?;
            let (texts_granted, taken) = (false, Some(0));
            return Ok(Self {
                session,
                guest,
                resource,
                labels,
                metrics,
                wants,
                texts_granted,
                taken,
                memory_at_first,
            });
        }
        let (mut session, instance) = Session::start(plugin)?;
        let open = |store: &mut _| {
            let guest = indices.load(&mut *store, &instance)?;
            Ok(guest.accumulator().call_open(store, &plugin.config, &names)?.map(|resource| (guest, resource)))
        };
        let (guest, resource) = session.call("open", Returns::Little, open, Ok)?;
        let metrics = session.call(
            "metrics",
            Returns::Much,
            |store| guest.accumulator().call_metrics(store, resource).map(Ok),
            |metrics| checks::metrics(metrics.into_iter().map(information).collect()),
        )?;
        let wants = session.call(
            "wants",
            Returns::Little,
            |store| guest.accumulator().call_wants(store, resource).map(Ok),
            |wants| Ok(wanted(wants)),
        )?;
        let memory_at_first = session.memory_bytes();
        Ok(Self {
            session,
            guest,
            resource,
            labels: labels.into(),
            metrics: metrics.into(),
            wants,
            texts_granted: false,
            taken: Some(0),
            memory_at_first,
        })
    }

    /// Lets this measurement see the requests' text, where the plugin wants it.
    #[must_use]
    pub fn grant_texts(mut self) -> Self {
        self.texts_granted = true;
        self
    }

    /// Ends the measurement, and keeps its instance where it may serve another one.
    pub fn close(self) {
        let Self { mut session, guest, resource, labels, metrics, wants, memory_at_first, .. } = self;
        if !session.plugin().runtime.keeps_instances() {
            return;
        }
        // What fails here costs the instance alone: all that was measured has been given.
        let dropped = session.call("drop", Returns::Little, |store| resource.resource_drop(store).map(Ok), Ok);
        let plugin = Arc::clone(session.plugin());
        if let (Ok(()), Some(store)) = (dropped, session.rest()) {
            plugin.warm.keep(Instance { store, guest, labels, metrics, wants, memory_at_first });
        }
    }

    fn send(&mut self, rows: &MetricBatch, range: Range<usize>) -> Result<()> {
        let Self { session, guest, resource, labels, wants, texts_granted, .. } = self;
        let text = match wants.texts && *texts_granted {
            true => slice(&rows.texts, range.clone()),
            false => Texts::lacking(),
        };
        let column = |wanted: bool, column| if wanted { part(column, range.clone()) } else { &[] };
        let batch = measurement::Batch {
            gold: &rows.gold[range.clone()],
            predicted: &rows.predicted[range.clone()],
            scores: match wants.scores {
                true => &rows.scores[range.start * labels.len()..range.end * labels.len()],
                false => &[],
            },
            weights: column(wants.weights, &rows.weights),
            groups: column(wants.groups, &rows.groups),
            text: types::TextsParam { bytes: &text.bytes, offsets: &text.offsets },
        };
        session.call_batch(
            "update",
            Returns::Little,
            |store| guest.accumulator().call_update(store, *resource, batch),
            Ok,
        )?;
        self.taken = self.taken.map(|taken| {
            let weights = part(&rows.weights, range.clone());
            let weight = match self.wants.weights && !weights.is_empty() {
                true => weights.iter().map(|weight| u64::from(*weight)).sum(),
                false => range.len() as u64,
            };
            taken.saturating_add(weight)
        });
        Ok(())
    }
}

impl Measure for Measurement {
    fn metrics(&self) -> &[MetricInfo] {
        &self.metrics
    }

    fn wants(&self) -> Wants {
        self.wants
    }

    fn update(&mut self, rows: &MetricBatch) -> Result<()> {
        let title = |text| Error::data(format!("{}: `update`: {text}", self.session.plugin().title()));
        checks::metric_batch(rows, self.labels.len(), self.wants).map_err(title)?;
        let sends_texts = self.wants.texts && self.texts_granted;
        if sends_texts && !rows.texts.is_lacking() && rows.texts.rows() != rows.gold.len() {
            return Err(title(format!("{} texts for {} rows", rows.texts.rows(), rows.gold.len())));
        }
        let mut start = 0;
        while start < rows.gold.len() {
            let mut end = rows.gold.len().min(start + ROWS_PER_CALL);
            if sends_texts && !rows.texts.is_lacking() {
                let limit = rows.texts.offsets[start].saturating_add(TEXT_BYTES_PER_CALL);
                let fitting = rows.texts.offsets[start + 1..=end].partition_point(|offset| *offset <= limit);
                end = start + fitting.max(1);
            }
            self.send(rows, start..end)?;
            start = end;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        let Self { session, guest, resource, .. } = self;
        session.call("state", Returns::Much, |store| guest.accumulator().call_state(store, *resource).map(Ok), Ok)
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        self.taken = None;
        let Self { session, guest, resource, .. } = self;
        session.call("merge", Returns::Little, |store| guest.accumulator().call_merge(store, *resource, state), Ok)
    }

    fn finalize(&mut self) -> Result<Vec<MetricValue>> {
        let Self { session, guest, resource, metrics, taken, .. } = self;
        session.call(
            "finalize",
            Returns::Much,
            |store| guest.accumulator().call_finalize(store, *resource),
            |values| checks::values(values.into_iter().map(value).collect(), metrics, *taken),
        )
    }

    fn memory_bytes(&self) -> u64 {
        self.session.memory_bytes() - self.memory_at_first
    }

    fn close(self: Box<Self>) {
        Self::close(*self);
    }
}

/// A metric plugin with the labels of a run: what evaluation opens measurements of.
pub struct MetricPlugin {
    plugin: Plugin,
    labels: Vec<String>,
    texts_granted: bool,
}

impl MetricPlugin {
    /// A metric over labels, given by id. It sees no text unless its spec asked and the policy granted it.
    pub fn new(plugin: Plugin, labels: Vec<String>) -> Self {
        let texts_granted = plugin.may_see_texts();
        Self { plugin, labels, texts_granted }
    }

    /// Lets the plugin see the requests' text, where it wants it: the host's policy, not the plugin's choice.
    #[must_use]
    pub fn grant_texts(mut self) -> Self {
        self.texts_granted = true;
        self
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }
}

impl Metric for MetricPlugin {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn open(&self) -> Result<Box<dyn Measure + '_>> {
        let measurement = self.plugin.open_metric(&self.labels)?;
        Ok(Box::new(if self.texts_granted { measurement.grant_texts() } else { measurement }))
    }
}

/// Rows of a column that may be empty.
fn part(column: &[u32], range: Range<usize>) -> &[u32] {
    if column.is_empty() { column } else { &column[range] }
}

/// Rows of a text column that may be lacking; the offsets start from 0 again.
fn slice(texts: &Texts, range: Range<usize>) -> Texts {
    if texts.is_lacking() {
        return Texts::lacking();
    }
    let offsets = &texts.offsets[range.start..=range.end];
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    Texts {
        bytes: texts.bytes[first as usize..last as usize].to_vec(),
        offsets: offsets.iter().map(|offset| offset - first).collect(),
    }
}

fn information(metric: measurement::Metric) -> MetricInfo {
    let direction = match metric.direction {
        measurement::Direction::Higher => Direction::Higher,
        measurement::Direction::Lower => Direction::Lower,
        measurement::Direction::Neither => Direction::Neither,
    };
    MetricInfo { name: metric.name, direction, low: metric.low, high: metric.high }
}

fn wanted(wants: measurement::Wants) -> Wants {
    use measurement::Wants as Flags;
    Wants {
        scores: wants.contains(Flags::SCORES),
        weights: wants.contains(Flags::WEIGHTS),
        groups: wants.contains(Flags::GROUPS),
        texts: wants.contains(Flags::TEXTS),
    }
}

fn value(value: measurement::Value) -> MetricValue {
    MetricValue { name: value.name, value: value.value, support: value.support }
}
