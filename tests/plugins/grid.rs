//! More scores than are counted one by one: when the grid takes over, and how far its values are from the exact ones.

use serde_json::json;
use so8t::data::INVALID;
use so8t::evaluate::{Measure, MetricBatch, MetricValue};

use super::sharding::{made_up, some};
use super::{Random, labels, measure, plugin, value};

const STEPS: usize = 16_384;
/// The most distinct scores that are counted one by one.
const DISTINCT: usize = 65_536;

/// Rows of ALLOW and REFUSE with these probabilities of REFUSE.
fn rows(scores: impl Iterator<Item = f32>) -> MetricBatch {
    let mut rows = MetricBatch::default();
    for (row, score) in scores.enumerate() {
        rows.gold.push([0, 3][usize::from(row * 7 % 10 < 3 || score > 0.9)]);
        rows.predicted.push(0);
        rows.scores.extend([1.0 - score, 0.0, 0.0, score]);
    }
    rows
}

fn exact(values: &[MetricValue]) -> bool {
    value(values, "exact").value == Some(1.0)
}

#[test]
fn counts_are_exact_up_to_a_number_of_scores() {
    // Both scores are whole multiples of 2^-20, and so distinct.
    let score = |i: usize| i as f32 / (1 << 20) as f32;
    let mut measurement = plugin("curves", &json!({})).unwrap().open_metric(&labels()).unwrap();
    measurement.update(&rows((0..DISTINCT).map(score))).unwrap();
    measurement.update(&rows((0..1000).map(score))).unwrap();
    let mut left_out = rows((DISTINCT..DISTINCT + 1000).map(score));
    left_out.weights = vec![0; 1000];
    measurement.update(&left_out).unwrap();
    assert!(exact(&measurement.finalize().unwrap()));
    measurement.update(&rows([score(DISTINCT)].into_iter())).unwrap();
    assert!(!exact(&measurement.finalize().unwrap()));
}

#[test]
fn counts_are_exact_up_to_a_number_of_rows_of_one_score() {
    // All rows have score 0 for DENY, so that all weights count together there.
    let mut few = rows([0.25, 0.5].into_iter());
    few.weights = vec![u32::MAX - 1, 1];
    let mut measurement = plugin("curves", &json!({})).unwrap().open_metric(&labels()).unwrap();
    measurement.update(&few).unwrap();
    assert!(exact(&measurement.finalize().unwrap()));
    few.weights = vec![2, 1];
    measurement.update(&few).unwrap();
    let values = measurement.finalize().unwrap();
    assert!(!exact(&values));
    // 2^32 rows of 0.25 are unsafe and 2 rows of 0.5 are safe: every pair is in the wrong order.
    assert_eq!(value(&values, "auroc_unsafe").value, Some(0.0));
    assert_eq!(value(&values, "threshold.0.50.unsafe_pass_rate").value, Some(1.0));
}

/// About 200,000 rows, nearly all with scores of their own.
fn many(seed: u64) -> MetricBatch {
    let made = made_up(200_000, 1 << 22, &mut Random(seed));
    let answered: Vec<usize> = (0..made.gold.len()).filter(|&row| made.predicted[row] != INVALID).collect();
    MetricBatch { weights: Vec::new(), ..some(&made, &answered) }
}

/// The score and the kind of a row.
type Scored = (f32, bool);

/// Scores with their rows of each kind, ascending.
type Steps = Vec<(f64, [f64; 2])>;

fn steps(mut scored: Vec<Scored>, key: impl Fn(f32) -> f64) -> Steps {
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut steps = Steps::new();
    for (score, kind) in scored {
        if steps.last().is_none_or(|(last, _)| *last != key(score)) {
            steps.push((key(score), [0.0; 2]));
        }
        steps.last_mut().unwrap().1[usize::from(kind)] += 1.0;
    }
    steps
}

/// AUROC and average precision, and how far those of a curve may be from them whose rows within a step are in another order.
///
/// AUROC: a step of the grid counts each of its pairs of a positive and a negative row as half; truly they count from none to all
/// of them. Average precision: each positive row of a step counts the precision at its end; truly that lies between the one with
/// a single positive and all negative rows of the step and the one with all positive and no negative rows.
fn areas(steps: &Steps) -> [(f64, f64); 2] {
    let sum = |kind: usize| steps.iter().map(|(_, counts)| counts[kind]).sum::<f64>();
    let (pairs, positives) = (sum(0) * sum(1), sum(1));
    let (mut roc, mut roc_bound, mut average, mut average_bound) = (0.0, 0.0, 0.0, 0.0);
    let [mut false_ones, mut true_ones] = [0.0; 2];
    for (_, [negative, positive]) in steps.iter().rev() {
        roc += negative * (true_ones + positive / 2.0) / pairs;
        roc_bound += negative * positive / 2.0 / pairs;
        if *positive > 0.0 {
            let precision = |hits: f64, misses: f64| (true_ones + hits) / (true_ones + hits + false_ones + misses);
            average += positive / positives * precision(*positive, *negative);
            average_bound += positive / positives * (precision(*positive, 0.0) - precision(1.0, *negative));
        }
        true_ones += positive;
        false_ones += negative;
    }
    [(roc, roc_bound), (average, average_bound)]
}

