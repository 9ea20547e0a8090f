//! Golden cases: what converters make of small sources, and mappers of small examples. A case is a table of
//! `cases/*.toml`; a case without `examples`, `rejected` or `failure` expects none.

use serde::Deserialize;
use serde_json::Value;

use super::{Converted, Row, convert, decide, root};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConverterFile {
    case: Vec<ConverterCase>,
}

/// A source and what becomes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConverterCase {
    name: String,
    pub(super) plugin: String,
    #[serde(default = "empty")]
    pub(super) config: Value,
    /// The source as text.
    #[serde(default)]
    source: String,
    /// The source in hexadecimal, for what is no text.
    hex: Option<String>,
    #[serde(default)]
    examples: Vec<ExpectedRow>,
    #[serde(default)]
    rejected: Vec<(u32, String)>,
    /// A part of the message.
    failure: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ExpectedRow {
    line: u32,
    id: String,
    instruction: String,
    input: String,
    output: String,
    label: String,
    group: String,
    extra: String,
}

impl Default for ExpectedRow {
    fn default() -> Self {
        let empty = String::new;
        let (id, instruction, input, output) = (empty(), empty(), empty(), empty());
        Self { line: 1, id, instruction, input, output, label: empty(), group: empty(), extra: empty() }
    }
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

impl ConverterCase {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let Some(hex) = &self.hex else { return self.source.clone().into_bytes() };
        let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    pub(super) fn title(&self) -> String {
        format!("{}: {}", self.plugin, self.name)
    }

    fn check(&self, found: &Converted) -> Result<(), String> {
        let rows: Vec<Row> = self
            .examples
            .iter()
            .map(|row| Row {
                line: row.line,
                id: row.id.clone(),
                instruction: row.instruction.clone(),
                input: row.input.clone(),
                output: row.output.clone(),
                label: row.label.clone(),
                group: row.group.clone(),
                extra: row.extra.clone(),
            })
            .collect();
        let failure = match (&self.failure, &found.failure) {
            (Some(part), Some(message)) => message.contains(part.as_str()),
            (expected, found) => expected.is_none() && found.is_none(),
        };
        if failure && rows == found.rows && self.rejected == found.rejected {
            return Ok(());
        }
        Err(format!(
            "{}\n  expected {rows:#?} {:#?} {:?}\n  found {found:#?}",
            self.title(),
            self.rejected,
            self.failure
        ))
    }
}

/// The cases of all converters.
pub(super) fn converter_cases() -> Vec<ConverterCase> {
    ["jsonl", "json-array", "chat", "alpaca", "csv"]
        .iter()
        .flat_map(|name| {
            let path = root().join(format!("tests/plugins/cases/{name}.toml"));
            let text = std::fs::read_to_string(&path).unwrap();
            toml::from_str::<ConverterFile>(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())).case
        })
        .collect()
}

#[test]
fn converters_make_of_small_sources_what_the_cases_say() {
    let cases = converter_cases();
    assert!(cases.len() > 60, "{} cases", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let bytes = case.bytes();
            case.check(&convert(&case.plugin, &case.config, [bytes.as_slice()])).err()
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapperFile {
    case: Vec<MapperCase>,
}

/// A mapper's configuration, and examples with what it decides.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapperCase {
    name: String,
    plugin: String,
    #[serde(default = "empty")]
    config: Value,
    #[serde(default)]
    rows: Vec<Decided>,
    /// A part of the message.
    failure: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Decided {
    instruction: String,
    input: String,
    output: String,
    label: String,
    group: String,
    id: String,
    extra: String,
    /// The name of a label,
    is: Option<String>,
    /// or the reason of a rejection.
    because: Option<String>,
}

impl Default for Decided {
    fn default() -> Self {
        let empty = String::new;
        let (id, input, output, label) = (empty(), empty(), empty(), empty());
        let (group, extra) = (empty(), empty());
        Self { instruction: "ask".to_owned(), id, input, output, label, group, extra, is: None, because: None }
    }
}

#[test]
fn mappers_decide_as_the_cases_say() {
    let mut wrong = Vec::new();
    for name in ["four-class", "table"] {
        let path = root().join(format!("tests/plugins/cases/{name}.toml"));
        let text = std::fs::read_to_string(&path).unwrap();
        let file: MapperFile = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for case in &file.case {
            if let Err(message) = case.check() {
                wrong.push(format!("{}: {}: {message}", case.plugin, case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl MapperCase {
    fn check(&self) -> Result<(), String> {
        let rows: Vec<Row> = self
            .rows
            .iter()
            .map(|row| Row {
                line: 1,
                id: row.id.clone(),
                instruction: row.instruction.clone(),
                input: row.input.clone(),
                output: row.output.clone(),
                label: row.label.clone(),
                group: row.group.clone(),
                extra: row.extra.clone(),
            })
            .collect();
        match (decide(&self.plugin, &self.config, &rows), &self.failure) {
            (Err(error), Some(part)) if error.to_string().contains(part.as_str()) => Ok(()),
            (Err(error), expected) => Err(format!("failed: {error}\n  expected {expected:?}")),
            (Ok(_), Some(part)) => Err(format!("expected a failure with `{part}`")),
            (Ok(decisions), None) => {
                for (row, decision) in self.rows.iter().zip(decisions) {
                    let expected = match (&row.is, &row.because) {
                        (Some(label), None) => Ok(label.clone()),
                        (None, Some(reason)) => Err(reason.clone()),
                        _ => return Err(format!("a row needs `is` or `because`: {row:?}")),
                    };
                    if decision != expected {
                        return Err(format!("{row:?}\n  found {decision:?}"));
                    }
                }
                Ok(())
            }
        }
    }
}
