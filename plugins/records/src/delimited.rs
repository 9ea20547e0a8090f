//! Rows of delimited text (RFC 4180) cut out of a stream: quoted fields hold delimiters, line breaks and doubled
//! quotes; rows end with LF or CRLF; blank lines are skipped.

use memchr::{memchr, memchr3};
use so8t_plugin_sdk::Failure;

use crate::text::Start;

/// One row.
#[derive(Debug)]
pub struct Row<'a> {
    bytes: &'a [u8],
    ends: &'a [usize],
}

impl<'a> Row<'a> {
    /// The number of fields.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none, which no row is.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All fields, one after another.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where field `index` stands in [`Row::bytes`].
    pub fn range(&self, index: usize) -> std::ops::Range<usize> {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        start..self.ends.get(index).copied().unwrap_or(start)
    }
}

/// The greatest number of fields in a row.
pub const MAX_FIELDS: usize = 65_536;

/// Cuts rows out of a stream.
#[derive(Debug)]
pub struct Reader {
    start: Start,
    cutter: Cutter,
}

#[derive(Debug)]
struct Cutter {
    delimiter: u8,
    cap: usize,
    state: State,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Why the row at hand is to be rejected.
    fault: Option<String>,
    /// The row at hand holds a quoted field, so that it is not blank.
    quoted: bool,
    line: u32,
    first: u32,
    /// The line in which the quoted field at hand starts.
    opened: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the beginning of a field.
    Field,
    /// Within a field without quotes.
    Plain,
    /// Within quotes.
    Quoted,
    /// After a quote within quotes: doubled, or the end.
    Quote,
    /// After a carriage return, which ends the row where a line feed follows; after a quoted field where `closed`.
    Return { closed: bool },
}

impl Reader {
    /// A reader of rows of at most `cap` bytes.
    pub fn new(delimiter: u8, cap: usize) -> Self {
        let cutter = Cutter {
            delimiter,
            cap,
            state: State::Field,
            bytes: Vec::new(),
            ends: Vec::new(),
            fault: None,
            quoted: false,
            line: 1,
            first: 1,
            opened: 1,
        };
        Self { start: Start::default(), cutter }
    }

    /// Takes the next bytes, and hands every row that they complete to `take`, with the line in which it starts: the
    /// row, or the reason why it is rejected.
    pub fn push(
        &mut self,
        chunk: &[u8],
        mut take: impl FnMut(u32, Result<Row<'_>, String>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Self { start, cutter } = self;
        start.pass(chunk, |bytes| cutter.push(bytes, &mut take))
    }

    /// The stream has ended. A quoted field that is still open is a failure: what it swallowed cannot be told.
    pub fn finish(
        &mut self,
        mut take: impl FnMut(u32, Result<Row<'_>, String>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Self { start, cutter } = self;
        start.end(|bytes| cutter.push(bytes, &mut take))?;
        if cutter.state == State::Quoted {
            let line = cutter.opened;
            return Err(Failure::Input(format!("line {line}: found a quoted field that the file never closes")));
        }
        if cutter.blank() { Ok(()) } else { cutter.row(&mut take) }
    }
}

type Take<'t> = dyn FnMut(u32, Result<Row<'_>, String>) -> Result<(), Failure> + 't;

impl Cutter {
    fn push(&mut self, bytes: &[u8], take: &mut Take<'_>) -> Result<(), Failure> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Field if byte == b'"' => {
                    self.state = State::Quoted;
                    self.quoted = true;
                    self.opened = self.line;
                    at += 1;
                }
                State::Field | State::Plain => {
                    let rest = &bytes[at..];
                    let end = memchr3(self.delimiter, b'\n', b'\r', rest).unwrap_or(rest.len());
                    self.append(&rest[..end]);
                    self.state = State::Plain;
                    at += end + 1;
                    if let Some(&byte) = rest.get(end) {
                        self.boundary(byte, false, take)?;
                    }
                }
                State::Quoted => {
                    let rest = &bytes[at..];
                    let end = memchr(b'"', rest).unwrap_or(rest.len());
                    self.append(&rest[..end]);
                    self.line = self.line.saturating_add(memchr::memchr_iter(b'\n', &rest[..end]).count() as u32);
                    at += end + 1;
                    if end < rest.len() {
                        self.state = State::Quote;
                    }
                }
                State::Quote if byte == b'"' => {
                    self.append(b"\"");
                    self.state = State::Quoted;
                    at += 1;
                }
                State::Quote if byte == self.delimiter || byte == b'\n' || byte == b'\r' => {
                    self.boundary(byte, true, take)?;
                    at += 1;
                }
                State::Quote => {
                    let line = self.line;
                    self.fault.get_or_insert_with(|| {
                        format!("expected a delimiter after a quoted field, found `{}` in line {line}", byte as char)
                    });
                    self.state = State::Plain;
                }
                State::Return { .. } if byte == b'\n' => {
                    self.boundary(byte, false, take)?;
                    at += 1;
                }
                State::Return { closed } => {
                    // A lone carriage return is part of the field, unless the field's quotes are closed.
                    if closed {
                        self.fault.get_or_insert_with(|| "expected a line feed after a carriage return".to_owned());
                    }
                    self.append(b"\r");
                    self.state = State::Plain;
                }
            }
        }
        Ok(())
    }

    /// A delimiter, line feed or carriage return outside quotes.
    fn boundary(&mut self, byte: u8, closed: bool, take: &mut Take<'_>) -> Result<(), Failure> {
        match byte {
            b'\n' => {
                self.line = self.line.saturating_add(1);
                if self.blank() {
                    self.reset();
                    return Ok(());
                }
                self.row(take)
            }
            b'\r' => {
                self.state = State::Return { closed };
                Ok(())
            }
            _ => {
                if self.ends.len() < MAX_FIELDS {
                    self.ends.push(self.bytes.len());
                } else {
                    self.fault = Some(format!("the record has more than {MAX_FIELDS} fields"));
                }
                self.state = State::Field;
                Ok(())
            }
        }
    }

    /// Whether the row at hand holds nothing at all.
    fn blank(&self) -> bool {
        self.ends.is_empty() && self.bytes.is_empty() && !self.quoted && self.fault.is_none()
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > self.cap {
            self.fault = Some("the record is longer than `max_record_bytes`".to_owned());
            self.bytes.clear();
            self.ends.iter_mut().for_each(|end| *end = 0);
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn row(&mut self, take: &mut Take<'_>) -> Result<(), Failure> {
        self.ends.push(self.bytes.len());
        let row = match self.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(Row { bytes: &self.bytes, ends: &self.ends }),
        };
        take(self.first, row)?;
        self.reset();
        Ok(())
    }

    fn reset(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.fault = None;
        self.quoted = false;
        self.state = State::Field;
        self.first = self.line;
    }
}
