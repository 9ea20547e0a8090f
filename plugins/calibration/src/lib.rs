//! Whether a probability means what it says: calibration errors, Brier score, log loss, and the reliability table.
//!
//! All is about the probabilities; what was predicted is not read. The confidence of a row is its greatest probability,
//! and the row is right where that is the gold label's (the first of equal ones counts). A row without probabilities (an
//! INVALID answer) has confidence 0 and is wrong.
//!
//! Sums of floats depend on their order, so none is kept: each row's terms are computed in f64, rounded to multiples of
//! 2⁻⁴⁰ (ties to even) and summed as whole numbers. A mean is thus within 2⁻⁴¹ of the mean of the terms, and the same for any
//! sharding. Confidences of 2⁻¹⁷ and more are such multiples themselves.

use so8t_plugin_sdk::{
    About, Direction, Failure, Labels, Metric, MetricInfo, Rows, Value, Wants, about, config, export_metric,
};
use so8t_scores::Scores;

/// The bins of both calibration errors and of the reliability table.
const BINS: usize = 15;
/// The whole number that stands for 1.
const ONE: f64 = (1_u64 << 40) as f64;
/// Where the sums of the bins (see [`Bin`]), of the Brier terms and of the losses are.
const BRIER: usize = 3 * BINS;
const LOG_LOSS: usize = BRIER + 1;

/// What the rows of one bin sum up to.
#[derive(Clone, Copy, Default)]
struct Bin {
    rows: u128,
    right: u128,
    /// In units of 2⁻⁴⁰.
    confidence: u128,
}

/// The sums.
pub struct Calibration {
    labels: usize,
    /// Of each equal-width bin its rows, right rows and confidences; then the Brier terms and the losses.
    sums: [u128; LOG_LOSS + 1],
    /// Wrong and right rows by confidence.
    confidences: Scores,
}

export_metric!(Calibration);

impl Metric for Calibration {
    type Config = config::Empty;
    const ABOUT: About = about!("calibration", include_str!("../config.json"));

    fn open(_: config::Empty, labels: Labels) -> Result<Self, Failure> {
        Ok(Self { labels: labels.count(), sums: [0; LOG_LOSS + 1], confidences: Scores::default() })
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        let values = self.values();
        values.into_iter().map(|(info, value)| info(value.name)).collect()
    }

    fn wants(&self) -> Wants {
        Wants::SCORES | Wants::WEIGHTS
    }

    fn update(&mut self, rows: &Rows<'_>) -> Result<(), Failure> {
        let scores = rows.probabilities()?;
        let sums = &mut self.sums;
        // Resampling leaves a third of the rows out, which should cost nothing.
        let rows = rows.labelled().zip(scores.chunks_exact(self.labels)).filter(|((_, _, weight), _)| *weight > 0);
        self.confidences.add(rows.map(|((gold, _, weight), scores)| {
            let top = (1..scores.len()).fold(0, |top, label| if scores[label] > scores[top] { label } else { top });
            let confidence = scores[top];
            let right = top == gold && confidence > 0.0;
            let bin = 3 * bin(confidence);
            sums[bin] += u128::from(weight);
            sums[bin + 1] += u128::from(weight) * u128::from(right);
            sums[bin + 2] += times(fixed(confidence.into()), weight);
            sums[BRIER] += times(fixed(brier(scores, gold)), weight);
            // A probability below 2⁻¹²⁶, the smallest normal f32, counts as that: no loss is infinite.
            sums[LOG_LOSS] += times(fixed(-f64::from(scores[gold].max(f32::MIN_POSITIVE)).ln()), weight);
            (confidence, right, weight)
        }));
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        let mut state: Vec<u8> = self.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        self.confidences.write(&mut state);
        state
    }

    fn merge(&mut self, state: &[u8]) -> Result<(), Failure> {
        let (sums, mut rest) = state.as_chunks::<16>().0.split_at_checked(self.sums.len()).map_or_else(
            || Err(Failure::Input(format!("state: expected more bytes, found {}", state.len()))),
            |(sums, _)| Ok((sums, &state[16 * self.sums.len()..])),
        )?;
        for (sum, bytes) in self.sums.iter_mut().zip(sums) {
            *sum = sum.saturating_add(u128::from_le_bytes(*bytes));
        }
        self.confidences.merge(&mut rest)?;
        match rest.len() {
            0 => Ok(()),
            more => Err(Failure::Input(format!("state: expected its end, found {more} more bytes"))),
        }
    }

