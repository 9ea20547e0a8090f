//! Prepared examples as JSON lines, with labels by name: `dataset.jsonl` (training) and `evaluation.jsonl`.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Example, LabelSet, Request, Text, Training};
use so8t_base::{Error, Result, files};

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow)]
    instruction: Cow<'a, str>,
    #[serde(borrow, default)]
    input: Cow<'a, str>,
    #[serde(borrow, default)]
    output: Cow<'a, str>,
    #[serde(borrow)]
    label: Cow<'a, str>,
    #[serde(borrow, default)]
    group: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    category: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Training::is_plain")]
    training: Training,
}

#[expect(clippy::ptr_arg, reason = "serde hands over the field itself")]
fn is_empty(text: &Cow<'_, str>) -> bool {
    text.is_empty()
}

impl Line<'_> {
    /// The texts that each example has of its own.
    fn texts(&self) -> [&str; 6] {
        [&self.id, &self.instruction, &self.input, &self.output, &self.group, &self.category]
    }
}

/// How many lines are read before their texts are put together.
const LINES: usize = 1024;

/// Writes examples, one a line, through a temporary name. The standard `jsonl` converter reads the file too.
pub fn write_examples(path: &Path, examples: &[Example], labels: &LabelSet) -> Result<()> {
    files::write_with(path, |file| {
        let mut bytes = Vec::new();
        for example in examples {
            let line = Line {
                id: example.id.as_str().into(),
                source: example.source.as_str().into(),
                instruction: example.request.instruction.as_str().into(),
                input: example.request.input.as_str().into(),
                output: example.output.as_str().into(),
                label: labels.name(example.label).into(),
                group: example.group.as_str().into(),
                category: example.category.as_str().into(),
                training: example.training,
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
/// A line that is not such an object, whose label is not in the set, or which has an output that must not be trained on, with file
/// and line.
pub fn read_examples(path: &Path, labels: &LabelSet) -> Result<Vec<Example>> {
    let text = files::read_text(path)?;
    let at = |index: usize| format!("{}:{}", path.display(), index + 1);
    let mut examples = Vec::new();
    let mut source = Text::EMPTY;
    let mut lines = text.lines();
    loop {
        let first = examples.len();
        let parse = |(index, line)| {
            serde_json::from_str::<Line<'_>>(line).map_err(|e| Error::data(format!("{}: {e}", at(first + index))))
        };
        let read: Vec<Line<'_>> = lines.by_ref().take(LINES).enumerate().map(parse).collect::<Result<_>>()?;
        if read.is_empty() {
            return Ok(examples);
        }
        let rows: Vec<_> = read.iter().map(Line::texts).collect();
        for (line, [id, instruction, input, output, group, category]) in read.iter().zip(Text::together(&rows)) {
            let at = || at(examples.len());
            if source != *line.source {
                source = (*line.source).into();
            }
            let example = Example {
                label: labels.id(&line.label).map_err(|e| e.context(at()))?,
                id,
                source: source.clone(),
                request: Request { instruction, input },
                output,
                group,
                category,
                training: line.training,
            };
            example.target().map_err(|e| e.context(at()))?;
            examples.push(example);
        }
    }
}
