//! Which part of the rows a process measures.

use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of several equal parts of the rows, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// From 1 to `count`.
    pub index: u64,
    /// How many parts there are.
    pub count: u64,
}

/// The most parts that an evaluation may have.
const MOST_SHARDS: u64 = 1 << 20;

impl Shard {
    /// Whether a part is one of so many.
    pub(super) fn is_sound(index: u64, count: u64) -> bool {
        1 <= index && index <= count && count <= MOST_SHARDS
    }

    /// Which of so many rows are in this part. The parts of all indices are all rows, each once.
    ///
    /// ```
    /// use so8t_evaluate::Shard;
    /// let of_seven = (1..=7).map(|index| Shard { index, count: 7 }.range(10));
    /// assert_eq!(of_seven.collect::<Vec<_>>(), [0..1, 1..2, 2..4, 4..5, 5..7, 7..8, 8..10]);
    /// ```
    pub fn range(self, rows: u64) -> Range<u64> {
        let border = |index: u64| (u128::from(rows) * u128::from(index) / u128::from(self.count)) as u64;
        border(self.index - 1)..border(self.index)
    }
}

impl FromStr for Shard {
    type Err = String;

    /// `3/7`, counted from 1.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parsed {
            Some((index, count)) if Self::is_sound(index, count) => Ok(Self { index, count }),
            _ => Err(format!("expected I/N with I from 1 to N, and N up to {MOST_SHARDS}, for example `3/7`")),
        }
    }
}
