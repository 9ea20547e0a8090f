//! Text that is shown to people: one function through which every line to a terminal goes.
//!
//! Names and values in messages come from files of strangers. A control character could move the cursor, set the terminal's title or
//! paint over what stands there; a bidirectional mark could make a text read as another one. Both are made visible here, at the border, and
//! not at the places that put messages together. What environment variables were expanded to is put back into its spelling at the same
//! border, so that no value is shown.

use std::borrow::Cow;
use std::fmt;
use std::sync::{PoisonError, RwLock};

/// Paths that a manifest names with variables of the environment, each with its spelling; longer ones first.
static HIDDEN: RwLock<Vec<(String, String)>> = RwLock::new(Vec::new());

/// The shortest path that is put back into its spelling wherever it stands; a shorter one only where it stands as a word.
const DISTINCT: usize = 8;

/// Shows `spelling` in the place of `value`, a path, from now on. An empty one and those of separators and dots say nothing and are left.
pub fn hide(value: &str, spelling: &str) {
    if value.chars().all(|c| c == '/' || c == '.') {
        return;
    }
    let mut hidden = HIDDEN.write().unwrap_or_else(PoisonError::into_inner);
    if hidden.iter().any(|(known, _)| known == value) {
        return;
    }
    hidden.push((value.to_owned(), spelling.to_owned()));
    hidden.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
}

/// A text in which no value of the environment stands, but its spelling.
pub fn spelled(text: &str) -> Cow<'_, str> {
    let hidden = HIDDEN.read().unwrap_or_else(PoisonError::into_inner);
    let mut out = Cow::Borrowed(text);
    for (value, spelling) in hidden.iter() {
        if out.contains(value.as_str()) {
            out = Cow::Owned(replaced(&out, value, spelling));
        }
    }
    out
}

/// `text` with `spelling` in the place of every `value` that stands there as one. A path is known wherever it stands, a short one as a word; a
/// value without `/` only as a part of a path or between backticks, since it may be any word.
fn replaced(text: &str, value: &str, spelling: &str) -> String {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(value) {
        let (before, after) = (&rest[..place], &rest[place + value.len()..]);
        let first = before.chars().next_back().or_else(|| out.chars().next_back());
        let next = after.chars().next();
        let is_one = match value.contains('/') {
            true => value.len() >= DISTINCT || !(is_word(first) || is_word(next)),
            false => matches!(first, Some('/' | '`')) && !is_word(next),
        };
        out.push_str(before);
        out.push_str(if is_one { spelling } else { value });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// One message: control and direction characters are escaped. A line break stays where the next line is indented, as continued lines
/// of so8t are, and is escaped elsewhere: a name cannot begin a line of its own.
pub fn line(text: &impl fmt::Display) -> String {
    let text = text.to_string();
    let text = spelled(&text);
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' if characters.peek() == Some(&' ') => out.push('\n'),
            _ => push(&mut out, character),
        }
    }
    out
}

/// Lines that so8t has put together: line breaks and tabs stay, other control and direction characters are escaped.
pub fn lines(text: &str) -> String {
    let text = spelled(text);
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => out.push(character),
            _ => push(&mut out, character),
        }
    }
    out
}

/// JSON that reads as before, and in which control and direction characters are escaped as JSON escapes them. None can stand outside
/// of a string there but line breaks.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => out.push(character),
            _ if is_hidden(character) => {
                let mut units = [0; 2];
                character.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
            _ => out.push(character),
        }
    }
    out
}

fn push(out: &mut String, character: char) {
    match is_hidden(character) {
        true => out.extend(character.escape_default()),
        false => out.push(character),
    }
}

/// Whether a character does something to a terminal, or to the direction or the place of the text around it.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}'
        )
}
