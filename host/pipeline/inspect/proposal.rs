//! The manifest entry that would read a file.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::LabelValue;
use super::fields::{Candidate, POSSIBLE, Told};
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
    /// What must be said before there can be a converter.
    unread: Option<String>,
    /// What labels mean; `None` until they are counted.
    pub(super) mapping: Option<Mapping>,
}

/// What labels mean.
pub(super) struct Mapping {
    /// The mapper's name in the entry, where it is a preset or needs no configuration.
    name: Option<String>,
    pub(super) component: String,
    pub(super) config: Map<String, Value>,
    /// What the user should know before they believe it, or must say where it is open: a line each.
    notes: Vec<String>,
    /// Whether there is none: the entry is an error until the user names one.
    pub(super) is_open: bool,
    /// A table to begin with, as comments behind an open entry.
    begin: Option<Value>,
}

impl Proposal {
    pub(super) fn new(path: &Path, stem: &str, format: Format, known: Option<Known>, told: &Told) -> Self {
        let mut proposal = Self {
            name: source_name(path, stem),
            path: path.display().to_string(),
            encoding: None,
            converter: None,
            component: String::new(),
            config: Map::new(),
            unread: None,
            mapping: None,
        };
        match known {
            Some(known) => proposal.read_as(known, format, told),
            None => proposal.read_columns(format, told),
        }
        if !proposal.config.is_empty() {
            proposal.converter = None;
        }
        if let Some(known) = known.filter(|known| proposal.is_preset(known, format)) {
            proposal.converter = Some(known.converter.to_owned());
        }
        proposal
    }

    /// Whether a known set is in the format that its preset reads.
    fn is_preset(&self, known: &Known, format: Format) -> bool {
        presets::find(known.converter, Role::Converter).is_some_and(|preset| {
            let is_plain = !matches!(format, Format::Delimited { delimiter, .. } if delimiter != ',');
            preset.component == self.component && is_plain
        })
    }

    /// As a known set, or as records of a known sort.
    fn read_as(&mut self, known: Known, format: Format, told: &Told) {
        if let Some(preset) = presets::find(known.converter, Role::Converter) {
            self.component.clone_from(&preset.component);
            self.config = object(&preset.config);
            // The same fields in another format are read by that format's converter.
            if FRAMES.contains(&preset.component.as_str()) {
                component_of(format).clone_into(&mut self.component);
                self.delimit(format);
            }
            self.mapping = known.mapper.and_then(Mapping::preset);
            if let Some(question) = known.question {
                self.mapping = Some(Mapping::open(vec![question.to_owned()], None));
            }
            return;
        }
        self.converter = Some(known.converter.to_owned());
        self.component = known.converter.to_owned();
        let wanted = |candidate: &&Candidate| matches!(candidate.column, "id" | "label" | "group");
        for candidate in told.candidates.iter().filter(wanted) {
            let taken = matches!(known.converter, "hh-rlhf") && candidate.column == "group";
            if !taken {
                self.take(candidate, told);
            }
        }
    }

    /// By columns, as far as they could be told.
    fn read_columns(&mut self, format: Format, told: &Told) {
        let fields: Vec<&str> = told.candidates.iter().map(|candidate| candidate.field.as_str()).collect();
        self.component = match format {
            Format::JsonArray if ["instruction", "output"].iter().all(|name| fields.contains(name)) => "alpaca",
            format => component_of(format),
        }
        .to_owned();
        self.delimit(format);
        if matches!(format, Format::Delimited { header: false, .. }) {
            self.config.insert("header".to_owned(), json!(false));
            self.config.insert("trim".to_owned(), json!(true));
        }
        for candidate in told.candidates.iter().filter(|candidate| candidate.column != POSSIBLE) {
            match format {
                // Without a header a column is a number.
                Format::Delimited { header: false, .. } => {
                    if let Ok(number) = candidate.field.parse::<u32>() {
                        self.config.insert(candidate.column.to_owned(), json!(number));
                    }
                }
                _ => self.take(candidate, told),
            }
        }
        if self.config.is_empty() {
            self.converter = Some(self.component.clone());
        }
        if !told.unsure.is_empty() {
            self.unread = Some(format!(
                "Which field is the request? Name it as `config.instruction` of the converter below, and the converter: {}",
                listed(&told.unsure)
            ));
            self.config.insert("instruction".to_owned(), json!(OPEN));
        }
    }

