//! Parquet as JSON lines: one object for every row, the columns in the file's order, so that any converter of JSON reads it.
//!
//! | column | in the object |
//! |---|---|
//! | whole number, truth value, text, null | the same |
//! | floating point | the shortest number that is the same value; `null` where it is none (NaN, infinite) |
//! | decimal | a number with all its digits |
//! | date, timestamp, time of day | ISO 8601: `2024-05-01`, `2024-05-01T12:00:00.5Z` (without `Z` where it is local), `12:00:00`; INT96 to the millisecond |
//! | binary | text; where it is not UTF-8, an object that says how many bytes there are, `{"binary":512}`, which no converter takes for text |
//! | list, struct, map with keys of text | array, object, object; another map is an array of pairs |
//!
//! Pages are read one after another: what is held is a page of every column and a thousand of its values.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use parquet::basic::{Compression, ConvertedType, LogicalType, TimeUnit, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::record::reader::RowIter;
use parquet::record::{Field, List, Map, Row};
use parquet::schema::types::{Type, TypePtr};

use super::parquet_footer::{guarded, open_checked};
use super::wrong;
use so8t_base::{Error, Result};

/// How a Parquet file begins, and ends.
pub(super) const MAGIC: &[u8] = b"PAR1";
/// How much is made before it is given.
const BUFFER: usize = 1 << 17;

/// The columns in which there were bytes that are no text, as far as the file was read.
#[derive(Clone, Debug, Default)]
pub struct BinaryColumns(Arc<Mutex<BTreeSet<String>>>);

impl BinaryColumns {
    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn add(&self, name: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
    }
}

/// The rows of a Parquet file as JSON lines.
pub(super) struct Rows {
    rows: RowIter<'static>,
    schema: TypePtr,
    count: u64,
    row: u64,
    buffer: Vec<u8>,
    given: usize,
    ended: bool,
    binary: BinaryColumns,
}

impl Rows {
    /// Where the columns are noted whose bytes are no text.
    pub(super) fn binary(&self) -> BinaryColumns {
        self.binary.clone()
    }

    /// Reads the metadata.
    ///
    /// # Errors
    /// A file that is not Parquet, or not whole; a column of a type that has no JSON form.
    pub(super) fn open(file: File) -> Result<Self> {
        let broken = |e: ParquetError| {
            Error::data(format!("it is not a whole Parquet file: {}", plain(&e)))
                .with_hint("fetch or write the file again; a name that ends with `.parquet` promises Parquet")
        };
        let reader = open_checked(file).map_err(broken)?;
        let metadata = reader.metadata().file_metadata();
        let (schema, count) = (metadata.schema_descr().root_schema_ptr(), metadata.num_rows());
        for column in metadata.schema_descr().columns() {
            if column.converted_type() == ConvertedType::INTERVAL {
                return Err(Error::data(format!(
                    "column `{}` is an interval, which has no JSON form",
                    column.path().string()
                )));
            }
        }
        for column in reader.metadata().row_groups().iter().flat_map(|group| group.columns()) {
            if matches!(column.compression(), Compression::BROTLI(_) | Compression::LZO) {
                let (path, codec) = (column.column_path().string(), column.compression().to_string());
                let codec = codec.split('(').next().unwrap_or_default().to_lowercase();
                return Err(Error::data(format!(
                    "column `{path}` is compressed with {codec}: expected snappy, gzip, zstd, lz4 or nothing"
                ))
                .with_hint("write the file again with another compression"));
            }
        }
        let rows = guarded(|| Ok(RowIter::from_file_into(Box::new(reader)))).map_err(broken)?;
        Ok(Self {
            rows,
            schema,
            count: u64::try_from(count).unwrap_or(0),
            row: 0,
            buffer: Vec::with_capacity(BUFFER + (BUFFER >> 2)),
            given: 0,
            ended: false,
            binary: BinaryColumns::default(),
        })
    }

    /// How many rows the file says that it has.
    pub(super) fn len(&self) -> u64 {
        self.count
    }

