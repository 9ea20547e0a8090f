//! Which values of a metric are shares of rows, `k` of `n`, so that an exact binomial interval holds for them.
//!
//! A name proves nothing, since any plugin may use it, and neither does a value that happens to be `k / n`: F1 is a fraction
//! too. So the metric is asked. One that sees of a row only its gold and its predicted label is a function of how many rows
//! each pair of labels has. Given a single row, a share is 1 (the row is among the `k`), 0 (among the `n` alone) or absent (not
//! among them). This names the only share that the value can be, and whether it is that one is tried on rows of all pairs in
//! unequal, arbitrary numbers: two different quotients of such polynomials agree at a random point with next to no
//! probability (J. T. Schwartz, "Fast probabilistic algorithms for verification of polynomial identities", 1980).
//!
//! A share that depends on scores cannot be found so; it has a bootstrap interval.

use super::measure::checked;
use super::measure::{Direction, Metric, MetricBatch, MetricInfo, Wants};
use super::random::Random;
use so8t_base::Result;
use so8t_data::{INVALID, Texts};

/// With more labels than this no share is looked for: the pairs would take too long.
const MAX_LABELS: usize = 32;
/// On how many sets of rows a share is tried.
const TRIALS: u64 = 2;
/// How many rows of one pair a trial has at the most.
const MOST_ROWS: u64 = 997;

/// For each value of the metric whether it is a share of rows. A metric that fails on these made-up rows has none.
pub(super) fn shares(metric: &dyn Metric, infos: &[MetricInfo], wants: Wants, labels: usize) -> Vec<bool> {
    let sees_more = wants.scores || wants.groups || wants.texts;
    if sees_more || labels > MAX_LABELS || infos.iter().all(|info| info.direction == Direction::Neither) {
        return vec![false; infos.len()];
    }
    prove(metric, infos, wants, labels).unwrap_or_else(|_| vec![false; infos.len()])
}

/// What a single row is to a share.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Absent,
    Counted,
    Hit,
}

fn prove(metric: &dyn Metric, infos: &[MetricInfo], wants: Wants, labels: usize) -> Result<Vec<bool>> {
    let values = |rows: &[(u8, u8, u32)]| -> Result<Vec<(Option<f64>, u32)>> {
        let mut measure = metric.open()?;
        rows.iter().try_for_each(|&(gold, predicted, count)| {
            let copies = if wants.weights { 1 } else { count as usize };
            measure.update(&MetricBatch {
                gold: vec![gold; copies],
                predicted: vec![predicted; copies],
                weights: if wants.weights { vec![count] } else { Vec::new() },
                texts: Texts::lacking(),
                ..MetricBatch::default()
            })
        })?;
        checked(metric, infos, measure.finalize()?)
    };
    let ids = || 0..labels as u8;
    let pairs: Vec<(u8, u8)> = ids().flat_map(|gold| ids().chain([INVALID]).map(move |other| (gold, other))).collect();

    let mut shares: Vec<bool> = infos.iter().map(|info| info.direction != Direction::Neither).collect();
    let mut roles: Vec<Vec<Role>> = vec![Vec::new(); infos.len()];
    for &(gold, predicted) in &pairs {
        for (place, value) in values(&[(gold, predicted, 1)])?.into_iter().enumerate() {
            roles[place].push(match value {
                (None, 0) => Role::Absent,
                (Some(0.0), 1) => Role::Counted,
                (Some(1.0), 1) => Role::Hit,
                _ => {
                    shares[place] = false;
                    Role::Absent
                }
            });
        }
    }
    for trial in 0..TRIALS {
        let mut random = Random::new(0x5348_4152_4553, trial);
        let counts: Vec<u32> = pairs.iter().map(|_| 1 + random.below(MOST_ROWS) as u32).collect();
        let rows: Vec<_> = pairs.iter().zip(&counts).map(|(pair, count)| (pair.0, pair.1, *count)).collect();
        for (place, (value, support)) in values(&rows)?.into_iter().enumerate() {
            let sum = |test: fn(Role) -> bool| -> u32 {
                counts.iter().zip(&roles[place]).filter(|(_, role)| test(**role)).map(|(count, _)| count).sum()
            };
            let (hits, all) = (sum(|role| role == Role::Hit), sum(|role| role != Role::Absent));
            let share = f64::from(hits) / f64::from(all.max(1));
            shares[place] &= all > 0 && support == all && value.is_some_and(|value| (value - share).abs() < 1e-12);
        }
    }
    Ok(shares)
}
