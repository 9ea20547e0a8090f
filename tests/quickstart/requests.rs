//! Reads the quick start's data files by other means than the plugins.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// One row of one file.
pub(super) struct Row {
    pub file: &'static str,
    /// Instruction and input.
    pub request: String,
    pub label: String,
    pub group: String,
}

impl Row {
    /// Whether the instruction is in Japanese.
    pub fn is_japanese(&self) -> bool {
        self.request.lines().next().is_some_and(|line| line.chars().any(|c| ('\u{3040}'..='\u{30ff}').contains(&c)))
    }
}

/// `examples/quickstart`.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart")
}

/// Every row of the three files.
pub(super) fn rows() -> Vec<Row> {
    let read = |name: &str| std::fs::read_to_string(folder().join("data").join(name)).unwrap();
    let mut rows = Vec::new();
    for file in ["thinking_requests.jsonl", "four_class_requests.jsonl"] {
        for line in read(file).lines() {
            let object: Value = serde_json::from_str(line).unwrap();
            let text =
                |name: &str| object[name].as_str().unwrap_or_else(|| panic!("{file}: {name}: {line}")).to_owned();
            rows.push(Row {
                file,
                request: format!("{}\n{}", text("instruction"), text("input")).trim().to_owned(),
                label: text("safety_label"),
                group: text("group"),
            });
        }
    }
    for line in read("prompts.csv").lines().skip(1) {
        // The label and the scenario are never quoted.
        let mut fields = line.rsplitn(3, ',');
        let (group, label, prompt) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
        let prompt = match prompt.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"').unwrap().replace("\"\"", "\""),
            None => prompt.to_owned(),
        };
        let label = if label == "escalate" { "ESCALATION".to_owned() } else { label.to_uppercase() };
        rows.push(Row { file: "prompts.csv", request: prompt, label, group: group.to_owned() });
    }
    rows
}
