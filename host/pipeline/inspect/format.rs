//! The format of a text, told by its beginning, and the records there.

use serde_json::Value;

use super::fields::is_known_name;
use super::tree;
use crate::{Error, Result};

/// How records are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    /// One JSON array of objects, or of texts.
    JsonArray,
    /// One JSON object whose leaves are texts.
    JsonTree,
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
            Self::JsonTree => "nested JSON".to_owned(),
            Self::Delimited { delimiter, header } => {
                let kind = match delimiter {
                    ',' => "CSV".to_owned(),
                    '\t' => "TSV".to_owned(),
                    NOTHING => return "lines of text".to_owned(),
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
        Some(b'{') if !goes_on && tree_of(start).is_some() => {
            return Ok((Format::JsonTree, tree_of(start).unwrap_or_default()));
        }
        // A line of JSON each that is a text, with escapes that no delimited text has.
        Some(b'"') if start.contains('\\') && start.lines().take(ROWS).all(is_text) => {
            (Format::JsonLines, start.lines().filter_map(json).collect())
        }
        Some(b'{') => {
            let first = start.lines().next().unwrap_or_default();
            let is_whole = !goes_on || start.contains('\n');
            if is_whole && json(first).is_none() {
                return Err(Error::data("it begins with `{`, and its first line is no JSON object").with_hint(
                    "expected one object a line, or an array of objects: take the list out of the object around it; an object is read by \
                     itself where its fields hold texts, lists of texts or such objects",
                ));
            }
            (Format::JsonLines, start.lines().filter_map(json).collect())
        }
        Some(_) => {
            odd(start)?;
            return delimited(text, goes_on);
        }
    };
    let records: Vec<Record> = records
        .into_iter()
        .filter_map(|value| match value {
            Value::Object(fields) => Some(flat(fields)),
            // A text alone is the request.
            Value::String(text) => Some(vec![("instruction".to_owned(), Value::String(text))]),
            _ => None,
        })
        .collect();
    match records.is_empty() {
        true => Err(Error::data(format!("it looks like {}, and holds no object and no text", format.name()))),
        false => Ok((format, records)),
    }
}

/// How deep fields of objects are looked at.
const DEPTH: usize = 3;

/// The fields of an object, and behind each that is an object its own, by their paths: `prompt.text`.
fn flat(fields: serde_json::Map<String, Value>) -> Record {
    fn add(record: &mut Record, path: String, value: Value, depth: usize) {
        let inner = match &value {
            Value::Object(fields) if depth < DEPTH => fields.clone(),
            _ => serde_json::Map::new(),
        };
        record.push((path.clone(), value));
        for (key, value) in inner {
            add(record, format!("{path}.{key}"), value, depth + 1);
        }
    }
    let mut record = Record::new();
    fields.into_iter().for_each(|(key, value)| add(&mut record, key, value, 0));
    record
}

/// The leaves of a text that is one object of texts.
fn tree_of(text: &str) -> Option<Vec<Record>> {
    let value = serde_json::from_str(text).ok()?;
    tree::leaves(&value)
}

/// Whether a line is one JSON text.
fn is_text(line: &str) -> bool {
    matches!(serde_json::from_str(line), Ok(Value::String(_)))
}

/// A line of JSON, in which the numbers that JSON has no word for, and Python writes, are null.
fn json(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok().or_else(|| serde_json::from_str(&without_words(line)?).ok())
}

/// A line of JSON with `null` in the place of `NaN`, `Infinity` and `-Infinity` outside texts; `None` where there is none of them.
fn without_words(line: &str) -> Option<String> {
    let (mut out, mut rest, mut found) = (String::with_capacity(line.len()), line, false);
    let (mut quoted, mut escaped) = (false, false);
    while let Some(c) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| !quoted && rest.starts_with(word));
        if let Some(word) = word {
            out.push_str("null");
            (rest, found) = (&rest[word.len()..], true);
            continue;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    found.then_some(out)
}

