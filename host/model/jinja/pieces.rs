//! Pieces of texts, as Python cuts them.

use super::Result;
use super::arguments::{maybe_whole, mismatch};
use super::text::{is_space, is_titlecase, titlecase};
use super::value::{Value, range_length};
/// A letter, mark or sign that is no number by any measure; ideographs may be numbers.
pub(super) fn is_plain(c: char) -> bool {
    !c.is_numeric()
        && !('\u{3400}'..='\u{9fff}').contains(&c)
        && !('\u{f900}'..='\u{faff}').contains(&c)
        && c < '\u{20000}'
}

/// The part of a text between two places, and how many characters stand before it; `None` where it lies behind the end.
pub(super) fn part<'t>(
    own: &'t str,
    start: Option<&Value>,
    stop: Option<&Value>,
    of: &str,
) -> Result<Option<(usize, &'t str)>> {
    let (start, stop) = (maybe_whole(start, of)?, maybe_whole(stop, of)?);
    if start.is_none() && stop.is_none() {
        return Ok(Some((0, own)));
    }
    let length = own.chars().count() as i64;
    let place = |at: i64| if at < 0 { at.saturating_add(length).max(0) } else { at };
    let (start, stop) = (place(start.unwrap_or(0)), place(stop.unwrap_or(length)).min(length));
    if start > stop {
        return Ok(None);
    }
    let byte = |at: i64| own.char_indices().nth(at as usize).map_or(own.len(), |(byte, _)| byte);
    Ok(Some((start as usize, &own[byte(start)..byte(stop)])))
}

pub(super) fn stripped<'t>(own: &'t str, name: &str, chars: Option<&str>) -> &'t str {
    let goes = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    match name {
        "lstrip" => own.trim_start_matches(goes),
        "rstrip" => own.trim_end_matches(goes),
        _ => own.trim_matches(goes),
    }
}

pub(super) fn capitalized(own: &str) -> String {
    let mut out = String::with_capacity(own.len());
    let mut chars = own.chars();
    if let Some(first) = chars.next() {
        titlecase(&mut out, first);
        // The small sigma at the end of a word has a form of its own, which the whole text decides.
        let lower = own.to_lowercase();
        let skipped: usize = first.to_lowercase().map(char::len_utf8).sum();
        out.push_str(lower.get(skipped..).unwrap_or_default());
    }
    out
}

pub(super) fn titled(own: &str) -> String {
    let mut out = String::with_capacity(own.len());
    let mut within = false;
    for c in own.chars() {
        if within {
            out.extend(c.to_lowercase())
        } else {
            titlecase(&mut out, c)
        }
        within = c.is_lowercase() || c.is_uppercase() || is_titlecase(c);
    }
    out
}

/// `split()`: by white space, at most so many times.
pub(super) fn words(own: &str, most: Option<usize>) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = own.trim_start_matches(is_space);
    while !rest.is_empty() {
        if most == Some(out.len()) {
            out.push(rest);
            break;
        }
        let end = rest.find(is_space).unwrap_or(rest.len());
        out.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_space);
    }
    out
}

pub(super) fn words_from_right(own: &str, most: Option<usize>) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = own.trim_end_matches(is_space);
    while !rest.is_empty() {
        if most == Some(out.len()) {
            out.push(rest);
            break;
        }
        let start = rest.char_indices().rev().find(|&(_, c)| is_space(c)).map_or(0, |(at, c)| at + c.len_utf8());
        out.push(&rest[start..]);
        rest = rest[..start].trim_end_matches(is_space);
    }
    out.reverse();
    out
}

/// The number of elements, by Python's `len`.
pub(super) fn length(of: &Value) -> Result<i64> {
    Ok(match of {
        Value::Undefined(_) => 0,
        Value::Text(text) | Value::Markup(text) => text.chars().count() as i64,
        Value::List(list) | Value::Tuple(list) => list.items.len() as i64,
        Value::Dict(dict) | Value::View(_, dict) => dict.entries.len() as i64,
        Value::Range(start, stop, step) => range_length(*start, *stop, *step) as i64,
        other => return Err(mismatch(other, "what has a length", "length")),
    })
}
