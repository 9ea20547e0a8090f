//! The JSON that `jsonl` scans itself is the JSON that serde_json reads: made-up lines, whole and damaged, held against each other.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};

use super::{Random, Row, convert};

#[test]
fn lines_are_taken_as_serde_json_takes_them() {
    let mut random = Random(11);
    let mut lines: Vec<String> = (0..6000).map(|number| line(&mut random, number)).collect();
    for line in lines.iter_mut().skip(1500) {
        damage(line, &mut random);
    }
    let text = lines.join("\n");
    let found = convert("jsonl", &json!({}), text.as_bytes().chunks(4096));
    assert_eq!(found.failure, None);
    let mut rows: BTreeMap<u32, Row> = found.rows.into_iter().map(|row| (row.line, row)).collect();
    let rejected: BTreeMap<u32, String> = found.rejected.into_iter().collect();
    let (mut taken, mut refused) = (0, 0);
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()) {
        let number = index as u32 + 1;
        match expected(line) {
            Ok((instruction, extra)) => {
                let row =
                    rows.remove(&number).unwrap_or_else(|| panic!("{line}\nis refused: {:?}", rejected.get(&number)));
                let own = if row.extra.is_empty() { "{}" } else { &row.extra };
                assert_eq!(
                    (row.instruction, serde_json::from_str::<Value>(own).unwrap()),
                    (instruction, extra),
                    "{line}"
                );
                taken += 1;
            }
            Err(why) => {
                let reason = rejected.get(&number).unwrap_or_else(|| panic!("{line}\nis taken, although {why}"));
                assert!(!reason.is_empty(), "{line}");
                refused += 1;
            }
        }
    }
    assert!(
        rows.is_empty() && taken > 2000 && refused > 1000,
        "{} rows more, {taken} taken, {refused} refused",
        rows.len()
    );
}

#[test]
fn a_record_is_read_alike_whatever_came_before_it() {
    // Records of a few layouts, whose values are of all sorts; a third of them is damaged.
    const LAYOUTS: [(&[&str], [&str; 4]); 5] = [
        (&["id", "instruction", "output", "label", "tag"], ["{", ":", ",", "}"]),
        (&["instruction", "safety_label", "label", "four_class_label", "", "input"], ["{ ", ": ", ", ", " }"]),
        (&["tag", "instruction", "label"], ["{", " : ", " ,\t", "}"]),
        (&["instruction", "meta", "group"], ["{", ":", ",", "}"]),
        (&["group", "id", "output"], ["{", ":", ",", "}"]),
    ];
    let mut random = Random(23);
    let mut lines = Vec::new();
    for number in 0..1500 {
        let (keys, [begin, colon, comma, end]) = LAYOUTS[random.below(LAYOUTS.len())];
        let mut field = |key: &&str| match *key {
            "instruction" if number % 16 > 0 => format!("\"instruction\"{colon}\"what {number}\""),
            key => format!("\"{key}\"{colon}{}", value(&mut random, 3)),
        };
        let fields: Vec<String> = keys.iter().map(&mut field).collect();
        let mut line = format!("{begin}{}{end}", fields.join(comma));
        if number % 3 == 0 {
            damage(&mut line, &mut random);
        }
        lines.push(line);
    }
    let configurations = [json!({}), json!({"output": ["meta.0", "output"], "label_value": "row {row}"})];
    for configuration in configurations {
        let together = convert("jsonl", &configuration, [lines.join("\n").as_bytes()]);
        let alone = lines.iter().enumerate().map(|(index, line)| {
            let mut alone = convert("jsonl", &configuration, [line.as_bytes()]);
            let number = index as u32 + 1;
            // Records are counted within a source: a line of spaces is none.
            alone.rows.iter_mut().for_each(|row| row.line = number);
            alone.rejected.iter_mut().for_each(|(line, _)| *line = number);
            alone
        });
        let (mut rows, mut rejected) = (Vec::new(), Vec::new());
        for alone in alone {
            rows.extend(alone.rows);
            rejected.extend(alone.rejected);
        }
        if configuration.get("label_value").is_some() {
            let last = &together.rows.last().expect("a row").label;
            assert!(last.as_str() > "row 1400" && last.len() == 8, "the records are counted: {last}");
            rows.iter_mut().zip(&together.rows).for_each(|(row, other)| row.label.clone_from(&other.label));
        }
        assert!(rows.len() > 500 && rejected.len() > 500, "{} rows, {} rejected", rows.len(), rejected.len());
        for (together, alone) in together.rows.iter().zip(&rows) {
            assert_eq!(together, alone, "{}", lines[alone.line as usize - 1]);
        }
        assert_eq!((together.rows.len(), together.rejected, together.failure), (rows.len(), rejected, None));
    }
}

