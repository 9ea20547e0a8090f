//! Which fields become which column of an example.

use std::borrow::Cow;
use std::cell::Cell;

use serde::Deserialize;
use so8t_plugin_sdk::config::OneOrMany;
use so8t_plugin_sdk::{Example, Examples, Failure, log};

use crate::json::{Found, Framing, Reader};
use crate::layout::Layouts;
use crate::object::{self, Object};
use crate::scan::Field;
use crate::{MAX_RECORD_BYTES, text, tree, words};

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
    layouts: Layouts,
    columns: Columns,
    extra: bool,
    /// What remains of the record at hand.
    rest: String,
    /// Why the file is none of its kind.
    fault: Option<String>,
}

/// How the columns are filled.
#[derive(Debug)]
struct Columns {
    origins: [Origin; 6],
    /// Whether a column's fields were configured, and have not been seen yet.
    unseen: [Cell<bool>; 6],
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
        let unseen = settings.each_ref().map(|(fields, _)| Cell::new(fields.is_some()));
        let mut origins = Vec::with_capacity(COLUMNS.len());
        for (name, (fields, constant)) in COLUMNS.into_iter().zip(settings) {
            let default = if name == "label" { LABELS.as_slice() } else { &[name] };
            origins.push(Origin::resolve(name, fields.map(OneOrMany::into_vec), constant, default)?);
        }
        let origins = origins.try_into().map_err(|_| Failure::Internal("six columns".to_owned()))?;
        Ok(Fields {
            layouts: Layouts::default(),
            columns: Columns { origins, unseen, records: 0 },
            extra: self.extra.unwrap_or(true),
            rest: String::new(),
            fault: None,
        })
    }

    /// As [`FieldsConfig::resolve`], for records whose instruction and output stand in the turns of a dialogue.
    pub fn resolve_dialogue(self) -> Result<Fields, Failure> {
        let mut fields = self.resolve()?;
        fields.columns.origins[INSTRUCTION] = Origin::Fields(Vec::new());
        fields.columns.origins[OUTPUT] = Origin::Fields(Vec::new());
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
        self.record(line, found, out, |fields, text, out| match fields.layouts.find(text) {
            Some(record) => {
                let mut used = [None; 6];
                let columns = fields.columns.fill(|column, _| {
                    let (path, number, value, plain) = record.find(column)?;
                    used[column] = Some(number);
                    Some((path, value, plain))
                })?;
                fields.rest.clear();
                if fields.extra {
                    let rest = record.fields().enumerate().filter(|(number, _)| !used.contains(&Some(*number)));
                    for (_, (key, field)) in rest {
                        write_field(&mut fields.rest, |out| out.push_str(key), field)?;
                    }
                    end_fields(&mut fields.rest);
                }
                fields.columns.push(line, &columns, used[INSTRUCTION].is_some(), &fields.rest, out)
            }
            None if text.starts_with('"') => fields.plain(line, text, out),
            None => fields.object(line, text, out, |_| Ok(None)),
        });
    }

    /// As [`Fields::read`]; what `dialogue` finds in the object stands for the instruction and the output.
    pub fn read_with(
        &mut self,
        line: u32,
        found: Found<'_>,
        out: &mut Examples,
        mut dialogue: impl FnMut(&Object<'_>) -> Result<Option<Dialogue>, String>,
    ) {
        self.record(line, found, out, |fields, text, out| fields.object(line, text, out, &mut dialogue));
    }

    /// Takes a record; the error of `read` is the reason of its rejection.
    fn record(
        &mut self,
        line: u32,
        found: Found<'_>,
        out: &mut Examples,
        mut read: impl FnMut(&mut Self, &str, &mut Examples) -> Result<(), String>,
    ) {
        let found = match found {
            Found::Tree(bytes) => return self.tree(line, bytes, out),
            found => found,
        };
        self.columns.records += 1;
        let result = match found {
            Found::TooLong => Err("the record is longer than `max_record_bytes`".to_owned()),
            Found::Record(bytes) | Found::Tree(bytes) => text::utf8(bytes, line).and_then(|text| {
                read(self, text, out).or_else(|reason| match words::as_null(text) {
                    // Numbers that JSON has no word for are no values, as in a data frame.
                    Cow::Owned(text) if reason.starts_with("not JSON") => read(self, &text, out),
                    _ => Err(reason),
                })
            }),
        };
        if let Err(reason) = result {
            out.reject(line, reason);
        }
    }

    /// Reads one object as its leaves, each a record; what is none, or has no text, is a fault of the file.
    fn tree(&mut self, line: u32, bytes: &[u8], out: &mut Examples) {
        let leaves = text::utf8(bytes, line).and_then(|text| {
            let leaves = tree::leaves(text)?;
            match leaves.iter().find_map(|leaf| leaf.record.as_ref().err()) {
                Some(reason) if leaves.iter().all(|leaf| leaf.record.is_err()) => Err(reason.clone()),
                _ => Ok(leaves),
            }
        });
        let leaves = match leaves {
            Ok(leaves) => leaves,
            Err(reason) => {
                let what = "expected `[`, found `{`, and what it begins is no object of texts";
                self.fault = Some(format!("line {line}: {what}: {reason}"));
                return;
            }
        };
        for leaf in leaves {
            self.columns.records += 1;
            let own = line.saturating_add(leaf.line - 1);
            let read = leaf.record.and_then(|record| self.object(own, &record, out, |_| Ok(None)));
            if let Err(reason) = read {
                out.reject(own, reason);
            }
        }
    }

    /// Reads a record that is a text alone: the request.
    fn plain(&mut self, line: u32, text: &str, out: &mut Examples) -> Result<(), String> {
        let mut columns = self.columns.fill(|_, _| None)?;
        columns[INSTRUCTION] = object::string(text)?.into();
        self.columns.push(line, &columns, true, "", out)
    }

    /// Reads a record of any layout.
    fn object(
        &mut self,
        line: u32,
        text: &str,
        out: &mut Examples,
        dialogue: impl FnOnce(&Object<'_>) -> Result<Option<Dialogue>, String>,
    ) -> Result<(), String> {
        let object = Object::parse(text)?;
        let dialogue = dialogue(&object)?;
        let mut used = [None; 6];
        let mut columns = self.columns.fill(|column, paths| {
            let mut found = paths.iter().enumerate().filter_map(|(number, path)| Some((number, object.found(path)?)));
            let (number, (value, plain)) = found.next()?;
            used[column] = Some(paths[number].as_str());
            Some((number, value, plain))
        })?;
        self.rest.clear();
        if self.extra {
            let turns = dialogue.as_ref().map(|dialogue| dialogue.field.as_str());
            let rest = object.fields().filter(|field| turns != Some(field.key) && !used.contains(&Some(field.key)));
            write_fields(&mut self.rest, rest)?;
        }
        let mut instructed = used[INSTRUCTION].is_some();
        if let Some(dialogue) = dialogue {
            columns[INSTRUCTION] = dialogue.instruction.into();
            columns[OUTPUT] = dialogue.output.into();
            instructed = true;
        } else {
            self.layouts.learn(text, &object, &self.columns.origins);
        }
        self.columns.push(line, &columns, instructed, &self.rest, out)
    }

    /// Says in the log which configured fields no record had.
    pub fn finish(&self) {
        self.columns.finish();
    }
}

impl Columns {
    /// The columns of the record at hand. `find` gives, for the number of a column and its paths, the number of the first path
    /// that leads to a value, the value, and whether that is known to be a string without escapes.
    fn fill<'o, 'a>(
        &'o self,
        mut find: impl FnMut(usize, &'o [String]) -> Option<(usize, &'a str, bool)>,
    ) -> Result<[Cow<'a, str>; 6], String> {
        let mut columns: [Cow<'a, str>; 6] = Default::default();
        for (column, origin) in self.origins.iter().enumerate() {
            match origin {
                Origin::Constant(text) => columns[column] = Origin::constant(text, self.records).into(),
                Origin::Fields(paths) => {
                    if let Some((path, value, plain)) = find(column, paths) {
                        self.unseen[column].set(false);
                        let text = object::text_of(value, plain);
                        columns[column] = text.map_err(|found| format!("field `{}`: {found}", paths[path]))?;
                    }
                }
            }
        }
        Ok(columns)
    }

    /// Adds the example of the record at hand.
    fn push(
        &self,
        line: u32,
        columns: &[Cow<'_, str>; 6],
        instructed: bool,
        extra_json: &str,
        out: &mut Examples,
    ) -> Result<(), String> {
        if let (false, Origin::Fields(paths)) = (instructed, &self.origins[INSTRUCTION]) {
            return Err(format!("the record has no field `{}`", paths.join("` or `")));
        }
        let [id, instruction, input, output, label, group] = columns;
        out.push(line, Example { id, instruction, input, output, label, group, extra_json });
        Ok(())
    }

    fn finish(&self) {
        if self.records == 0 {
            return;
        }
        for (column, origin) in self.origins.iter().enumerate() {
            if let (true, Origin::Fields(paths)) = (self.unseen[column].get(), origin) {
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
pub fn extra(object: &Object<'_>, used: impl Fn(&str) -> bool) -> Result<String, String> {
    let mut out = String::new();
    write_fields(&mut out, object.fields().filter(|field| !used(field.key)))?;
    Ok(out)
}

/// Writes fields as one JSON object to an empty text, and nothing where there are none.
fn write_fields<'a>(out: &mut String, fields: impl Iterator<Item = Field<'a>>) -> Result<(), String> {
    for field in fields {
        let key = |out: &mut String| {
            object::write_string(out, field.key);
            out.push(':');
        };
        write_field(out, key, field)?;
    }
    end_fields(out);
    Ok(())
}

/// Writes a field of an object of which all that comes before is there; `key` writes its key and the colon.
#[inline]
fn write_field(out: &mut String, key: impl FnOnce(&mut String), field: Field<'_>) -> Result<(), String> {
    if !field.plain {
        object::check(field.value).map_err(|found| format!("field `{}`: {found}", field.key))?;
    }
    out.push_str(if out.is_empty() { "{" } else { "," });
    key(out);
    out.push_str(field.value);
    Ok(())
}

/// Ends an object that has fields.
fn end_fields(out: &mut String) {
    if !out.is_empty() {
        out.push('}');
    }
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
        if let Some(fault) = fields.fault.take() {
            return Err(Failure::Input(fault));
        }
        fields.finish();
        Ok(())
    }
}
