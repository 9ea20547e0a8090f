//! What the fields of records hold, and which of them may be id, instruction, input, output, label and group.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::Value;

use super::format::Record;

/// One field over the records that were looked at.
#[derive(Clone, Debug, Serialize)]
pub struct FieldSummary {
    /// Its name.
    pub name: String,
    /// `text`, `number`, `truth value`, `array`, `object`, or several of these.
    pub kind: String,
    /// The share of records in which it is there and not empty.
    pub filled: f64,
    /// How many different values it has.
    pub distinct: usize,
    /// The mean number of characters of its values.
    pub mean_length: f64,
    /// The first value that is not empty, cut.
    pub example: String,
    /// The most frequent values with their counts, where there are few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<(String, usize)>,
}

/// A field that may be a column of the examples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// `id`, `instruction`, `input`, `output`, `label` or `group`.
    pub column: &'static str,
    /// The field.
    pub field: String,
    /// Why.
    pub reason: String,
}

/// A field with no more values than these may be a label.
const FEW: usize = 24;

/// The fields in the order in which they are first seen.
pub(super) fn summaries(records: &[Record]) -> Vec<FieldSummary> {
    let mut order: Vec<&str> = Vec::new();
    let mut seen = HashSet::new();
    for (name, _) in records.iter().flatten() {
        if seen.insert(name.as_str()) {
            order.push(name);
        }
    }
    order.into_iter().map(|name| summary(name, records)).collect()
}

fn summary(name: &str, records: &[Record]) -> FieldSummary {
    let mut kinds: Vec<&str> = Vec::new();
    let mut values: BTreeMap<String, usize> = BTreeMap::new();
    let (mut filled, mut length, mut example) = (0_usize, 0_usize, String::new());
    for value in records.iter().filter_map(|record| record.iter().find(|(own, _)| own == name).map(|(_, value)| value))
    {
        let (kind, text) = match value {
            Value::Null => continue,
            Value::String(text) => ("text", text.clone()),
            Value::Number(number) => ("number", number.to_string()),
            Value::Bool(truth) => ("truth value", truth.to_string()),
            Value::Array(_) => ("array", value.to_string()),
            Value::Object(_) => ("object", value.to_string()),
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
        if text.trim().is_empty() {
            continue;
        }
        filled += 1;
        length += text.chars().count();
        if example.is_empty() {
            example = text.chars().take(120).collect();
        }
        *values.entry(text).or_default() += 1;
    }
    let distinct = values.len();
    let mut values: Vec<(String, usize)> = if distinct <= FEW { values.into_iter().collect() } else { Vec::new() };
    values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    FieldSummary {
        name: name.to_owned(),
        kind: if kinds.is_empty() { "null".to_owned() } else { kinds.join(", ") },
        filled: filled as f64 / records.len().max(1) as f64,
        distinct,
        mean_length: length as f64 / filled.max(1) as f64,
        example,
        values,
    }
}

const INSTRUCTIONS: [&str; 18] = [
    "instruction",
    "prompt",
    "question",
    "query",
    "request",
    "goal",
    "behavior",
    "user_input",
    "user",
    "text",
    "message",
    "content",
    "sentence",
    "comment",
    "body",
    "指示",
    "質問",
    "本文",
];
const INPUTS: [&str; 4] = ["input", "context", "contextstring", "入力"];
const OUTPUTS: [&str; 7] = ["output", "response", "answer", "completion", "reply", "出力", "回答"];
const LABELS: [&str; 14] = [
    "four_class_label",
    "safety_label",
    "safety_judgment",
    "label",
    "decision",
    "class",
    "category",
    "verdict",
    "is_safe",
    "safe",
    "unsafe",
    "toxic",
    "ラベル",
    "判定",
];
const GROUPS: [&str; 8] =
    ["group", "conversation_id", "thread_id", "session_id", "dialogue_id", "user_id", "prompt_id", "pair_id"];

/// The fields that may be columns, at most one for each, told by their names first and by what they hold where no name tells.
pub(super) fn candidates(fields: &[FieldSummary]) -> Vec<Candidate> {
    let named = |names: &[&str], fits: &dyn Fn(&FieldSummary) -> bool| {
        names.iter().find_map(|name| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name) && fits(field)))
    };
    let is_text = |field: &FieldSummary| field.kind == "text" && field.filled > 0.5;
    let by_name = |column, field: &FieldSummary| Candidate {
        column,
        field: field.name.clone(),
        reason: format!("its name; {:.0} % filled", 100.0 * field.filled),
    };
    let mut found: Vec<Candidate> = Vec::new();

    let distinct = |field: &FieldSummary| field.distinct > 1 && field.filled > 0.99 && field.mean_length <= 64.0;
    let is_id = |field: &FieldSummary| {
        let name = field.name.to_lowercase();
        matches!(name.as_str(), "id" | "uid" | "uuid" | "key" | "q_id" | "behaviorid") || name == "question_id"
    };
    found.extend(fields.iter().find(|field| is_id(field) && distinct(field)).map(|field| by_name("id", field)));

    let longest = || {
        let longer = |a: &&FieldSummary, b: &&FieldSummary| a.mean_length.total_cmp(&b.mean_length);
        fields.iter().filter(|field| is_text(field) && field.distinct > 1).max_by(longer)
    };
    match named(&INSTRUCTIONS, &is_text) {
        Some(field) => found.push(by_name("instruction", field)),
        None => found.extend(longest().or_else(|| fields.iter().find(|field| is_text(field))).map(|field| Candidate {
            column: "instruction",
            field: field.name.clone(),
            reason: format!("the longest text, {:.0} characters in the mean", field.mean_length),
        })),
    }
    let taken = |found: &[Candidate], field: &FieldSummary| found.iter().any(|own| own.field == field.name);
    let texts = |field: &FieldSummary| field.kind == "text" && !taken(&found, field);
    let (input, output) = (named(&INPUTS, &texts).cloned(), named(&OUTPUTS, &texts).cloned());
    found.extend(input.map(|field| by_name("input", &field)));
    found.extend(output.map(|field| by_name("output", &field)));

    let few = |field: &FieldSummary| {
        let is_scalar = !field.kind.contains("array") && !field.kind.contains("object");
        !field.values.is_empty() && is_scalar && field.mean_length <= 40.0 && !taken(&found, field)
    };
    let label = named(&LABELS, &few).map(|field| Candidate {
        column: "label",
        field: field.name.clone(),
        reason: format!("its name; {} different values", field.distinct),
    });
    found.extend(label);
    let repeats = |field: &FieldSummary| field.filled > 0.99 && !taken(&found, field);
    let group = named(&GROUPS, &repeats).map(|field| by_name("group", field));
    found.extend(group);
    found
}
