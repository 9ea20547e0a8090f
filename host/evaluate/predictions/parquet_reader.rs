//! Parquet to rows, a few thousand at a time. Columns may stand in any order, be optional, and hold numbers of 64 bits, as other
//! programs write them; columns that no prediction has are passed over.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use parquet::basic::Type as Physical;
use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::parquet_columns::{GOLD, GROUP, ID, LATENCY, Numbers, PREDICTED, REQUEST, SCORE, SOURCE, Texts, score};
use super::{check_labels, empty, gold_id, open_file, predicted_id};
use crate::row::EvaluatedRow;
use crate::source::{BATCH_ROWS, RowBatch, RowRef};
use so8t_base::{Error, Result};
use so8t_data::input::parquet_footer::{check_ended, guarded, open_checked};
use so8t_data::{LabelSet, Prediction};

/// What is given the number of a first row, how many rows there are, and a reader for each column.
type TakeRows<'t> = dyn FnMut(u64, usize, &mut [ColumnReader]) -> Result<()> + 't;

/// A file that was opened, and the places of its columns.
struct Opened<'a> {
    path: &'a Path,
    reader: SerializedFileReader<File>,
    names: Vec<String>,
}

impl<'a> Opened<'a> {
    fn new(path: &'a Path) -> Result<Self> {
        let file = open_file(path)?;
        if file.metadata().is_ok_and(|found| found.len() == 0) {
            return Err(empty(path));
        }
        let reader = open_checked(file).map_err(|e| broken(path, &e))?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let mut names = Vec::new();
        for column in schema.columns() {
            let name = column.path().string();
            let is_text = [ID, SOURCE, GROUP, GOLD, PREDICTED, REQUEST].contains(&name.as_str());
            let is_number = name == LATENCY || name.starts_with(SCORE);
            let fits = match column.physical_type() {
                _ if !is_text && !is_number => true,
                _ if column.max_rep_level() > 0 || column.max_def_level() > 1 => false,
                Physical::BYTE_ARRAY => is_text,
                Physical::FLOAT | Physical::DOUBLE => is_number,
                _ => false,
            };
            if !fits {
                return Err(Error::data(format!(
                    "`{}`: column `{name}`: expected {}, found {}",
                    path.display(),
                    if is_text { "text" } else { "numbers of 32 or 64 bits" },
                    column.physical_type()
                )));
            }
            names.push(name);
        }
        Ok(Self { path, reader, names })
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|own| own == name)
    }

    fn needed(&self, name: &str) -> Result<usize> {
        self.place(name).ok_or_else(|| {
            let found = self.names.join("`, `");
            Error::data(format!("`{}`: expected a column `{name}`, found `{found}`", self.path.display()))
        })
    }

    /// The columns `places` of the rows of `range`, a few thousand rows at a time.
    fn each(&self, range: Range<u64>, places: &[usize], take: &mut TakeRows<'_>) -> Result<()> {
        let fault = |e: ParquetError| broken(self.path, &e);
        let mut start = 0;
        for index in 0..self.reader.num_row_groups() {
            let group = guarded(|| self.reader.get_row_group(index)).map_err(fault)?;
            let rows = u64::try_from(group.metadata().num_rows()).unwrap_or(0);
            let own = range.start.max(start)..range.end.min(start + rows);
            if own.start < own.end {
                let mut readers = places
                    .iter()
                    .map(|&place| guarded(|| group.get_column_reader(place)).map_err(fault))
                    .collect::<Result<Vec<_>>>()?;
                let skipped = usize::try_from(own.start - start).unwrap_or(usize::MAX);
                readers.iter_mut().try_for_each(|reader| guarded(|| skip(reader, skipped)).map_err(fault))?;
                let mut row = own.start;
                while row < own.end {
                    let count = (own.end - row).min(BATCH_ROWS as u64);
                    take(row, count as usize, &mut readers)?;
                    row += count;
                }
                if own.end == start + rows {
                    readers.iter_mut().try_for_each(|reader| guarded(|| check_ended(reader)).map_err(fault))?;
                }
            }
            start += rows;
        }
        Ok(())
    }
}

fn skip(reader: &mut ColumnReader, rows: usize) -> Result<(), ParquetError> {
    match reader {
        _ if rows == 0 => Ok(0),
        ColumnReader::ByteArrayColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::FloatColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::DoubleColumnReader(reader) => reader.skip_records(rows),
        _ => Err(ParquetError::General("expected text or numbers".into())),
    }
    .map(|_| ())
}

