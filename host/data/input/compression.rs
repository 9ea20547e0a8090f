//! Compressed files, told by their first bytes.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::wrong;
use so8t_base::{Error, Result};

/// A compression that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// RFC 1952; members follow one another, and zeros may follow the last.
    Gzip,
    /// RFC 8878; frames follow one another.
    Zstd,
}

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// How files begin that are no text, what they are, and what to do.
const OTHERS: &[(&[u8], &str, &str)] = &[
    (b"PK\x03\x04", "a zip archive or a spreadsheet (.xlsx)", "unpack it, or export the sheet as CSV in UTF-8"),
    (&[0xd0, 0xcf, 0x11, 0xe0], "an old spreadsheet (.xls)", "export the sheet as CSV in UTF-8"),
    (b"BZh", "compressed with bzip2", "unpack it, or pack it with gzip or zstd"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "compressed with xz", "unpack it, or pack it with gzip or zstd"),
    (&[b'7', b'z', 0xbc, 0xaf], "a 7z archive", "unpack it"),
    (b"%PDF-", "a PDF", "expected text, for example JSON lines or CSV"),
    (b"SQLite format 3\0", "an SQLite database", "export the table as CSV or JSON lines"),
    (b"ARROW1", "an Arrow file", "write it as Parquet or JSON lines"),
    (b"PARE", "an encrypted Parquet file", "decrypt it first"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the data", "fetch the data: `git lfs pull`"),
    (b"<!DOCTYPE html", "a web page", "the download may have failed: fetch the file itself"),
];

/// What a file is compressed with, told by how it begins. `name` is in lower case.
///
/// # Errors
/// A kind of file that is known and not read; a name that promises what the file is not.
pub(super) fn recognise(head: &[u8], name: &str) -> Result<Option<Compression>> {
    if head.starts_with(GZIP) {
        return Ok(Some(Compression::Gzip));
    }
    // Zstd may begin with a frame that is to be skipped.
    if head.starts_with(ZSTD) || (head.len() >= 4 && head[1..4] == [0x2a, 0x4d, 0x18] && head[0] & 0xf0 == 0x50) {
        return Ok(Some(Compression::Zstd));
    }
    if let Some((_, what, advice)) = OTHERS.iter().find(|(magic, _, _)| head.starts_with(magic)) {
        return Err(Error::data(format!("it is {what}")).with_hint(*advice));
    }
    for (ending, what) in [(".gz", "gzip"), (".zst", "zstd")] {
        if name.ends_with(ending) {
            let found = if head.is_empty() { "it is empty" } else { "it does not begin so" };
            return Err(Error::data(format!("its name promises {what}, and {found}"))
                .with_hint("fetch or pack it again; name it without that ending if it is not compressed"));
        }
    }
    Ok(None)
}

/// Reads all members of a gzip file.
pub(super) fn gzip<R: BufRead>(file: R) -> impl Read + use<R> {
    Unpacking {
        decoder: Members { state: State::Within(GzDecoder::new(Counted { inner: file, consumed: 0 })) },
        consumed: |decoder| decoder.consumed(),
        name: "gzip",
    }
}

/// Reads all frames of a zstd file.
pub(super) fn zstd<R: BufRead>(file: R) -> Result<impl Read + use<R>> {
    let fault = |e: io::Error| Error::internal(format!("zstd cannot begin: {e}"));
    let mut decoder = zstd::Decoder::with_buffer(Counted { inner: file, consumed: 0 }).map_err(fault)?;
    // Any window that the format has: memory is taken as it is filled.
    decoder.window_log_max(31).map_err(fault)?;
    Ok(Unpacking { decoder, consumed: |decoder| decoder.get_ref().consumed, name: "zstd" })
}

/// The members of a gzip file. Tapes and block devices fill up the last one's block with zeros, which are not data.
struct Members<R> {
    state: State<R>,
}

enum State<R> {
    /// In a member, or at the beginning of one.
    Within(GzDecoder<Counted<R>>),
    /// Behind the last member, after so many bytes: whole, or with something behind it that is none.
    Behind { consumed: u64, is_whole: bool },
}

impl<R: BufRead> Members<R> {
    fn consumed(&self) -> u64 {
        match &self.state {
            State::Within(decoder) => decoder.get_ref().consumed,
            State::Behind { consumed, .. } => *consumed,
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match &mut self.state {
                State::Within(decoder) => match decoder.read(out)? {
                    0 if !out.is_empty() => {}
                    read => return Ok(read),
                },
                State::Behind { is_whole: true, .. } => return Ok(0),
                State::Behind { is_whole: false, .. } => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a byte that is not zero follows zeros"));
                }
            }
            let over = State::Behind { consumed: self.consumed(), is_whole: true };
            let State::Within(decoder) = std::mem::replace(&mut self.state, over) else { return Ok(0) };
            let mut rest = decoder.into_inner();
            let zeros = pass_zeros(&mut rest)?;
            let is_whole = rest.fill_buf()?.is_empty();
            self.state = match (is_whole, zeros) {
                (false, 0) => State::Within(GzDecoder::new(rest)),
                _ => State::Behind { consumed: rest.consumed, is_whole },
            };
        }
    }
}

/// Passes over zeros; how many there were.
fn pass_zeros(file: &mut impl BufRead) -> io::Result<u64> {
    let mut passed = 0;
    loop {
        let bytes = file.fill_buf()?;
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let goes_on = zeros > 0 && zeros == bytes.len();
        file.consume(zeros);
        passed += zeros as u64;
        if !goes_on {
            return Ok(passed);
        }
    }
}

/// A decoder whose errors say how far into the file it came.
struct Unpacking<D> {
    decoder: D,
    consumed: fn(&D) -> u64,
    name: &'static str,
}

impl<D: Read> Read for Unpacking<D> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(out).map_err(|error| {
            let (name, at) = (self.name, (self.consumed)(&self.decoder));
            wrong(match error.kind() {
                io::ErrorKind::Interrupted => return error,
                io::ErrorKind::UnexpectedEof => {
                    Error::data(format!("the {name} data end at offset {at}, before they are whole"))
                        .with_hint("the file was cut short: fetch or pack it again")
                }
                _ => Error::data(format!("the {name} data are corrupt at offset {at}: {error}"))
                    .with_hint("fetch or pack the file again"),
            })
        })
    }
}

/// Counts the bytes that were consumed.
struct Counted<R> {
    inner: R,
    consumed: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.consumed += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.consumed += amount as u64;
        self.inner.consume(amount);
    }
}
