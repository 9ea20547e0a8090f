//! Golden cases: what converters make of small sources, and mappers of small examples. A case is a table of
//! `cases/*.toml`; a case without `examples`, `rejected` or `failure` expects none.

use serde::Deserialize;
use serde_json::Value;

use super::{CONVERTERS, Converted, MAPPERS, Row, convert, decide, root};

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
    examples: Vec<Row>,
    #[serde(default)]
    rejected: Vec<(u32, String)>,
    /// A part of the message.
    failure: Option<String>,
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
        let failure = match (&self.failure, &found.failure) {
            (Some(part), Some(message)) => message.contains(part.as_str()),
            (expected, found) => expected.is_none() && found.is_none(),
        };
        if failure && self.examples == found.rows && self.rejected == found.rejected {
            return Ok(());
        }
        Err(format!(
            "{}\n  expected {:#?} {:#?} {:?}\n  found {found:#?}",
            self.title(),
            self.examples,
            self.rejected,
            self.failure
        ))
    }
}

/// The cases of all converters.
pub(super) fn converter_cases() -> Vec<ConverterCase> {
    CONVERTERS
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

#[test]
fn samples_beside_the_sources_are_read_whole() {
    let read = |name: &str, config: &str| {
        let bytes = std::fs::read(root().join(format!("plugins/{name}/sample.jsonl"))).unwrap();
        convert(name, &serde_json::from_str(config).unwrap(), [bytes.as_slice()])
    };
    for (name, config, rows) in [
        ("quadruple-thinking", "{}", 4),
        ("hh-rlhf", r#"{"label_value": "ALLOW"}"#, 3),
        ("hh-rlhf", r#"{"examples": "answers", "chosen_label": "ALLOW", "rejected_label": "DENY"}"#, 6),
    ] {
        let found = read(name, config);
        assert_eq!((found.rows.len(), found.rejected.len(), found.failure), (rows, 0, None), "{name}");
        assert!(found.rows.iter().all(|row| !row.label.is_empty()), "{name}");
        let groups: std::collections::BTreeSet<&str> = found.rows.iter().map(|row| row.group.as_str()).collect();
        assert_eq!(groups.len(), if name == "hh-rlhf" { 3 } else { 1 }, "{name}: a prompt is a group");
    }
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

/// An example, of which only what matters is written, and what is decided about it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "toml::Table")]
struct Decided {
    row: Row,
    /// `is`, the name of a label; or `because`, the reason of a rejection.
    expected: Result<String, String>,
}

impl TryFrom<toml::Table> for Decided {
    type Error = String;

    fn try_from(mut fields: toml::Table) -> Result<Self, String> {
        let mut text = |key: &str| fields.remove(key).and_then(|value| value.as_str().map(str::to_owned));
        let expected = match (text("is"), text("because")) {
            (Some(label), None) => Ok(label),
            (None, Some(reason)) => Err(reason),
            _ => return Err(format!("a row needs `is` or `because`: {fields:?}")),
        };
        fields.entry("instruction").or_insert_with(|| "ask".into());
        Ok(Self { row: fields.try_into().map_err(|error: toml::de::Error| error.to_string())?, expected })
    }
}

#[test]
fn mappers_decide_as_the_cases_say() {
    let mut wrong = Vec::new();
    for name in MAPPERS {
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
        let rows: Vec<Row> = self.rows.iter().map(|decided| decided.row.clone()).collect();
        match (decide(&self.plugin, &self.config, &rows), &self.failure) {
            (Err(error), Some(part)) if error.to_string().contains(part.as_str()) => Ok(()),
            (Err(error), expected) => Err(format!("failed: {error}\n  expected {expected:?}")),
            (Ok(_), Some(part)) => Err(format!("expected a failure with `{part}`")),
            (Ok(decisions), None) => {
                for (Decided { row, expected }, decision) in self.rows.iter().zip(decisions) {
                    if decision != *expected {
                        return Err(format!("{row:?}\n  found {decision:?}"));
                    }
                }
                Ok(())
            }
        }
    }
}
