//! Prepared examples as JSON lines, with labels by name: `dataset.jsonl` (training) and `evaluation.jsonl`.

use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Example, LabelSet, Request, Training};
use crate::{Error, Result, files};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    source: String,
    instruction: String,
    #[serde(default)]
    input: String,
    #[serde(default)]
    output: String,
    label: String,
    #[serde(default)]
    group: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    category: String,
    #[serde(default, skip_serializing_if = "Training::is_plain")]
    training: Training,
}

/// Writes examples, one a line, through a temporary name. The standard `jsonl` converter reads the file too.
pub fn write_examples(path: &Path, examples: &[Example], labels: &LabelSet) -> Result<()> {
    files::write_with(path, |file| {
        for example in examples {
            let line = Line {
                id: example.id.clone(),
                source: example.source.clone(),
                instruction: example.request.instruction.clone(),
                input: example.request.input.clone(),
                output: example.output.clone(),
                label: labels.name(example.label).to_owned(),
                group: example.group.clone(),
                category: example.category.clone(),
                training: example.training,
            };
            serde_json::to_writer(&mut *file, &line)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Reads what [`write_examples`] wrote.
///
/// # Errors
/// A line that is not such an object, whose label is not in the set, or which has an output that must not be trained on, with file
/// and line.
pub fn read_examples(path: &Path, labels: &LabelSet) -> Result<Vec<Example>> {
    let text = files::read_text(path)?;
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            let at = || format!("{}:{}", path.display(), index + 1);
            let line: Line = serde_json::from_str(line).map_err(|e| Error::data(format!("{}: {e}", at())))?;
            let example = Example {
                label: labels.id(&line.label).map_err(|e| e.context(at()))?,
                id: line.id,
                source: line.source,
                request: Request { instruction: line.instruction, input: line.input },
                output: line.output,
                group: line.group,
                category: line.category,
                training: line.training,
            };
            example.target().map_err(|e| e.context(at()))?;
            Ok(example)
        })
        .collect()
}
