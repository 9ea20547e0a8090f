//! Predictions files: Parquet, from which every metric can be computed again, bit for bit.
//!
//! | column | type | what |
//! |---|---|---|
//! | `id` | string | distinct within the file |
//! | `source` | string | the `[[data]]` entry that the row came from |
//! | `group` | string | rows of one group are not independent; empty where the row is a group of its own |
//! | `gold`, `predicted` | string | labels by name; `INVALID` is an answer that is no label |
//! | `score_LABEL` | f32 | the probability of each label, in the order of the labels |
//! | `latency_ms` | f32, optional | the time of the row's pass, shared among the rows of the pass |
//! | `request` | string, optional | the digest of the request, so that two runs over other requests are not compared; see [`so8t_data::Request::digest`] |
//!
//! Equal rows give equal bytes. A file named `….jsonl` holds the same as JSON lines, for predictions made elsewhere; see
//! [`lines`].

mod bounded;
pub mod lines;
mod parquet_columns;
mod parquet_reader;
mod parquet_writer;

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::row::{EvaluatedRow, check_rows};
use super::source::{RowBatch, RowSource};
use so8t_base::{Error, Result, files};
use so8t_data::{INVALID, INVALID_NAME, LabelSet};

pub use parquet_writer::write_stream;

/// The predictions of the model as it was.
pub const BEFORE: &str = "predictions_before.parquet";
/// The predictions of the model after training.
pub const AFTER: &str = "predictions_after.parquet";

/// Writes the rows to `path`, all or nothing. The rows are checked first: a file that cannot be read back is an error.
pub fn write(path: &Path, labels: &LabelSet, rows: &[EvaluatedRow]) -> Result<()> {
    check_rows(labels, rows)?;
    match is_lines(path) {
        true => lines::write(path, labels, rows),
        false => write_stream(path, labels, rows.iter()),
    }
}

/// Reads a predictions file. Errors name the file and the line or row.
pub fn read(path: &Path, labels: &LabelSet) -> Result<Vec<EvaluatedRow>> {
    let mut rows = Vec::new();
    let mut take = |row: EvaluatedRow| {
        rows.push(row);
        Ok(())
    };
    match is_lines(path) {
        true => lines::each_row(path, labels, 0..u64::MAX, &mut take)?,
        false => parquet_reader::each_row(path, labels, &mut take)?,
    }
    check_rows(labels, &rows).map_err(|e| e.context(format!("`{}`", path.display())))?;
    Ok(rows)
}

/// The label names of a predictions file, in the order of its score columns (or of its first line's scores).
pub fn label_names(path: &Path) -> Result<Vec<String>> {
    match is_lines(path) {
        true => lines::label_names(path),
        false => parquet_reader::label_names(path),
    }
}

/// A predictions file whose rows are read when they are needed.
#[derive(Clone, Debug)]
pub struct PredictionsFile {
    path: PathBuf,
    labels: LabelSet,
    rows: u64,
}

impl PredictionsFile {
    /// Opens a file over its own labels. Their order is the order of severity, for a file names no other.
    ///
    /// # Errors
    /// A file that cannot be read, or is no predictions file.
    pub fn open(path: &Path) -> Result<Self> {
        let names = label_names(path)?;
        let labels = LabelSet { severity: (0..=u8::MAX).take(names.len()).collect(), names };
        let rows = match is_lines(path) {
            true => lines::count(path)?,
            false => parquet_reader::count(path)?,
        };
        Ok(Self { path: path.to_owned(), labels, rows })
    }

    /// The labels.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }
}

impl RowSource for PredictionsFile {
    fn rows(&self) -> Result<u64> {
        Ok(self.rows)
    }

    fn read(&self, range: Range<u64>, scores: bool, take: &mut dyn FnMut(RowBatch) -> Result<()>) -> Result<()> {
        match is_lines(&self.path) {
            true => lines::each_batch(&self.path, &self.labels, range, scores, take),
            false => parquet_reader::each_batch(&self.path, &self.labels, range, scores, take),
        }
    }

    fn ids(&self, range: Range<u64>, take: &mut dyn FnMut(&str)) -> Result<()> {
        match is_lines(&self.path) {
            true => lines::each_row(&self.path, &self.labels, range, &mut |row| {
                take(&row.id);
                Ok(())
            }),
            false => parquet_reader::each_id(&self.path, range, take),
        }
    }
}

fn is_lines(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl")
}

/// The id of a gold label's name.
fn gold_id(name: &str, labels: &LabelSet) -> Result<u8> {
    labels.id(name).map_err(|e| e.context("field `gold`"))
}

/// The id of a predicted label's name, which may be `INVALID`.
fn predicted_id(name: &str, labels: &LabelSet) -> Result<u8> {
    match labels.id(name) {
        Err(_) if name == INVALID_NAME => Ok(INVALID),
        other => other.map_err(|e| e.context("field `predicted`")),
    }
}

/// Opens a file that can be read twice, and by position, as predictions are. What is none is told before it is opened: a pipe would wait
/// for whoever writes into it.
fn open_file(path: &Path) -> Result<std::fs::File> {
    if let Ok(found) = std::fs::metadata(path)
        && !found.is_file()
    {
        let what = if found.is_dir() { "a folder" } else { "a pipe or a device" };
        return Err(Error::data(format!("`{}`: expected a regular file of predictions, found {what}", path.display()))
            .with_hint("write the predictions to a file, and name that"));
    }
    files::open_plain(path)
}

/// Holds the labels that a file names against what labels can be.
fn check_labels(names: &[String]) -> Result<()> {
    LabelSet::check_names(names).map_err(Error::data)
}

fn empty(path: &Path) -> Error {
    Error::data(format!("`{}`: expected predictions, found an empty file", path.display()))
}
