//! Preferences: a prompt, the answer that was chosen, and the one that was rejected. All examples of one prompt are one group, so
//! that a split never parts them.

mod turns;

use std::borrow::Cow;

use serde::Deserialize;
use so8t_plugin_sdk::config::OneOrMany;
use so8t_plugin_sdk::{About, Converter, Example, Examples, Failure, about, export_converter};
use so8t_records::fields::{self, LABELS};
use so8t_records::json::{Found, Framing, Reader};
use so8t_records::object::{self, Object};
use so8t_records::{MAX_RECORD_BYTES, text, words};
use turns::Turn;

/// The manifest's `config` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    prompt: Option<OneOrMany>,
    chosen: Option<OneOrMany>,
    rejected: Option<OneOrMany>,
    #[serde(default)]
    examples: Which,
    id: Option<OneOrMany>,
    label: Option<OneOrMany>,
    label_value: Option<String>,
    chosen_label: Option<String>,
    rejected_label: Option<String>,
    extra: Option<bool>,
    max_record_bytes: Option<usize>,
}

/// What a row becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Which {
    /// One example: the prompt, with the chosen answer as its output.
    #[default]
    Prompt,
    /// Two examples: the prompt with an answer each, which is judged.
    Answers,
}

/// The converter.
pub struct HhRlhf {
    reader: Reader,
    rows: Rows,
}

/// What rows become.
struct Rows {
    prompt: Vec<String>,
    chosen: Vec<String>,
    rejected: Vec<String>,
    which: Which,
    id: Vec<String>,
    label: Vec<String>,
    label_value: Option<String>,
    side_labels: [Option<String>; 2],
    extra: bool,
}

export_converter!(HhRlhf);

impl Converter for HhRlhf {
    type Config = Config;
    const ABOUT: About = about!("hh-rlhf", include_str!("../config.json"));

    fn open(config: Config) -> Result<Self, Failure> {
        let names = |name: &str, given: Option<OneOrMany>, default: &[&str]| match given.map(OneOrMany::into_vec) {
            None => Ok(default.iter().map(|&name| name.to_owned()).collect()),
            Some(given) if given.is_empty() || given.iter().any(String::is_empty) => {
                Err(Failure::Config(format!("config: `{name}`: expected the name of a field, found an empty one")))
            }
            Some(given) => Ok(given),
        };
        if config.label.is_some() && config.label_value.is_some() {
            return Err(Failure::Config("config: `label` and `label_value` exclude each other".to_owned()));
        }
        let side_labels = [config.chosen_label, config.rejected_label];
        if config.examples == Which::Prompt && side_labels.iter().any(Option::is_some) {
            let what = "config: `chosen_label` and `rejected_label` need `examples = \"answers\"`";
            return Err(Failure::Config(what.to_owned()));
        }
        let rows = Rows {
            prompt: names("prompt", config.prompt, &["prompt"])?,
            chosen: names("chosen", config.chosen, &["chosen"])?,
            rejected: names("rejected", config.rejected, &["rejected"])?,
            which: config.examples,
            id: names("id", config.id, &["id"])?,
            label: names("label", config.label, &LABELS)?,
            label_value: config.label_value,
            side_labels,
            extra: config.extra.unwrap_or(true),
        };
        let reader = Reader::new(Framing::Either, config.max_record_bytes.unwrap_or(MAX_RECORD_BYTES));
        Ok(Self { reader, rows })
    }

    fn push(&mut self, chunk: &[u8], out: &mut Examples) -> Result<(), Failure> {
        let Self { reader, rows } = self;
        reader.push(chunk, |line, found| rows.take(line, found, out))
    }

    fn finish(&mut self, out: &mut Examples) -> Result<(), Failure> {
        let Self { reader, rows } = self;
        reader.finish(|line, found| rows.take(line, found, out))
    }
}

impl Rows {
    fn take(&self, line: u32, found: Found<'_>, out: &mut Examples) {
        let result = match found {
            Found::TooLong => Err("the record is longer than `max_record_bytes`".to_owned()),
            Found::Record(bytes) | Found::Tree(bytes) => text::utf8(bytes, line).and_then(|text| {
                self.row(text, line, out).or_else(|reason| match words::as_null(text) {
                    Cow::Owned(text) if reason.starts_with("not JSON") => self.row(&text, line, out),
                    _ => Err(reason),
                })
            }),
        };
        if let Err(reason) = result {
            out.reject(line, reason);
        }
    }

