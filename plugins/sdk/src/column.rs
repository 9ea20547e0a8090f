//! Text columns that come in, as checked views.

use crate::Failure;
use crate::bindings::types::Texts;

/// A text column whose shape has been checked. A lacking column reads as empty rows.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    text: &'a str,
    offsets: &'a [u32],
}

impl<'a> Column<'a> {
    /// A column that nobody looks at: all rows are empty.
    pub const UNREAD: Self = Self { text: "", offsets: &[] };

    /// Checks that the column `name` has `rows` rows of UTF-8, or is lacking.
    pub fn check(texts: &'a Texts, name: &str, rows: usize) -> Result<Self, Failure> {
        let fail = |what: String| Failure::Input(format!("column `{name}`: {what}"));
        let text = match simdutf8::basic::from_utf8(&texts.bytes) {
            Ok(text) => text,
            Err(_) => simdutf8::compat::from_utf8(&texts.bytes)
                .map_err(|e| fail(format!("byte {} is not UTF-8", e.valid_up_to())))?,
        };
        let offsets = texts.offsets.as_slice();
        if offsets.is_empty() && text.is_empty() {
            return Ok(Self { text, offsets });
        }
        if offsets.len() != rows + 1 {
            return Err(fail(format!("expected {} offsets, found {}", rows + 1, offsets.len())));
        }
        let whole = offsets[0] == 0 && offsets[rows] as usize == text.len();
        if !whole || offsets.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(fail("the offsets do not run from 0 to the number of bytes".to_owned()));
        }
        if offsets.iter().any(|&offset| !text.is_char_boundary(offset as usize)) {
            return Err(fail("an offset lies within a character".to_owned()));
        }
        Ok(Self { text, offsets })
    }

    /// Row `row`; empty where the column is lacking or shorter.
    pub fn row(&self, row: usize) -> &'a str {
        match (self.offsets.get(row), self.offsets.get(row + 1)) {
            (Some(&start), Some(&end)) => self.text.get(start as usize..end as usize).unwrap_or(""),
            _ => "",
        }
    }
}
