//! The format of a text, told by its beginning, and the records there.

use serde_json::Value;

use crate::{Error, Result};

/// How records are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    /// One JSON array of objects.
    JsonArray,
    /// Delimited text.
    Delimited {
        /// What separates fields.
        delimiter: char,
        /// Whether the first row names the columns.
        header: bool,
    },
}

impl Format {
    /// What it is called.
    pub fn name(self) -> String {
        match self {
            Self::JsonLines => "JSON lines".to_owned(),
            Self::JsonArray => "a JSON array".to_owned(),
            Self::Delimited { delimiter, header } => {
                let kind = match delimiter {
                    ',' => "CSV".to_owned(),
                    '\t' => "TSV".to_owned(),
                    other => format!("CSV with `{other}`"),
                };
                if header { kind } else { format!("{kind} without a header") }
            }
        }
    }
}

/// One record: its fields in order. The fields of delimited text are strings.
pub(super) type Record = Vec<(String, Value)>;

/// Rows of delimited text that are looked at.
const ROWS: usize = 500;

/// Tells the format of a text that begins so, and takes its records, the last of which may be cut where the text goes on.
///
/// # Errors
/// A text without records, or of a format that no standard converter reads.
pub(super) fn tell(text: &str, goes_on: bool) -> Result<(Format, Vec<Record>)> {
    let text = text.trim_start_matches('\u{feff}');
    let start = text.trim_start();
    let (format, records) = match start.as_bytes().first() {
        None => return Err(Error::data("there is nothing in it")),
        Some(b'[') => (Format::JsonArray, values(&start[1..])),
        Some(b'{') => {
            let first = start.lines().next().unwrap_or_default();
            let is_whole = !goes_on || start.contains('\n');
            if is_whole && serde_json::from_str::<Value>(first).is_err() {
                return Err(Error::data("it begins with `{`, and its first line is no JSON object").with_hint(
                    "expected one object a line, or an array of objects: take the list out of the object around it",
                ));
            }
            (Format::JsonLines, start.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
        }
        Some(_) => return delimited(text, goes_on),
    };
    let records: Vec<Record> = records
        .into_iter()
        .filter_map(|value| match value {
            Value::Object(fields) => Some(fields.into_iter().collect()),
            _ => None,
        })
        .collect();
    match records.is_empty() {
        true => Err(Error::data(format!("it looks like {}, and holds no object", format.name()))),
        false => Ok((format, records)),
    }
}

/// The elements of an array behind its bracket, as far as they are whole.
fn values(mut text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        match stream.next() {
            Some(Ok(value)) => found.push(value),
            _ => return found,
        }
        text = &text[stream.byte_offset()..];
    }
}

fn delimited(text: &str, goes_on: bool) -> Result<(Format, Vec<Record>)> {
    let parsed = [',', '\t', ';', '|'].map(|delimiter| (delimiter, rows(text, delimiter, goes_on)));
    // The delimiter that most rows agree about; a comma where none parts anything.
    let agreed = |rows: &[Vec<String>]| {
        let first = rows.first().map_or(0, Vec::len);
        if first < 2 { 0 } else { rows.iter().filter(|row| row.len() == first).count() * 64 + first }
    };
    let (delimiter, rows) = parsed
        .into_iter()
        .reduce(|best, next| if agreed(&next.1) > agreed(&best.1) { next } else { best })
        .unwrap_or((',', Vec::new()));
    let Some(first) = rows.first() else { return Err(Error::data("there is nothing in it")) };
    // A header is short, distinct names; what stands below is longer, or of another kind.
    let is_name = |field: &String| {
        let length = field.trim().chars().count();
        (1..=40).contains(&length)
            && field.trim().parse::<f64>().is_err()
            && !field.contains(['?', '!', '。', '？', '.'])
    };
    let distinct = first.iter().collect::<std::collections::HashSet<_>>().len() == first.len();
    let longer = rows.len() < 2
        || first.iter().map(|field| field.chars().count()).sum::<usize>() * (rows.len() - 1)
            < rows[1..].iter().flatten().map(|field| field.chars().count()).sum::<usize>();
    let header = first.iter().all(is_name) && distinct && longer && (first.len() > 1 || !first[0].contains(' '));
    let names: Vec<String> = match header {
        true => first.iter().map(|name| name.trim().to_owned()).collect(),
        false => (0..first.len()).map(|index| index.to_string()).collect(),
    };
    let named =
        |row: &Vec<String>| names.iter().cloned().zip(row.iter().map(|field| Value::from(field.as_str()))).collect();
    let records: Vec<Record> = rows[usize::from(header)..].iter().map(named).collect();
    match records.is_empty() {
        true => Err(Error::data("it has a header and no row below it")),
        false => Ok((Format::Delimited { delimiter, header }, records)),
    }
}

/// The first rows of delimited text, without the last where it may be cut.
fn rows(text: &str, delimiter: char, goes_on: bool) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut fresh) = (false, true);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' if quoted => quoted = false,
            '"' if fresh => (quoted, fresh) = (true, false),
            _ if quoted => field.push(c),
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' => {
                row.push(std::mem::take(&mut field));
                if row.len() > 1 || !row[0].is_empty() {
                    rows.push(std::mem::take(&mut row));
                }
                row.clear();
                fresh = true;
                if rows.len() == ROWS {
                    return rows;
                }
            }
            _ if c == delimiter => {
                row.push(std::mem::take(&mut field));
                fresh = true;
            }
            _ => {
                field.push(c);
                fresh = false;
            }
        }
    }
    if !goes_on && (!row.is_empty() || !field.is_empty()) {
        row.push(field);
        rows.push(row);
    }
    rows
}
