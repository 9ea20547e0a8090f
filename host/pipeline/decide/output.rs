//! Decisions as JSON lines, CSV or Parquet, as they come.

use std::io::Write;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::errors::Result as ParquetResult;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};
use serde_json::{Map, Value};

use super::Decision;
use crate::data::LabelSet;
use crate::{Error, Result};

/// The form of decisions. Each has the id, the decision, and for every label the probability that is judged and the model's own: `probabilities` and
/// `raw` of a JSON object, or columns `probability_LABEL` and `raw_LABEL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values (RFC 4180, lines that end in a line feed), with a header.
    Csv,
    /// Parquet.
    Parquet,
}

impl FromStr for OutputFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "jsonl" | "ndjson" => Ok(Self::Jsonl),
            "csv" => Ok(Self::Csv),
            "parquet" => Ok(Self::Parquet),
            other => Err(format!("expected `jsonl`, `csv` or `parquet`, found `{other}`")),
        }
    }
}

impl OutputFormat {
    /// What a file's ending says.
    ///
    /// # Errors
    /// An ending that says nothing.
    pub fn of_path(path: &Path) -> Result<Self> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        ending.parse().map_err(|_| {
            Error::manifest(format!(
                "`{}`: expected a name that ends in `.jsonl`, `.csv` or `.parquet`",
                path.display()
            ))
            .with_hint("`--format` says the form of a file of another name")
        })
    }
}

/// How many rows a row group of Parquet holds.
const GROUP_ROWS: usize = 1 << 16;

/// Writes decisions.
pub(super) struct Writer<'a> {
    labels: LabelSet,
    form: Form<'a>,
}