    /// Fills the buffer with the next rows.
    fn fill(&mut self) -> Result<()> {
        self.buffer.clear();
        self.given = 0;
        while self.buffer.len() < BUFFER && !self.ended {
            let rows = &mut self.rows;
            let corrupt = |e: ParquetError, row: u64| {
                Error::data(format!("row {row}: the Parquet data are corrupt: {}", plain(&e)))
            };
            match guarded(|| rows.next().transpose()) {
                Ok(Some(row)) => {
                    self.row += 1;
                    let mut out = Out { bytes: &mut self.buffer, is_binary: false };
                    write_row(&mut out, &row, Some(&self.schema), Some(&self.binary));
                    self.buffer.push(b'\n');
                }
                Ok(None) if self.row != self.count => {
                    return Err(Error::data(format!(
                        "the Parquet file has {} of the {} rows that it says",
                        self.row, self.count
                    )));
                }
                Ok(None) => self.ended = true,
                Err(e) => return Err(corrupt(e, self.row + 1)),
            }
        }
        Ok(())
    }
}

impl Read for Rows {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given == self.buffer.len() {
            if self.ended {
                return Ok(0);
            }
            if let Err(error) = self.fill() {
                // What is wrong stays wrong.
                (self.ended, self.given) = (false, self.buffer.len());
                return Err(wrong(error));
            }
        }
        let length = out.len().min(self.buffer.len() - self.given);
        out[..length].copy_from_slice(&self.buffer[self.given..self.given + length]);
        self.given += length;
        Ok(length)
    }
}

/// A message without the prefix that says where in the library it arose.
fn plain(error: &ParquetError) -> String {
    let text = error.to_string();
    text.strip_prefix("Parquet error: ").or_else(|| text.strip_prefix("EOF: ")).unwrap_or(&text).to_owned()
}

/// What is written, and whether bytes were met that are no text.
struct Out<'a> {
    bytes: &'a mut Vec<u8>,
    is_binary: bool,
}

/// Writes a row as an object; `noted` takes the names of its columns in which there are bytes that are no text.
fn write_row(out: &mut Out<'_>, row: &Row, schema: Option<&Type>, noted: Option<&BinaryColumns>) {
    out.bytes.push(b'{');
    for (index, (name, field)) in row.get_column_iter().enumerate() {
        if index > 0 {
            out.bytes.push(b',');
        }
        write_text(out.bytes, name);
        out.bytes.push(b':');
        let below = schema.filter(|ty| ty.is_group()).and_then(|ty| ty.get_fields().get(index));
        write_field(out, field, below.map(AsRef::as_ref));
        if let Some(noted) = noted
            && std::mem::take(&mut out.is_binary)
        {
            noted.add(name);
        }
    }
    out.bytes.push(b'}');
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    // A `Vec` takes whatever is written.
    let _ = serde_json::to_writer(out, text);
}

fn write_number(out: &mut Vec<u8>, number: impl serde::Serialize) {
    let _ = serde_json::to_writer(out, &number);
}

/// Writes one value.
fn write_field(into: &mut Out<'_>, field: &Field, ty: Option<&Type>) {
    let out = &mut *into.bytes;
    match field {
        Field::Null => out.extend_from_slice(b"null"),
        Field::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Field::Byte(value) => write_number(out, value),
        Field::Short(value) => write_number(out, value),
        Field::Int(value) => write_number(out, value),
        Field::Long(value) => match nanoseconds(ty) {
            Some(Nanoseconds::Moment { utc }) => moment(out, i128::from(*value), 9, utc),
            Some(Nanoseconds::Time) => time(out, i128::from(*value), 9),
            None => write_number(out, value),
        },
        Field::UByte(value) => write_number(out, value),
        Field::UShort(value) => write_number(out, value),
        Field::UInt(value) => write_number(out, value),
        Field::ULong(value) => write_number(out, value),
        // serde_json writes `null` for what is no number.
        Field::Float16(value) => write_number(out, value.to_f32()),
        Field::Float(value) => write_number(out, value),
        Field::Double(value) => write_number(out, value),
        Field::Decimal(_) => out.extend_from_slice(field.to_string().as_bytes()),
        Field::Str(text) => write_text(out, text),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => write_text(out, text),
            Err(_) => {
                out.extend_from_slice(b"{\"binary\":");
                write_number(out, bytes.data().len());
                out.push(b'}');
                into.is_binary = true;
            }
        },
        Field::Date(days) => {
            out.push(b'"');
            date(out, i64::from(*days));
            out.push(b'"');
        }
        Field::TimeMillis(value) => time(out, i128::from(*value) * 1_000_000, 3),
        Field::TimeMicros(value) => time(out, i128::from(*value) * 1_000, 6),
        Field::TimestampMillis(value) => moment(out, i128::from(*value) * 1_000_000, 3, is_utc(ty)),
        Field::TimestampMicros(value) => moment(out, i128::from(*value) * 1_000, 6, is_utc(ty)),
        Field::Group(row) => write_row(into, row, ty, None),
        Field::ListInternal(list) => write_list(into, list, ty),
        Field::MapInternal(map) => write_map(into, map),
    }
}

