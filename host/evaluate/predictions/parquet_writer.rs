//! Rows to Parquet.

use std::borrow::Borrow;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::errors::Result as ParquetResult;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use super::parquet_columns::{GOLD, GROUP, ID, LATENCY, PREDICTED, REQUEST, SOURCE, score};
use crate::row::EvaluatedRow;
use so8t_base::{Error, Result, files};
use so8t_data::LabelSet;

/// How many rows a row group holds: what a writer and a reader hold in memory.
const GROUP_ROWS: usize = 1 << 17;

/// Writes rows to `path` as they come, all or nothing. Every row is checked; that ids are distinct is not.
pub fn write_stream<R: Borrow<EvaluatedRow>>(
    path: &Path,
    labels: &LabelSet,
    rows: impl IntoIterator<Item = R>,
) -> Result<()> {
    let mut refused: Option<Error> = None;
    let written = files::write_with(path, |file| {
        let mut writer = SerializedFileWriter::new(file, schema(labels)?, Arc::new(properties()))?;
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut columns = Columns::new(labels);
            for row in rows.by_ref().take(GROUP_ROWS) {
                if let Err(error) = columns.push(row.borrow(), labels) {
                    refused = Some(error);
                    return Err(std::io::Error::other("a row is not sound"));
                }
            }
            let mut group = writer.next_row_group()?;
            columns.write(&mut group)?;
            group.close()?;
        }
        writer.close()?;
        Ok(())
    });
    refused.map_or(written, Err)
}

fn schema(labels: &LabelSet) -> ParquetResult<TypePtr> {
    let text = |name: &str, repetition| {
        Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
            .with_repetition(repetition)
            .with_logical_type(Some(LogicalType::String))
            .build()
            .map(Arc::new)
    };
    let number = |name: &str, repetition| {
        Type::primitive_type_builder(name, Physical::FLOAT).with_repetition(repetition).build().map(Arc::new)
    };
    let texts = [ID, SOURCE, GROUP, GOLD, PREDICTED].map(|name| text(name, Repetition::REQUIRED));
    let mut fields = texts.into_iter().collect::<ParquetResult<Vec<_>>>()?;
    for name in &labels.names {
        fields.push(number(&score(name), Repetition::REQUIRED)?);
    }
    fields.push(number(LATENCY, Repetition::OPTIONAL)?);
    fields.push(text(REQUEST, Repetition::OPTIONAL)?);
    Ok(Arc::new(Type::group_type_builder("predictions").with_fields(fields).build()?))
}

fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_created_by(format!("so8t version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        // Few names stand in many rows; an id and a number stand in one.
        .set_dictionary_enabled(false)
        .set_column_dictionary_enabled(ColumnPath::from(SOURCE), true)
        .set_column_dictionary_enabled(ColumnPath::from(GROUP), true)
        .set_column_dictionary_enabled(ColumnPath::from(GOLD), true)
        .set_column_dictionary_enabled(ColumnPath::from(PREDICTED), true)
        .build()
}

/// The rows of one row group, in the order of the schema's columns.
struct Columns {
    texts: [Vec<ByteArray>; 5],
    scores: Vec<Vec<f32>>,
    latency: Vec<f32>,
    latency_levels: Vec<i16>,
    requests: Vec<ByteArray>,
    request_levels: Vec<i16>,
}

impl Columns {
    fn new(labels: &LabelSet) -> Self {
        Self {
            texts: Default::default(),
            scores: vec![Vec::new(); labels.len()],
            latency: Vec::new(),
            latency_levels: Vec::new(),
            requests: Vec::new(),
            request_levels: Vec::new(),
        }
    }

    fn push(&mut self, row: &EvaluatedRow, labels: &LabelSet) -> Result<()> {
        row.check(labels)?;
        let (gold, predicted) = (labels.name(row.gold), labels.name(row.prediction.label));
        for (column, text) in self.texts.iter_mut().zip([&*row.id, &*row.source, &*row.group, gold, predicted]) {
            column.push(ByteArray::from(text));
        }
        for (column, score) in self.scores.iter_mut().zip(&row.prediction.scores) {
            column.push(*score);
        }
        self.latency.extend(row.latency_ms);
        self.latency_levels.push(i16::from(row.latency_ms.is_some()));
        self.requests.extend(row.request.as_deref().map(ByteArray::from));
        self.request_levels.push(i16::from(row.request.is_some()));
        Ok(())
    }

    fn write<W: Write + Send>(&self, group: &mut SerializedRowGroupWriter<'_, W>) -> ParquetResult<()> {
        let missing = || parquet::errors::ParquetError::General("the schema has fewer columns than the rows".into());
        for column in &self.texts {
            let mut writer = group.next_column()?.ok_or_else(missing)?;
            writer.typed::<ByteArrayType>().write_batch(column, None, None)?;
            writer.close()?;
        }
        for column in &self.scores {
            let mut writer = group.next_column()?.ok_or_else(missing)?;
            writer.typed::<FloatType>().write_batch(column, None, None)?;
            writer.close()?;
        }
        let mut writer = group.next_column()?.ok_or_else(missing)?;
        writer.typed::<FloatType>().write_batch(&self.latency, Some(&self.latency_levels), None)?;
        writer.close()?;
        let mut writer = group.next_column()?.ok_or_else(missing)?;
        writer.typed::<ByteArrayType>().write_batch(&self.requests, Some(&self.request_levels), None)?;
        writer.close()
    }
}
