//! The laws that a metric must keep, tried on made-up rows: what no check of a single call can see.
//!
//! Evaluation shards rows, resamples them through weights, and merges states. It may do so only where any sharding gives
//! the same values, where `finalize` changes nothing, and where two instances agree bit for bit.

use super::Plugin;
use crate::data::INVALID;
use crate::evaluate::{Measure, MetricBatch, MetricValue};
use crate::{Error, Result};

/// How many rows the trial takes.
const ROWS: usize = 600;

/// Tries a metric plugin on made-up rows over `labels`.
///
/// # Errors
///
/// When a call fails, or the plugin breaks a law: the message names it.
pub fn check_metric(plugin: &Plugin, labels: &[String]) -> Result<()> {
    let broken = |law: &str| {
        Error::plugin(format!("plugin `{}` {}: breaks a law of metrics: {law}", plugin.name(), plugin.version()))
    };
    let rows = made_up(ROWS, labels.len());
    let shards =
        [part(&rows, 0, 100, labels.len()), part(&rows, 100, 101, labels.len()), part(&rows, 101, ROWS, labels.len())];

    let mut whole = plugin.open_metric(labels)?;
    let declared = whole.metrics().to_vec();
    whole.update(&rows)?;
    let expected = whole.finalize()?;
    if !same(&whole.finalize()?, &expected) {
        return Err(broken("`finalize` gives other values when it is called again"));
    }
    let mut other = plugin.open_metric(labels)?;
    if other.metrics() != declared {
        return Err(broken("two instances declare different values"));
    }
    other.update(&rows)?;
    if other.state()? != whole.state()? || !same(&other.finalize()?, &expected) {
        return Err(broken("two instances that took in the same rows differ"));
    }

    let states = shards
        .iter()
        .map(|shard| {
            let mut measurement = plugin.open_metric(labels)?;
            measurement.update(shard)?;
            measurement.state()
        })
        .collect::<Result<Vec<_>>>()?;
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut merged = plugin.open_metric(labels)?;
        for shard in order {
            merged.merge(&states[shard])?;
        }
        if !same(&merged.finalize()?, &expected) {
            return Err(broken("the merged states of shards give other values than all rows at once"));
        }
    }
    // (a + b) + c against a + (b + c), and a shard taken in after a merge.
    let mut last = plugin.open_metric(labels)?;
    last.merge(&states[1])?;
    last.update(&shards[2])?;
    let mut first = plugin.open_metric(labels)?;
    first.update(&shards[0])?;
    first.merge(&last.state()?)?;
    if !same(&first.finalize()?, &expected) {
        return Err(broken("`merge` depends on how the shards are grouped"));
    }
    Ok(())
}

/// Values agree where they differ by no more than the rounding of sums in another order.
fn same(left: &[MetricValue], right: &[MetricValue]) -> bool {
    let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        (a, b) => a == b,
    };
    left.len() == right.len()
        && left.iter().zip(right).all(|(a, b)| a.name == b.name && a.support == b.support && close(a.value, b.value))
}

/// Rows with every label, some INVALID answers and some rows that count not at all: always the same ones.
fn made_up(rows: usize, labels: usize) -> MetricBatch {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        // Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below.max(1) as u64) as usize
    };
    let mut batch = MetricBatch::default();
    for row in 0..rows {
        let gold = next(labels);
        let predicted = if next(3) > 0 { gold } else { next(labels + 1) };
        batch.gold.push(gold as u8);
        batch.predicted.push(if predicted == labels { INVALID } else { predicted as u8 });
        let scores: Vec<f32> = (0..labels).map(|_| 1.0 + next(100) as f32).collect();
        let sum: f32 = scores.iter().sum();
        batch.scores.extend(scores.iter().map(|score| score / sum));
        batch.weights.push(next(4) as u32);
        batch.groups.push((row / 3) as u32);
        batch.texts.push(&format!("request {row}"));
    }
    batch
}

fn part(rows: &MetricBatch, start: usize, end: usize, labels: usize) -> MetricBatch {
    MetricBatch {
        gold: rows.gold[start..end].to_vec(),
        predicted: rows.predicted[start..end].to_vec(),
        scores: rows.scores[start * labels..end * labels].to_vec(),
        weights: rows.weights[start..end].to_vec(),
        groups: rows.groups[start..end].to_vec(),
        texts: (start..end).filter_map(|row| rows.texts.get(row)).collect(),
    }
}
