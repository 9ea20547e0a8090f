//! Prepared examples as JSON lines, with labels by name: `dataset.jsonl` (training) and `evaluation.jsonl`.

use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Example, LabelSet, Request};
use crate::{Error, Result, files};

/// A line; its texts are owned where it is read, and borrowed where it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<T: Default + AsRef<str>> {
    id: T,
    source: T,
    instruction: T,
    #[serde(default)]
    input: T,
    #[serde(default)]
    output: T,
    label: T,
    #[serde(default)]
    group: T,
    #[serde(default, skip_serializing_if = "is_empty")]
    category: T,
}

fn is_empty(text: &impl AsRef<str>) -> bool {
    text.as_ref().is_empty()
}

/// Writes examples, one a line, through a temporary name. The standard `jsonl` converter reads the file too.
pub fn write_examples(path: &Path, examples: &[Example], labels: &LabelSet) -> Result<()> {
    files::write_with(path, |file| {
        let mut bytes = Vec::new();
        for example in examples {
            let line = Line {
                id: example.id.as_str(),
                source: &example.source,
                instruction: &example.request.instruction,
                input: &example.request.input,
                output: &example.output,
                label: labels.name(example.label),
                group: &example.group,
                category: &example.category,
            };
            bytes.clear();
            serde_json::to_writer(&mut bytes, &line)?;
            bytes.push(b'\n');
            file.write_all(&bytes)?;
        }
        Ok(())
    })
}

/// Reads what [`write_examples`] wrote.
///
/// # Errors
/// A line that is not such an object, or whose label is not in the set, with file and line.
pub fn read_examples(path: &Path, labels: &LabelSet) -> Result<Vec<Example>> {
    let text = files::read_text(path)?;
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            let at = || format!("{}:{}", path.display(), index + 1);
            let line: Line<String> = serde_json::from_str(line).map_err(|e| Error::data(format!("{}: {e}", at())))?;
            Ok(Example {
                label: labels.id(&line.label).map_err(|e| e.context(at()))?,
                id: line.id,
                source: line.source,
                request: Request { instruction: line.instruction, input: line.input },
                output: line.output,
                group: line.group,
                category: line.category,
            })
        })
        .collect()
}
