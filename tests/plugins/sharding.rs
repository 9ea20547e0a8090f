//! Any sharding, any order and any way of merging gives the same bytes of state, and the same bits of every value.

use serde_json::json;
use so8t::data::INVALID;
use so8t::evaluate::{Measure, MetricBatch, MetricValue};
use so8t::plugin::{Measurement, Plugin, conformance};

use super::{METRICS, Random, labels, measure, plugin};

/// Rows whose scores are multiples of 1/`steps`: few steps make ties, many make distinct scores. Every fourth row has
/// weight 0, and some answers are no label.
pub(super) fn made_up(count: usize, steps: usize, random: &mut Random) -> MetricBatch {
    let mut rows = MetricBatch::default();
    for _ in 0..count {
        let gold = random.below(4);
        let invalid = random.below(20) == 0;
        let mut cuts = [0; 3].map(|_: usize| random.below(steps + 1));
        cuts.sort_unstable();
        let mut parts = [cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1], steps - cuts[2]];
        // The gold label tends to have the greatest part.
        let greatest = (0..4).max_by_key(|&label| parts[label]).unwrap_or_default();
        if random.below(3) > 0 {
            parts.swap(gold, greatest);
        }
        let top = (0..4).max_by_key(|&label| parts[label]).unwrap_or_default();
        rows.gold.push(gold as u8);
        rows.predicted.push(if invalid { INVALID } else { top as u8 });
        rows.scores.extend(parts.map(|part| if invalid { 0.0 } else { part as f32 / steps as f32 }));
        rows.weights.push(random.below(4) as u32);
    }
    rows
}

/// Some of the rows, in this order.
pub(super) fn some(rows: &MetricBatch, which: &[usize]) -> MetricBatch {
    MetricBatch {
        gold: which.iter().map(|&row| rows.gold[row]).collect(),
        predicted: which.iter().map(|&row| rows.predicted[row]).collect(),
        scores: which.iter().flat_map(|&row| rows.scores[4 * row..4 * row + 4].iter().copied()).collect(),
        weights: which.iter().map(|&row| rows.weights[row]).collect(),
        ..MetricBatch::default()
    }
}

fn open(metric: &Plugin) -> Measurement {
    metric.open_metric(&labels()).unwrap()
}

/// The rows in random order, in `shards` shards of random sizes and batches of random sizes, merged in a random tree.
fn scattered(metric: &Plugin, rows: &MetricBatch, shards: usize, random: &mut Random) -> Measurement {
    let mut order: Vec<usize> = (0..rows.gold.len()).collect();
    (1..order.len()).rev().for_each(|at| order.swap(at, random.below(at + 1)));
    let mut cuts: Vec<usize> = (1..shards).map(|_| random.below(order.len() + 1)).collect();
    cuts.extend([0, order.len()]);
    cuts.sort_unstable();
    let mut parts: Vec<Measurement> = cuts
        .windows(2)
        .map(|cut| {
            let mut part = open(metric);
            let mut left = &order[cut[0]..cut[1]];
            while !left.is_empty() {
                let (batch, rest) = left.split_at(1 + random.below(left.len()));
                part.update(&some(rows, batch)).unwrap();
                left = rest;
            }
            part
        })
        .collect();
    while parts.len() > 1 {
        let state = parts.swap_remove(random.below(parts.len())).state().unwrap();
        let into = random.below(parts.len());
        parts[into].merge(&state).unwrap();
    }
    parts.remove(0)
}

/// Values down to their bits.
fn bits(values: Vec<MetricValue>) -> Vec<(String, Option<u64>, u32)> {
    values.into_iter().map(|value| (value.name, value.value.map(f64::to_bits), value.support)).collect()
}

/// Checks metrics on rows that are scattered `times` times.
fn check(metrics: &[&str], rows: &MetricBatch, shards: usize, times: usize, random: &mut Random) {
    for name in metrics {
        let metric = plugin(name, &json!({})).unwrap();
        let mut whole = open(&metric);
        whole.update(rows).unwrap();
        let (state, values) = (whole.state().unwrap(), bits(whole.finalize().unwrap()));
        for time in 0..times {
            let mut merged = scattered(&metric, rows, shards, random);
            assert!(merged.state().unwrap() == state, "{name}: another state, time {time}");
            assert_eq!(bits(merged.finalize().unwrap()), values, "{name}, time {time}");
        }
    }
}

