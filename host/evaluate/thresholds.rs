//! Thresholds: what is added to each class's log score before the largest is the decision, so that macro-F1 is largest.
//!
//! A coordinate search: for one class at a time, every place is tried at which a row's decision changes to or from that
//! class, and the best span between two such places is taken at its middle, until no class gains. Each step is exact in
//! its coordinate, nothing is drawn, and the result is a local optimum; of two classes it is the global one.

/// The most rounds over all classes; each class must gain in each, so few are ever needed.
const ROUNDS: usize = 50;
/// A gain below this is rounding.
const GAIN: f64 = 1e-12;

/// The class of the largest sum of log score and bias; the first of equal ones.
pub(super) fn decide(scores: &[f64], biases: &[f64]) -> usize {
    let mut best = 0;
    for class in 1..scores.len() {
        if scores[class] + biases[class] > scores[best] + biases[best] {
            best = class;
        }
    }
    best
}

/// The biases that maximise macro-F1 over all classes, the first class's 0. `missed` counts, by class, rows that have no score
/// and are wrong whatever the biases. A class without a row among `gold` keeps the bias that it would have without a fit.
pub(super) fn fit(scores: &[Vec<f64>], gold: &[usize], missed: &[usize]) -> Vec<f64> {
    let classes = missed.len();
    let mut biases = vec![0.0; classes];
    let mut best = Tally::new(scores, gold, missed, &biases).f1_macro();
    for _ in 0..ROUNDS {
        let before = best;
        for class in (0..classes).filter(|class| gold.contains(class)) {
            if let Some((bias, f1)) = best_of(class, scores, gold, missed, &biases, best) {
                (biases[class], best) = (bias, f1);
            }
        }
        if best <= before + GAIN {
            break;
        }
    }
    let first = biases[0];
    biases.iter().map(|bias| bias - first).collect()
}

/// The bias of one class that beats `to_beat`, the others standing, and its macro-F1. Of equal spans, that which is nearest to the
/// present bias.
fn best_of(
    class: usize,
    scores: &[Vec<f64>],
    gold: &[usize],
    missed: &[usize],
    biases: &[f64],
    to_beat: f64,
) -> Option<(f64, f64)> {
    // Without the class, each row goes to its best other class; from the bias `place` on, to the class.
    let mut without = biases.to_vec();
    without[class] = f64::NEG_INFINITY;
    let mut tally = Tally::new(scores, gold, missed, &without);
    let mut moves: Vec<(f64, usize, usize)> = scores
        .iter()
        .enumerate()
        .map(|(row, scores)| {
            let other = decide(scores, &without);
            (scores[other] + biases[other] - scores[class], row, other)
        })
        .collect();
    moves.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));

    let mut found: Option<(f64, f64)> = None;
    let mut consider = |bias: f64, f1: f64| {
        let nearer = |other: f64| (bias - biases[class]).abs() < (other - biases[class]).abs();
        let is_better = match found {
            None => f1 > to_beat + GAIN,
            Some((other, best)) => f1 > best + GAIN || (f1 > best - GAIN && nearer(other)),
        };
        if is_better {
            found = Some((bias, f1));
        }
    };
    if let Some(first) = moves.first() {
        consider(first.0 - 1.0, tally.f1_macro());
    }
    for (index, &(place, row, other)) in moves.iter().enumerate() {
        tally.change(gold[row], other, class);
        match moves.get(index + 1) {
            Some(next) if next.0 == place => {}
            Some(next) => consider(0.5 * (place + next.0), tally.f1_macro()),
            None => consider(place + 1.0, tally.f1_macro()),
        }
    }
    found
}

/// Counts by class: rows of that gold label, rows decided so, rows both.
struct Tally {
    gold: Vec<usize>,
    decided: Vec<usize>,
    both: Vec<usize>,
}

impl Tally {
    fn new(scores: &[Vec<f64>], gold: &[usize], missed: &[usize], biases: &[f64]) -> Self {
        let mut tally = Self { gold: missed.to_vec(), decided: vec![0; missed.len()], both: vec![0; missed.len()] };
        for (scores, &gold) in scores.iter().zip(gold) {
            let decided = decide(scores, biases);
            tally.gold[gold] += 1;
            tally.decided[decided] += 1;
            tally.both[gold] += usize::from(decided == gold);
        }
        tally
    }

    /// One row's decision changes.
    fn change(&mut self, gold: usize, from: usize, to: usize) {
        self.decided[from] -= 1;
        self.decided[to] += 1;
        self.both[gold] -= usize::from(from == gold);
        self.both[gold] += usize::from(to == gold);
    }

    /// The mean over all classes of 2 both / (gold + decided), 0 where a class is neither.
    fn f1_macro(&self) -> f64 {
        let f1 = |class: usize| match self.gold[class] + self.decided[class] {
            0 => 0.0,
            either => 2.0 * self.both[class] as f64 / either as f64,
        };
        (0..self.gold.len()).map(f1).sum::<f64>() / self.gold.len() as f64
    }
}
