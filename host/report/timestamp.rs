//! A moment in UTC, without a calendar library.

use std::time::{SystemTime, UNIX_EPOCH};

/// A second of the Gregorian calendar in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: u64,
}

impl Timestamp {
    /// Now.
    pub fn now() -> Self {
        Self { seconds: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) }
    }

    /// `YYYYMMDD_HHMMSS`, as old result files are named.
    pub fn compact(self) -> String {
        let (year, month, day, hour, minute, second) = self.fields();
        format!("{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}")
    }

    /// `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339).
    pub fn iso(self) -> String {
        let (year, month, day, hour, minute, second) = self.fields();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// Year, month, day, hour, minute, second. Days are counted in eras of 400 years that start on 1 March, so that the
    /// leap day is the last of its year.
    fn fields(self) -> (u64, u64, u64, u64, u64, u64) {
        let (days, rest) = (self.seconds / 86_400 + 719_468, self.seconds % 86_400);
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        (year, month, day, rest / 3_600, rest / 60 % 60, rest % 60)
    }
}
