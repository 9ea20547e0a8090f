//! Which column of the file is which column of the examples.

use std::borrow::Cow;

use so8t_plugin_sdk::Failure;
use so8t_records::fields::{COLUMNS, LABELS, Origin as Constant};
use so8t_records::object::write_string;

use crate::config::{Name, Origin, Settings};

/// The columns of a file.
pub struct Columns {
    /// Their names; `None` where nothing names them, and rows may differ in length.
    names: Option<Vec<String>>,
    /// Their names as JSON, where they are known.
    keys: Vec<String>,
    /// For id, instruction, input, output, label and group.
    sources: Vec<Source>,
}

/// Where a value comes from.
pub enum Source {
    /// The source has none.
    Nothing,
    /// The field of that number.
    Field(usize),
    /// A text in which `{row}` stands for the number of the record.
    Constant(String),
}

impl Columns {
    /// The columns that a header in `line` names.
    pub fn with_header(settings: &Settings, header: Vec<String>, line: u32) -> Result<Self, Failure> {
        let twice = (1..header.len()).find(|&i| !header[i].is_empty() && header[..i].contains(&header[i]));
        if let Some(second) = twice {
            return Err(Failure::Input(format!("line {line}: the header names `{}` twice", header[second])));
        }
        Self::find(settings, Some(header)).map_err(|reason| Failure::Input(format!("line {line}: {reason}")))
    }

    /// The columns that the configuration names, if it does.
    pub fn without_header(settings: &Settings) -> Result<Self, Failure> {
        Self::find(settings, settings.columns.clone()).map_err(|reason| Failure::Config(format!("config: {reason}")))
    }

    fn find(settings: &Settings, names: Option<Vec<String>>) -> Result<Self, String> {
        let position = |name: &Name| match (name, &names) {
            (Name::Number(number), Some(names)) => Some(*number as usize).filter(|&number| number < names.len()),
            (Name::Number(number), None) => Some(*number as usize),
            (Name::Text(text), Some(names)) => names.iter().position(|known| known == text),
            (Name::Text(_), None) => None,
        };
        let mut sources = Vec::with_capacity(COLUMNS.len());
        for (column, origin) in COLUMNS.iter().zip(&settings.origins) {
            sources.push(match origin {
                Origin::Constant(text) => Source::Constant(text.clone()),
                Origin::Columns(given) => match given.iter().find_map(position) {
                    Some(index) => Source::Field(index),
                    None => return Err(lacking(given, names.as_deref())),
                },
                Origin::Usual => {
                    let usual = if *column == "label" { LABELS.as_slice() } else { std::slice::from_ref(column) };
                    let found = usual.iter().find_map(|&name| position(&Name::Text(name.to_owned())));
                    match found {
                        Some(index) => Source::Field(index),
                        None if *column == "instruction" => match &names {
                            // A file of one column has nothing else to ask.
                            None => Source::Field(0),
                            Some(names) if names.len() == 1 && !settings.header => Source::Field(0),
                            Some(names) => return Err(lacking(&[Name::Text("instruction".to_owned())], Some(names))),
                        },
                        None => Source::Nothing,
                    }
                }
            });
        }
        let mut columns = Self { names, keys: Vec::new(), sources };
        for index in 0..columns.count().unwrap_or(0) {
            let mut key = String::new();
            write_string(&mut key, &columns.name(index));
            columns.keys.push(key);
        }
        Ok(columns)
    }

    /// The number of fields that a row must have, where it is known.
    pub fn count(&self) -> Option<usize> {
        self.names.as_ref().map(Vec::len)
    }

    /// The name of a column; its number where it has none.
    pub fn name(&self, index: usize) -> String {
        let name = self.names.as_ref().and_then(|names| names.get(index)).filter(|name| !name.is_empty());
        name.cloned().unwrap_or_else(|| index.to_string())
    }

    /// The name of a column as JSON, where it is known.
    pub fn key(&self, index: usize) -> Option<&str> {
        self.keys.get(index).map(String::as_str)
    }

    /// Where id, instruction, input, output, label and group come from.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Whether a field becomes a column of the examples.
    pub fn uses(&self, index: usize) -> bool {
        self.sources.iter().any(|source| matches!(source, Source::Field(field) if *field == index))
    }
}

impl Source {
    /// The value in record number `record`, of these fields.
    pub fn value<'a>(&self, fields: &[&'a str], record: u64) -> Result<Cow<'a, str>, String> {
        match self {
            Self::Nothing => Ok(Cow::Borrowed("")),
            Self::Constant(text) => Ok(Cow::Owned(Constant::constant(text, record))),
            Self::Field(index) => fields
                .get(*index)
                .map(|&field| Cow::Borrowed(field))
                .ok_or_else(|| format!("expected at least {} fields, found {}", index + 1, fields.len())),
        }
    }
}

/// Says which column there is not, and which there are.
fn lacking(wanted: &[Name], names: Option<&[String]>) -> String {
    let wanted: Vec<String> = wanted
        .iter()
        .map(|name| match name {
            Name::Text(text) => format!("`{text}`"),
            Name::Number(number) => format!("number {number}"),
        })
        .collect();
    match names {
        Some(names) => format!("there is no column {}: the columns are `{}`", wanted.join(" or "), names.join("`, `")),
        None => format!("there is no column {}: without a header, `columns` gives names", wanted.join(" or ")),
    }
}
