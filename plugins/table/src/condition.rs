//! Conditions on one column of an example.

use std::borrow::Cow;

use serde::Deserialize;
use so8t_plugin_sdk::Example;
use so8t_records::object::{self, Object};

/// All tests hold for the column's value.
pub struct Condition {
    /// Which column.
    pub column: Column,
    /// At least one.
    pub tests: Vec<Test>,
    /// Whether texts are compared in lower case; the tests' texts are in lower case then.
    pub ignore_case: bool,
}

/// A column of an example.
#[derive(Clone, Debug)]
pub enum Column {
    /// `id`
    Id,
    /// `instruction`
    Instruction,
    /// `input`
    Input,
    /// `output`
    Output,
    /// `label`
    Label,
    /// `group`
    Group,
    /// `extra.PATH`: a field that became no column.
    Extra(String),
}

/// What is asked of a value. A value that is missing (absent, `null` or empty) passes [`Test::Missing`] alone: it is
/// neither an empty text nor zero.
#[derive(Clone, Debug)]
pub enum Test {
    /// It is one of these.
    Equals(Vec<Scalar>),
    /// It begins with one of these.
    Prefix(Vec<String>),
    /// It contains one of these.
    Contains(Vec<String>),
    /// It is a number, at least this.
    Min(f64),
    /// It is a number, at most this.
    Max(f64),
    /// It is missing, or it is not.
    Missing(bool),
}

/// A value in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a string, a number or a truth value")]
pub enum Scalar {
    /// A truth value, which equals `true` or `false`.
    Truth(bool),
    /// A number, which equals every spelling of it: `0`, `0.0`, `"0"`.
    Number(f64),
    /// A text.
    Text(String),
}

/// The fields of one example.
pub struct Fields<'a> {
    /// The columns.
    pub example: &'a Example<'a>,
    /// The fields that became no column.
    pub extra: Option<&'a Object<'a>>,
}

impl Column {
    /// The column's name in the interface.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Instruction => "instruction",
            Self::Input => "input",
            Self::Output => "output",
            Self::Label => "label",
            Self::Group => "group",
            Self::Extra(_) => "extra-json",
        }
    }

    /// Reads the name of a column in the configuration.
    pub fn parse(name: &str) -> Result<Self, String> {
        Ok(match name {
            "id" => Self::Id,
            "instruction" => Self::Instruction,
            "input" => Self::Input,
            "output" => Self::Output,
            "label" => Self::Label,
            "group" => Self::Group,
            _ => match name.strip_prefix("extra.") {
                Some(path) if !path.is_empty() => Self::Extra(path.to_owned()),
                _ => {
                    let columns = "`id`, `instruction`, `input`, `output`, `label`, `group` or `extra.FIELD`";
                    return Err(format!("`{name}` is not a column: expected {columns}"));
                }
            },
        })
    }
}

impl Condition {
    /// Whether all tests hold.
    pub fn holds(&self, fields: &Fields<'_>) -> bool {
        let value = fields.get(&self.column).filter(|value| !value.trim().is_empty());
        let Some(value) = value else {
            return self.tests.iter().all(|test| matches!(test, Test::Missing(true)));
        };
        let value = if self.ignore_case { Cow::Owned(value.to_lowercase()) } else { value };
        self.tests.iter().all(|test| test.holds(&value))
    }
}

impl<'a> Fields<'a> {
    /// The value of a column as text; an object or array as its JSON.
    fn get(&self, column: &Column) -> Option<Cow<'a, str>> {
        let text = match column {
            Column::Id => self.example.id,
            Column::Instruction => self.example.instruction,
            Column::Input => self.example.input,
            Column::Output => self.example.output,
            Column::Label => self.example.label,
            Column::Group => self.example.group,
            Column::Extra(path) => {
                let value = self.extra?.get(path)?;
                return Some(object::text(value).unwrap_or(Cow::Borrowed(value)));
            }
        };
        Some(Cow::Borrowed(text))
    }
}

impl Test {
    /// Whether it holds for a value that is not missing.
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Equals(scalars) => scalars.iter().any(|scalar| scalar.equals(value)),
            Self::Prefix(prefixes) => prefixes.iter().any(|prefix| value.starts_with(prefix.as_str())),
            Self::Contains(parts) => parts.iter().any(|part| value.contains(part.as_str())),
            Self::Min(least) => number(value).is_some_and(|value| value >= *least),
            Self::Max(greatest) => number(value).is_some_and(|value| value <= *greatest),
            Self::Missing(missing) => !missing,
        }
    }
}

impl Scalar {
    fn equals(&self, value: &str) -> bool {
        match self {
            Self::Truth(truth) => value == if *truth { "true" } else { "false" },
            Self::Number(expected) => number(value) == Some(*expected),
            Self::Text(text) => value == text,
        }
    }
}

/// A finite number; nothing else counts as one.
fn number(value: &str) -> Option<f64> {
    value.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}
