//! Metrics: predictions in, numbers out.

use std::cell::RefCell;

use serde::de::DeserializeOwned;

use crate::bindings::measurement as generated;
use crate::bindings::types::Metadata;
use crate::{About, Column, Failure, Labels, config, log};

pub use generated::{Direction, Metric as MetricInfo, Value, Wants};

/// A plugin that measures predictions. [`Metric::merge`] is associative and commutative, so that any sharding of the
/// rows gives the same values.
///
/// One that counts by weight the answers that are no label, and its test:
///
/// ```
/// use so8t_plugin_sdk::bindings::{measurement::Batch, types::Texts};
/// use so8t_plugin_sdk::{About, Direction, Failure, Labels, Metric, MetricInfo, Rows, Value, Wants};
/// use so8t_plugin_sdk::{about, config, counts, export_metric};
///
/// #[derive(Default)]
/// struct Invalid([u64; 2]); // such answers, and all
/// export_metric!(Invalid);
///
/// impl Metric for Invalid {
///     type Config = config::Empty;
///     const ABOUT: About = about!("invalid", r#"{"type": "object", "additionalProperties": false}"#);
///
///     fn open(_: config::Empty, _: Labels) -> Result<Self, Failure> {
///         Ok(Self::default())
///     }
///     fn metrics(&self) -> Vec<MetricInfo> {
///         vec![MetricInfo::rate("invalid", Direction::Lower)]
///     }
///     fn wants(&self) -> Wants {
///         Wants::WEIGHTS // resampling passes counts as weights
///     }
///     fn update(&mut self, rows: &Rows<'_>) -> Result<(), Failure> {
///         for (_, predicted, weight) in rows.labelled() {
///             self.0[0] += u64::from(weight) * u64::from(predicted.is_none());
///             self.0[1] += u64::from(weight);
///         }
///         Ok(())
///     }
///     fn state(&self) -> Vec<u8> {
///         counts::write(&self.0)
///     }
///     fn merge(&mut self, state: &[u8]) -> Result<(), Failure> {
///         counts::add(&mut self.0, state)
///     }
///     fn finalize(&self) -> Result<Vec<Value>, Failure> {
///         Ok(vec![Value::ratio("invalid", self.0[0], self.0[1])])
///     }
/// }
///
/// let labels = || Labels::new(vec!["ALLOW".to_owned(), "DENY".to_owned()]).unwrap();
/// let batch = Batch {
///     gold: vec![0, 1, 1],
///     predicted: vec![0, 254, 0],
///     weights: vec![1, 1, 2],
///     scores: vec![],
///     groups: vec![],
///     text: Texts { bytes: vec![], offsets: vec![] },
/// };
/// let mut part = Invalid::open(config::Empty {}, labels()).unwrap();
/// part.update(&Rows::check(&batch, 2).unwrap()).unwrap();
/// let mut whole = Invalid::open(config::Empty {}, labels()).unwrap();
/// whole.merge(&part.state()).unwrap();
/// let value = &whole.finalize().unwrap()[0];
/// assert_eq!((value.value, value.support), (Some(0.25), 4));
/// assert!(whole.merge(&[0; 3]).is_err());
/// ```
pub trait Metric: Sized + 'static {
    /// The manifest's `config` table.
    type Config: DeserializeOwned;
    /// What this plugin is.
    const ABOUT: About;

    /// Begins a measurement.
    fn open(config: Self::Config, labels: Labels) -> Result<Self, Failure>;
    /// The values that [`Metric::finalize`] returns, in the same order.
    fn metrics(&self) -> Vec<MetricInfo>;
    /// The columns that [`Metric::update`] reads besides the gold and predicted ids.
    fn wants(&self) -> Wants {
        Wants::empty()
    }
    /// Takes rows in.
    fn update(&mut self, rows: &Rows<'_>) -> Result<(), Failure>;
    /// All that was taken in, for [`Metric::merge`].
    fn state(&self) -> Vec<u8>;
    /// Takes in the state of another measurement of the same plugin.
    fn merge(&mut self, state: &[u8]) -> Result<(), Failure>;
    /// The values over all that was taken in.
    fn finalize(&self) -> Result<Vec<Value>, Failure>;
}

