//! Converters: bytes of a source in, examples out.

use std::cell::{Cell, RefCell};

use serde::de::DeserializeOwned;

use crate::bindings::conversion as generated;
use crate::bindings::types::{self, Metadata, Texts};
use crate::{About, Example, Failure, config, log};

/// A plugin that reads a data format, as a stream: how the bytes are cut into chunks never changes the examples.
///
/// One that takes every line to be an instruction, and its test:
///
/// ```
/// use so8t_plugin_sdk::{About, Converter, Example, Examples, Failure, about, config, export_converter};
///
/// #[derive(Default)]
/// struct Lines {
///     line: Vec<u8>, // that has not ended yet
///     number: u32,
/// }
/// export_converter!(Lines);
///
/// impl Converter for Lines {
///     type Config = config::Empty;
///     const ABOUT: About = about!("lines", r#"{"type": "object", "additionalProperties": false}"#);
///
///     fn open(_: config::Empty) -> Result<Self, Failure> {
///         Ok(Self::default())
///     }
///     fn push(&mut self, chunk: &[u8], out: &mut Examples) -> Result<(), Failure> {
///         for &byte in chunk {
///             if byte == b'\n' { self.finish(out)? } else { self.line.push(byte) }
///         }
///         Ok(())
///     }
///     fn finish(&mut self, out: &mut Examples) -> Result<(), Failure> {
///         self.number += 1;
///         match str::from_utf8(&self.line) {
///             Ok("") => {}
///             Ok(instruction) => out.push(self.number, Example { instruction, ..Example::default() }),
///             Err(_) => out.reject(self.number, "the line is not UTF-8"),
///         }
///         self.line.clear();
///         Ok(())
///     }
/// }
///
/// let (mut lines, mut out) = (Lines::open(config::Empty {}).unwrap(), Examples::default());
/// for chunk in [&b"one\n\xff\nt"[..], b"wo"] {
///     lines.push(chunk, &mut out).unwrap();
/// }
/// lines.finish(&mut out).unwrap();
/// let batch = out.into_batch();
/// assert_eq!((batch.examples.instruction.bytes.as_slice(), batch.lines), (&b"onetwo"[..], vec![1, 3]));
/// assert_eq!((batch.rejected[0].line, batch.rejected[0].reason.as_str()), (2, "the line is not UTF-8"));
/// ```
pub trait Converter: Sized + 'static {
    /// The manifest's `config` table.
    type Config: DeserializeOwned;
    /// What this plugin is.
    const ABOUT: About;

    /// Begins with a source.
    fn open(config: Self::Config) -> Result<Self, Failure>;
    /// Takes the next bytes of the source, and puts the examples that they complete into `out`. What is in `out` when it
    /// fails is kept: the failure is then that of the next call.
    fn push(&mut self, chunk: &[u8], out: &mut Examples) -> Result<(), Failure>;
    /// The source has ended: puts what is left into `out`.
    fn finish(&mut self, out: &mut Examples) -> Result<(), Failure>;
}

/// The examples and rejections of one call.
#[derive(Debug, Default)]
pub struct Examples {
    columns: [Builder; 7],
    lines: Vec<u32>,
    rejected: Vec<generated::Rejection>,
}

/// How large a batch was, column by column: the next one will be about as large.
#[derive(Clone, Copy, Debug, Default)]
struct Sizes {
    bytes: [usize; 7],
    rows: usize,
}

impl Examples {
    /// A batch that will be about as large as another one.
    fn with(sizes: Sizes) -> Self {
        let rows = sizes.rows + sizes.rows / 8;
        let column = |bytes: usize| Builder { expected: (bytes + bytes / 8, rows), ..Builder::default() };
        Self { columns: sizes.bytes.map(column), lines: Vec::with_capacity(rows), rejected: Vec::new() }
    }

    fn sizes(&self) -> Sizes {
        Sizes { bytes: self.columns.each_ref().map(|column| column.bytes.len()), rows: self.lines.len() }
    }