    fn delimit(&mut self, format: Format) {
        if let Format::Delimited { delimiter, .. } = format
            && delimiter != ','
        {
            self.config.insert("delimiter".to_owned(), json!(delimiter));
        }
    }

    /// Whether no converter could be told: nothing can be tried.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.is_some()
    }

    /// Whether the user must say something before the entry can be used.
    pub(super) fn is_open(&self) -> bool {
        self.is_unread() || self.mapping.as_ref().is_none_or(|mapping| mapping.is_open)
    }

    /// Takes a field for a column, where that needs to be said.
    fn take(&mut self, candidate: &Candidate, told: &Told) {
        let usual = match candidate.column {
            // A converter takes the first of its names that is there.
            "label" => {
                let names = ["four_class_label", "safety_label", "safety_judgment", "label"];
                names.into_iter().find(|name| told.names.iter().any(|own| own == name)) == Some(&candidate.field)
            }
            column => column == candidate.field,
        };
        if !usual {
            self.config.insert(candidate.column.to_owned(), json!(candidate.field));
        }
    }
}

/// The converters of single formats.
const FRAMES: [&str; 3] = ["csv", "jsonl", "json-array"];

fn component_of(format: Format) -> &'static str {
    match format {
        Format::Delimited { .. } => "csv",
        Format::JsonArray | Format::JsonTree => "json-array",
        Format::JsonLines => "jsonl",
    }
}

/// What stands where the user must say something; no plugin is called so.
const OPEN: &str = "?";

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Mapping {
    fn preset(name: &str) -> Option<Self> {
        let preset = presets::find(name, Role::Mapper)?;
        let config = object(&preset.config);
        Some(Self { name: Some(name.to_owned()), component: preset.component.clone(), config, ..Self::four_class() })
    }

    fn four_class() -> Self {
        Self {
            name: Some("four-class".to_owned()),
            component: "four-class".to_owned(),
            config: Map::new(),
            notes: Vec::new(),
            is_open: false,
            begin: None,
        }
    }

    fn open(notes: Vec<String>, begin: Option<Value>) -> Self {
        Self { name: Some(OPEN.to_owned()), notes, is_open: true, begin, ..Self::four_class() }
    }

    /// The mapper for these labels: `four-class` where it knows them all, a table to be filled in where it does not, and none where
    /// no field is known to say what the requests are.
    pub(super) fn of(labels: &[LabelValue], told: &Told, from_converter: bool) -> Self {
        let there: Vec<&LabelValue> = labels.iter().filter(|label| !label.value.trim().is_empty()).collect();
        let chosen = told.candidates.iter().find(|candidate| candidate.column == "label");
        if there.is_empty() || there.len() > MANY || (chosen.is_none() && !from_converter) {
            return Self::question(told);
        }
        let with =
            |note: Option<&str>| Self { notes: note.map(str::to_owned).into_iter().collect(), ..Self::four_class() };
        let missing = (there.len() < labels.len()).then_some("Records without a label are rejected.");
        if there.iter().all(|label| label.four_class.is_ok()) {
            let numbers = there.iter().all(|label| label.value.trim().parse::<f64>().is_ok());
            let mut mapping = with(missing);
            if numbers {
                let note = "`0` to `3` are read as ALLOW, ESCALATION, DENY and REFUSE: is that what they mean?";
                mapping.notes.push(note.to_owned());
            }
            return mapping;
        }
        if there.iter().all(|label| ["safe", "unsafe"].contains(&label.value.trim().to_lowercase().as_str())) {
            if told.has_answers {
                // A safe answer to a harmful request would be taken for a harmless request.
                return Self::of_answers(told, &there);
            }
            let config = object(&json!({"binary": true, "unsafe": "REFUSE"}));
            let note = "`unsafe` may be ESCALATION, DENY or REFUSE: say which.";
            return Self { name: None, config, ..with(Some(note)) };
        }
        let rules: Vec<Value> = there
            .iter()
            .map(|label| match &label.four_class {
                Ok(name) => json!({"column": "label", "equals": label.value, "label": name}),
                Err(_) => json!({"column": "label", "equals": label.value, "exclude": "its meaning was not said"}),
            })
            .collect();
        let note = "Say what each value means: replace `exclude` with `label = \"ALLOW\"`, `\"ESCALATION\"`, `\"DENY\"` or `\"REFUSE\"`.";
        let mut mapping = Self {
            name: None,
            component: "table".to_owned(),
            config: object(&json!({"rules": rules})),
            ..with(Some(note))
        };
        let others = possible(told);
        if !others.is_empty() {
            mapping.notes.push("Other fields may say more of the requests:".to_owned());
            mapping.notes.extend(others);
        }
        mapping
    }

    /// The entry left open because the label may be that of the answers.
    fn of_answers(told: &Told, there: &[&LabelValue]) -> Self {
        let chosen = told.candidates.iter().find(|candidate| candidate.column == "label");
        let name = chosen.map_or("label", |candidate| candidate.field.as_str());
        let values: Vec<String> = there.iter().map(|label| format!("{} ({})", label.value, label.count)).collect();
        let notes = vec![
            format!("Does `{name}` speak of the request, or of the answer beside it? A safe answer does not make a request harmless."),
            format!("  {name}: {}", values.join(", ")),
            "Where it speaks of the request, name `four-class` with `binary = true` and `unsafe`, or a table with a rule for each value.".to_owned(),
        ];
        Self::open(notes, None)
    }

    /// The entry left open: what may be a label, and what can be done.
    pub(super) fn question(told: &Told) -> Self {
        let others = possible(told);
        let mut notes =
            vec!["What are these requests? No field is known to say which of the four classes each has.".to_owned()];
        if !others.is_empty() {
            notes.push("A field may say it; these have few values:".to_owned());
            notes.extend(others);
            notes.push("Then name a table as mapper, with a rule for each value, as begun below.".to_owned());
        }
        notes.push(
            "Where all requests are of one class, look through them, give the converter `config.label_value` with that class,".to_owned(),
        );
        notes.push("and name `four-class` as mapper.".to_owned());
        let first = told.candidates.iter().find(|candidate| candidate.column == POSSIBLE);
        Self::open(notes, first.map(|candidate| json!(candidate.field)))
    }
}