impl MetricInfo {
    /// A value between 0 and 1, such as a rate.
    pub fn rate(name: impl Into<String>, direction: Direction) -> Self {
        Self { name: name.into(), direction, low: Some(0.0), high: Some(1.0) }
    }

    /// A number of rows.
    pub fn count(name: impl Into<String>) -> Self {
        Self { name: name.into(), direction: Direction::Neither, low: Some(0.0), high: None }
    }
}

impl Value {
    /// A value that rests on `support` rows.
    pub fn new(name: impl Into<String>, value: Option<f64>, support: u64) -> Self {
        Self { name: name.into(), value, support: u32::try_from(support).unwrap_or(u32::MAX) }
    }

    /// `numerator / denominator`, absent where the denominator is 0.
    pub fn ratio(name: impl Into<String>, numerator: u64, denominator: u64) -> Self {
        let value = (denominator > 0).then(|| numerator as f64 / denominator as f64);
        Self::new(name, value, denominator)
    }
}

/// Rows whose shape has been checked: every id is a label's, and every column that was sent has one entry a row.
#[derive(Debug)]
pub struct Rows<'a> {
    batch: &'a generated::Batch,
    labels: usize,
    text: Column<'a>,
}

/// The id that stands for an answer that is no label.
const INVALID: u8 = 254;

impl<'a> Rows<'a> {
    /// Checks the columns against each other and against the number of labels.
    pub fn check(batch: &'a generated::Batch, labels: usize) -> Result<Self, Failure> {
        let rows = batch.gold.len();
        let expect = |name: &str, found: usize, expected: usize| match found == expected {
            true => Ok(()),
            false => Err(Failure::Input(format!("column `{name}`: expected {expected} entries, found {found}"))),
        };
        expect("predicted", batch.predicted.len(), rows)?;
        for (name, found, expected) in [
            ("weights", batch.weights.len(), rows),
            ("groups", batch.groups.len(), rows),
            ("scores", batch.scores.len(), rows * labels),
        ] {
            if found > 0 {
                expect(name, found, expected)?;
            }
        }
        // Every row is looked at without a branch; a wrong one is looked for where there is one.
        let least = u8::try_from(labels).unwrap_or(u8::MAX);
        let is_gold = |id: u8| id < least;
        let is_predicted = |id: u8| (id < least) | (id == INVALID);
        if !batch.gold.iter().fold(true, |all, &id| all & is_gold(id))
            && let Some(id) = batch.gold.iter().find(|&&id| !is_gold(id))
        {
            return Err(Failure::Input(format!("column `gold`: expected ids below {labels}, found {id}")));
        }
        if !batch.predicted.iter().fold(true, |all, &id| all & is_predicted(id))
            && let Some(id) = batch.predicted.iter().find(|&&id| !is_predicted(id))
        {
            return Err(Failure::Input(format!("column `predicted`: expected ids below {labels} or 254, found {id}")));
        }
        Ok(Self { batch, labels, text: Column::check(&batch.text, "text", rows)? })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.batch.gold.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.batch.gold.is_empty()
    }

