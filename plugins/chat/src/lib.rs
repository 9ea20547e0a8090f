//! Conversations: ShareGPT's `conversations`, OpenAI's `messages`, nested `utterances`; one array, or one object a line.
//! The first turn of the user is the instruction, and the assistant's turn that answers it is the output.

use serde::Deserialize;
use so8t_plugin_sdk::config::OneOrMany;
use so8t_plugin_sdk::{About, Converter, Examples, Failure, about, export_converter};
use so8t_records::fields::{Dialogue, Fields, FieldsConfig};
use so8t_records::json::{Framing, Reader};
use so8t_records::object::{self, Object};
use so8t_records::text::excerpt;

/// The manifest's `config` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    turns: Option<OneOrMany>,
    role: Option<OneOrMany>,
    text: Option<OneOrMany>,
    user: Option<Vec<String>>,
    assistant: Option<Vec<String>>,
    id: Option<OneOrMany>,
    input: Option<OneOrMany>,
    label: Option<OneOrMany>,
    group: Option<OneOrMany>,
    id_value: Option<String>,
    label_value: Option<String>,
    group_value: Option<String>,
    extra: Option<bool>,
    max_record_bytes: Option<usize>,
}

/// How the turns are spelled.
struct Spelling {
    turns: Vec<String>,
    role: Vec<String>,
    text: Vec<String>,
    user: Vec<String>,
    assistant: Vec<String>,
}

/// The converter.
pub struct Chat {
    reader: Reader,
    fields: Fields,
    spelling: Spelling,
}

export_converter!(Chat);

impl Converter for Chat {
    type Config = Config;
    const ABOUT: About = about!("chat", include_str!("../config.json"));

    fn open(config: Config) -> Result<Self, Failure> {
        let paths = |name: &str, given: Option<OneOrMany>, default: &[&str]| {
            names(name, given.map(OneOrMany::into_vec), default)
        };
        let spelling = Spelling {
            turns: paths("turns", config.turns, &["conversations", "messages", "utterances"])?,
            role: paths("role", config.role, &["from", "role", "name", "speaker"])?,
            text: paths("text", config.text, &["value", "content", "text"])?,
            user: names("user", config.user, &["human", "user", "prompter"])?,
            assistant: names("assistant", config.assistant, &["gpt", "assistant", "agent", "model", "bot"])?,
        };
        let fields = FieldsConfig {
            id: config.id,
            input: config.input,
            label: config.label,
            group: config.group,
            id_value: config.id_value,
            label_value: config.label_value,
            group_value: config.group_value,
            extra: config.extra,
            max_record_bytes: config.max_record_bytes,
            ..FieldsConfig::default()
        };
        let reader = Reader::new(Framing::Either, fields.max_record_bytes());
        Ok(Self { reader, fields: fields.resolve_dialogue()?, spelling })
    }

    fn push(&mut self, chunk: &[u8], out: &mut Examples) -> Result<(), Failure> {
        let Self { reader, fields, spelling } = self;
        reader.push(chunk, |line, found| fields.read_with(line, found, out, |record| spelling.dialogue(record)))
    }

    fn finish(&mut self, out: &mut Examples) -> Result<(), Failure> {
        let Self { reader, fields, spelling } = self;
        reader.finish(|line, found| fields.read_with(line, found, out, |record| spelling.dialogue(record)))?;
        fields.finish();
        Ok(())
    }
}

fn names(name: &str, given: Option<Vec<String>>, default: &[&str]) -> Result<Vec<String>, Failure> {
    match given {
        Some(given) if given.is_empty() || given.iter().any(String::is_empty) => {
            Err(Failure::Config(format!("config: `{name}`: expected a name, found an empty one")))
        }
        Some(given) => Ok(given),
        None => Ok(default.iter().map(|&name| name.to_owned()).collect()),
    }
}

impl Spelling {
    /// The first user turn of a record, and the answer to it.
    fn dialogue(&self, record: &Object<'_>) -> Result<Option<Dialogue>, String> {
        let (field, value) = first(record, &self.turns)
            .ok_or_else(|| format!("the record has no field `{}`", self.turns.join("` or `")))?;
        let turns = object::array(value)
            .ok_or_else(|| format!("field `{field}`: expected an array of turns, found {}", object::kind(value)))?;
        let mut instruction = None;
        let mut output = String::new();
        for (number, turn) in turns.iter().enumerate() {
            let wrong = |what: String| format!("field `{field}`: turn {}: {what}", number + 1);
            let turn = Object::parse(turn.get()).map_err(wrong)?;
            let (_, role) = first(&turn, &self.role)
                .ok_or_else(|| wrong(format!("there is no field `{}`", self.role.join("` or `"))))?;
            let role = object::text(role).map_err(wrong)?;
            let is = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case(&role));
            if instruction.is_none() && is(&self.user) {
                instruction = Some(self.said(&turn).map_err(wrong)?);
            } else if instruction.is_some() && is(&self.assistant) {
                output = self.said(&turn).map_err(wrong)?;
                break;
            } else if instruction.is_some() && is(&self.user) {
                break;
            }
        }
        let instruction = instruction
            .ok_or_else(|| format!("field `{field}`: there is no turn by `{}`", self.user.join("` or `")))?;
        Ok(Some(Dialogue { field: field.to_owned(), instruction, output }))
    }

    /// The text of a turn, or the texts of its parts, joined by line breaks. A turn that only calls a tool has none.
    fn said(&self, turn: &Object<'_>) -> Result<String, String> {
        let Some((field, value)) = first(turn, &self.text) else {
            return Ok(String::new());
        };
        let Some(parts) = object::array(value) else {
            return Ok(object::text(value).map_err(|found| format!("field `{field}`: {found}"))?.into_owned());
        };
        let mut texts = Vec::with_capacity(parts.len());
        for part in parts {
            let part = Object::parse(part.get()).map_err(|found| format!("field `{field}`: {found}"))?;
            let text = part.get("text").ok_or_else(|| {
                let kind = part.get("type").unwrap_or("unknown");
                format!(
                    "field `{field}`: expected parts of text, found one of type `{}`",
                    excerpt(kind.trim_matches('"'))
                )
            })?;
            texts.push(object::text(text)?.into_owned());
        }
        Ok(texts.join("\n"))
    }
}

/// The first of the paths that exists, and the value there.
fn first<'n, 'a>(object: &Object<'a>, paths: &'n [String]) -> Option<(&'n str, &'a str)> {
    paths.iter().find_map(|path| Some((path.as_str(), object.get(path)?)))
}