fn broken(path: &Path, error: &ParquetError) -> Error {
    let text = error.to_string();
    let out = Error::data(format!("`{}`: expected predictions as Parquet: {text}", path.display()));
    match text.contains("Disabled feature") {
        true => out.with_hint("write the file uncompressed or with `snappy`: other compressions are not built in"),
        false if ["Invalid Parquet file", "EOF", "need "].iter().any(|part| text.contains(part)) => {
            out.with_hint("a file of JSON lines must be named `….jsonl`")
        }
        false => out.with_hint("the file does not fit itself: write or fetch it again"),
    }
}

/// The number of rows.
pub(super) fn count(path: &Path) -> Result<u64> {
    let rows = Opened::new(path)?.reader.metadata().file_metadata().num_rows();
    u64::try_from(rows)
        .map_err(|_| Error::data(format!("`{}`: expected a number of rows, found {rows}", path.display())))
}

/// The label names, in the order of the score columns.
pub(super) fn label_names(path: &Path) -> Result<Vec<String>> {
    let opened = Opened::new(path)?;
    let names: Vec<String> =
        opened.names.iter().filter_map(|name| name.strip_prefix(SCORE)).map(str::to_owned).collect();
    check_labels(&names).map_err(|e| e.context(format!("`{}`: columns `{SCORE}LABEL`", path.display())))?;
    Ok(names)
}

/// Gives the ids of a range.
pub(super) fn each_id(path: &Path, range: Range<u64>, take: &mut dyn FnMut(&str)) -> Result<()> {
    let opened = Opened::new(path)?;
    let mut ids = Texts::default();
    opened.each(range, &[opened.needed(ID)?], &mut |first, rows, readers| {
        guarded(|| ids.read(&mut readers[0], rows)).map_err(|e| broken(path, &e))?;
        for row in 0..rows {
            let place = || format!("`{}` row {}", path.display(), first + row as u64 + 1);
            let text = ids.get(row).map_err(|text| Error::data(format!("{}: `{ID}` {text}", place())))?;
            take(text.ok_or_else(|| Error::data(format!("{}: expected an `{ID}`, found none", place())))?);
        }
        Ok(())
    })
}

/// Gives the rows of a range, in batches.
pub(super) fn each_batch(
    path: &Path,
    labels: &LabelSet,
    range: Range<u64>,
    scores: bool,
    take: &mut dyn FnMut(RowBatch) -> Result<()>,
) -> Result<()> {
    let mut columns = Columns::new(path, labels, scores, false)?;
    columns.each(range, labels, &mut |rows| {
        let mut batch = RowBatch::default();
        for row in 0..rows.count {
            let place = |e: Error| e.context(rows.place(row));
            batch.push(rows.get(row, labels).map_err(place)?, labels).map_err(place)?;
        }
        take(batch)
    })
}

/// Gives every row.
pub(super) fn each_row(path: &Path, labels: &LabelSet, take: &mut dyn FnMut(EvaluatedRow) -> Result<()>) -> Result<()> {
    let mut columns = Columns::new(path, labels, true, true)?;
    columns.each(0..u64::MAX, labels, &mut |rows| {
        for row in 0..rows.count {
            let place = |e: Error| e.context(rows.place(row));
            let found = rows.get(row, labels).map_err(place)?;
            let row = EvaluatedRow {
                id: found.id.to_owned(),
                source: found.source.to_owned(),
                group: found.group.to_owned(),
                gold: found.gold,
                prediction: Prediction { label: found.predicted, scores: found.scores.unwrap_or_default().to_vec() },
                latency_ms: rows.latency.get(row).filter(|_| rows.has_latency),
                request: match rows.has_request {
                    true => given(REQUEST, &rows.requests, row).map_err(place)?.map(str::to_owned),
                    false => None,
                },
            };
            row.check(labels).map_err(place)?;
            take(row)?;
        }
        Ok(())
    })
}

/// The columns of a file over given labels, read together.
struct Columns<'a> {
    opened: Opened<'a>,
    places: Vec<usize>,
    has_group: bool,
    has_latency: bool,
    has_request: bool,
    with_scores: bool,
}

/// Rows that were read.
#[derive(Default)]
struct Rows<'a> {
    path: Option<&'a Path>,
    first: u64,
    count: usize,
    ids: Texts,
    sources: Texts,
    golds: Texts,
    predictions: Texts,
    groups: Texts,
    columns: Vec<Numbers>,
    /// Row-major.
    scores: Vec<f32>,
    labels: usize,
    latency: Numbers,
    requests: Texts,
    has_group: bool,
    has_latency: bool,
    has_request: bool,
}

