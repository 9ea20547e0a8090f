//! Numbers and text as people read them.

/// Text with the characters that HTML gives a meaning written as references; good in content and in quoted attributes.
/// Control characters other than white space become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            c if is_deceptive(c) => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

/// A sentence as [`escape`] gives it, with what stands between backticks as code.
pub(crate) fn prose(text: &str) -> String {
    let escaped = escape(text);
    let parts: Vec<&str> = escaped.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escaped;
    }
    let parts = parts.into_iter().enumerate();
    parts.map(|(i, part)| if i % 2 == 0 { part.to_owned() } else { format!("<code>{part}</code>") }).collect()
}

/// As [`escape`], with line breaks kept.
pub(crate) fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// Text for a terminal: nothing in it moves the cursor, changes colours or reverses the reading direction.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_deceptive(c) { '\u{FFFD}' } else { c }).collect()
}

/// As [`plain`], with line breaks kept: each further line begins with `indent`.
pub(crate) fn plain_lines(text: &str, indent: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join(&format!("\n{indent}"))
}

/// Control characters, and those that reorder the text around them.
fn is_deceptive(c: char) -> bool {
    crate::plain::is_hidden(c)
}

/// A value with three decimals; `–` where it is absent.
pub(crate) fn value(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| signed_zero(format!("{value:.3}")).replace('-', "−"))
}

/// A difference with its sign and three decimals; `–` where it is absent.
pub(crate) fn delta(value: Option<f64>) -> String {
    let Some(value) = value else { return "–".to_owned() };
    let text = signed_zero(format!("{value:.3}"));
    match text.strip_prefix('-') {
        Some(digits) => format!("−{digits}"),
        None if text.chars().all(|c| matches!(c, '0' | '.')) => text,
        None => format!("+{text}"),
    }
}

/// `-0.000` without its sign.
fn signed_zero(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        _ => text,
    }
}

/// A whole number with its digits in threes, parted by narrow no-break spaces.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202F}');
        }
        out.push(digit);
    }
    out
}

/// The columns that a terminal gives a text: 2 for wide East Asian characters and emoji, 0 for combining marks.
pub fn width(text: &str) -> usize {
    text.chars().map(character_width).sum()
}

/// From the East Asian Width property (wide and full-width ranges) and the marks common in the languages that use them.
fn character_width(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036F | 0x200B..=0x200F | 0x20D0..=0x20FF | 0x3099..=0x309A | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F => 0,
        0x1100..=0x115F
        | 0x231A..=0x231B
        | 0x2E80..=0x303E
        | 0x3041..=0xA4CF
        | 0xA960..=0xA97F
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF01..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1F64F
        | 0x1F680..=0x1F6FF
        | 0x1F900..=0x1F9FF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

/// The bound on a share that was found to be 0 or 1 over `n` rows: with 95 % confidence the true share is not beyond it
/// (exact one-sided binomial bound, `1 - 0.05^(1/n)` from 0; rows taken as independent).
pub(crate) fn share_bound(value: f64, n: u32) -> Option<f64> {
    let reach = 1.0 - 0.05_f64.powf(1.0 / f64::from(n.max(1)));
    match value {
        _ if n == 0 => None,
        0.0 => Some(reach),
        1.0 => Some(1.0 - reach),
        _ => None,
    }
}
