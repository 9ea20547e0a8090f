//! The fields of a JSON object in plain sight: eight bytes at a time, without building anything.
//!
//! [`fields`] takes a part of JSON alone, and leaves the rest to serde_json, whose words tell what is wrong. What it takes,
//! serde_json takes too, with the same fields: a test holds them against each other.

/// A field: its key, its value as it is spelled, and whether the value is a string without escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The key, which has no escapes.
    pub key: &'a str,
    /// The value's JSON.
    pub value: &'a str,
    /// Whether it is a string without escapes.
    pub plain: bool,
}

/// How deep values may be nested; deeper ones are left to serde_json.
pub(crate) const DEPTH: u32 = 32;

/// Adds the fields of an object, in the order of the text, to `out`. `None` where serde_json must look: the text is no object,
/// has a mistake, a key with escapes, or is nested deeply.
pub fn fields<'a>(text: &'a str, out: &mut Vec<Field<'a>>) -> Option<()> {
    let bytes = text.as_bytes();
    let mut at = spaces(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    at = spaces(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        return (spaces(bytes, at + 1) == bytes.len()).then_some(());
    }
    loop {
        let (key, value) = key(bytes, at)?;
        let (end, plain) = any(bytes, value, DEPTH)?;
        out.push(Field { key: &text[at + 1..key], value: &text[value..end], plain });
        at = spaces(bytes, end);
        match bytes.get(at)? {
            b',' => at = spaces(bytes, at + 1),
            b'}' => return (spaces(bytes, at + 1) == bytes.len()).then_some(()),
            _ => return None,
        }
    }
}

/// The closing quote of the key that begins at `at`, and where its value begins.
#[inline]
fn key(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let (quote, plain) = string(bytes, at + 1)?;
    let colon = spaces(bytes, quote + 1);
    (plain && bytes.get(colon) == Some(&b':')).then(|| (quote, spaces(bytes, colon + 1)))
}

/// The end of the value that begins at `at`, and whether it is a string without escapes.
#[inline]
pub(crate) fn any(bytes: &[u8], at: usize, depth: u32) -> Option<(usize, bool)> {
    match bytes.get(at)? {
        b'"' => string(bytes, at + 1).map(|(quote, plain)| (quote + 1, plain)),
        b'{' => object(bytes, at + 1, depth.checked_sub(1)?).map(|end| (end, false)),
        b'[' => array(bytes, at + 1, depth.checked_sub(1)?).map(|end| (end, false)),
        b't' => word(bytes, at, b"true"),
        b'f' => word(bytes, at, b"false"),
        b'n' => word(bytes, at, b"null"),
        _ => number(bytes, at).map(|end| (end, false)),
    }
}

fn word(bytes: &[u8], at: usize, word: &[u8]) -> Option<(usize, bool)> {
    bytes[at..].starts_with(word).then_some((at + word.len(), false))
}

/// The end of the object whose bracket ends at `at`.
fn object(bytes: &[u8], at: usize, depth: u32) -> Option<usize> {
    let mut at = spaces(bytes, at);
    if bytes.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        let (_, value) = key(bytes, at)?;
        at = spaces(bytes, any(bytes, value, depth)?.0);
        match bytes.get(at)? {
            b',' => at = spaces(bytes, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The end of the array whose bracket ends at `at`.
fn array(bytes: &[u8], at: usize, depth: u32) -> Option<usize> {
    let mut at = spaces(bytes, at);
    if bytes.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    loop {
        at = spaces(bytes, any(bytes, at, depth)?.0);
        match bytes.get(at)? {
            b',' => at = spaces(bytes, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The end of a number: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    let digits = |at: usize| {
        let count = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(at + count)
    };
    at += usize::from(bytes.get(at) == Some(&b'-'));
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        at = digits(at + usize::from(matches!(bytes.get(at), Some(b'+' | b'-'))))?;
    }
    Some(at)
}

/// The first byte from `at` on that is no space.
#[inline]
fn spaces(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The closing quote of the string whose opening one ends at `at`, and whether there are no escapes in it.
#[inline]
fn string(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut plain = true;
    loop {
        at = special(bytes, at);
        match bytes.get(at)? {
            b'"' => return Some((at, plain)),
            b'\\' => {
                plain = false;
                at += match bytes.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                    b'u' if bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => 6,
                    _ => return None,
                };
            }
            _ => return None,
        }
    }
}

/// The first quote, backslash or control character from `at` on; the length where there is none.
#[inline]
pub(crate) fn special(bytes: &[u8], mut at: usize) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        // The lowest bit that is set stands for the first such byte; higher ones may be wrong.
        let word = u64::from_le_bytes(*word);
        let equal = |byte: u8| (word ^ (LOW * u64::from(byte))).wrapping_sub(LOW) & !(word ^ (LOW * u64::from(byte)));
        let control = word.wrapping_sub(LOW * 0x20) & !word;
        let found = (equal(b'"') | equal(b'\\') | control) & HIGH;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        at += 1;
    }
    at
}
