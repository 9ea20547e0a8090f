//! What a converter made of a source, compared.

use crate::conformance::shrink::{Broke, Kept};
use crate::{Converter, Plugin};
use so8t_base::{Error, Result};
use so8t_data::{ConvertedBatch, Texts};

/// The names of the columns, in their order.
const COLUMNS: [&str; 7] = ["id", "instruction", "input", "output", "label", "group", "extra-json"];

/// One example: its line and its columns; a lacking one is empty.
type Example = (u32, [String; 7]);

/// All that came of a source.
#[derive(Debug, Default)]
pub(super) struct Converted {
    pub(super) examples: Vec<Example>,
    pub(super) rejected: Vec<(u32, String)>,
    /// What ended it early.
    pub(super) failure: Option<Error>,
}

impl Converted {
    fn add(&mut self, batch: &ConvertedBatch) {
        let examples = &batch.examples;
        let columns = [
            &examples.id,
            &examples.instruction,
            &examples.input,
            &examples.output,
            &examples.label,
            &examples.group,
            &examples.extra_json,
        ];
        let text = |column: &Texts, row: usize| column.get(row).unwrap_or_default().to_owned();
        let row = |(row, line): (usize, &u32)| (*line, columns.map(|column| text(column, row)));
        self.examples.extend(batch.lines.iter().enumerate().map(row));
        self.rejected.extend(batch.rejected.iter().map(|rejection| (rejection.line, rejection.reason.clone())));
    }
}

/// Converts a source that comes in these chunks, in an instance of its own.
pub(super) fn convert<'a>(plugin: &Plugin, chunks: impl IntoIterator<Item = &'a [u8]>) -> Converted {
    match plugin.open_converter() {
        Ok(mut converter) => run(&mut converter, chunks),
        Err(error) => Converted { failure: Some(error), ..Converted::default() },
    }
}

/// Converts a source with an open converter.
pub(super) fn run<'a>(converter: &mut Converter, chunks: impl IntoIterator<Item = &'a [u8]>) -> Converted {
    let mut all = Converted::default();
    let steps = |all: &mut Converted| -> Result<()> {
        for chunk in chunks {
            all.add(&converter.push(chunk)?);
        }
        all.add(&converter.finish_and_stay()?);
        Ok(())
    };
    all.failure = steps(&mut all).err();
    all
}

/// Two conversions of one source, which must agree. Where both fail, what came before the failure is not compared: the
/// call that failed returned nothing.
pub(super) fn agree(left: (&str, &Converted), right: (&str, &Converted)) -> Kept {
    let ((here, a), (there, b)) = (left, right);
    match (&a.failure, &b.failure) {
        (Some(_), Some(_)) => return Ok(()),
        (None, None) => {}
        (Some(error), None) => return Err(Broke(format!("it fails {here}, not {there}: {}", words(error)))),
        (None, Some(error)) => return Err(Broke(format!("it fails {there}, not {here}: {}", words(error)))),
    }
    for (number, (a, b)) in a.examples.iter().zip(&b.examples).enumerate() {
        if a.0 != b.0 {
            return Err(Broke(format!("example {number} is of line {} {here}, and of line {} {there}", a.0, b.0)));
        }
        if let Some(column) = (0..COLUMNS.len()).find(|&column| a.1[column] != b.1[column]) {
            let (a, b, column) = (&a.1[column], &b.1[column], COLUMNS[column]);
            return Err(Broke(format!("`{column}` of example {number} is {a:?} {here}, and {b:?} {there}")));
        }
    }
    if a.examples.len() != b.examples.len() {
        let (a, b) = (a.examples.len(), b.examples.len());
        return Err(Broke(format!("{a} examples {here}, and {b} {there}")));
    }
    match a.rejected.iter().zip(&b.rejected).find(|(a, b)| a != b) {
        Some((a, b)) => Err(Broke(format!(
            "line {} is rejected with `{}` {here}, and line {} with `{}` {there}",
            a.0, a.1, b.0, b.1
        ))),
        None if a.rejected.len() != b.rejected.len() => {
            let (a, b) = (a.rejected.len(), b.rejected.len());
            Err(Broke(format!("{a} rejected records {here}, and {b} {there}")))
        }
        None => Ok(()),
    }
}

/// An error without its title.
fn words(error: &Error) -> String {
    let text = error.to_string();
    text.split_once(": ").map_or(text.as_str(), |(_, words)| words).to_owned()
}
