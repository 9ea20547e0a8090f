//! Delimited text with and without a header: quoted fields with delimiters, line breaks and doubled quotes; LF or CRLF;
//! a byte order mark; any delimiter of one ASCII character.

mod columns;
mod config;

use std::borrow::Cow;

use columns::Columns;
use config::{Config, Settings};
use so8t_plugin_sdk::{About, Converter, Example, Examples, Failure, about, export_converter};
use so8t_records::delimited::{Reader, Row};
use so8t_records::object::write_string;

/// The converter.
pub struct Csv {
    reader: Reader,
    rows: Rows,
}

/// What rows become.
struct Rows {
    settings: Settings,
    /// Known once the header is read.
    columns: Option<Columns>,
    records: u64,
}

export_converter!(Csv);

impl Converter for Csv {
    type Config = Config;
    const ABOUT: About = about!("csv", include_str!("../config.json"));

    fn open(config: Config) -> Result<Self, Failure> {
        let settings = config.resolve()?;
        let reader = Reader::new(settings.delimiter, settings.max_record_bytes);
        let columns = match settings.header {
            true => None,
            false => Some(Columns::without_header(&settings)?),
        };
        Ok(Self { reader, rows: Rows { settings, columns, records: 0 } })
    }

    fn push(&mut self, chunk: &[u8], out: &mut Examples) -> Result<(), Failure> {
        let Self { reader, rows } = self;
        reader.push(chunk, |line, row| rows.take(line, row, out))
    }

    fn finish(&mut self, out: &mut Examples) -> Result<(), Failure> {
        let Self { reader, rows } = self;
        reader.finish(|line, row| rows.take(line, row, out))
    }
}

impl Rows {
    /// Takes a row in: the header, or a record.
    fn take(&mut self, line: u32, row: Result<Row<'_>, String>, out: &mut Examples) -> Result<(), Failure> {
        let Some(columns) = &self.columns else {
            let header = row.and_then(|row| {
                texts(&row, |index| index.to_string())
                    .map(|fields| fields.into_iter().map(|field| field.trim().to_owned()).collect())
            });
            let header = header.map_err(|reason| Failure::Input(format!("line {line}: the header: {reason}")))?;
            self.columns = Some(Columns::with_header(&self.settings, header, line)?);
            return Ok(());
        };
        self.records += 1;
        let added = row.and_then(|row| add(&self.settings, columns, self.records, line, &row, out));
        if let Err(reason) = added {
            out.reject(line, reason);
        }
        Ok(())
    }
}

/// Adds the example of a record, or says why there is none.
fn add(
    settings: &Settings,
    columns: &Columns,
    record: u64,
    line: u32,
    row: &Row<'_>,
    out: &mut Examples,
) -> Result<(), String> {
    if let Some(expected) = columns.count().filter(|&expected| expected != row.len()) {
        return Err(format!("expected {expected} fields, found {}", row.len()));
    }
    let mut fields = texts(row, |index| columns.name(index))?;
    if settings.trim {
        fields.iter_mut().for_each(|field| *field = field.trim());
    }
    let mut values: [Cow<'_, str>; 6] = Default::default();
    for (value, source) in values.iter_mut().zip(columns.sources()) {
        *value = source.value(&fields, record)?;
    }
    let extra = if settings.extra { extra(columns, &fields) } else { String::new() };
    let [id, instruction, input, output, label, group] = &values;
    out.push(line, Example { id, instruction, input, output, label, group, extra_json: &extra });
    Ok(())
}

/// The fields of a row as text.
fn texts<'a>(row: &Row<'a>, name: impl Fn(usize) -> String) -> Result<Vec<&'a str>, String> {
    (0..row.len())
        .map(|index| {
            let bytes = &row.bytes()[row.range(index)];
            std::str::from_utf8(bytes).map_err(|error| {
                let at = error.valid_up_to();
                format!("field `{}`: byte {} (0x{:02x}) is not UTF-8", name(index), at + 1, bytes[at])
            })
        })
        .collect()
}

/// The fields that became no column, as one JSON object; empty where there are none.
fn extra(columns: &Columns, fields: &[&str]) -> String {
    let mut out = String::new();
    for (index, field) in fields.iter().enumerate().filter(|&(index, _)| !columns.uses(index)) {
        out.push(if out.is_empty() { '{' } else { ',' });
        match columns.key(index) {
            Some(key) => out.push_str(key),
            None => write_string(&mut out, &columns.name(index)),
        }
        out.push(':');
        write_string(&mut out, field);
    }
    if !out.is_empty() {
        out.push('}');
    }
    out
}