enum Form<'a> {
    Lines(&'a mut (dyn Write + Send)),
    Csv(&'a mut (dyn Write + Send)),
    Parquet(Box<SerializedFileWriter<&'a mut (dyn Write + Send)>>, Vec<(String, Decision)>),
}

impl<'a> Writer<'a> {
    pub(super) fn new(format: OutputFormat, labels: &LabelSet, file: &'a mut (dyn Write + Send)) -> Result<Self> {
        let form = match format {
            OutputFormat::Jsonl => Form::Lines(file),
            OutputFormat::Csv => {
                let header = names(labels).into_iter().map(|name| cell(&name)).collect::<Vec<_>>().join(",");
                writeln!(file, "{header}").map_err(|e| failed(&e))?;
                Form::Csv(file)
            }
            OutputFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_created_by(format!("so8t version {}", env!("CARGO_PKG_VERSION")))
                    .set_compression(Compression::SNAPPY)
                    .build();
                let schema = schema(labels).map_err(|e| broken(&e))?;
                let writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(|e| broken(&e))?;
                Form::Parquet(Box::new(writer), Vec::new())
            }
        };
        Ok(Self { labels: labels.clone(), form })
    }

    /// Writes one decision.
    pub(super) fn add(&mut self, id: &str, decision: &Decision) -> Result<()> {
        let labels = &self.labels;
        match &mut self.form {
            Form::Lines(file) => writeln!(file, "{}", line(labels, id, decision)).map_err(|e| failed(&e)),
            Form::Csv(file) => {
                let mut cells = vec![cell(id), cell(labels.name(decision.judged.label))];
                let scores = decision.judged.scores.iter().chain(&decision.raw.scores);
                cells.extend(scores.map(f32::to_string));
                writeln!(file, "{}", cells.join(",")).map_err(|e| failed(&e))
            }
            Form::Parquet(writer, rows) => {
                rows.push((id.to_owned(), decision.clone()));
                if rows.len() == GROUP_ROWS { write_group(writer, labels, rows) } else { Ok(()) }
            }
        }
    }

    /// Hands over what was written so far, where rows are written one by one.
    pub(super) fn flush(&mut self) -> Result<()> {
        match &mut self.form {
            Form::Lines(file) | Form::Csv(file) => file.flush().map_err(|e| failed(&e)),
            Form::Parquet(..) => Ok(()),
        }
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()?;
        if let Form::Parquet(mut writer, mut rows) = self.form {
            if !rows.is_empty() {
                write_group(&mut writer, &self.labels, &mut rows)?;
            }
            writer.close().map_err(|e| broken(&e))?;
        }
        Ok(())
    }
}

fn failed(error: &std::io::Error) -> Error {
    Error::io("write", Path::new("the decisions"), error)
}

fn broken(error: &parquet::errors::ParquetError) -> Error {
    Error::io("write", Path::new("the decisions"), &std::io::Error::other(error.to_string()))
}

/// A JSON object; its numbers read back as the same bits.
fn line(labels: &LabelSet, id: &str, decision: &Decision) -> Value {
    let scores = |scores: &[f32]| -> Value {
        let pairs = labels.names.iter().zip(scores);
        Value::Object(pairs.map(|(name, score)| (name.clone(), number(*score))).collect())
    };
    let mut object = Map::new();
    object.insert("id".to_owned(), Value::from(id));
    object.insert("decision".to_owned(), Value::from(labels.name(decision.judged.label)));
    object.insert("probabilities".to_owned(), scores(&decision.judged.scores));
    object.insert("raw".to_owned(), scores(&decision.raw.scores));
    if let Some(answer) = &decision.answer {
        object.insert("answer".to_owned(), Value::from(answer.as_str()));
    }
    if decision.cut {
        object.insert("cut".to_owned(), Value::from(true));
    }
    Value::Object(object)
}

/// The shortest decimal that reads back as this `f32`.
fn number(score: f32) -> Value {
    score.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

fn names(labels: &LabelSet) -> Vec<String> {
    let columns = |prefix: &'static str| labels.names.iter().map(move |name| format!("{prefix}_{name}"));
    let fixed = ["id", "decision"].map(str::to_owned);
    fixed.into_iter().chain(columns("probability")).chain(columns("raw")).collect()
}

/// A field of CSV. A spreadsheet takes a cell that begins with one of `=+-@` for a formula: such a name is quoted, and read as text, by an apostrophe before it.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '@', '\t']) || (text.starts_with('-') && text.parse::<f64>().is_err());
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

fn schema(labels: &LabelSet) -> ParquetResult<TypePtr> {
    let text = |name: &str| {
        Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(LogicalType::String))
            .build()
            .map(Arc::new)
    };
    let number = |name: &str| {
        Type::primitive_type_builder(name, Physical::FLOAT).with_repetition(Repetition::REQUIRED).build().map(Arc::new)
    };
    let names = names(labels);
    let fields = names.iter().enumerate().map(|(at, name)| if at < 2 { text(name) } else { number(name) });
    let fields = fields.collect::<ParquetResult<Vec<_>>>()?;
    Ok(Arc::new(Type::group_type_builder("decisions").with_fields(fields).build()?))
}

fn write_group(
    writer: &mut SerializedFileWriter<&mut (dyn Write + Send)>,
    labels: &LabelSet,
    rows: &mut Vec<(String, Decision)>,
) -> Result<()> {
    let write = |writer: &mut SerializedFileWriter<_>| -> ParquetResult<()> {
        let missing = || parquet::errors::ParquetError::General("the schema has fewer columns than the rows".into());
        let mut group = writer.next_row_group()?;
        let ids: Vec<ByteArray> = rows.iter().map(|(id, _)| ByteArray::from(id.as_str())).collect();
        let decided = |(_, decision): &(String, Decision)| ByteArray::from(labels.name(decision.judged.label));
        for texts in [ids, rows.iter().map(decided).collect()] {
            let mut column = group.next_column()?.ok_or_else(missing)?;
            column.typed::<ByteArrayType>().write_batch(&texts, None, None)?;
            column.close()?;
        }
        for is_raw in [false, true] {
            for label in 0..labels.len() {
                let score = |(_, decision): &(String, Decision)| {
                    let own = if is_raw { &decision.raw } else { &decision.judged };
                    own.scores[label]
                };
                let mut column = group.next_column()?.ok_or_else(missing)?;
                column.typed::<FloatType>().write_batch(&rows.iter().map(score).collect::<Vec<_>>(), None, None)?;
                column.close()?;
            }
        }
        group.close()?;
        Ok(())
    };
    write(writer).map_err(|e| broken(&e))?;
    rows.clear();
    Ok(())
}
