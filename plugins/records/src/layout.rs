//! The layout of a record: which fields it has, in which order, with which text between their values. Most records of a file
//! share one, and of a record whose layout is known only the values are looked for.

use std::ops::Range;

use crate::fields::Origin;
use crate::object::Object;
use crate::scan::{self, Field};

/// The layouts that were met first. A file has few of them, or so many that it does not help to know them.
#[derive(Debug, Default)]
pub struct Layouts {
    known: Vec<Layout>,
    /// The layout of the last record that had a known one.
    last: usize,
    /// How many records had a known layout, and how many had none.
    counts: [u64; 2],
    values: Vec<Value>,
}

/// A layout, and what becomes of its fields.
#[derive(Debug)]
struct Layout {
    /// The text before each value: a bracket or a comma, the key, a colon.
    before: Vec<String>,
    /// The text after the last value.
    after: String,
    /// The fields' keys, as text and as JSON with the colon after it.
    keys: Vec<(String, String)>,
    /// For each column, the paths that name a field: the numbers of the path and of the field.
    columns: [Vec<(usize, usize)>; 6],
}

/// Where a value lies in the record, and whether it is a string without escapes.
type Value = (Range<usize>, bool);

/// A record whose layout is known.
#[derive(Clone, Copy, Debug)]
pub struct LaidOut<'a> {
    text: &'a str,
    layout: &'a Layout,
    values: &'a [Value],
}

impl Layouts {
    /// How many layouts are known at most.
    const KNOWN: usize = 4;

    /// The record, where it has a known layout.
    pub fn find<'a>(&'a mut self, text: &'a str) -> Option<LaidOut<'a>> {
        let Self { known, last, counts: [met, missed], values } = self;
        if *missed > *met + 1000 {
            return None;
        }
        let mut fits = |layout: &Layout| layout.values(text, values);
        let found = match known.get(*last).is_some_and(&mut fits) {
            true => Some(*last),
            false => (0..known.len()).find(|number| number != last && fits(&known[*number])),
        };
        let Some(number) = found else {
            *missed += 1;
            return None;
        };
        *met += 1;
        *last = number;
        Some(LaidOut { text, layout: &known[number], values })
    }

    /// Keeps the layout of a record, which none of those known is.
    pub fn learn(&mut self, text: &str, object: &Object<'_>, origins: &[Origin; 6]) {
        if self.known.len() < Self::KNOWN {
            self.known.extend(object.scanned().and_then(|fields| Layout::of(text, fields, origins)));
        }
    }
}

impl Layout {
    /// The layout of a record with these fields; `None` where a column may come from within a field.
    fn of(text: &str, fields: &[Field<'_>], origins: &[Origin; 6]) -> Option<Self> {
        let mut columns: [Vec<(usize, usize)>; 6] = Default::default();
        for (column, origin) in columns.iter_mut().zip(origins) {
            let Origin::Fields(paths) = origin else { continue };
            for (number, path) in paths.iter().enumerate() {
                match fields.iter().position(|field| field.key == path) {
                    Some(field) => column.push((number, field)),
                    None if path.contains('.') => return None,
                    None => {}
                }
            }
        }
        let mut before = Vec::with_capacity(fields.len());
        let mut end = 0;
        for field in fields {
            let start = field.value.as_ptr().addr() - text.as_ptr().addr();
            before.push(text.get(end..start)?.to_owned());
            end = start + field.value.len();
        }
        let keys = fields.iter().map(|field| (field.key.to_owned(), format!("\"{}\":", field.key))).collect();
        Some(Self { before, after: text.get(end..)?.to_owned(), keys, columns })
    }

    /// Finds the values of a record; says whether it has this layout.
    fn values(&self, text: &str, values: &mut Vec<Value>) -> bool {
        let bytes = text.as_bytes();
        let mut at = 0;
        values.clear();
        for before in &self.before {
            if !begins(&bytes[at..], before.as_bytes()) {
                return false;
            }
            at += before.len();
            let Some((end, plain)) = scan::any(bytes, at, scan::DEPTH) else { return false };
            values.push((at..end, plain));
            at = end;
        }
        bytes[at..] == *self.after.as_bytes()
    }
}

/// Whether `bytes` begins with `with`, eight bytes at a time: both are short.
#[inline]
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..with.len()) else { return false };
    let ((bytes, rest), (with, rest_with)) = (bytes.as_chunks::<8>(), with.as_chunks::<8>());
    bytes.iter().zip(with).all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b))
        && rest.iter().zip(rest_with).all(|(a, b)| a == b)
}

impl<'a> LaidOut<'a> {
    /// What a column comes from: the number of the path and of the field, the value, and whether that is a string without escapes. A
    /// `null` is no value.
    pub fn find(&self, column: usize) -> Option<(usize, usize, &'a str, bool)> {
        self.layout.columns[column].iter().find_map(|&(path, field)| {
            let (value, plain) = self.value(field);
            (plain || value != "null").then_some((path, field, value, plain))
        })
    }

    /// The fields, in the order of the text, each with its key as JSON and a colon.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        let record = *self;
        self.layout.keys.iter().enumerate().map(move |(number, (key, json))| {
            let (value, plain) = record.value(number);
            (json.as_str(), Field { key, value, plain })
        })
    }

    fn value(&self, field: usize) -> (&'a str, bool) {
        let (range, plain) = &self.values[field];
        (&self.text[range.clone()], *plain)
    }
}
