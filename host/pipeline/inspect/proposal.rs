//! The manifest entry that would read a file.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::LabelValue;
use super::fields::Candidate;
use super::format::Format;
use super::known::Known;
use crate::plugin::presets::{self, Role};

/// How a file is to be read.
pub(super) struct Proposal {
    name: String,
    path: String,
    pub(super) encoding: Option<String>,
    /// The converter's name in the entry, where it is a preset or needs no configuration.
    converter: Option<String>,
    pub(super) component: String,
    pub(super) config: Map<String, Value>,
    /// What the labels mean; `None` until they are counted.
    pub(super) mapping: Option<Mapping>,
}

/// What labels mean.
pub(super) struct Mapping {
    /// The mapper's name in the entry, where it is a preset or needs no configuration.
    name: Option<String>,
    pub(super) component: String,
    pub(super) config: Map<String, Value>,
    /// What the user should know before they believe it.
    note: Option<&'static str>,
}

impl Proposal {
    pub(super) fn new(path: &Path, stem: &str, format: Format, known: Option<Known>, candidates: &[Candidate]) -> Self {
        let mut proposal = Self {
            name: source_name(path, stem),
            path: path.display().to_string(),
            encoding: None,
            converter: None,
            component: String::new(),
            config: Map::new(),
            mapping: None,
        };
        if let Some(known) = known {
            proposal.converter = Some(known.converter.to_owned());
            if let Some(preset) = presets::find(known.converter, Role::Converter) {
                proposal.component.clone_from(&preset.component);
                proposal.config = object(&preset.config);
                proposal.mapping = known.mapper.and_then(Mapping::preset);
                return proposal;
            }
            proposal.component = known.converter.to_owned();
            for candidate in candidates.iter().filter(|candidate| matches!(candidate.column, "id" | "label" | "group"))
            {
                let taken = matches!(known.converter, "hh-rlhf") && candidate.column == "group";
                if !taken {
                    proposal.take(candidate);
                }
            }
        } else {
            let fields: Vec<&str> = candidates.iter().map(|candidate| candidate.field.as_str()).collect();
            proposal.component = match format {
                Format::Delimited { .. } => "csv",
                Format::JsonArray if ["instruction", "output"].iter().all(|name| fields.contains(name)) => "alpaca",
                Format::JsonArray => "json-array",
                Format::JsonLines => "jsonl",
            }
            .to_owned();
            if let Format::Delimited { delimiter, header } = format {
                if delimiter != ',' {
                    proposal.config.insert("delimiter".to_owned(), json!(delimiter));
                }
                if !header {
                    proposal.config.insert("header".to_owned(), json!(false));
                    proposal.config.insert("trim".to_owned(), json!(true));
                }
            }
            for candidate in candidates {
                match format {
                    // Without a header a column is a number.
                    Format::Delimited { header: false, .. } => {
                        if let Ok(number) = candidate.field.parse::<u32>() {
                            proposal.config.insert(candidate.column.to_owned(), json!(number));
                        }
                    }
                    _ => proposal.take(candidate),
                }
            }
            if proposal.config.is_empty() {
                proposal.converter = Some(proposal.component.clone());
            }
        }
        if !proposal.config.is_empty() {
            proposal.converter = None;
        }
        proposal
    }

    /// Takes a field for a column, where that needs to be said.
    fn take(&mut self, candidate: &Candidate) {
        let usual = match candidate.column {
            "label" => {
                ["four_class_label", "safety_label", "safety_judgment", "label"].contains(&candidate.field.as_str())
            }
            column => column == candidate.field,
        };
        if !usual {
            self.config.insert(candidate.column.to_owned(), json!(candidate.field));
        }
    }
}

impl Mapping {
    fn preset(name: &str) -> Option<Self> {
        let preset = presets::find(name, Role::Mapper)?;
        let config = object(&preset.config);
        Some(Self { name: Some(name.to_owned()), component: preset.component.clone(), config, note: None })
    }

