//! The date that a template sees: one that the manifest states, so that a run of tomorrow sees the same.

use super::{Fault, Result};

/// A day, at midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    year: i32,
    month: u32,
    day: u32,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl Clock {
    /// A day that is written as `2025-01-31`, of the years 1000 to 9999.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let part = |range: std::ops::Range<usize>| {
            text.get(range).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
        };
        let (year, month, day): (u32, u32, u32) = (part(0..4)?, part(5..7)?, part(8..10)?);
        let clock = Self { year: i32::try_from(year).ok()?, month, day };
        let valid = year >= 1000 && (1..=12).contains(&month) && (1..=clock.days_of(month)).contains(&day);
        valid.then_some(clock)
    }

    fn is_leap(self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    fn days_of(self, month: u32) -> u32 {
        match month {
            2 => 28 + u32::from(self.is_leap()),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// From 1.
    fn day_of_year(self) -> u32 {
        (1..self.month).map(|month| self.days_of(month)).sum::<u32>() + self.day
    }

    /// From Monday, 0.
    fn weekday(self) -> u32 {
        let before = self.year - 1;
        let days = before * 365 + before / 4 - before / 100 + before / 400 + self.day_of_year() as i32 - 1;
        // The first of January of the year 1 was a Monday.
        days.rem_euclid(7) as u32
    }

    /// The week by ISO 8601, and its year.
    fn iso_week(self) -> (i32, u32) {
        let week = (self.day_of_year() as i32 - self.weekday() as i32 + 9) / 7;
        let weeks_of = |year: i32| {
            let first = Self { year, month: 1, day: 1 };
            52 + u32::from(first.weekday() == 3 || (first.weekday() == 2 && first.is_leap()))
        };
        match week {
            0 => (self.year - 1, weeks_of(self.year - 1)),
            53 if weeks_of(self.year) == 52 => (self.year + 1, 1),
            week => (self.year, week as u32),
        }
    }

    /// C's `strftime` at midnight, without a time zone, in C's own locale.
    pub(super) fn format(self, format: &str) -> Result<String> {
        let mut out = String::new();
        let mut chars = format.chars();
        let weekday = self.weekday();
        let day_name = DAYS.get(weekday as usize).copied().unwrap_or_default();
        let month_name = MONTHS.get(self.month as usize - 1).copied().unwrap_or_default();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut directive = chars.next();
            // A hyphen leaves padding out.
            let bare = directive == Some('-');
            if bare {
                directive = chars.next();
            }
            let number = |value: u32, width: usize, fill: char| match (bare, fill) {
                (true, _) => value.to_string(),
                (_, ' ') => format!("{value:width$}"),
                _ => format!("{value:0width$}"),
            };
            let year = |value: i32| value.to_string();
            let text = match directive {
                Some('Y') => year(self.year),
                Some('y') => number(self.year as u32 % 100, 2, '0'),
                Some('C') => number(self.year as u32 / 100, 2, '0'),
                Some('m') => number(self.month, 2, '0'),
                Some('d') => number(self.day, 2, '0'),
                Some('e') => number(self.day, 2, ' '),
                Some('B') => month_name.to_string(),
                Some('b' | 'h') => month_name[..3].to_string(),
                Some('A') => day_name.to_string(),
                Some('a') => day_name[..3].to_string(),
                Some('j') => number(self.day_of_year(), 3, '0'),
                Some('u') => (weekday + 1).to_string(),
                Some('w') => ((weekday + 1) % 7).to_string(),
                Some('U') => number((self.day_of_year() + 6 - (weekday + 1) % 7) / 7, 2, '0'),
                Some('W') => number((self.day_of_year() + 6 - weekday) / 7, 2, '0'),
                Some('V') => number(self.iso_week().1, 2, '0'),
                Some('G') => year(self.iso_week().0),
                Some('H' | 'M' | 'S') => number(0, 2, '0'),
                Some('k') => number(0, 2, ' '),
                Some('I') => number(12, 2, '0'),
                Some('l') => number(12, 2, ' '),
                Some('p') => "AM".to_string(),
                Some('P') => "am".to_string(),
                Some('f') => "000000".to_string(),
                Some('z' | 'Z') => String::new(),
                Some('F') => format!("{}-{:02}-{:02}", self.year, self.month, self.day),
                Some('D' | 'x') => format!("{:02}/{:02}/{:02}", self.month, self.day, self.year % 100),
                Some('T' | 'X') => "00:00:00".to_string(),
                Some('R') => "00:00".to_string(),
                Some('r') => "12:00:00 AM".to_string(),
                Some('c') => {
                    format!("{} {} {:2} 00:00:00 {}", &day_name[..3], &month_name[..3], self.day, self.year)
                }
                Some('n') => "\n".to_string(),
                Some('t') => "\t".to_string(),
                Some('%') => "%".to_string(),
                other => {
                    let found = other.map(String::from).unwrap_or_default();
                    return Err(Fault::new(format!("`strftime_now`: the directive `%{found}` is not supported")));
                }
            };
            out.push_str(&text);
        }
        Ok(out)
    }
}
