//! The manifest's `config` table, and its checked form.

use serde::Deserialize;
use so8t_plugin_sdk::Failure;
use so8t_records::MAX_RECORD_BYTES;

/// A column, by name or by number counted from 0.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected the name of a column, or its number counted from 0")]
pub enum Name {
    /// By name.
    Text(String),
    /// By number.
    Number(u32),
}

/// One column, or a list of which the first that exists counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected the name of a column, its number counted from 0, or a list of these")]
pub enum Names {
    /// One column.
    One(Name),
    /// The first of these that exists.
    Many(Vec<Name>),
}

/// The manifest's `config` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    header: Option<bool>,
    columns: Option<Vec<String>>,
    delimiter: Option<char>,
    trim: Option<bool>,
    id: Option<Names>,
    instruction: Option<Names>,
    input: Option<Names>,
    output: Option<Names>,
    label: Option<Names>,
    group: Option<Names>,
    id_value: Option<String>,
    label_value: Option<String>,
    group_value: Option<String>,
    extra: Option<bool>,
    max_record_bytes: Option<usize>,
}

/// The checked configuration.
pub struct Settings {
    /// Whether the first row names the columns.
    pub header: bool,
    /// The names, where there is no header.
    pub columns: Option<Vec<String>>,
    /// What separates fields.
    pub delimiter: u8,
    /// Whether spaces around a field are taken off.
    pub trim: bool,
    /// Whether columns that are not used are kept.
    pub extra: bool,
    /// The cap on a row's bytes.
    pub max_record_bytes: usize,
    /// For id, instruction, input, output, label and group.
    pub origins: [Origin; 6],
}

/// Where a column of the examples comes from.
pub enum Origin {
    /// The column of that name, or of the usual ones, where there is one.
    Usual,
    /// The first of these that exists; there must be one.
    Columns(Vec<Name>),
    /// A text in which `{row}` stands for the number of the record.
    Constant(String),
}

impl Config {
    /// Checks what belongs together.
    pub fn resolve(self) -> Result<Settings, Failure> {
        let header = self.header.unwrap_or(true);
        if header && self.columns.is_some() {
            return Err(Failure::Config("config: `columns` names the columns where `header = false`".to_owned()));
        }
        let delimiter = self.delimiter.unwrap_or(',');
        if !delimiter.is_ascii() || matches!(delimiter, '"' | '\n' | '\r') {
            return Err(Failure::Config(format!(
                "config: `delimiter`: expected an ASCII character, found {delimiter:?}"
            )));
        }
        Ok(Settings {
            header,
            columns: self.columns,
            delimiter: delimiter as u8,
            trim: self.trim.unwrap_or(false),
            extra: self.extra.unwrap_or(true),
            max_record_bytes: self.max_record_bytes.unwrap_or(MAX_RECORD_BYTES),
            origins: [
                origin("id", self.id, self.id_value)?,
                origin("instruction", self.instruction, None)?,
                origin("input", self.input, None)?,
                origin("output", self.output, None)?,
                origin("label", self.label, self.label_value)?,
                origin("group", self.group, self.group_value)?,
            ],
        })
    }
}

fn origin(name: &str, columns: Option<Names>, constant: Option<String>) -> Result<Origin, Failure> {
    match (columns, constant) {
        (Some(_), Some(_)) => Err(Failure::Config(format!("config: `{name}` and `{name}_value` exclude each other"))),
        (Some(Names::Many(names)), None) if names.is_empty() => {
            Err(Failure::Config(format!("config: `{name}`: expected a column, found an empty list")))
        }
        (Some(Names::One(one)), None) => Ok(Origin::Columns(vec![one])),
        (Some(Names::Many(names)), None) => Ok(Origin::Columns(names)),
        (None, Some(constant)) => Ok(Origin::Constant(constant)),
        (None, None) => Ok(Origin::Usual),
    }
}
