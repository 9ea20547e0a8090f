//! Rows of the earlier pipeline whose output thinks aloud before it decides (`four_class_*`, `thinking_*`). Every variant that is
//! met becomes the whole form: each part in its tags, the decision last. What is out of order is repaired, and counted in the
//! log; what cannot be repaired is rejected.

use std::collections::BTreeMap;

use serde::Deserialize;
use so8t_plugin_sdk::config::OneOrMany;
use so8t_plugin_sdk::{About, Converter, Examples, Failure, about, export_converter, log};
use so8t_records::fields::{Dialogue, Fields, FieldsConfig};
use so8t_records::json::{Framing, Reader};
use so8t_records::object::{self, Object};
use so8t_thinking::{Repair, parse};

/// The manifest's `config` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    id: Option<OneOrMany>,
    instruction: Option<OneOrMany>,
    input: Option<OneOrMany>,
    output: Option<OneOrMany>,
    label: Option<OneOrMany>,
    group: Option<OneOrMany>,
    id_value: Option<String>,
    label_value: Option<String>,
    group_value: Option<String>,
    plain: Option<bool>,
    extra: Option<bool>,
    max_record_bytes: Option<usize>,
}

/// The converter.
pub struct QuadrupleThinking {
    reader: Reader,
    fields: Fields,
    thinking: Outputs,
}

/// The outputs of a source.
struct Outputs {
    instruction: Vec<String>,
    output: Vec<String>,
    plain: bool,
    /// How many were repaired, and what was.
    repaired: u64,
    repairs: BTreeMap<&'static str, u64>,
}

export_converter!(QuadrupleThinking);

impl Converter for QuadrupleThinking {
    type Config = Config;
    const ABOUT: About = about!("quadruple-thinking", include_str!("../config.json"));

    fn open(config: Config) -> Result<Self, Failure> {
        let names = |given: &Option<OneOrMany>, default: &str| {
            given.clone().map_or_else(|| vec![default.to_owned()], OneOrMany::into_vec)
        };
        let thinking = Outputs {
            instruction: names(&config.instruction, "instruction"),
            output: names(&config.output, "output"),
            plain: config.plain.unwrap_or(false),
            repaired: 0,
            repairs: BTreeMap::new(),
        };
        let fields = FieldsConfig {
            id: config.id,
            instruction: config.instruction,
            input: config.input,
            output: config.output,
            label: config.label,
            group: config.group,
            id_value: config.id_value,
            label_value: config.label_value,
            group_value: config.group_value,
            extra: config.extra,
            max_record_bytes: config.max_record_bytes,
        };
        let reader = Reader::new(Framing::Either, fields.max_record_bytes());
        Ok(Self { reader, fields: fields.resolve()?, thinking })
    }

    fn push(&mut self, chunk: &[u8], out: &mut Examples) -> Result<(), Failure> {
        let Self { reader, fields, thinking } = self;
        reader.push(chunk, |line, found| fields.read_with(line, found, out, |record| thinking.read(record)))
    }

    fn finish(&mut self, out: &mut Examples) -> Result<(), Failure> {
        let Self { reader, fields, thinking } = self;
        reader.finish(|line, found| fields.read_with(line, found, out, |record| thinking.read(record)))?;
        fields.finish();
        thinking.report();
        Ok(())
    }
}

impl Outputs {
    /// The instruction of a record, and its output in the whole form.
    fn read(&mut self, record: &Object<'_>) -> Result<Option<Dialogue>, String> {
        let (_, instruction) = text(record, &self.instruction)?;
        let (field, output) = text(record, &self.output)?;
        let wrong = |what: String| format!("field `{field}`: {what}");
        let output = match parse(&output) {
            None if self.plain => output.trim().to_owned(),
            None => {
                return Err(wrong(
                    "expected thinking such as `<think-task>…</think-task>…<final>…</final>`, found none".into(),
                ));
            }
            Some(thinking) => {
                let whole = thinking.whole().map_err(wrong)?;
                self.repaired += u64::from(!thinking.repairs.is_empty());
                for repair in thinking.repairs {
                    *self.repairs.entry(name(repair)).or_default() += 1;
                }
                whole
            }
        };
        Ok(Some(Dialogue { field, instruction, output }))
    }

    /// Says in the log what was repaired.
    fn report(&self) {
        if self.repaired > 0 {
            let what: Vec<String> = self.repairs.iter().map(|(name, count)| format!("{count} × {name}")).collect();
            log::warn(&format!("{} outputs were repaired: {}", self.repaired, what.join(", ")));
        }
    }
}

/// The first of the fields that exists, and its text.
fn text(record: &Object<'_>, paths: &[String]) -> Result<(String, String), String> {
    let found = paths.iter().find_map(|path| Some((path, record.get(path)?)));
    let (path, value) = found.ok_or_else(|| format!("the record has no field `{}`", paths.join("` or `")))?;
    let text = object::text(value).map_err(|found| format!("field `{path}`: {found}"))?;
    Ok((path.clone(), text.into_owned()))
}

fn name(repair: Repair) -> &'static str {
    match repair {
        Repair::Bracket => "a tag without its first bracket",
        Repair::Unopened => "a part that was never opened",
        Repair::Unclosed => "a part that was never closed",
        Repair::Mismatched => "a part closed under another name",
        Repair::Stray => "text outside of all parts, dropped",
    }
}