    /// Adds an example that starts in `line`, counted from 1. One without an instruction is rejected instead.
    pub fn push(&mut self, line: u32, example: Example<'_>) {
        if example.instruction.trim().is_empty() {
            self.reject(line, "the instruction is empty");
            return;
        }
        let Example { id, instruction, input, output, label, group, extra_json } = example;
        let row = self.lines.len();
        for (column, text) in self.columns.iter_mut().zip([id, instruction, input, output, label, group, extra_json]) {
            column.push(row, text);
        }
        self.lines.push(line);
    }

    /// Leaves out the record that starts in `line`, counted from 1: `reason` says what was expected and what was found.
    pub fn reject(&mut self, line: u32, reason: impl Into<String>) {
        self.rejected.push(generated::Rejection { line, reason: reason.into() });
    }

    /// Whether there are neither examples nor rejections.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.rejected.is_empty()
    }

    /// The batch as it crosses the interface.
    pub fn into_batch(self) -> generated::Batch {
        let rows = self.lines.len();
        let [id, instruction, input, output, label, group, extra_json] = self.columns;
        generated::Batch {
            examples: types::Examples {
                id: id.finish(rows, false),
                instruction: instruction.finish(rows, true),
                input: input.finish(rows, false),
                output: output.finish(rows, false),
                label: label.finish(rows, false),
                group: group.finish(rows, false),
                extra_json: extra_json.finish(rows, false),
            },
            lines: self.lines,
            rejected: self.rejected,
        }
    }
}

/// A column under construction, which stays lacking as long as all rows are empty.
#[derive(Debug, Default)]
struct Builder {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
    /// How many bytes and rows there may be: room for them is made at the first.
    expected: (usize, usize),
}

impl Builder {
    /// Appends row number `row`, the rows before it being there or empty.
    fn push(&mut self, row: usize, text: &str) {
        if self.offsets.len() != row + 1 {
            if text.is_empty() {
                return;
            }
            if self.offsets.is_empty() {
                let (bytes, rows) = self.expected;
                self.bytes.reserve(bytes);
                self.offsets.reserve(rows.max(row) + 1);
            }
            self.offsets.resize(row + 1, self.bytes.len() as u32);
        }
        self.bytes.extend_from_slice(text.as_bytes());
        self.offsets.push(self.bytes.len() as u32);
    }

    /// The column of `rows` rows.
    fn finish(self, rows: usize, never_lacking: bool) -> Texts {
        let Self { bytes, mut offsets, .. } = self;
        if offsets.is_empty() && !never_lacking {
            return Texts { bytes: Vec::new(), offsets: Vec::new() };
        }
        offsets.resize(rows + 1, bytes.len() as u32);
        Texts { bytes, offsets }
    }
}

/// The exports of a component whose converter is `T`; used by [`export_converter!`](crate::export_converter).
#[derive(Debug)]
pub struct ConverterExport<T> {
    converter: RefCell<T>,
    /// A failure that has yet to be told, because examples went before it.
    failed: RefCell<Option<Failure>>,
    /// Those of the last batch.
    sizes: Cell<Sizes>,
}

impl<T: Converter> generated::Guest for ConverterExport<T> {
    type Converter = Self;

    fn describe() -> Metadata {
        T::ABOUT.into()
    }
}

impl<T: Converter> generated::GuestConverter for ConverterExport<T> {
    fn open(config: String) -> Result<generated::Converter, Failure> {
        log::report_panics();
        let converter = RefCell::new(T::open(config::read(&config)?)?);
        Ok(generated::Converter::new(Self { converter, failed: RefCell::new(None), sizes: Cell::default() }))
    }

    fn push(&self, chunk: Vec<u8>) -> Result<generated::Batch, Failure> {
        if let Some(failure) = &*self.failed.borrow() {
            return Err(failure.clone());
        }
        let mut out = Examples::with(self.sizes.get());
        if let Err(failure) = self.converter.borrow_mut().push(&chunk, &mut out) {
            if out.is_empty() {
                return Err(failure);
            }
            self.failed.replace(Some(failure));
        }
        self.sizes.set(out.sizes());
        Ok(out.into_batch())
    }

    fn finish(&self) -> Result<generated::Batch, Failure> {
        if let Some(failure) = self.failed.take() {
            return Err(failure);
        }
        let mut out = Examples::default();
        self.converter.borrow_mut().finish(&mut out)?;
        Ok(out.into_batch())
    }
}