    /// The mapper for these labels: `four-class` where it knows them all, a table to be filled in where it does not.
    pub(super) fn of(labels: &[LabelValue]) -> Self {
        let there: Vec<&LabelValue> = labels.iter().filter(|label| !label.value.trim().is_empty()).collect();
        let plain = |note| Self {
            name: Some("four-class".to_owned()),
            component: "four-class".to_owned(),
            config: Map::new(),
            note,
        };
        if there.is_empty() {
            let note = "No label was found. This says that every request is ALLOW: look through them first, or name a field with labels.";
            return Self { note: Some(note), ..Self::preset("allow-all").unwrap_or_else(|| plain(Some(note))) };
        }
        let known = there.iter().filter(|label| label.four_class.is_ok()).count();
        if known == there.len() {
            let some = there.len() < labels.len();
            return plain(some.then_some("Records without a label are rejected."));
        }
        if there.iter().all(|label| ["safe", "unsafe"].contains(&label.value.trim().to_lowercase().as_str())) {
            let config = object(&json!({"binary": true, "unsafe": "REFUSE"}));
            let note = "`unsafe` may be ESCALATION, DENY or REFUSE: say which.";
            return Self { name: None, component: "four-class".to_owned(), config, note: Some(note) };
        }
        if there.len() > MANY {
            return plain(Some("The labels are many, and not those of four classes: is this the right field?"));
        }
        let rules: Vec<Value> = there
            .iter()
            .map(|label| match &label.four_class {
                Ok(name) => json!({"column": "label", "equals": label.value, "label": name}),
                Err(_) => json!({"column": "label", "equals": label.value, "exclude": "its meaning was not said"}),
            })
            .collect();
        let note = "Say what each value means: replace `exclude` with `label = \"ALLOW\"`, `\"ESCALATION\"`, `\"DENY\"` or `\"REFUSE\"`.";
        Self { name: None, component: "table".to_owned(), config: object(&json!({"rules": rules})), note: Some(note) }
    }
}

/// More labels than these are no classes.
const MANY: usize = 24;

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// A name for the source: the file's, in letters that a TOML key takes.
fn source_name(path: &Path, stem: &str) -> String {
    let stem = match path.is_dir() {
        true => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        false => stem.to_owned(),
    };
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() { "data".to_owned() } else { name }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, labels) = (format!("{}-rows", self.name), format!("{}-labels", self.name));
        writeln!(f, "[[data]]\nname = {}\npath = {}", text(&self.name), text(&self.path))?;
        if let Some(encoding) = &self.encoding {
            writeln!(f, "encoding = {}", text(encoding))?;
        }
        writeln!(f, "converter = {}", text(self.converter.as_ref().unwrap_or(&rows)))?;
        let mapping = self.mapping.as_ref();
        if let Some(note) = mapping.and_then(|mapping| mapping.note) {
            writeln!(f, "# {note}")?;
        }
        let name = mapping.map_or("four-class", |mapping| mapping.name.as_deref().unwrap_or(&labels));
        writeln!(f, "mapper = {}", text(name))?;
        if self.converter.is_none() {
            write_plugin(f, &rows, &self.component, &self.config)?;
        }
        match mapping {
            Some(Mapping { name: None, component, config, .. }) => write_plugin(f, &labels, component, config),
            _ => Ok(()),
        }
    }
}

fn write_plugin(f: &mut fmt::Formatter<'_>, name: &str, component: &str, config: &Map<String, Value>) -> fmt::Result {
    writeln!(f, "\n[plugins.{name}]\ncomponent = {}", text(&format!("builtin:{component}")))?;
    for (key, value) in config {
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                writeln!(f, "config.{key} = [")?;
                for item in items {
                    writeln!(f, "    {},", inline(item))?;
                }
                writeln!(f, "]")?;
            }
            value => writeln!(f, "config.{key} = {}", inline(value))?,
        }
    }
    Ok(())
}

fn text(text: &str) -> String {
    inline(&Value::from(text))
}

/// A value in one line of TOML.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::String(text) => {
            // A basic string of TOML: what a terminal would obey is written as escapes.
            let obeyed = |c: char| {
                c.is_control()
                    || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            let escaped: String = text
                .chars()
                .map(|c| match c {
                    '"' => "\\\"".to_owned(),
                    '\\' => "\\\\".to_owned(),
                    c if obeyed(c) => format!("\\u{:04X}", u32::from(c)),
                    c => c.to_string(),
                })
                .collect();
            format!("\"{escaped}\"")
        }
        other => other.to_string(),
    }
}