fn write_list(out: &mut Out<'_>, list: &List, ty: Option<&Type>) {
    // `list (LIST) { repeated group list { element } }`, or a repeated field.
    let repeated = ty.filter(|ty| ty.is_group()).and_then(|ty| ty.get_fields().first());
    let element = match repeated {
        Some(group) if group.is_group() && group.get_fields().len() == 1 => group.get_fields().first(),
        other => other,
    };
    out.bytes.push(b'[');
    for (index, value) in list.elements().iter().enumerate() {
        if index > 0 {
            out.bytes.push(b',');
        }
        write_field(out, value, element.map(AsRef::as_ref));
    }
    out.bytes.push(b']');
}

fn write_map(out: &mut Out<'_>, map: &Map) {
    let is_object = map.entries().iter().all(|(key, _)| matches!(key, Field::Str(_)));
    out.bytes.push(if is_object { b'{' } else { b'[' });
    for (index, (key, value)) in map.entries().iter().enumerate() {
        if index > 0 {
            out.bytes.push(b',');
        }
        if !is_object {
            out.bytes.push(b'[');
        }
        write_field(out, key, None);
        out.bytes.push(if is_object { b':' } else { b',' });
        write_field(out, value, None);
        if !is_object {
            out.bytes.push(b']');
        }
    }
    out.bytes.push(if is_object { b'}' } else { b']' });
}

/// What a number that counts nanoseconds is.
enum Nanoseconds {
    Moment { utc: bool },
    Time,
}

fn logical(ty: Option<&Type>) -> Option<&LogicalType> {
    ty?.get_basic_info().logical_type_ref()
}

fn nanoseconds(ty: Option<&Type>) -> Option<Nanoseconds> {
    match logical(ty)? {
        LogicalType::Timestamp(of) if of.unit == TimeUnit::NANOS => {
            Some(Nanoseconds::Moment { utc: of.is_adjusted_to_u_t_c })
        }
        LogicalType::Time(of) if of.unit == TimeUnit::NANOS => Some(Nanoseconds::Time),
        _ => None,
    }
}

/// Whether a timestamp counts from the epoch in UTC, which INT96 and those without a logical type do.
fn is_utc(ty: Option<&Type>) -> bool {
    match logical(ty) {
        Some(LogicalType::Timestamp(of)) => of.is_adjusted_to_u_t_c,
        _ => !matches!(ty, Some(Type::PrimitiveType { physical_type: PhysicalType::INT96, .. })),
    }
}

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;

/// Nanoseconds from the epoch, with at most `digits` behind the second.
fn moment(out: &mut Vec<u8>, value: i128, digits: usize, utc: bool) {
    out.push(b'"');
    date(out, i64::try_from(value.div_euclid(DAY)).unwrap_or(0));
    out.push(b'T');
    clock(out, value.rem_euclid(DAY), digits);
    out.extend_from_slice(if utc { b"Z\"" } else { b"\"" });
}

fn time(out: &mut Vec<u8>, value: i128, digits: usize) {
    out.push(b'"');
    clock(out, value.rem_euclid(DAY), digits);
    out.push(b'"');
}

fn clock(out: &mut Vec<u8>, value: i128, digits: usize) {
    let seconds = value / SECOND;
    let text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    out.extend_from_slice(text.as_bytes());
    let rest = value % SECOND;
    if rest != 0 {
        let rest = format!("{rest:09}");
        out.push(b'.');
        out.extend_from_slice(rest[..digits].trim_end_matches('0').as_bytes());
    }
}

/// Days from the epoch in the Gregorian calendar (Hinnant, `civil_from_days`).
fn date(out: &mut Vec<u8>, days: i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    out.extend_from_slice(format!("{year:04}-{month:02}-{day:02}").as_bytes());
}