#[test]
fn any_sharding_order_and_tree_gives_the_same_bytes() {
    let mut random = Random(5);
    for (count, steps) in [(1, 10), (40, 4), (997, 64), (2000, 1 << 20)] {
        let rows = made_up(count, steps, &mut random);
        check(&METRICS, &rows, 7, 4, &mut random);
    }
}

#[test]
fn shards_that_are_exact_merge_into_the_grid_of_the_whole() {
    let mut random = Random(6);
    // Three quarters of 100,000 rows have a weight, nearly all of them scores of their own.
    let rows = made_up(100_000, 1 << 22, &mut random);
    check(&["calibration", "curves"], &rows, 9, 2, &mut random);
    let exact = |rows: &MetricBatch| {
        ["calibration", "curves"].map(|name| super::value(&measure(name, &json!({}), rows), "exact").value)
    };
    assert_eq!(exact(&rows), [Some(0.0); 2]);
    let third: Vec<usize> = (0..33_000).collect();
    assert_eq!(exact(&some(&rows, &third)), [Some(1.0); 2]);
}

#[test]
fn rows_of_weight_zero_count_for_nothing() {
    let mut random = Random(7);
    let rows = made_up(500, 1000, &mut random);
    let counted: Vec<usize> = (0..500).filter(|&row| rows.weights[row] > 0).collect();
    for name in METRICS {
        let metric = plugin(name, &json!({})).unwrap();
        let [mut all, mut some] = [&rows, &some(&rows, &counted)].map(|rows| {
            let mut measurement = open(&metric);
            measurement.update(rows).unwrap();
            measurement
        });
        assert_eq!(all.state().unwrap(), some.state().unwrap(), "{name}");
        assert_eq!(bits(all.finalize().unwrap()), bits(some.finalize().unwrap()), "{name}");
    }
}

#[test]
fn weights_are_repetitions() {
    let mut random = Random(8);
    let weighted = made_up(300, 50, &mut random);
    let repeated: Vec<usize> =
        (0..300).flat_map(|row| std::iter::repeat_n(row, weighted.weights[row] as usize)).collect();
    let mut repeated = some(&weighted, &repeated);
    repeated.weights.clear();
    for name in METRICS {
        assert_eq!(bits(measure(name, &json!({}), &weighted)), bits(measure(name, &json!({}), &repeated)), "{name}");
    }
}

#[test]
fn without_rows_a_value_is_absent_or_a_sum() {
    for name in METRICS {
        let values = measure(name, &json!({}), &MetricBatch::default());
        assert!(values.iter().all(|value| value.support == 0), "{name}");
        for value in values {
            let expected = if value.name == "exact" { 1.0 } else { 0.0 };
            let sum = ["support_", "confusion.", "cost_total", "exact"].iter().any(|part| value.name.starts_with(part))
                || value.name.ends_with(".count");
            assert_eq!(value.value, sum.then_some(expected), "{name}: {}", value.name);
        }
    }
}

#[test]
fn every_metric_follows_the_laws() {
    for name in METRICS {
        conformance::check_metric(&plugin(name, &json!({})).unwrap(), &labels()).unwrap();
    }
}

#[test]
fn a_foreign_state_is_refused_and_never_a_trap() {
    let mut random = Random(9);
    let rows = made_up(200, 1000, &mut random);
    for name in METRICS {
        let metric = plugin(name, &json!({})).unwrap();
        let mut measurement = open(&metric);
        measurement.update(&rows).unwrap();
        let state = measurement.state().unwrap();
        let merge = |state: &[u8]| {
            let mut other = open(&metric);
            other.merge(state).map_err(|error| error.to_string())?;
            other.finalize().map(drop).map_err(|error| error.to_string())
        };
        merge(&state).unwrap();
        for end in [0, 7, state.len() / 2, state.len() - 1] {
            let error = merge(&state[..end]).unwrap_err();
            assert!(error.contains("state: expected "), "{name}, cut at {end}: {error}");
        }
        let error = merge(&[&state[..], &[0]].concat()).unwrap_err();
        assert!(error.contains("state: expected "), "{name}: {error}");
        for _ in 0..300 {
            let mut broken = state.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(broken.len());
                broken[at] = random.below(256) as u8;
            }
            if let Err(error) = merge(&broken) {
                assert!(!error.contains("trapped"), "{name}: {error}");
            }
        }
    }
}
