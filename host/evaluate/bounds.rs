//! What an evaluation may come to: how many sources, values and bytes of states.
//!
//! The sources stand in the rows, the values and the states come from plugins: strangers choose all three. Each is held against its bound
//! before what it would cost is set aside or done.

use so8t_base::{Error, Result};

/// The most that one evaluation may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Different sources of the rows.
    pub sources: u64,
    /// Numbers that are kept: values, for all rows and for each source, once as they are and once a resample. Each takes some 16 bytes.
    pub numbers: u64,
    /// Bytes of the states of one metric's accumulators, those of all sources together, in memory or in a file.
    pub state_bytes: u64,
}

impl Default for Bounds {
    /// 1000 sources, 50 million numbers, 1 GiB of states.
    fn default() -> Self {
        Self { sources: 1_000, numbers: 50_000_000, state_bytes: 1 << 30 }
    }
}

/// What the user may do about a bound that was met.
fn hint(key: &str) -> String {
    format!("whoever runs this host bounds it: `[bounds] {key}` in the policy of so8t")
}

impl Bounds {
    /// Holds a number of sources against the bound.
    ///
    /// # Errors
    /// More sources.
    pub(super) fn check_sources(&self, found: u64) -> Result<()> {
        match found > self.sources {
            true => Err(Error::data(format!("expected at most {} different sources, found more", self.sources))
                .with_hint(hint("sources"))),
            false => Ok(()),
        }
    }

    /// Holds the numbers that metrics give against the bound: `values` of all metrics, over so many sources and resamples.
    ///
    /// # Errors
    /// More numbers.
    pub(super) fn check_numbers(&self, values: u64, sources: u64, resamples: u64) -> Result<()> {
        let all = u128::from(values) * (u128::from(sources) + 1) * (u128::from(resamples) + 1);
        match all > u128::from(self.numbers) {
            true => Err(Error::data(format!(
                "the metrics give {values} values, and {sources} sources and {resamples} resamples make that {all} numbers: expected at most {}",
                self.numbers
            ))
            .with_hint(format!("fewer `resamples` make fewer numbers; {}", hint("numbers")))),
            false => Ok(()),
        }
    }

    /// Holds the bytes of a metric's states against the bound.
    ///
    /// # Errors
    /// More bytes.
    pub(super) fn check_states(&self, metric: &str, bytes: u64) -> Result<()> {
        match bytes > self.state_bytes {
            true => Err(Error::plugin(format!(
                "metric `{metric}`: its states take more than {} MiB: expected no more in one evaluation",
                self.state_bytes >> 20
            ))
            .with_hint(hint("states_mb"))),
            false => Ok(()),
        }
    }
}
