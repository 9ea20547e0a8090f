//! Which fields become which column of an example.

use std::borrow::Cow;

use serde::Deserialize;
use so8t_plugin_sdk::config::OneOrMany;
use so8t_plugin_sdk::{Example, Examples, Failure, log};

use crate::json::{Found, Framing, Reader};
use crate::object::{self, Object};
use crate::scan::Field;
use crate::{MAX_RECORD_BYTES, text};

/// The `config` table of the converters whose records are JSON objects: a path, or a list of paths of which the first
/// that exists counts, for each column.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldsConfig {
    /// The id.
    pub id: Option<OneOrMany>,
    /// What the user asks for.
    pub instruction: Option<OneOrMany>,
    /// Text that the instruction is about.
    pub input: Option<OneOrMany>,
    /// The answer.
    pub output: Option<OneOrMany>,
    /// The label.
    pub label: Option<OneOrMany>,
    /// What must not straddle a split.
    pub group: Option<OneOrMany>,
    /// A constant in the place of `id`.
    pub id_value: Option<String>,
    /// A constant in the place of `label`.
    pub label_value: Option<String>,
    /// A constant in the place of `group`.
    pub group_value: Option<String>,
    /// Whether the other fields are kept.
    pub extra: Option<bool>,
    /// The cap on a record's bytes.
    pub max_record_bytes: Option<usize>,
}

/// The columns, as far as fields fill them; `extra_json` is what remains.
pub const COLUMNS: [&str; 6] = ["id", "instruction", "input", "output", "label", "group"];

/// The fields in which labels stand, the most explicit first.
pub const LABELS: [&str; 4] = ["four_class_label", "safety_label", "safety_judgment", "label"];

/// Where a column comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The first of these fields that exists.
    Fields(Vec<String>),
    /// A text in which `{row}` stands for the number of the record.
    Constant(String),
}

impl Origin {
    /// The origin of column `name` from its two settings, `default` being the fields where neither is set.
    pub fn resolve(
        name: &str,
        fields: Option<Vec<String>>,
        constant: Option<String>,
        default: &[&str],
    ) -> Result<Self, Failure> {
        match (fields, constant) {
            (Some(_), Some(_)) => {
                Err(Failure::Config(format!("config: `{name}` and `{name}_value` exclude each other")))
            }
            (Some(fields), None) if fields.is_empty() || fields.iter().any(String::is_empty) => {
                Err(Failure::Config(format!("config: `{name}`: expected the name of a field, found an empty one")))
            }
            (Some(fields), None) => Ok(Self::Fields(fields)),
            (None, Some(constant)) => Ok(Self::Constant(constant)),
            (None, None) => Ok(Self::Fields(default.iter().map(|&field| field.to_owned()).collect())),
        }
    }

    /// The constant in record number `row`.
    pub fn constant(text: &str, row: u64) -> String {
        text.replace("{row}", &row.to_string())
    }
}

/// Turns JSON objects into examples.
#[derive(Debug)]
pub struct Fields {
    origins: [Origin; 6],
    /// Whether a column's fields were configured, and have not been seen yet.
    unseen: [bool; 6],
    extra: bool,
    records: u64,
}

impl FieldsConfig {
    /// The checked configuration. Without one, `id`, `instruction`, `input`, `output` and `group` are read from the
    /// fields of these names, and the label from the first of [`LABELS`].
    pub fn resolve(self) -> Result<Fields, Failure> {
        let settings = [
            (self.id, self.id_value),
            (self.instruction, None),
            (self.input, None),
            (self.output, None),
            (self.label, self.label_value),
            (self.group, self.group_value),
        ];
        let unseen = settings.each_ref().map(|(fields, _)| fields.is_some());
        let mut origins = Vec::with_capacity(COLUMNS.len());
        for (name, (fields, constant)) in COLUMNS.into_iter().zip(settings) {
            let default = if name == "label" { LABELS.as_slice() } else { &[name] };
            origins.push(Origin::resolve(name, fields.map(OneOrMany::into_vec), constant, default)?);
        }
        let origins = origins.try_into().map_err(|_| Failure::Internal("six columns".to_owned()))?;
        Ok(Fields { origins, unseen, extra: self.extra.unwrap_or(true), records: 0 })
    }

    /// As [`FieldsConfig::resolve`], for records whose instruction and output stand in the turns of a dialogue.
    pub fn resolve_dialogue(self) -> Result<Fields, Failure> {
        let mut fields = self.resolve()?;
        fields.origins[INSTRUCTION] = Origin::Fields(Vec::new());
        fields.origins[OUTPUT] = Origin::Fields(Vec::new());
        Ok(fields)
    }

    /// The cap on a record's bytes.
    pub fn max_record_bytes(&self) -> usize {
        self.max_record_bytes.unwrap_or(MAX_RECORD_BYTES)
    }
}

