//! The columns of a predictions file: their names, and how a few rows of one are read, whatever made the file.

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::Result as ParquetResult;

pub(super) const ID: &str = "id";
pub(super) const SOURCE: &str = "source";
pub(super) const GROUP: &str = "group";
pub(super) const GOLD: &str = "gold";
pub(super) const PREDICTED: &str = "predicted";
pub(super) const LATENCY: &str = "latency_ms";
pub(super) const REQUEST: &str = "request";

/// How the names of score columns begin.
pub(super) const SCORE: &str = "score_";

/// The column of a label's scores.
pub(super) fn score(label: &str) -> String {
    format!("{SCORE}{label}")
}

/// Rows of one column. `present[i]` says whether row `i` has a value; empty where all have. The values lie close together.
#[derive(Default)]
pub(super) struct Texts {
    values: Vec<ByteArray>,
    present: Vec<i16>,
    places: Vec<usize>,
}

/// As [`Texts`], of numbers.
#[derive(Default)]
pub(super) struct Numbers {
    values: Vec<f32>,
    wide: Vec<f64>,
    present: Vec<i16>,
    places: Vec<usize>,
}

impl Texts {
    /// The next `rows` rows.
    pub(super) fn read(&mut self, reader: &mut ColumnReader, rows: usize) -> ParquetResult<()> {
        match reader {
            ColumnReader::ByteArrayColumnReader(reader) => {
                fill(reader, rows, &mut self.values, &mut self.present)?;
                places(&self.present, &mut self.places);
                Ok(())
            }
            _ => Err(parquet::errors::ParquetError::General("expected text".into())),
        }
    }

    /// The text of a row; `None` where it has none. An error is what is wrong with it.
    pub(super) fn get(&self, row: usize) -> Result<Option<&str>, String> {
        let Some(value) = place(&self.present, &self.places, row).and_then(|place| self.values.get(place)) else {
            return Ok(None);
        };
        value.as_utf8().map(Some).map_err(|_| "is not UTF-8".to_owned())
    }
}

impl Numbers {
    /// The next `rows` rows. Numbers of 64 bits are rounded to 32.
    pub(super) fn read(&mut self, reader: &mut ColumnReader, rows: usize) -> ParquetResult<()> {
        match reader {
            ColumnReader::FloatColumnReader(reader) => fill(reader, rows, &mut self.values, &mut self.present)?,
            ColumnReader::DoubleColumnReader(reader) => {
                fill(reader, rows, &mut self.wide, &mut self.present)?;
                self.values.clear();
                self.values.extend(self.wide.iter().map(|&wide| wide as f32));
            }
            _ => return Err(parquet::errors::ParquetError::General("expected numbers".into())),
        }
        places(&self.present, &mut self.places);
        Ok(())
    }

    /// The number of a row; `None` where it has none.
    pub(super) fn get(&self, row: usize) -> Option<f32> {
        self.values.get(place(&self.present, &self.places, row)?).copied()
    }
}

/// Replaces the content of `values` and `present` by the next `rows` rows.
fn fill<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    values: &mut Vec<T::T>,
    present: &mut Vec<i16>,
) -> ParquetResult<()> {
    values.clear();
    present.clear();
    let (records, _, _) = reader.read_records(rows, Some(present), None, values)?;
    if records == rows {
        return Ok(());
    }
    Err(parquet::errors::ParquetError::General(format!("expected {rows} more rows, found {records}")))
}

/// Where the value of each row lies, in a column of which some rows have none.
fn places(present: &[i16], places: &mut Vec<usize>) {
    places.clear();
    let mut next = 0;
    for &level in present {
        places.push(next);
        next += usize::from(level > 0);
    }
}

fn place(present: &[i16], places: &[usize], row: usize) -> Option<usize> {
    match present.get(row) {
        None => Some(row),
        Some(0) => None,
        Some(_) => places.get(row).copied(),
    }
}