    /// The gold id of every row.
    pub fn gold(&self) -> &'a [u8] {
        &self.batch.gold
    }

    /// The predicted id of every row; 254 where the answer was no label.
    pub fn predicted(&self) -> &'a [u8] {
        &self.batch.predicted
    }

    /// How often each row counts; empty where each counts once.
    pub fn weights(&self) -> &'a [u32] {
        &self.batch.weights
    }

    /// For every row its gold label, its predicted label (`None` where the answer was no label) and its weight.
    pub fn labelled(&self) -> impl Iterator<Item = (usize, Option<usize>, u32)> {
        self.batch.gold.iter().zip(&self.batch.predicted).enumerate().map(|(row, (&gold, &predicted))| {
            let weight = self.batch.weights.get(row).copied().unwrap_or(1);
            (usize::from(gold), (predicted != INVALID).then_some(usize::from(predicted)), weight)
        })
    }

    /// The probabilities of all rows, row-major, rows x labels, after checking them: each from 0 to 1, and those of a row
    /// at most 1 in all, but for a rounding of 0.001. (They are less where an answer was no label: an INVALID answer may have none.)
    pub fn probabilities(&self) -> Result<&'a [f32], Failure> {
        let scores = self.batch.scores.as_slice();
        let fail = |what: String| Err(Failure::Input(format!("column `scores`{what}")));
        if scores.len() != self.len() * self.labels {
            return fail(format!(": expected {} entries, found {}", self.len() * self.labels, scores.len()));
        }
        for (row, scores) in scores.chunks_exact(self.labels).enumerate() {
            let sum: f32 = scores.iter().sum();
            if scores.iter().all(|score| (0.0..=1.0).contains(score)) && sum <= 1.001 {
                continue;
            }
            return match scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
                Some(score) => fail(format!(", row {row}: expected probabilities, found `{score}`")),
                None => fail(format!(", row {row}: expected probabilities, found numbers whose sum is `{sum}`")),
            };
        }
        Ok(scores)
    }

    /// The probability of each label, for one row; empty where scores were not wanted.
    pub fn scores(&self, row: usize) -> &'a [f32] {
        self.batch.scores.get(row * self.labels..(row + 1) * self.labels).unwrap_or(&[])
    }

    /// The group of a row; 0 where groups were not wanted.
    pub fn group(&self, row: usize) -> u32 {
        self.batch.groups.get(row).copied().unwrap_or(0)
    }

    /// The request of a row; empty where text was not wanted or not granted.
    pub fn text(&self, row: usize) -> &'a str {
        self.text.row(row)
    }
}

/// States that are counts: eight bytes each, which add.
pub mod counts {
    use crate::Failure;

    /// The counts as a state.
    pub fn write(counts: &[u64]) -> Vec<u8> {
        counts.iter().flat_map(|count| count.to_le_bytes()).collect()
    }

    /// Adds the counts of a state, which must hold as many.
    pub fn add(counts: &mut [u64], state: &[u8]) -> Result<(), Failure> {
        if state.len() != counts.len() * 8 {
            let (expected, found) = (counts.len() * 8, state.len());
            return Err(Failure::Input(format!("state: expected {expected} bytes, found {found}")));
        }
        for (count, bytes) in counts.iter_mut().zip(state.as_chunks::<8>().0) {
            *count = count.saturating_add(u64::from_le_bytes(*bytes));
        }
        Ok(())
    }
}

/// The exports of a component whose metric is `T`; used by [`export_metric!`](crate::export_metric).
#[derive(Debug)]
pub struct MetricExport<T> {
    labels: usize,
    metric: RefCell<T>,
}

impl<T: Metric> generated::Guest for MetricExport<T> {
    type Accumulator = Self;

    fn describe() -> Metadata {
        T::ABOUT.into()
    }
}

impl<T: Metric> generated::GuestAccumulator for MetricExport<T> {
    fn open(config: String, labels: Vec<String>) -> Result<generated::Accumulator, Failure> {
        log::report_panics();
        let labels = Labels::new(labels)?;
        let count = labels.count();
        let metric = RefCell::new(T::open(config::read(&config)?, labels)?);
        Ok(generated::Accumulator::new(Self { labels: count, metric }))
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        self.metric.borrow().metrics()
    }

    fn wants(&self) -> Wants {
        self.metric.borrow().wants()
    }

    fn update(&self, rows: generated::Batch) -> Result<(), Failure> {
        self.metric.borrow_mut().update(&Rows::check(&rows, self.labels)?)
    }

    fn state(&self) -> Vec<u8> {
        self.metric.borrow().state()
    }

    fn merge(&self, state: Vec<u8>) -> Result<(), Failure> {
        self.metric.borrow_mut().merge(&state)
    }

    fn finalize(&self) -> Result<Vec<Value>, Failure> {
        self.metric.borrow().finalize()
    }
}
