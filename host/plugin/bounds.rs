//! `[bounds]` of the host's policy: what data and metrics of strangers may come to in all.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use so8t_evaluate as evaluate;

/// What sources and metrics may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Records of all sources of a run, those that are rejected among them.
    pub records: u64,
    /// Bytes of text of all records of a run that are kept: ids, requests, outputs and groups as converters give them, and why records were
    /// rejected.
    pub text_bytes: u64,
    /// What an evaluation may come to.
    pub evaluation: evaluate::Bounds,
}

impl Default for Bounds {
    /// 5 million records, 2 GiB of text, and the evaluation's own.
    fn default() -> Self {
        Self { records: 5_000_000, text_bytes: 2 << 30, evaluation: evaluate::Bounds::default() }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BoundsTable {
    records: Option<Spanned<u64>>,
    text_mb: Option<Spanned<u64>>,
    sources: Option<Spanned<u64>>,
    numbers: Option<Spanned<u64>>,
    states_mb: Option<Spanned<u64>>,
}

impl BoundsTable {
    /// The bounds, those that are not said as the defaults have them; or where a wrong value stands, and what is wrong.
    pub(super) fn bounds(&self) -> Result<Bounds, (Range<usize>, String)> {
        let mut bounds = Bounds::default();
        let own = &mut bounds.evaluation;
        let keys = [
            ("records", &self.records, 1, &mut bounds.records),
            ("text_mb", &self.text_mb, 1 << 20, &mut bounds.text_bytes),
            ("sources", &self.sources, 1, &mut own.sources),
            ("numbers", &self.numbers, 1, &mut own.numbers),
            ("states_mb", &self.states_mb, 1 << 20, &mut own.state_bytes),
        ];
        for (key, value, unit, bound) in keys {
            let Some(value) = value else { continue };
            let found = *value.get_ref();
            match found.checked_mul(unit).filter(|found| *found > 0) {
                Some(found) => *bound = found,
                None => {
                    let most = u64::MAX / unit;
                    return Err((value.span(), format!("`[bounds] {key}`: expected 1 to {most}, found `{found}`")));
                }
            }
        }
        Ok(bounds)
    }
}