/// The instruction and the other fields of a line, or why it is refused.
fn expected(line: &str) -> Result<(String, Value), String> {
    if !line.trim_ascii_start().starts_with('{') {
        return Err("it is no object".to_owned());
    }
    let Fields(fields) = serde_json::from_str(line).map_err(|e| format!("not JSON: {e}"))?;
    let mut extra = serde_json::Map::new();
    let mut instruction = None;
    for (key, value) in fields {
        if extra.contains_key(&key) || (key == "instruction" && instruction.is_some()) {
            return Err("a field occurs twice".to_owned());
        }
        match (key.as_str(), value) {
            ("instruction", value) => instruction = Some(value),
            (_, value) => drop(extra.insert(key, value)),
        }
    }
    match instruction {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok((text, Value::Object(extra))),
        other => Err(format!("the instruction is {other:?}")),
    }
}

/// The fields of an object, those that occur twice among them.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// A record with fields of all sorts, `instruction` somewhere among them.
fn line(random: &mut Random, number: usize) -> String {
    let mut fields: Vec<String> =
        (0..random.below(6)).map(|i| format!("{}:{}", key(random, i), value(random, 0))).collect();
    let text = string(random);
    fields.insert(random.below(fields.len() + 1), format!("\"instruction\":{}{number}\"", &text[..text.len() - 1]));
    format!("{{{}}}", fields.join(if random.below(4) == 0 { " ,\t" } else { "," }))
}

/// Distinct keys that become no column; some with an escape.
fn key(random: &mut Random, index: usize) -> String {
    match random.below(8) {
        0 => format!("\"k\\u00e9{index}\""),
        1 => format!(" \"鍵{index}\" "),
        _ => format!("\"key {index}\""),
    }
}

fn value(random: &mut Random, depth: usize) -> String {
    let nested = |random: &mut Random| (0..random.below(4)).map(|_| value(random, depth + 1)).collect::<Vec<_>>();
    match random.below(if depth < 4 { 9 } else { 7 }) {
        0 => "true".to_owned(),
        1 => "null".to_owned(),
        2 => ["0", "-1", "12.50", "1e5", "-0.0E-2", "123456789012345678901", "9e99"][random.below(7)].to_owned(),
        7 => format!("[{}]", nested(random).join(", ")),
        8 => {
            let values = nested(random);
            let fields = values.iter().enumerate().map(|(index, value)| format!("\"{index}\": {value}"));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        _ => string(random),
    }
}

fn string(random: &mut Random) -> String {
    const PARTS: [&str; 14] = [
        "a",
        "some words in a row",
        "日本語の文",
        "é",
        "\\n",
        "\\\"",
        "\\\\",
        "\\u3042",
        "\\ud83d\\ude00",
        " ",
        "{}[],:",
        "0",
        "\u{7f}",
        "👍",
    ];
    let parts: String = (0..random.below(9)).map(|_| PARTS[random.below(PARTS.len())]).collect();
    format!("\"{parts}\"")
}

/// Takes out, puts in, or exchanges up to two characters.
fn damage(line: &mut String, random: &mut Random) {
    const MARKS: [char; 22] = [
        '{', '}', '[', ']', '"', '\\', ',', ':', ' ', '\t', '\r', '0', '1', '-', '+', '.', 'e', 'u', 'n', 't', '\u{1}',
        'あ',
    ];
    for _ in 0..random.below(3) {
        let mut characters: Vec<char> = line.chars().collect();
        let at = random.below(characters.len());
        match random.below(3) {
            0 => drop(characters.remove(at)),
            1 => characters.insert(at, MARKS[random.below(MARKS.len())]),
            _ => characters[at] = MARKS[random.below(MARKS.len())],
        }
        if !characters.is_empty() {
            *line = characters.into_iter().collect();
        }
    }
}
