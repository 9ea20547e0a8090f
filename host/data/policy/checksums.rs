//! Check digits: what tells a card or a My Number from any other number of as many digits.

/// Whether the digits (0 to 9, the check digit last) fulfil ISO/IEC 7812-1, annex B, the formula of Luhn.
pub fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| match place % 2 {
            0 => u32::from(digit),
            _ => u32::from(digit) * 2 - if digit > 4 { 9 } else { 0 },
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether twelve digits are a My Number (個人番号) by its check digit: Ordinance No. 85 of the Ministry of Internal Affairs and
/// Communications of 2014 (平成26年総務省令第85号), article 5. With P(n) the n-th digit from the right of the eleven before the
/// check digit, and Q(n) = n + 1 for n ≤ 6 and n − 5 for n ≥ 7, the check digit is 11 − (Σ P(n)·Q(n) mod 11), and 0 where that
/// remainder is 0 or 1. Twelve equal digits are nobody's number.
pub fn my_number(digits: &[u8]) -> bool {
    let [rest @ .., check] = digits else { return false };
    if rest.len() != 11 || rest.iter().all(|digit| digit == check) {
        return false;
    }
    let sum: u32 =
        rest.iter().rev().zip(1_u32..).map(|(&digit, n)| u32::from(digit) * if n <= 6 { n + 1 } else { n - 5 }).sum();
    let expected = match sum % 11 {
        0 | 1 => 0,
        remainder => 11 - remainder,
    };
    u32::from(*check) == expected
}

/// Whether the digits are a payment card's: 13 to 19, a known issuer's prefix with one of its lengths, and [`luhn`]. Ranges:
/// ISO/IEC 7812 as the networks publish them (Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay, Maestro).
pub fn card(digits: &[u8]) -> bool {
    let length = digits.len();
    if !(13..=19).contains(&length) || !luhn(digits) || digits.iter().all(|digit| *digit == digits[0]) {
        return false;
    }
    let prefix = |n: usize| digits[..n].iter().fold(0_u32, |value, &digit| value * 10 + u32::from(digit));
    match (prefix(1), prefix(2), prefix(3), prefix(4)) {
        // A Japanese product code (JAN) has 13 digits and begins with 45 or 49 too: its own check digit tells it.
        (4, two, ..) => matches!(length, 13 | 16 | 19) && !(length == 13 && matches!(two, 45 | 49) && ean(digits)),
        (_, 51..=55, ..) | (_, _, _, 2221..=2720) => length == 16,
        (_, 34 | 37, ..) => length == 15,
        (_, _, _, 3528..=3589) => (16..=19).contains(&length),
        (_, _, 300..=305, _) | (_, _, _, 3095) | (_, 36 | 38 | 39, ..) => matches!(length, 14 | 16 | 19),
        (_, 62 | 65, ..) | (_, _, 644..=649, _) | (_, _, _, 6011) => (16..=19).contains(&length),
        (_, _, _, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763) => (16..=19).contains(&length),
        _ => false,
    }
}

/// Whether thirteen digits fulfil the check digit of EAN-13 (GS1 General Specifications, 7.9).
fn ean(digits: &[u8]) -> bool {
    let sum: u32 =
        digits.iter().zip([1, 3].into_iter().cycle()).map(|(&digit, weight)| u32::from(digit) * weight).sum();
    sum.is_multiple_of(10)
}
