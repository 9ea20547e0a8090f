//! The bootstrap: how often each row counts in each resample, and intervals from what the resamples gave.

use so8t_base::split_mix::{mix, split_mix};

/// What is drawn together: the group of a row, or the row itself where it has none. Rows of one group stand or fall together
/// (a clustered bootstrap), because they are not independent. A cluster is known by a 64-bit hash of its name alone; two
/// clusters with one hash would be drawn together, which has odds of about 1 in 400,000 among ten million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cluster(pub u64);

impl Cluster {
    /// The cluster of a row. A group and a row of the same name are two clusters.
    pub fn of(group: &str, id: &str) -> Self {
        match group.is_empty() {
            true => Self(hash(1, id)),
            false => Self(hash(0, group)),
        }
    }
}

/// FNV-1a of a tag and a text, with the last step of SplitMix64 after it, since the high bits of FNV-1a alone are weak
/// (Fowler, Noll and Vo, <https://www.rfc-editor.org/rfc/rfc9923>). The same number on every machine.
pub fn hash(tag: u8, text: &str) -> u64 {
    let step = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    mix(text.bytes().fold(step(0xCBF2_9CE4_8422_2325, tag), step))
}

/// One resample of a Poisson bootstrap: every cluster counts as often as a Poisson variable of mean 1 says, independently of
/// all others. Where the usual bootstrap draws `n` of `n` clusters with replacement, the number of times that one of them is
/// drawn is binomial with mean 1, and nearly this; but here a weight depends on nothing but the seed, the resample and the
/// cluster, so that rows in any order, in any number of shards, count the same (J. A. Hanley and B. MacGibbon, "Creating
/// non-parametric bootstrap samples using Poisson frequencies", 2006; N. Chamandy, O. Muralidharan, A. Najmi and S. Naidu,
/// "Estimating uncertainty for massive data streams", 2012).
#[derive(Clone, Copy, Debug)]
pub struct Resample {
    stream: u64,
}

impl Resample {
    /// Resample `index` of `seed`.
    pub fn new(seed: u64, index: u32) -> Self {
        let mut outer = seed;
        let mut inner = split_mix(&mut outer) ^ u64::from(index);
        Self { stream: split_mix(&mut inner) }
    }

    /// How often the rows of a cluster count.
    #[inline]
    pub fn weight(self, cluster: Cluster) -> u32 {
        let drawn = mix(cluster.0 ^ self.stream);
        // Three in four are settled by the first two compares, and all but 2 % without a branch.
        let weight = POISSON[..4].iter().map(|&limit| u32::from(drawn >= limit)).sum();
        if weight < 4 { weight } else { 4 + POISSON[4..].iter().take_while(|&&limit| drawn >= limit).count() as u32 }
    }
}

/// `POISSON[k]` is P(X <= k) of a Poisson variable of mean 1, times 2^64, rounded down; larger weights have odds below 2^-64.
const POISSON: [u64; 20] = poisson();

/// The distribution in 128-bit fixed point: 1/e = sum of (-1)^k / k!, and P(X = k) = (1/e) / k!.
const fn poisson() -> [u64; 20] {
    const ONE: u128 = 1 << 120;
    let (mut term, mut inverse_e, mut k) = (ONE, 0_u128, 0_u128);
    while term > 0 {
        inverse_e = if k.is_multiple_of(2) { inverse_e + term } else { inverse_e - term };
        k += 1;
        term /= k;
    }
    let mut table = [0; 20];
    let (mut probability, mut sum, mut k) = (inverse_e, 0_u128, 0);
    while k < table.len() {
        sum += probability;
        table[k] = (sum >> 56) as u64;
        k += 1;
        probability /= k as u128;
    }
    table
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