    fn finalize(&self) -> Result<Vec<Value>, Failure> {
        Ok(self.values().into_iter().map(|(_, value)| value).collect())
    }
}

/// What is said of a value of some name.
type Info = fn(String) -> MetricInfo;

impl Calibration {
    /// All values, in their order.
    fn values(&self) -> Vec<(Info, Value)> {
        let error: Info = |name| MetricInfo::rate(name, Direction::Lower);
        let loss: Info = |name| MetricInfo { name, direction: Direction::Lower, low: Some(0.0), high: None };
        let rate: Info = |name| MetricInfo::rate(name, Direction::Neither);
        let count: Info = |name| MetricInfo::count(name);

        let bins: Vec<Bin> = (0..BINS)
            .map(|bin| Bin {
                rows: self.sums[3 * bin],
                right: self.sums[3 * bin + 1],
                confidence: self.sums[3 * bin + 2],
            })
            .collect();
        let rows: u128 = bins.iter().map(|bin| bin.rows).sum();
        let mean = |sum: u128, rows: u128| (rows > 0).then(|| sum as f64 / ONE / rows as f64);
        let value = |name: &str, sum| Value::new(name, mean(sum, rows), rows as u64);
        let mut values = vec![
            (error, value("ece", gaps(&bins))),
            (error, value("ece_adaptive", gaps(&self.equal_mass_bins()))),
            (loss, value("brier", self.sums[BRIER])),
            (loss, value("log_loss", self.sums[LOG_LOSS])),
        ];
        for (index, bin) in bins.iter().enumerate() {
            let name = |what: &str| format!("bin.{index:02}.{what}");
            values.push((count, Value::new(name("count"), Some(bin.rows as f64), rows as u64)));
            values.push((rate, Value::new(name("confidence"), mean(bin.confidence, bin.rows), bin.rows as u64)));
            values.push((rate, Value::ratio(name("accuracy"), bin.right as u64, bin.rows as u64)));
        }
        let exact = f64::from(u8::from(self.confidences.is_exact()));
        values.push((rate, Value::new("exact", Some(exact), rows as u64)));
        values
    }

    /// The rows in order of their confidence, in bins of equally many. Rows of one confidence stay together, in the bin
    /// in which the middle one of them lies.
    fn equal_mass_bins(&self) -> [Bin; BINS] {
        let rows: u128 = self.confidences.totals().map(u128::from).iter().sum();
        let mut bins = [Bin::default(); BINS];
        let mut before = 0;
        for (confidence, counts) in self.confidences.steps() {
            let [wrong, right] = counts.map(u128::from);
            let here = wrong + right;
            let bin = &mut bins[(BINS as u128 * (2 * before + here) / (2 * rows)) as usize];
            bin.rows += here;
            bin.right += right;
            bin.confidence += u128::from(fixed(confidence)) * here;
            before += here;
        }
        bins
    }
}

/// The sum over all bins of |confidences - right rows|, in units of 2⁻⁴⁰.
fn gaps(bins: &[Bin]) -> u128 {
    bins.iter().map(|bin| bin.confidence.abs_diff(bin.right << 40)).sum()
}

/// The bin of a confidence: bin `i` holds those above i/15, up to (i + 1)/15. The product is exact.
fn bin(confidence: f32) -> usize {
    ((f64::from(confidence) * BINS as f64).ceil() as usize).clamp(1, BINS) - 1
}

/// The sum of squared differences from 1 for the gold label and from 0 for the others: (p - 1)² = p² - 2p + 1.
fn brier(scores: &[f32], gold: usize) -> f64 {
    let squares: f64 = scores.iter().map(|&score| f64::from(score) * f64::from(score)).sum();
    squares - 2.0 * f64::from(scores[gold]) + 1.0
}

/// A number in units of 2⁻⁴⁰; 0 where it is less than that.
fn fixed(number: f64) -> u64 {
    (number * ONE).round_ties_even() as u64
}

/// The product of a number below 2⁴⁸ (the greatest loss is 88 · 2⁴⁰) and a weight: a fast one where the weight is small.
fn times(number: u64, weight: u32) -> u128 {
    match weight < 1 << 16 {
        true => u128::from(number * u64::from(weight)),
        false => u128::from(number) * u128::from(weight),
    }
}