#[test]
fn the_grid_is_within_its_bound_of_the_exact_curves() {
    let rows = many(11);
    let values = measure("curves", &json!({}), &rows);
    assert!(!exact(&values));
    let unsafe_score = |scores: &[f32]| scores[1..].iter().map(|&score| f64::from(score)).sum::<f64>() as f32;
    let scored = |pick: &dyn Fn(u8, &[f32]) -> Option<Scored>| -> Vec<Scored> {
        rows.gold.iter().zip(rows.scores.chunks(4)).filter_map(|(&gold, scores)| pick(gold, scores)).collect()
    };
    let hazard = scored(&|gold, scores| (gold != 1).then(|| (unsafe_score(scores), gold >= 2)));
    let of_label = |label: u8| scored(&|gold, scores| Some((scores[usize::from(label)], gold == label)));
    for (name, scored) in [("unsafe", hazard), ("allow", of_label(0)), ("refuse", of_label(3))] {
        let exact = areas(&steps(scored.clone(), f64::from));
        let on_grid = areas(&steps(scored, |score| (score * STEPS as f32).floor().into()));
        for (kind, ((exact, _), (on_grid, bound))) in ["auroc", "auprc"].iter().zip(exact.into_iter().zip(on_grid)) {
            let found = value(&values, &format!("{kind}_{name}")).value.unwrap();
            assert!((found - on_grid).abs() < 1e-12, "{kind}_{name}: {found}, on the grid {on_grid}");
            assert!((found - exact).abs() <= bound, "{kind}_{name}: {found}, exact {exact} ± {bound}");
            assert!(bound < 0.01, "{kind}_{name}: {bound}");
        }
    }
    // The threshold table never needs the grid.
    let passed = scored(&|gold, scores| (gold >= 2).then(|| (unsafe_score(scores), true)));
    for threshold in ["0.02", "0.34", "0.98"] {
        let at: f64 = threshold.parse().unwrap();
        let share = passed.iter().filter(|(score, _)| f64::from(*score) < at).count() as f64 / passed.len() as f64;
        assert_eq!(value(&values, &format!("threshold.{threshold}.unsafe_pass_rate")).value, Some(share));
    }
}

/// The error of 15 bins of equally many rows; those of one confidence stay together where the middle one lies.
fn adaptive(steps: &Steps, confidence: impl Fn(f64) -> f64) -> f64 {
    let count: f64 = steps.iter().map(|(_, counts)| counts[0] + counts[1]).sum();
    let (mut gaps, mut before) = ([0.0; 15], 0.0);
    for (score, [wrong, right]) in steps {
        let here = wrong + right;
        let bin = (15.0 * (before + here / 2.0) / count) as usize;
        gaps[bin] += confidence(*score) * here - right;
        before += here;
    }
    gaps.iter().map(|gap| gap.abs()).sum::<f64>() / count
}

#[test]
fn the_grid_is_within_its_bound_of_the_exact_adaptive_error() {
    let rows = many(12);
    let values = measure("calibration", &json!({}), &rows);
    assert!(!exact(&values));
    let scored: Vec<Scored> = rows
        .gold
        .iter()
        .zip(rows.scores.chunks(4))
        .map(|(&gold, scores)| {
            let confidence = scores.iter().copied().fold(0.0, f32::max);
            let top = scores.iter().position(|&score| score == confidence).unwrap();
            (confidence, top == usize::from(gold))
        })
        .collect();
    let exact = adaptive(&steps(scored.clone(), f64::from), |score| score);
    let grid = steps(scored, |score| (score * STEPS as f32).floor().into());
    let middle = |step: f64| if step == STEPS as f64 { 1.0 } else { (step + 0.5) / STEPS as f64 };
    let found = value(&values, "ece_adaptive").value.unwrap();
    assert!((found - adaptive(&grid, middle)).abs() < 1e-12);
    // Every confidence is at most half a step off. A row that lies in another bin changes the gaps of two bins by at most 1 each; it
    // does so only if its step lies across one of the 14 edges between the bins.
    let greatest = grid.iter().map(|(_, counts)| counts[0] + counts[1]).fold(0.0, f64::max);
    let bound = 0.5 / STEPS as f64 + 2.0 * 14.0 * greatest / rows.gold.len() as f64;
    assert!((found - exact).abs() <= bound, "{found}, exact {exact} ± {bound}");
    assert!(bound < 0.02, "{bound}");
}