    fn row(&self, text: &str, line: u32, out: &mut Examples) -> Result<(), String> {
        let record = Object::parse(text)?;
        let prompt = first(&record, &self.prompt);
        let before = prompt.map(|(field, value)| turns::read(value, true).map_err(|what| within(field, &what)));
        let before = before.transpose()?.unwrap_or_default();
        let chosen = self.side(&record, &self.chosen, &before)?;
        let rejected = self.side(&record, &self.rejected, &before)?;
        if chosen.0 != rejected.0 {
            return Err("the chosen and the rejected answer stand behind different prompts".to_owned());
        }
        let (conversation, [chosen, rejected]) = (chosen.0, [chosen.1, rejected.1]);
        // `side` has checked that the user speaks last.
        let Some((last, context)) = conversation.split_last() else { return Ok(()) };
        let context = turns::transcript(context);
        let group = format!("prompt-{:016x}", digest(&format!("{context}\n\n{}", last.text.trim())));
        let of = |paths: &[String]| {
            first(&record, paths).map(|(field, value)| object::text(value).map_err(|what| within(field, &what)))
        };
        let id = of(&self.id).transpose()?.unwrap_or_default();
        let label = match &self.label_value {
            Some(label) => label.into(),
            None => of(&self.label).transpose()?.unwrap_or_default(),
        };
        let used = [&self.prompt, &self.chosen, &self.rejected, &self.id, &self.label];
        let is_used = |key: &str| used.iter().any(|paths| paths.iter().any(|path| path == key));
        let extra = if self.extra { fields::extra(&record, is_used)? } else { String::new() };
        let base = Example { instruction: last.text.trim(), group: &group, extra_json: &extra, ..Example::default() };
        if self.which == Which::Prompt {
            let (id, input) = (id.as_ref(), context.as_str());
            out.push(line, Example { id, input, output: chosen.trim(), label: &label, ..base });
            return Ok(());
        }
        for (side, (answer, own)) in
            ["chosen", "rejected"].into_iter().zip([chosen, rejected].iter().zip(&self.side_labels))
        {
            if answer.trim().is_empty() {
                out.reject(line, format!("the {side} answer is empty"));
                continue;
            }
            let id = if id.is_empty() { String::new() } else { format!("{id}-{side}") };
            let input = turns::with_answer(&context, answer.trim());
            let label = own.as_deref().unwrap_or(&label);
            out.push(line, Example { id: &id, input: &input, label, ..base });
        }
        Ok(())
    }

    /// The turns before an answer, and the answer.
    fn side(&self, record: &Object<'_>, paths: &[String], before: &[Turn]) -> Result<(Vec<Turn>, String), String> {
        let (field, value) =
            first(record, paths).ok_or_else(|| format!("the record has no field `{}`", paths.join("` or `")))?;
        let own = turns::read(value, false).map_err(|what| within(field, &what))?;
        // A side that begins with the user holds the whole conversation.
        let mut turns = if own.first().is_some_and(|turn| turn.is_user) { own } else { [before, &own].concat() };
        match turns.pop() {
            Some(answer) if !answer.is_user => match turns.last() {
                Some(turn) if turn.is_user => Ok((turns, answer.text)),
                Some(_) => {
                    Err(within(field, "expected a turn of the user before the answer, found one of the assistant"))
                }
                None => Err(within(field, "there is no prompt: neither in a field of its own nor before the answer")),
            },
            _ => Err(within(field, "expected an answer at the end, found a turn of the user")),
        }
    }
}

fn within(field: &str, what: &str) -> String {
    format!("field `{field}`: {what}")
}

/// The first of the paths that exists, and the value there.
fn first<'n, 'a>(record: &Object<'a>, paths: &'n [String]) -> Option<(&'n str, &'a str)> {
    paths.iter().find_map(|path| Some((path.as_str(), record.get(path)?)))
}

/// FNV-1a in 64 bits: a name of a prompt, the same on every machine.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
