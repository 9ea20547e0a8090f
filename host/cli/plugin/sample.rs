//! The user's own data, as a kind of plugin takes it.

use std::path::Path;

use super::source;
use crate::data::{ExampleColumns, Texts};
use crate::evaluate::predictions;
use crate::plugin::conformance::{ExampleRow, MetricRow, Sample};
use crate::plugin::{Converter, Host, PluginKind, PluginSpec};
use crate::{Error, Result, files};

/// Reads a sample: bytes for a converter, what `converter` makes of them for a label mapper, predictions for a metric. With
/// predictions come their labels.
pub(super) fn read(
    host: &Host,
    kind: PluginKind,
    path: &Path,
    converter: &str,
) -> Result<(Sample, Option<Vec<String>>)> {
    Ok(match kind {
        PluginKind::Converter => (Sample::Source(files::read(path)?), None),
        PluginKind::LabelMapper => (Sample::Examples(examples(host, path, converter)?), None),
        PluginKind::Metric => {
            let (rows, labels) = metric_rows(path)?;
            (Sample::Predictions(rows), Some(labels))
        }
    })
}

fn examples(host: &Host, path: &Path, converter: &str) -> Result<Vec<ExampleRow>> {
    let plugin = host.load(&PluginSpec::new("converter", source(converter)?))?;
    let place = |e: Error| e.context(format!("`{}`", path.display()));
    let mut converter = plugin.open_converter()?;
    let mut rows = Vec::new();
    for chunk in files::read(path)?.chunks(Converter::CHUNK_BYTES) {
        rows.extend(ExampleRow::of(&converter.push(chunk).map_err(place)?.examples));
    }
    rows.extend(ExampleRow::of(&converter.finish().map_err(place)?.examples));
    match rows.is_empty() {
        true => Err(Error::data(format!("`{}`: expected examples, found none", path.display()))
            .with_hint("name the converter that reads it with `--converter`")),
        false => Ok(rows),
    }
}

/// The rows of a predictions file, and its labels. The weights are 0 to 3 in turn, for a file has none.
fn metric_rows(path: &Path) -> Result<(Vec<MetricRow>, Vec<String>)> {
    let names = predictions::label_names(path)?;
    let labels = crate::data::LabelSet { severity: (0..=u8::MAX).take(names.len()).collect(), names };
    let mut groups = std::collections::HashMap::new();
    let rows = predictions::read(path, &labels)?;
    let rows = rows.into_iter().enumerate().map(|(index, row)| {
        let next = groups.len() as u32;
        let name = if row.group.is_empty() { row.id } else { row.group };
        MetricRow {
            gold: row.gold,
            predicted: row.prediction.label,
            scores: row.prediction.scores,
            weight: (index % 4) as u32,
            group: *groups.entry(name).or_insert(next),
            text: String::new(),
        }
    });
    Ok((rows.collect(), labels.names))
}

/// Rows as columns, for a mapper.
pub(super) fn columns(rows: &[ExampleRow]) -> ExampleColumns {
    let column = |of: fn(&ExampleRow) -> &String| rows.iter().map(|row| of(row).as_str()).collect::<Texts>();
    ExampleColumns {
        id: column(|row| &row.id),
        instruction: column(|row| &row.instruction),
        input: column(|row| &row.input),
        output: column(|row| &row.output),
        label: column(|row| &row.label),
        group: column(|row| &row.group),
        extra_json: column(|row| &row.extra_json),
    }
}
