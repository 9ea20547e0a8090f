//! A Parquet file's footer held against the file: every number of rows and bytes that readers trust is checked before one of them does.

use std::cell::Cell;
use std::fs::File;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};

/// Opens a Parquet file whose footer agrees with itself and with the file's length.
///
/// # Errors
/// A file that is no whole Parquet file; numbers of rows that differ between the file, its row groups and their columns; columns that
/// would lie outside the file.
pub fn open_checked(file: File) -> Result<SerializedFileReader<File>> {
    let length = file.metadata().map_err(|e| ParquetError::General(e.to_string()))?.len();
    let reader = guarded(|| SerializedFileReader::new(file))?;
    check(reader.metadata(), length).map_err(ParquetError::General)?;
    Ok(reader)
}

fn check(metadata: &ParquetMetaData, length: u64) -> std::result::Result<(), String> {
    let said = metadata.file_metadata().num_rows();
    let mut total = 0_i64;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let rows = group.num_rows();
        total = match total.checked_add(rows) {
            Some(total) if rows >= 0 => total,
            _ => return Err(format!("row group {index}: expected a number of rows, found {rows}")),
        };
        for column in group.columns() {
            let place = || format!("row group {index}, column `{}`", column.column_path().string());
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let start = start.min(column.data_page_offset());
            let (start, size) = (u64::try_from(start), u64::try_from(column.compressed_size()));
            let end = start.ok().zip(size.ok()).and_then(|(start, size)| start.checked_add(size));
            if end.is_none_or(|end| end > length) {
                return Err(format!(
                    "{}: expected its bytes within the file's {length}, found {} from byte {}",
                    place(),
                    column.compressed_size(),
                    column.data_page_offset()
                ));
            }
            // A column that is neither a list nor in one has a value or a null for every row.
            let values = column.num_values();
            if column.column_descr().max_rep_level() == 0 && values != rows {
                return Err(format!("{}: {values} values for the {rows} rows that the row group says", place()));
            }
        }
    }
    if total != said {
        return Err(format!("the footer says {said} rows, and its row groups say {total}"));
    }
    Ok(())
}

/// Refuses a column that has more rows than were read of it, as all that its row group says.
pub fn check_ended(reader: &mut ColumnReader) -> Result<()> {
    fn more<T: DataType>(reader: &mut ColumnReaderImpl<T>) -> Result<usize> {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        Ok(reader.read_records(1, Some(&mut levels), None, &mut values)?.0)
    }
    let rows = match reader {
        ColumnReader::ByteArrayColumnReader(reader) => more(reader)?,
        ColumnReader::FloatColumnReader(reader) => more(reader)?,
        ColumnReader::DoubleColumnReader(reader) => more(reader)?,
        _ => 0,
    };
    match rows {
        0 => Ok(()),
        _ => Err(ParquetError::General("a column has more rows than its row group says".to_owned())),
    }
}

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The reader of Parquet panics on some files that do not fit their schema or their footer: that is an error of the file, and says
/// nothing of its own on standard error.
pub fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                usual(panic);
            }
        }));
    });
    let before = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    IS_GUARDED.set(before);
    result.unwrap_or_else(|_| Err(ParquetError::General("the data do not fit their schema".to_owned())))
}
