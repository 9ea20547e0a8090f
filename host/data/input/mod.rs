//! The bytes of a source as text: what a file, a folder or standard input holds, decompressed, as UTF-8, in a stream.
//!
//! | what | how it is told | what comes out |
//! |---|---|---|
//! | gzip (several members too), zstd (several frames too) | by its first bytes | what is packed |
//! | Parquet | by its first bytes | one JSON object a line for every row, see [`parquet_rows`] |
//! | UTF-8, with or without a mark | nothing need be said | the bytes as they are |
//! | UTF-16 | by its mark, or declared | UTF-8 |
//! | Shift_JIS (cp932), EUC-JP | declared, or certain, see [`encoding`] | UTF-8 |
//! | other encodings | declared | UTF-8 |
//! | lines that end in a carriage return alone | there is no line feed | lines that end in a line feed |
//!
//! A few hundred kilobytes are held, whatever the length of the file (besides zstd's window, and a page of every Parquet column).

mod compression;
pub mod encoding;
mod folder;
mod line_ends;
pub mod parquet_footer;
pub mod parquet_rows;
mod standard_input;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub use encoding::Encoding;
pub use folder::{ENDINGS, Step, files_at, files_below};

use compression::Compression;
use line_ends::LineEnds;
pub use parquet_rows::BinaryColumns;
use so8t_base::{Error, Result, files};

/// The path that stands for standard input.
pub const STANDARD_INPUT: &str = "-";

/// How a file is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputOptions {
    /// The encoding of its text, where the manifest says so.
    pub encoding: Option<Encoding>,
}

/// A file that is open, and what it was found to be.
pub struct Input {
    /// The text as UTF-8.
    pub reader: Box<dyn Read + Send>,
    /// `gzip` or `zstd`; `None` where the file is not compressed.
    pub compression: Option<&'static str>,
    /// Whether it is a Parquet file, which reads as JSON lines.
    pub is_parquet: bool,
    /// How many rows it has, where its metadata say so.
    pub rows: Option<u64>,
    /// The columns of a Parquet file that were found to hold bytes that are no text, in whose place other things stand.
    pub binary: BinaryColumns,
    encoding: Arc<OnceLock<&'static str>>,
}

impl Input {
    /// The encoding that the text has; known once something outside ASCII was read.
    pub fn encoding(&self) -> &'static str {
        self.encoding.get().copied().unwrap_or("ASCII")
    }
}

/// Opens the file at `path` (`-` is standard input) for reading as UTF-8. A read that fails gives an error that [`failed`] puts
/// into words.
///
/// # Errors
/// A file that cannot be read, or whose kind is known and not read: an archive, a spreadsheet, a Parquet file that is not whole.
pub fn open(path: &Path, options: &InputOptions) -> Result<Box<dyn Read + Send>> {
    open_described(path, options).map(|input| input.reader)
}

/// As [`open`], with what the file was found to be.
pub fn open_described(path: &Path, options: &InputOptions) -> Result<Input> {
    let within = |error: Error| error.context(format!("cannot read `{}`", path.display()));
    let file = if is_standard_input(path) {
        standard_input::file()?
    } else {
        // A file is read several times: for its digest, and for its records. A pipe would wait for whoever writes into it.
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(within(Error::data("it is a folder"))),
            Ok(found) if !found.is_file() => {
                return Err(within(Error::data("it is a pipe or a device: expected a regular file"))
                    .with_hint("write it to a file, or read it as standard input, which is named `-`"));
            }
            _ => File::open(path).map_err(|e| Error::io("read", path, &e))?,
        }
    };
    let mut file = BufReader::with_capacity(BUFFER, file);
    let head = file.fill_buf().map_err(|e| Error::io("read", path, &e))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let compression = compression::recognise(head, &name).map_err(within)?;
    if compression.is_none() && (head.starts_with(parquet_rows::MAGIC) || name.ends_with(".parquet")) {
        let rows = parquet_rows::Rows::open(file.into_inner()).map_err(within)?;
        let encoding = Arc::new(OnceLock::from("UTF-8"));
        return Ok(Input {
            binary: rows.binary(),
            compression: None,
            is_parquet: true,
            rows: Some(rows.len()),
            encoding,
            reader: Box::new(rows),
        });
    }
    let encoding = Arc::new(OnceLock::new());
    let decoded = |bytes: Box<dyn Read + Send>| -> Box<dyn Read + Send> {
        Box::new(LineEnds::new(encoding::Decoding::new(bytes, options.encoding, Arc::clone(&encoding))))
    };
    let (compression, reader) = match compression {
        None => (None, decoded(Box::new(file))),
        Some(Compression::Gzip) => (Some("gzip"), decoded(Box::new(compression::gzip(file)))),
        Some(Compression::Zstd) => (Some("zstd"), decoded(Box::new(compression::zstd(file).map_err(within)?))),
    };
    Ok(Input { reader, compression, is_parquet: false, rows: None, binary: BinaryColumns::default(), encoding })
}

/// What is read from a file at once.
const BUFFER: usize = 1 << 17;

/// Puts an error of a reader that [`open`] gave into words.
pub fn failed(path: &Path, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error.context(format!("cannot read `{}`", path.display())),
        Err(error) => Error::io("read", path, &error),
    }
}

/// An error of this module as one of a reader.
fn wrong(error: Error) -> io::Error {
    io::Error::other(error)
}

/// Whether a path stands for standard input.
pub fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

/// The SHA-256 of a file as it lies on disk, or of what came on standard input.
pub fn digest(path: &Path) -> Result<String> {
    if is_standard_input(path) { standard_input::digest() } else { files::sha256_file(path) }
}
