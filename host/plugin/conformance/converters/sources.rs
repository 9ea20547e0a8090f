//! Sources that are made up: the formats that a converter may read.

use serde_json::json;

/// A format, and how a source of it with so many records is made. Records are the same at every length.
pub(super) struct Format {
    pub(super) name: &'static str,
    pub(super) make: fn(usize) -> Vec<u8>,
}

/// The formats that are tried, in order.
pub(super) const FORMATS: [Format; 5] = [
    Format { name: "JSON lines", make: json_lines },
    Format { name: "a JSON array", make: json_array },
    Format { name: "CSV with a header", make: csv },
    Format { name: "conversations", make: conversations },
    Format { name: "plain lines", make: plain_lines },
];

/// Words beyond ASCII, and characters that formats escape.
const WORDS: [&str; 6] = ["make tea", "お茶を\u{3001}淹れる", "say \"no\"", "a\\b, c", "naïve \u{1F375}", "x"];
const LABELS: [&str; 4] = ["ALLOW", "ESCALATION", "DENY", "REFUSE"];

fn words(row: usize) -> String {
    format!("{} {row}", WORDS[row % WORDS.len()])
}

fn record(row: usize) -> serde_json::Value {
    json!({
        "id": format!("r{row}"),
        "instruction": words(row),
        "input": if row.is_multiple_of(3) { "" } else { "more\ttext" },
        "output": format!("answer {row}"),
        "label": LABELS[row % 4],
        "group": format!("g{}", row / 2),
        "kind": { "of": [row, null, true] },
    })
}

fn json_lines(rows: usize) -> Vec<u8> {
    (0..rows).flat_map(|row| format!("{}\n", record(row)).into_bytes()).collect()
}

fn json_array(rows: usize) -> Vec<u8> {
    let records: Vec<String> = (0..rows).map(|row| record(row).to_string()).collect();
    format!("[{}]\n", records.join(",\n ")).into_bytes()
}

fn csv(rows: usize) -> Vec<u8> {
    let mut out = b"id,instruction,input,output,label,group\r\n".to_vec();
    for row in 0..rows {
        let quoted = words(row).replace('"', "\"\"");
        out.extend(format!("r{row},\"{quoted}\",,\"two\nlines\",{},g{}\r\n", LABELS[row % 4], row / 2).bytes());
    }
    out
}

fn conversations(rows: usize) -> Vec<u8> {
    let line = |row| {
        json!({
            "id": format!("r{row}"),
            "conversations": [
                { "from": "human", "value": words(row) },
                { "from": "gpt", "value": format!("answer {row}") },
            ],
            "label": LABELS[row % 4],
        })
    };
    (0..rows).flat_map(|row| format!("{}\n", line(row)).into_bytes()).collect()
}

fn plain_lines(rows: usize) -> Vec<u8> {
    (0..rows).flat_map(|row| format!("{}\n", words(row).replace(['"', ',', '\\'], " ")).into_bytes()).collect()
}
