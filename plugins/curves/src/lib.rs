//! Areas under ROC and precision-recall curves, unsafe against safe and every label against the rest, and the table of what
//! a threshold on the unsafe score passes and blocks.
//!
//! The unsafe score of a row is the probability of all labels but the safe one: their sum in order of id, in f64,
//! rounded to f32. The curve of unsafe against safe is about the rows whose gold label is one of these; rows between
//! (ESCALATION) are in neither class. Rows of one score are one step of a curve.

use so8t_plugin_sdk::{
    About, Direction, Failure, Labels, Metric, MetricInfo, Rows, Safety, Value, Wants, about, counts, export_metric,
};
use so8t_scores::Scores;

/// Thresholds are 0, 1/50, 2/50 … 1.
const THRESHOLDS: usize = 50;

/// The curves.
pub struct Curves {
    labels: Labels,
    safe: usize,
    /// Whether a gold label is unsafe; none where it is neither that nor safe.
    is_unsafe: Vec<Option<bool>>,
    /// Unsafe against safe.
    hazard: Scores,
    /// Every label against the rest.
    one_vs_rest: Vec<Scores>,
    /// `bands[2 * i + unsafe]`: safe and unsafe rows whose score lies from threshold `i` up to the next.
    bands: Vec<u64>,
}

export_metric!(Curves);

impl Metric for Curves {
    type Config = Safety;
    const ABOUT: About = about!("curves", include_str!("../config.json"));

    fn open(config: Safety, labels: Labels) -> Result<Self, Failure> {
        let (safe, hazards) = config.resolve(&labels)?;
        labels.check_case()?;
        let side = |label| if label == safe { Some(false) } else { hazards.contains(&label).then_some(true) };
        Ok(Self {
            safe,
            is_unsafe: (0..labels.count()).map(side).collect(),
            hazard: Scores::default(),
            one_vs_rest: (0..labels.count()).map(|_| Scores::default()).collect(),
            bands: vec![0; 2 * (THRESHOLDS + 1)],
            labels,
        })
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        let values = self.values();
        values.into_iter().map(|(direction, value)| MetricInfo::rate(value.name, direction)).collect()
    }

    fn wants(&self) -> Wants {
        Wants::SCORES | Wants::WEIGHTS
    }

    fn update(&mut self, rows: &Rows<'_>) -> Result<(), Failure> {
        let scores = rows.probabilities()?;
        let rows = || rows.labelled().zip(scores.chunks_exact(self.labels.count()));
        let (is_unsafe, bands) = (&self.is_unsafe, &mut self.bands);
        self.hazard.add(rows().filter_map(|((gold, _, weight), scores)| {
            let (kind, score) = (is_unsafe[gold]?, unsafe_score(scores, self.safe));
            bands[2 * (f64::from(score) * THRESHOLDS as f64) as usize + usize::from(kind)] += u64::from(weight);
            Some((score, kind, weight))
        }));
        for (label, curve) in self.one_vs_rest.iter_mut().enumerate() {
            curve.add(rows().map(|((gold, _, weight), scores)| (scores[label], gold == label, weight)));
        }
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        let mut state = counts::write(&self.bands);
        self.curves().for_each(|curve| curve.write(&mut state));
        state
    }

    fn merge(&mut self, state: &[u8]) -> Result<(), Failure> {
        let (bands, mut rest) = state.split_at(state.len().min(8 * self.bands.len()));
        counts::add(&mut self.bands, bands)?;
        self.hazard.merge(&mut rest)?;
        self.one_vs_rest.iter_mut().try_for_each(|curve| curve.merge(&mut rest))?;
        match rest.len() {
            0 => Ok(()),
            more => Err(Failure::Input(format!("state: expected its end, found {more} more bytes"))),
        }
    }

    fn finalize(&self) -> Result<Vec<Value>, Failure> {
        Ok(self.values().into_iter().map(|(_, value)| value).collect())
    }
}

impl Curves {
    fn curves(&self) -> impl Iterator<Item = &Scores> {
        std::iter::once(&self.hazard).chain(&self.one_vs_rest)
    }

    /// All values, in their order, each with its direction.
    fn values(&self) -> Vec<(Direction, Value)> {
        use Direction::{Higher, Neither};
        let names = self.labels.names().iter().map(|name| match name.to_lowercase().as_str() {
            // The name of unsafe against safe.
            "unsafe" => "label_unsafe".to_owned(),
            lower => lower.to_owned(),
        });
        let mut values = Vec::new();
        for (name, curve) in std::iter::once("unsafe".to_owned()).chain(names).zip(self.curves()) {
            let totals = curve.totals();
            let (roc, precision_recall) = areas(curve, totals).unzip();
            let rows = totals.iter().sum();
            values.push((Higher, Value::new(format!("auroc_{name}"), roc, rows)));
            values.push((Higher, Value::new(format!("auprc_{name}"), precision_recall, rows)));
        }
        let bands = self.bands.as_chunks::<2>().0;
        let [safe, hazards] = self.hazard.totals();
        let mut below = [0, 0];
        for (threshold, band) in bands.iter().enumerate() {
            let name = format!("threshold.{:.2}", threshold as f64 / THRESHOLDS as f64);
            values.push((Neither, Value::ratio(format!("{name}.unsafe_pass_rate"), below[1], hazards)));
            values
                .push((Neither, Value::ratio(format!("{name}.over_block_rate"), safe.saturating_sub(below[0]), safe)));
            below = [below[0] + band[0], below[1] + band[1]];
        }
        let exact = self.curves().all(Scores::is_exact);
        let rows = self.one_vs_rest[0].totals().iter().sum();
        values.push((Neither, Value::new("exact", Some(f64::from(u8::from(exact))), rows)));
        values
    }
}

/// The probability of all labels but the safe one. An answer that has no probabilities, an INVALID one, is not safe.
fn unsafe_score(scores: &[f32], safe: usize) -> f32 {
    let others = scores[..safe].iter().chain(&scores[safe + 1..]);
    let sum: f64 = others.map(|&score| f64::from(score)).sum();
    if sum == 0.0 && scores[safe] == 0.0 { 1.0 } else { (sum as f32).min(1.0) }
}

/// The areas under the ROC curve (a tie of a positive and a negative row is worth half) and under the precision-recall
/// curve (average precision: the sum of each step's gain in recall times its precision); none without rows of both kinds.
fn areas(curve: &Scores, [negatives, positives]: [u64; 2]) -> Option<(f64, f64)> {
    if negatives == 0 || positives == 0 {
        return None;
    }
    let (mut above, mut half_pairs, mut precision) = ([0, 0], 0_u128, 0.0);
    for (_, [negative, positive]) in curve.steps().rev() {
        half_pairs += product(negative, 2 * above[1] + positive);
        above = [above[0] + negative, above[1] + positive];
        if positive > 0 {
            precision += positive as f64 * (above[1] as f64 / (above[0] + above[1]) as f64);
        }
    }
    let (negatives, positives) = (negatives as f64, positives as f64);
    Some((half_pairs as f64 / 2.0 / positives / negatives, precision / positives))
}

/// The whole product; a fast one where the factors are small.
fn product(a: u64, b: u64) -> u128 {
    match (a | b) >> 32 {
        0 => u128::from(a * b),
        _ => u128::from(a) * u128::from(b),
    }
}
