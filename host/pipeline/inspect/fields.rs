//! What the fields of records hold, and which of them may be id, instruction, input, output, label and group.
//!
//! A field is judged by what most of its values are: one odd value costs its record and nothing else. The request is a field with a
//! telling name, or the only one that holds free text; where several may be it, none is taken.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::Value;

use super::format::Record;

/// One field over the records that were looked at.
#[derive(Clone, Debug, Serialize)]
pub struct FieldSummary {
    /// Its name.
    pub name: String,
    /// `text`, `number`, `truth value`, `list of texts`, `array`, `object`, or several of these, the most frequent first.
    pub kind: String,
    /// The share of records in which it is there and not empty.
    pub filled: f64,
    /// How many different values it has.
    pub distinct: usize,
    /// The mean number of characters of the values that are of its most frequent kind.
    pub mean_length: f64,
    /// The first value that is not empty, cut.
    pub example: String,
    /// The most frequent values with their counts, where there are few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<(String, usize)>,
    #[serde(skip)]
    sort: Option<Sort>,
    /// How many values are not empty.
    #[serde(skip)]
    count: usize,
    /// Whether all values are numbers or truth values, as text too.
    #[serde(skip)]
    is_numeric: bool,
}

/// What most values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Text,
    Number,
    Truth,
    Texts,
    Turns,
    Array,
    Object,
}

