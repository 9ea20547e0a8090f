//! McNemar's exact test: did one of two models get more of the same rows right?

use serde::{Deserialize, Serialize};

/// The test on rows of which exactly one of the two predictions is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Rows that were right before and are wrong after.
    pub right_before_only: u64,
    /// Rows that were wrong before and are right after.
    pub right_after_only: u64,
    /// The two-sided p-value; 1 where no row changed between right and wrong.
    pub p_value: f64,
}

impl McNemar {
    /// The exact test: with `n = before + after` discordant rows, twice the probability of at most `min(before, after)`
    /// heads in `n` throws of a fair coin, at most 1.
    pub fn exact(right_before_only: u64, right_after_only: u64) -> Self {
        let n = right_before_only + right_after_only;
        let tail = binomial_tail(n, right_before_only.min(right_after_only));
        Self { right_before_only, right_after_only, p_value: (2.0 * tail).min(1.0) }
    }
}

/// The probability of at most `most` heads in `n` throws of a fair coin. Only multiplications, divisions and
/// additions, so that it is the same on every machine; powers of two are kept apart, so that large `n` do not underflow.
fn binomial_tail(n: u64, most: u64) -> f64 {
    let step = 2_f64.powi(500);
    let (mut term, mut sum, mut halvings) = (1.0_f64, 1.0_f64, n);
    for k in 1..=most {
        term *= (n - k + 1) as f64 / k as f64;
        sum += term;
        if sum > step && halvings >= 500 {
            (term, sum, halvings) = (term / step, sum / step, halvings - 500);
        }
    }
    while halvings > 0 && sum > 0.0 {
        let now = halvings.min(500);
        sum /= 2_f64.powi(now as i32);
        halvings -= now;
    }
    sum
}