impl<'a> Columns<'a> {
    /// `whole` is with what no metric reads: the latency and the request's digest.
    fn new(path: &'a Path, labels: &LabelSet, with_scores: bool, whole: bool) -> Result<Self> {
        let opened = Opened::new(path)?;
        let mut places =
            [ID, SOURCE, GOLD, PREDICTED].map(|name| opened.needed(name)).into_iter().collect::<Result<Vec<_>>>()?;
        let group = opened.place(GROUP);
        let latency = opened.place(LATENCY).filter(|_| whole);
        let request = opened.place(REQUEST).filter(|_| whole);
        places.extend(group);
        places.extend(latency);
        places.extend(request);
        for name in opened.names.iter().filter_map(|name| name.strip_prefix(SCORE)) {
            labels.id(name).map_err(|e| e.context(format!("`{}`: column `{}`", path.display(), score(name))))?;
        }
        for name in &labels.names {
            let place = opened.needed(&score(name))?;
            places.extend(with_scores.then_some(place));
        }
        let (has_group, has_latency, has_request) = (group.is_some(), latency.is_some(), request.is_some());
        Ok(Self { opened, places, has_group, has_latency, has_request, with_scores })
    }

    fn each(
        &mut self,
        range: Range<u64>,
        labels: &LabelSet,
        take: &mut dyn FnMut(&Rows<'a>) -> Result<()>,
    ) -> Result<()> {
        let path = self.opened.path;
        let mut rows = Rows {
            path: Some(path),
            labels: if self.with_scores { labels.len() } else { 0 },
            has_group: self.has_group,
            has_latency: self.has_latency,
            has_request: self.has_request,
            ..Rows::default()
        };
        rows.columns.resize_with(rows.labels, Numbers::default);
        self.opened.each(range, &self.places, &mut |first, count, readers| {
            guarded(|| rows.read(first, count, readers)).map_err(|e| broken(path, &e))?;
            rows.interleave()?;
            take(&rows)
        })
    }
}

impl<'a> Rows<'a> {
    fn read(&mut self, first: u64, count: usize, readers: &mut [ColumnReader]) -> Result<(), ParquetError> {
        (self.first, self.count) = (first, count);
        let mut readers = readers.iter_mut();
        let mut next = || readers.next().ok_or_else(|| ParquetError::General("a column is lacking".into()));
        for column in [&mut self.ids, &mut self.sources, &mut self.golds, &mut self.predictions] {
            column.read(next()?, count)?;
        }
        if self.has_group {
            self.groups.read(next()?, count)?;
        }
        if self.has_latency {
            self.latency.read(next()?, count)?;
        }
        if self.has_request {
            self.requests.read(next()?, count)?;
        }
        self.columns.iter_mut().try_for_each(|column| column.read(next()?, count))
    }

    /// Columns of scores to rows of scores.
    fn interleave(&mut self) -> Result<()> {
        self.scores.clear();
        for row in 0..self.count {
            for column in 0..self.labels {
                let score = self.columns[column].get(row).ok_or_else(|| {
                    Error::data(format!("{}: expected a score for every label, found none", self.place(row)))
                })?;
                self.scores.push(score);
            }
        }
        Ok(())
    }

    /// File and row, counted from 1, for errors.
    fn place(&self, row: usize) -> String {
        format!("`{}` row {}", self.path.unwrap_or(Path::new("")).display(), self.first + row as u64 + 1)
    }

    fn get(&self, row: usize, labels: &LabelSet) -> Result<RowRef<'_>> {
        Ok(RowRef {
            id: needed(ID, &self.ids, row)?,
            source: needed(SOURCE, &self.sources, row)?,
            group: match self.has_group {
                true => given(GROUP, &self.groups, row)?.unwrap_or_default(),
                false => "",
            },
            gold: gold_id(needed(GOLD, &self.golds, row)?, labels)?,
            predicted: predicted_id(needed(PREDICTED, &self.predictions, row)?, labels)?,
            scores: (self.labels > 0).then(|| &self.scores[row * self.labels..(row + 1) * self.labels]),
        })
    }
}

fn given<'t>(name: &str, column: &'t Texts, row: usize) -> Result<Option<&'t str>> {
    column.get(row).map_err(|text| Error::data(format!("field `{name}` {text}")))
}

fn needed<'t>(name: &str, column: &'t Texts, row: usize) -> Result<&'t str> {
    given(name, column, row)?.ok_or_else(|| Error::data(format!("field `{name}`: expected text, found none")))
}
