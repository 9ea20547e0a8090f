//! The numbers that JSON has no word for, and that Python's writer writes all the same.

use std::borrow::Cow;

/// What Python's `json` writes for numbers that are none or infinite, the longest first.
const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// A text of JSON with `null` in the place of `NaN`, `Infinity` and `-Infinity`, as data frames have it; borrowed where there is none
/// of them outside strings.
pub fn as_null(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    let (mut within, mut escaped) = (false, false);
    while let Some(&byte) = bytes.get(at) {
        if within {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => within = false,
                _ => {}
            }
        } else if byte == b'"' {
            within = true;
        } else if let Some(word) = WORDS.iter().find(|word| bytes[at..].starts_with(word.as_bytes())) {
            out.push_str(&text[copied..at]);
            out.push_str("null");
            at += word.len();
            copied = at;
            continue;
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}