impl Fields {
    /// Reads the record that starts in `line`, and adds its example or its rejection to `out`.
    pub fn read(&mut self, line: u32, found: Found<'_>, out: &mut Examples) {
        self.read_with(line, found, out, |_| Ok(None));
    }

    /// As [`Fields::read`]; what `dialogue` finds in the object stands for the instruction and the output.
    pub fn read_with(
        &mut self,
        line: u32,
        found: Found<'_>,
        out: &mut Examples,
        dialogue: impl FnOnce(&Object<'_>) -> Result<Option<Dialogue>, String>,
    ) {
        self.records += 1;
        let result = match found {
            Found::TooLong => Err("the record is longer than `max_record_bytes`".to_owned()),
            Found::Record(bytes) => text::utf8(bytes, line).and_then(|text| self.example(text, line, out, dialogue)),
        };
        if let Err(reason) = result {
            out.reject(line, reason);
        }
    }

    fn example(
        &mut self,
        text: &str,
        line: u32,
        out: &mut Examples,
        dialogue: impl FnOnce(&Object<'_>) -> Result<Option<Dialogue>, String>,
    ) -> Result<(), String> {
        let object = Object::parse(text)?;
        let dialogue = dialogue(&object)?;
        let mut columns: [Cow<'_, str>; 6] = Default::default();
        let mut used: [&str; 6] = [""; 6];
        for (column, origin) in self.origins.iter().enumerate() {
            match origin {
                Origin::Constant(text) => columns[column] = Origin::constant(text, self.records).into(),
                Origin::Fields(paths) => {
                    let Some((path, text)) = paths.iter().find_map(|path| Some((path, object.text(path)?))) else {
                        continue;
                    };
                    self.unseen[column] = false;
                    used[column] = path;
                    columns[column] = text.map_err(|found| format!("field `{path}`: {found}"))?;
                }
            }
        }
        let extra = if self.extra {
            let turns = dialogue.as_ref().map_or("", |dialogue| dialogue.field.as_str());
            extra(&object, |key| key == turns || used.contains(&key))?
        } else {
            String::new()
        };
        if let Some(dialogue) = dialogue {
            columns[INSTRUCTION] = dialogue.instruction.into();
            columns[OUTPUT] = dialogue.output.into();
        } else if used[INSTRUCTION].is_empty() {
            let Origin::Fields(paths) = &self.origins[INSTRUCTION] else { return Ok(()) };
            return Err(format!("the record has no field `{}`", paths.join("` or `")));
        }
        let [id, instruction, input, output, label, group] = &columns;
        out.push(line, Example { id, instruction, input, output, label, group, extra_json: &extra });
        Ok(())
    }

    /// Says in the log which configured fields no record had.
    pub fn finish(&self) {
        if self.records == 0 {
            return;
        }
        for (column, origin) in self.origins.iter().enumerate() {
            if let (true, Origin::Fields(paths)) = (self.unseen[column], origin) {
                log::warn(&format!("no record has the field `{}` of `{}`", paths.join("` or `"), COLUMNS[column]));
            }
        }
    }
}

const INSTRUCTION: usize = 1;
const OUTPUT: usize = 3;

/// What a conversation says: its first user turn, and the answer to it.
#[derive(Debug)]
pub struct Dialogue {
    /// The field in which the turns stand.
    pub field: String,
    /// The first user turn.
    pub instruction: String,
    /// The answer to it; empty where there is none.
    pub output: String,
}

/// The fields that were not used, as one JSON object; empty where there are none.
fn extra(object: &Object<'_>, used: impl Fn(&str) -> bool) -> Result<String, String> {
    let mut out = String::new();
    for Field { key, value, plain } in object.fields().filter(|field| !used(field.key)) {
        if !plain {
            object::check(value).map_err(|found| format!("field `{key}`: {found}"))?;
        }
        out.push(if out.is_empty() { '{' } else { ',' });
        object::write_string(&mut out, key);
        out.push(':');
        out.push_str(value);
    }
    if !out.is_empty() {
        out.push('}');
    }
    Ok(out)
}

/// A reader and what its records become: all of the converters `jsonl`, `json-array` and `alpaca`.
#[derive(Debug)]
pub struct JsonConverter {
    reader: Reader,
    fields: Fields,
}

impl JsonConverter {
    /// Begins with a source.
    pub fn open(config: FieldsConfig, framing: Framing) -> Result<Self, Failure> {
        let reader = Reader::new(framing, config.max_record_bytes());
        Ok(Self { reader, fields: config.resolve()? })
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8], out: &mut Examples) -> Result<(), Failure> {
        let Self { reader, fields } = self;
        reader.push(chunk, |line, found| fields.read(line, found, out))
    }

    /// The source has ended.
    pub fn finish(&mut self, out: &mut Examples) -> Result<(), Failure> {
        let Self { reader, fields } = self;
        reader.finish(|line, found| fields.read(line, found, out))?;
        fields.finish();
        Ok(())
    }
}
