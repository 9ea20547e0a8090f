//! The time of a report as a number.

use so8t_base::{Error, Result};

/// Milliseconds since 1970 of a time as `2025-01-31T08:09:10Z`.
///
/// # Errors
/// Another form.
pub(crate) fn milliseconds(iso: &str) -> Result<i64> {
    let wrong = || Error::data(format!("`{iso}` is no time: expected one as `2025-01-31T08:09:10Z`"));
    let bytes = iso.as_bytes();
    let shape = b"0000-00-00T00:00:00Z";
    let fits = |(a, b): (&u8, &u8)| if *b == b'0' { a.is_ascii_digit() } else { a == b };
    if bytes.len() != shape.len() || !bytes.iter().zip(shape).all(fits) {
        return Err(wrong());
    }
    let number = |from: usize, to: usize| iso[from..to].parse::<i64>().map_err(|_| wrong());
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return Err(wrong());
    }
    // Days from the civil calendar, counted from March so that a leap day is the last of its year.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Ok(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000)
}
