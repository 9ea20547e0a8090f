//! The bootstrap: how often each row counts in each resample, and intervals from what the resamples gave.

use std::collections::BTreeMap;

use super::random::Random;
use super::row::EvaluatedRow;

/// The groups that are drawn together. Rows of one group stand or fall together (a clustered bootstrap), because they
/// are not independent; a row without a group is a cluster of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// The cluster of each row.
    of_row: Vec<u32>,
    count: usize,
}

impl Clusters {
    /// The clusters of the rows. They are numbered by name, so that two evaluations of the same rows, in whatever
    /// order, draw the same resamples.
    pub fn new(rows: &[EvaluatedRow]) -> Self {
        let key = |row: &EvaluatedRow| match row.group.is_empty() {
            true => (1, row.id.clone()),
            false => (0, row.group.clone()),
        };
        let mut numbers: BTreeMap<(u8, String), u32> = rows.iter().map(|row| (key(row), 0)).collect();
        numbers.values_mut().enumerate().for_each(|(index, number)| *number = index as u32);
        Self { of_row: rows.iter().map(|row| numbers[&key(row)]).collect(), count: numbers.len() }
    }

    /// The number of clusters.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The cluster of a row.
    pub fn of(&self, row: usize) -> u32 {
        self.of_row[row]
    }

    /// How often each row counts in resample `index`: as many clusters as there are, drawn with replacement.
    pub fn weights(&self, seed: u64, index: u32) -> Vec<u32> {
        let mut random = Random::new(seed, u64::from(index));
        let mut drawn = vec![0_u32; self.count];
        for _ in 0..self.count {
            drawn[random.below(self.count as u64) as usize] += 1;
        }
        self.of_row.iter().map(|&cluster| drawn[cluster as usize]).collect()
    }
}

/// The 95 % percentile interval of what the resamples gave, or nothing where it would mislead: fewer than 20
/// resamples, a value that is not defined in more than one resample in twenty, or no width at all (every resample
/// gave the same value, as a rate of 0 does, which says nothing about how sure it is).
pub fn interval(replicates: &[Option<f64>]) -> Option<(f64, f64)> {
    let mut values: Vec<f64> = replicates.iter().flatten().copied().collect();
    if values.len() < 20 || (replicates.len() - values.len()) * 20 > replicates.len() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let (low, high) = (quantile(&values, 0.025), quantile(&values, 0.975));
    (low < high).then_some((low, high))
}

/// A quantile of sorted values, linear between neighbours (type 7 of Hyndman and Fan, as in R and NumPy).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}
