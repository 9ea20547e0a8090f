//! Where in a TOML file something stands, and errors that say so.

use std::ops::Range;
use std::path::Path;

use crate::Error;

/// A place in a file: its line and column.
pub struct Location<'a> {
    path: &'a Path,
    text: &'a str,
    span: Option<Range<usize>>,
}

impl<'a> Location<'a> {
    /// The place of `span` in the text of the file at `path`; `None` stands for the whole file.
    pub fn new(path: &'a Path, text: &'a str, span: Option<Range<usize>>) -> Self {
        // A default value has no place in the text: its span is empty at 0.
        Self { path, text, span: span.filter(|s| s.end > 0) }
    }

    /// An error at this place.
    pub fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::manifest(format!("{}: {message}", self.place()))
    }

    /// This place: file, and line and column where they are known.
    pub fn place(&self) -> String {
        match &self.span {
            None => self.path.display().to_string(),
            Some(span) => {
                let before = &self.text[..span.start.min(self.text.len())];
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                format!("{}:{line}:{column}", self.path.display())
            }
        }
    }

    /// A parser's error at this place, with a hint where a name is nearly right.
    pub fn parse_error(&self, error: &toml::de::Error) -> Error {
        let message = error.message().trim().replace('\n', "; ");
        let out = self.error(&message);
        match unknown_field(&message) {
            Some((found, known)) => match nearest(found, known.iter().copied()) {
                Some(name) => out.with_hint(format!("did you mean `{name}`?")),
                None => out.with_hint(format!("known keys: `{}`", known.join("`, `"))),
            },
            None => out,
        }
    }
}

/// Takes serde's «unknown field `a`, expected one of `b`, `c`» apart.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))?;
    let mut parts = rest.split('`');
    let found = parts.next()?;
    Some((found, parts.skip(1).step_by(2).collect()))
}

/// The name that differs least from `found`, where that is little enough to be a slip.
pub fn nearest<'n>(found: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|name| (distance(found, name), name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min()
        .map(|(_, name)| name)
}

/// The Levenshtein distance of two words, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
