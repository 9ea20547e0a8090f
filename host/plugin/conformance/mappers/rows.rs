//! Examples for the laws of mappers: made up, or a converter's.

use serde_json::{Map, Value, json};

use crate::conformance::bytes::escaped;
use crate::conformance::shrink::{Parts, Simpler};
use so8t_data::{ExampleColumns, Texts};
use so8t_evaluate::Random;

/// One example; what it lacks is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// A name that is stable within the source.
    pub id: String,
    /// What the user asks for.
    pub instruction: String,
    /// Text that the instruction is about.
    pub input: String,
    /// The answer that the source holds.
    pub output: String,
    /// The label as the source spells it.
    pub label: String,
    /// What must not straddle a split.
    pub group: String,
    /// The record's other fields, as a JSON object.
    pub extra_json: String,
}

impl Row {
    /// The rows of columns.
    pub fn of(columns: &ExampleColumns) -> Vec<Self> {
        let text = |column: &Texts, row: usize| column.get(row).unwrap_or_default().to_owned();
        let row = |row| Self {
            id: text(&columns.id, row),
            instruction: text(&columns.instruction, row),
            input: text(&columns.input, row),
            output: text(&columns.output, row),
            label: text(&columns.label, row),
            group: text(&columns.group, row),
            extra_json: text(&columns.extra_json, row),
        };
        (0..columns.rows()).map(row).collect()
    }

    fn fields(&self) -> [(&'static str, &String); 7] {
        [
            ("id", &self.id),
            ("instruction", &self.instruction),
            ("input", &self.input),
            ("output", &self.output),
            ("label", &self.label),
            ("group", &self.group),
            ("extra-json", &self.extra_json),
        ]
    }
}

/// Rows as a mapper takes them; a column that is empty in every row is lacking.
pub(super) fn columns(rows: &[Row]) -> ExampleColumns {
    let column = |of: fn(&Row) -> &String| match rows.iter().all(|row| of(row).is_empty()) {
        true => Texts::lacking(),
        false => rows.iter().map(|row| of(row).as_str()).collect(),
    };
    ExampleColumns {
        id: column(|row| &row.id),
        instruction: rows.iter().map(|row| row.instruction.as_str()).collect(),
        input: column(|row| &row.input),
        output: column(|row| &row.output),
        label: column(|row| &row.label),
        group: column(|row| &row.group),
        extra_json: column(|row| &row.extra_json),
    }
}

impl Simpler for Row {
    fn simpler(&self) -> Vec<Self> {
        type Field = fn(&mut Row) -> &mut String;
        let fields: [Field; 7] = [
            |row| &mut row.id,
            |row| &mut row.instruction,
            |row| &mut row.input,
            |row| &mut row.output,
            |row| &mut row.label,
            |row| &mut row.group,
            |row| &mut row.extra_json,
        ];
        let mut simpler = Vec::new();
        for field in fields {
            let text = field(&mut self.clone()).clone();
            // An instruction is never empty, and half of a JSON object is none.
            let is_object = text.starts_with('{');
            let shorter = match text.chars().count() {
                0 => continue,
                1 | 2 => vec![String::new()],
                count if !is_object => vec![String::new(), text.chars().take(count / 2).collect()],
                _ => vec![String::new(), "{}".to_owned()],
            };
            for text in shorter.into_iter().filter(|shorter| *shorter != text) {
                let mut row = self.clone();
                *field(&mut row) = text;
                if !row.instruction.is_empty() {
                    simpler.push(row);
                }
            }
        }
        simpler
    }
}

/// Texts that stand in the place of labels and are none.
pub(super) fn odd_labels() -> Vec<String> {
    let mut all: Vec<String> = [
        "",
        " ",
        "\t\r\n",
        "\0",
        "ALLOW\0",
        "\u{feff}ALLOW",
        "ＡＬＬＯＷ",
        "ALLOW ",
        "ALLOW,DENY",
        "allow|deny",
        "\u{202e}WOLLA",
        "\u{1F6AB}",
        "e\u{301}",
        "ß",
        "İ",
        "null",
        "NaN",
        "-1",
        "0",
        "4",
        "255",
        "254",
        "1e9",
        "0x1",
        "true",
        "[]",
        "{}",
        "\"ALLOW\"",
        "<|ALLOW|>",
        "<||>",
        "<|",
        "'",
        "\\",
        "%s",
        "${x}",
        "../..",
    ]
    .map(String::from)
    .into();
    all.push("\u{1F6AB}".repeat(250_000));
    all.push("x".repeat(1 << 20));
    all
}

/// Rows with the labels of a set, in several spellings, with words that are no labels, and with none at all.
pub(in crate::conformance) fn made_up(count: usize, labels: &[String], random: &mut Random) -> Vec<Row> {
    let words = ["", "safe", "unsafe", "0", "1", "yes", "no", "unknown", "benign", "harmful"];
    let row = |index: usize| {
        let label = match random.below(4) {
            0 => words[random.below(words.len() as u64) as usize].to_owned(),
            1 => labels[random.below(labels.len() as u64) as usize].to_lowercase(),
            _ => labels[random.below(labels.len() as u64) as usize].clone(),
        };
        let score = random.below(10);
        Row {
            id: format!("r{index}"),
            instruction: format!("request {index}"),
            input: if random.below(2) == 0 { String::new() } else { "more".into() },
            output: format!("answer {}", random.below(50)),
            group: format!("g{}", index / 3),
            extra_json: format!(
                r#"{{"kind":"{}","score":{score},"deep":{{"er":[{score},null]}}}}"#,
                words[score as usize]
            ),
            label,
        }
    };
    (0..count).map(row).collect()
}

/// Rows for people, part by part, and for programs.
pub(super) fn show(rows: &Parts<Row>) -> (String, Value) {
    let (count, parts) = (rows.items.len(), rows.cuts.len() + 1);
    let mut text = format!("{count} {}", if count == 1 { "row" } else { "rows" });
    if parts > 1 {
        text.push_str(&format!(" in {parts} batches"));
    }
    for (number, part) in rows.parts().enumerate() {
        /// So many rows are written out for people.
        const SHOWN: usize = 12;
        if count > SHOWN {
            break;
        }
        let prefix = if parts > 1 { format!("batch {}: ", number + 1) } else { String::new() };
        if part.is_empty() && parts > 1 {
            text.push_str(&format!("\n{prefix}no rows"));
        }
        for row in part {
            let filled = row.fields().into_iter().filter(|(_, value)| !value.is_empty());
            let words: Vec<String> = filled.map(|(name, value)| format!("{name} {}", short(value))).collect();
            text.push_str(&format!("\n{prefix}{}", words.join(", ")));
        }
    }
    /// So many rows are written out for programs.
    const KEPT: usize = 1000;
    let value = |row: &Row| {
        let filled = row.fields().into_iter().filter(|(_, value)| !value.is_empty());
        Value::Object(filled.map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>())
    };
    let value = match count > KEPT {
        true => json!({ "rows": count, "parts": parts }),
        false => Value::Array(rows.parts().map(|part| part.iter().map(value).collect()).collect()),
    };
    (text, value)
}

fn short(text: &str) -> String {
    let cut = text.char_indices().nth(60).map(|(at, _)| at);
    match cut {
        Some(at) => format!("\"{}…\" ({} bytes)", escaped(&text.as_bytes()[..at]), text.len()),
        None => format!("{text:?}"),
    }
}