/// The fields that may be labels, with their values, a line each.
fn possible(told: &Told) -> Vec<String> {
    let possible = told.candidates.iter().filter(|candidate| candidate.column == POSSIBLE);
    possible.map(|candidate| format!("  {}: {}", candidate.field, candidate.reason)).collect()
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
        if let Some(question) = &self.unread {
            writeln!(f, "{}", comment(question))?;
        }
        let converter = if self.is_unread() { OPEN } else { self.converter.as_ref().unwrap_or(&rows) };
        writeln!(f, "converter = {}", text(converter))?;
        let mapping = self.mapping.as_ref();
        for note in mapping.into_iter().flat_map(|mapping| &mapping.notes) {
            writeln!(f, "{}", comment(note))?;
        }
        let name = mapping.map_or(OPEN, |mapping| mapping.name.as_deref().unwrap_or(&labels));
        writeln!(f, "mapper = {}", text(name))?;
        if self.converter.is_none() {
            write_plugin(f, &rows, &self.component, &self.config)?;
        }
        match mapping {
            Some(Mapping { name: None, component, config, .. }) => write_plugin(f, &labels, component, config),
            Some(Mapping { begin: Some(Value::String(field)), .. }) => {
                let column = text(&format!("extra.{field}"));
                writeln!(f, "\n# [plugins.{labels}]\n# component = \"builtin:table\"\n# config.rules = [")?;
                writeln!(f, "#     {{ column = {column}, equals = \"…\", label = \"…\" }},\n# ]")
            }
            _ => Ok(()),
        }
    }
}

/// A comment of one line: what a terminal would obey is taken out.
fn comment(line: &str) -> String {
    let plain: String = line.chars().map(|c| if c.is_control() || is_obeyed(c) { '\u{fffd}' } else { c }).collect();
    format!("# {plain}")
}

/// Whether a character turns the direction of what follows, or breaks a line.
fn is_obeyed(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
            let obeyed = |c: char| c.is_control() || is_obeyed(c);
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