/// Refuses what looks like delimited text and is none, or has lines above its header.
fn odd(start: &str) -> Result<()> {
    let first = start.lines().next().unwrap_or_default().trim();
    let shown: String = first.chars().take(40).collect();
    let ruled = |line: &str| line.contains("--") && line.chars().all(|c| matches!(c, '|' | '-' | ':' | '+' | ' '));
    if first.starts_with(['|', '+']) && start.lines().take(2).any(|line| ruled(line.trim())) {
        return Err(Error::data(format!("line 1: expected JSON or delimited text, found a drawn table: `{shown}`"))
            .with_hint("export it as CSV"));
    }
    if first.split([',', '\t', ';', '|']).any(is_known_name) {
        return Ok(());
    }
    if let Some(separator) = first.strip_prefix("sep=").or_else(|| first.strip_prefix("SEP=")) {
        let delimiter = separator.chars().next().unwrap_or(';');
        return Err(Error::data(format!(
            "line 1: expected the header, found `{shown}`, which a spreadsheet wrote for itself"
        ))
        .with_hint(format!("take that line out; the converter `csv` is told `delimiter = \"{delimiter}\"`")));
    }
    if first.starts_with('<') && first[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '?' || c == '!') {
        return Err(Error::data(format!("line 1: expected JSON or delimited text, found markup: `{shown}`"))
            .with_hint("export it as JSON lines or CSV"));
    }
    // Comments, which neither JSON nor delimited text has.
    if let Some(mark) = ["//", "/*", "#", "--", "%"].into_iter().find(|mark| first.starts_with(mark)) {
        return Err(Error::data(format!("line 1: expected JSON or delimited text, found a comment: `{shown}`"))
            .with_hint(format!("take the lines that begin with `{mark}` out: neither JSON nor CSV has comments")));
    }
    let is_yaml = first == "---" || (first.starts_with("- ") && first.contains(": "));
    if is_yaml {
        return Err(Error::data(format!("line 1: expected JSON or delimited text, found YAML: `{shown}`"))
            .with_hint("write it as JSON lines"));
    }
    Ok(())
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

/// What parts nothing in a text: lines are read whole. No text holds it.
const NOTHING: char = '\u{1f}';

fn delimited(text: &str, goes_on: bool) -> Result<(Format, Vec<Record>)> {
    let parsed = [',', '\t', ';', '|'].map(|delimiter| (delimiter, rows(text, delimiter, goes_on)));
    // The delimiter that most rows agree about; a comma where none parts anything.
    let agreed = |rows: &[Vec<String>]| {
        let first = rows.first().map_or(0, Vec::len);
        if first < 2 { 0 } else { rows.iter().filter(|row| row.len() == first).count() * 64 + first }
    };
    let (mut delimiter, mut rows_found) = parsed
        .into_iter()
        .reduce(|best, next| if agreed(&next.1) > agreed(&best.1) { next } else { best })
        .unwrap_or((',', Vec::new()));
    // Where rows are of many lengths, what parts them is punctuation: each line is one text.
    let length = rows_found.first().map_or(0, Vec::len);
    let same = rows_found.iter().filter(|row| row.len() == length).count();
    let has_names = |row: &Vec<String>| row.len() > 1 && row.iter().any(|name| is_known_name(name));
    let is_parted = rows_found.first().is_some_and(has_names) || same * 10 >= rows_found.len() * 9;
    if !is_parted && !text.contains(NOTHING) {
        (delimiter, rows_found) = (NOTHING, rows(text, NOTHING, goes_on));
    }
    let rows = rows_found;
    let Some(first) = rows.first() else { return Err(Error::data("there is nothing in it")) };
    // A header is short, distinct names; what stands below is longer, or of another kind. A name that tables of requests have, and that
    // no row below has in its place, is a header too.
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
    let known = first.iter().enumerate().any(|(column, name)| {
        is_known_name(name) && rows[1..].iter().all(|row| row.get(column).is_none_or(|field| field != name))
    });
    let looks_so = first.iter().all(is_name) && distinct && longer && (first.len() > 1 || !first[0].contains(' '));
    let header = known || looks_so;
    let names: Vec<String> = match header {
        true => first
            .iter()
            .enumerate()
            .map(|(index, name)| if name.trim().is_empty() { index.to_string() } else { name.trim().to_owned() })
            .collect(),
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