impl Sort {
    fn of(value: &Value) -> Option<Self> {
        let all = |items: &[Value], test: fn(&Value) -> bool| !items.is_empty() && items.iter().all(test);
        Some(match value {
            Value::Null => return None,
            Value::String(_) => Self::Text,
            Value::Number(_) => Self::Number,
            Value::Bool(_) => Self::Truth,
            Value::Array(items) if all(items, Value::is_string) => Self::Texts,
            Value::Array(items) if all(items, Value::is_object) => Self::Turns,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Truth => "truth value",
            Self::Texts => "list of texts",
            Self::Turns | Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// A field that may be a column of the examples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// `id`, `instruction`, `input`, `output`, `label` or `group`; `label?` for a field that may say what the requests are, and of
    /// which that is not known.
    pub column: &'static str,
    /// The field.
    pub field: String,
    /// Why.
    pub reason: String,
}

/// The column of a field that may be a label.
pub(super) const POSSIBLE: &str = "label?";

/// A field with no more values than these may be a label.
const FEW: usize = 24;
/// A label is no longer than this, in characters.
const SHORT: f64 = 48.0;

impl FieldSummary {
    /// Whether most values are lists of texts, as the turns of a conversation are.
    pub(super) fn is_list_of_texts(&self) -> bool {
        self.sort == Some(Sort::Texts)
    }

    /// Whether most values are lists of objects, or lists of any kind.
    pub(super) fn is_turns(&self) -> bool {
        matches!(self.sort, Some(Sort::Turns | Sort::Array))
    }

    fn is_text(&self) -> bool {
        self.sort == Some(Sort::Text) && !self.is_numeric
    }

    fn is_scalar(&self) -> bool {
        matches!(self.sort, Some(Sort::Text | Sort::Number | Sort::Truth))
    }

    /// Whether its values come again and again.
    fn repeats(&self) -> bool {
        !self.values.is_empty() && self.count >= 2 * self.distinct
    }

    /// Whether its values are numbers, or words for decisions.
    fn decides(&self) -> bool {
        let decides = |(value, _): &&(String, usize)| DECISIONS.contains(&value.trim().to_lowercase().as_str());
        let words = self.values.iter().filter(decides).count() * 10 >= 9 * self.distinct;
        self.is_numeric || (words && !self.values.is_empty())
    }

    /// Whether its values are those of a label: words for decisions, numbers, or a few short texts that come again and again.
    fn is_label_like(&self) -> bool {
        self.decides() || (self.repeats() && self.mean_length <= SHORT)
    }

    /// Whether its values are tags that come again and again: a few words each, and no sentences.
    fn is_tags(&self) -> bool {
        let tag = |(value, _): &&(String, usize)| {
            let value = value.trim();
            value.split_whitespace().count() <= 3
                && value.chars().count() <= 32
                && !value.ends_with(['.', '!', '?', '。', '！', '？'])
        };
        self.count >= 3 * self.distinct
            && !self.values.is_empty()
            && self.values.iter().filter(tag).count() * 5 >= 4 * self.distinct
    }

    /// Whether most of its values are texts, and none of its values speak against requests; its name must speak for them.
    fn may_be_request(&self) -> bool {
        (self.is_text() || self.is_list_of_texts()) && self.filled > 0.5 && !self.decides() && !self.is_tags()
    }
}

/// Words that decide about a request.
const DECISIONS: [&str; 34] = [
    "allow",
    "allowed",
    "escalation",
    "escalate",
    "deny",
    "denied",
    "refuse",
    "refused",
    "refusal",
    "compliance",
    "safe",
    "unsafe",
    "harmful",
    "unharmful",
    "harmless",
    "benign",
    "malicious",
    "toxic",
    "non-toxic",
    "nontoxic",
    "block",
    "blocked",
    "pass",
    "accept",
    "reject",
    "yes",
    "no",
    "true",
    "false",
    "none",
    "hate",
    "offensive",
    "normal",
    "neutral",
];

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
    let mut sorts: Vec<(Sort, usize, usize)> = Vec::new();
    let mut values: BTreeMap<String, usize> = BTreeMap::new();
    let (mut filled, mut example, mut is_numeric) = (0_usize, String::new(), true);
    for value in records.iter().filter_map(|record| record.iter().find(|(own, _)| own == name).map(|(_, value)| value))
    {
        let Some(sort) = Sort::of(value) else { continue };
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if text.trim().is_empty() {
            continue;
        }
        let length = text.chars().count();
        match sorts.iter_mut().find(|(own, ..)| *own == sort) {
            Some((_, count, total)) => (*count, *total) = (*count + 1, *total + length),
            None => sorts.push((sort, 1, length)),
        }
        filled += 1;
        is_numeric &= is_number(&text);
        if example.is_empty() {
            example = text.chars().take(120).collect();
        }
        *values.entry(text).or_default() += 1;
    }
    sorts.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
    let distinct = values.len();
    let mut values: Vec<(String, usize)> = if distinct <= FEW { values.into_iter().collect() } else { Vec::new() };
    values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut kinds: Vec<&str> = sorts.iter().map(|(sort, ..)| sort.name()).collect();
    kinds.dedup();
    FieldSummary {
        name: name.to_owned(),
        kind: if kinds.is_empty() { "null".to_owned() } else { kinds.join(", ") },
        filled: filled as f64 / records.len().max(1) as f64,
        distinct,
        mean_length: sorts.first().map_or(0.0, |(_, count, total)| *total as f64 / *count as f64),
        example,
        values,
        sort: sorts.first().map(|(sort, ..)| *sort),
        count: filled,
        is_numeric: is_numeric && filled > 0,
    }
}

fn is_number(text: &str) -> bool {
    let text = text.trim();
    text.parse::<f64>().is_ok() || text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

const IDS: [&str; 9] = ["id", "uid", "uuid", "key", "q_id", "qid", "behaviorid", "question_id", "conv_id"];
const INSTRUCTIONS: [&str; 24] = [
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
    "utterance",
    "turns",
    "prompts",
    "turn",
    "comment_text",
    "指示",
    "質問",
    "本文",
    "入力文",
];
/// What the names of requests end with.
const INSTRUCTION_ENDS: [&str; 6] = ["_prompt", "_question", "_query", "_instruction", "_request", "_message"];
const INPUTS: [&str; 4] = ["input", "context", "contextstring", "入力"];
const OUTPUTS: [&str; 7] = ["output", "response", "answer", "completion", "reply", "出力", "回答"];
/// The names of fields that say what the requests are, the most explicit first.
const LABELS: [&str; 11] = [
    "four_class_label",
    "safety_label",
    "safety_judgment",
    "label",
    "labels",
    "gold_label",
    "decision",
    "verdict",
    "ラベル",
    "判定",
    "class",
];
/// Parts of names that speak of harm.
const HARM: [&str; 15] = [
    "harm",
    "safe",
    "toxic",
    "risk",
    "danger",
    "flagged",
    "violat",
    "jailbreak",
    "refus",
    "hate",
    "offensive",
    "abus",
    "moderat",
    "severity",
    "malicious",
];
/// Parts of names of fields that are never the request, however long their texts are.
const OTHERS: [&str; 27] = [
    "categor",
    "label",
    "class",
    "style",
    "source",
    "lang",
    "model",
    "date",
    "time",
    "url",
    "tag",
    "topic",
    "risk",
    "harm",
    "policy",
    "response",
    "output",
    "answer",
    "completion",
    "reply",
    "explanation",
    "reason",
    "rationale",
    "target",
    "chosen",
    "rejected",
    "annotat",
];
/// Parts of names of fields that speak of the answer, and so say nothing of the request.
const OF_ANSWERS: [&str; 6] = ["response", "output", "answer", "completion", "reply", "better"];
const GROUPS: [&str; 8] =
    ["group", "conversation_id", "thread_id", "session_id", "dialogue_id", "user_id", "prompt_id", "pair_id"];

/// Whether a field by this name says what the requests are, whatever its values: numbers may then be classes.
pub(super) fn is_called_label(name: &str) -> bool {
    LABELS[..LABELS.len() - 1].iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether a name occurs in headers of tables of requests.
pub(super) fn is_known_name(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let lists: [&[&str]; 6] = [&IDS, &INSTRUCTIONS, &INPUTS, &OUTPUTS, &LABELS, &GROUPS];
    lists.iter().any(|list| list.contains(&name.as_str()))
}

/// What the fields may be.
pub(super) struct Told {
    /// Whether there are answers beside the requests, of which a label may speak.
    pub(super) has_answers: bool,
    /// The names of all fields.
    pub(super) names: Vec<String>,
    /// The fields that may be columns: at most one for each, and every field that may be a label.
    pub(super) candidates: Vec<Candidate>,
    /// The fields of which one must be the request, where none could be told; empty where one was.
    pub(super) unsure: Vec<String>,
}

/// Which fields are which columns, told by their names first and by what they hold where no name tells.
pub(super) fn tell(fields: &[FieldSummary]) -> Told {
    // A field of the record, or else one of an object in it.
    let named = |names: &[&str], fits: &dyn Fn(&FieldSummary) -> bool| {
        let find = |is: &dyn Fn(&FieldSummary, &str) -> bool| {
            names.iter().find_map(|name| fields.iter().find(|field| is(field, name) && fits(field)))
        };
        find(&|field, name| field.name.eq_ignore_ascii_case(name)).or_else(|| {
            find(&|field, name| field.name.rsplit_once('.').is_some_and(|(_, leaf)| leaf.eq_ignore_ascii_case(name)))
        })
    };
    let by_name = |column, field: &FieldSummary| Candidate {
        column,
        field: path(column, field),
        reason: format!("its name; {:.0} % filled", 100.0 * field.filled),
    };
    let mut found: Vec<Candidate> = Vec::new();
    let mut unsure = Vec::new();

    let distinct = |field: &FieldSummary| field.distinct > 1 && field.filled > 0.99 && field.mean_length <= 64.0;
    let is_id = |field: &FieldSummary| IDS.contains(&field.name.to_lowercase().as_str());
    found.extend(fields.iter().find(|field| is_id(field) && distinct(field)).map(|field| by_name("id", field)));

    match named(&INSTRUCTIONS, &FieldSummary::may_be_request) {
        Some(field) => found.push(by_name("instruction", field)),
        None => {
            let lower = |field: &FieldSummary| field.name.to_lowercase();
            let ends = |field: &&FieldSummary| INSTRUCTION_ENDS.iter().any(|end| lower(field).ends_with(end));
            let other = |field: &&FieldSummary| {
                let name = lower(field);
                OTHERS.iter().any(|part| name.contains(part)) || is_id(field) || name.ends_with("_id")
            };
            let free = |field: &&FieldSummary| {
                field.may_be_request()
                    && !field.is_label_like()
                    && field.distinct * 2 > field.count
                    && field.mean_length >= 12.0
                    && !other(field)
            };
            let telling: Vec<&FieldSummary> =
                fields.iter().filter(ends).filter(|field| field.may_be_request() && !other(field)).collect();
            let free: Vec<&FieldSummary> = fields.iter().filter(free).collect();
            match (telling.as_slice(), free.as_slice()) {
                ([only], _) => found.push(by_name("instruction", only)),
                ([], [only]) => found.push(Candidate {
                    column: "instruction",
                    field: path("instruction", only),
                    reason: format!("the only field of free text, {:.0} characters in the mean", only.mean_length),
                }),
                _ => {
                    let several = if telling.len() > 1 { telling } else { free };
                    let several = if several.is_empty() { fields.iter().collect() } else { several };
                    unsure = several.into_iter().map(|field| field.name.clone()).collect();
                }
            }
        }
    }
    let is_taken = |found: &[Candidate], field: &FieldSummary| {
        found.iter().any(|own| own.field == field.name || own.field == path("instruction", field))
    };
    let texts = |field: &FieldSummary| field.sort == Some(Sort::Text) && !field.decides() && !is_taken(&found, field);
    let (input, output) = (named(&INPUTS, &texts).cloned(), named(&OUTPUTS, &texts).cloned());
    found.extend(input.map(|field| by_name("input", &field)));
    found.extend(output.map(|field| by_name("output", &field)));
    let repeats = |field: &FieldSummary| field.filled > 0.99 && !is_taken(&found, field);
    let group = named(&GROUPS, &repeats).map(|field| by_name("group", field));
    found.extend(group);
    labels(fields, &mut found, &is_taken);
    let is_answer = |field: &FieldSummary| {
        let name = field.name.to_lowercase();
        field.is_text() && !field.is_label_like() && OF_ANSWERS.iter().any(|part| name.contains(part))
    };
    let has_answers = fields.iter().any(is_answer);
    Told { has_answers, names: fields.iter().map(|field| field.name.clone()).collect(), candidates: found, unsure }
}

/// The path to a field's text: of turns, the first.
fn path(column: &str, field: &FieldSummary) -> String {
    match column {
        "instruction" if field.is_list_of_texts() => format!("{}.0", field.name),
        _ => field.name.clone(),
    }
}

/// Adds the label, where one field says what the requests are, and every other field of few values.
fn labels(fields: &[FieldSummary], found: &mut Vec<Candidate>, is_taken: &dyn Fn(&[Candidate], &FieldSummary) -> bool) {
    let free = |field: &&FieldSummary| !is_taken(found, field);
    let few = |field: &&FieldSummary| !field.values.is_empty() && field.mean_length <= SHORT;
    let is_named = |field: &FieldSummary| LABELS.iter().any(|name| field.name.eq_ignore_ascii_case(name));
    let lower = |field: &FieldSummary| field.name.to_lowercase();
    let of_answers = |field: &FieldSummary| OF_ANSWERS.iter().any(|part| lower(field).contains(part));
    let harm = |field: &FieldSummary| HARM.iter().any(|part| lower(field).contains(part));
    let possible: Vec<&FieldSummary> = fields
        .iter()
        .filter(free)
        .filter(few)
        .filter(|field| field.repeats() || is_named(field) || harm(field) || field.is_label_like())
        .collect();
    let scalar = || possible.iter().copied().filter(|field| field.is_scalar());
    // Words of the four decisions say it themselves, if there is one such field.
    let says = |field: &FieldSummary| {
        field.values.iter().all(|(value, _)| FOUR.contains(&value.trim().to_lowercase().as_str())) && field.distinct > 1
    };
    let named = LABELS.iter().find_map(|name| scalar().find(|field| field.name.eq_ignore_ascii_case(name)));
    let speaking: Vec<&FieldSummary> = scalar().filter(|field| says(field)).collect();
    let harmful: Vec<&FieldSummary> = scalar().filter(|field| harm(field) && !of_answers(field)).collect();
    let chosen = match (speaking.as_slice(), named, harmful.as_slice()) {
        (_, Some(field), _) if says(field) => Some((field, "its name")),
        ([only], ..) if !of_answers(only) => Some((*only, "its values")),
        (_, Some(field), _) => Some((field, "its name")),
        // One flag about harm beside others would say half of it.
        (_, None, [only]) if possible.len() == 1 => Some((*only, "its name")),
        _ => None,
    };
    let label = chosen.map(|(field, why)| Candidate {
        column: "label",
        field: field.name.clone(),
        reason: format!("{why}; {} different values", field.distinct),
    });
    let others = possible.iter().filter(|field| chosen.is_none_or(|(own, _)| own.name != field.name));
    let others: Vec<Candidate> =
        others.map(|field| Candidate { column: POSSIBLE, field: field.name.clone(), reason: values(field) }).collect();
    found.extend(label);
    found.extend(others);
}

/// The spellings of the four decisions in words.
const FOUR: [&str; 5] = ["allow", "escalation", "escalate", "deny", "refuse"];

/// A field's values with their counts, the first of them.
fn values(field: &FieldSummary) -> String {
    let shown: Vec<String> = field.values.iter().take(6).map(|(value, count)| format!("{value} ({count})")).collect();
    let more = field.values.len().saturating_sub(shown.len());
    if more > 0 { format!("{}, and {more} more values", shown.join(", ")) } else { shown.join(", ") }
}
