//! JSON records cut out of a stream: the lines of a file, or the elements of one array.

use memchr::{memchr, memchr3};
use so8t_plugin_sdk::Failure;

use crate::text::Start;

/// How the records are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One record a line; blank lines are skipped.
    Lines,
    /// The elements of one array; one object stands for its leaves, see [`crate::tree`].
    Array,
    /// An array where the first byte that is no space is `[`, else lines.
    Either,
}

/// What the reader found.
#[derive(Debug)]
pub enum Found<'a> {
    /// The bytes of one record.
    Record(&'a [u8]),
    /// The bytes of one object in the place of an array: all that there is.
    Tree(&'a [u8]),
    /// A record of more bytes than the cap.
    TooLong,
}

/// Cuts records out of a stream.
#[derive(Debug)]
pub struct Reader {
    start: Start,
    cutter: Cutter,
}

/// The state without the byte order mark.
#[derive(Debug)]
struct Cutter {
    framing: Framing,
    state: State,
    /// What came so far of the record at hand, where it spans chunks.
    held: Vec<u8>,
    /// The record at hand is longer than the cap.
    too_long: bool,
    cap: usize,
    /// The line of the next byte, counted from 1.
    line: u32,
    /// The line in which the record at hand starts.
    first: u32,
    elements: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte that is no space.
    Begin,
    /// Within lines.
    Line,
    /// Within an object that stands in the place of an array, up to the end.
    Tree,
    /// After `[`: an element or `]`.
    FirstElement,
    /// After `,`: an element.
    NextElement,
    /// Within an object or array, so deep.
    Nested(u32),
    /// Within a string, so deep; after a backslash where `escaped`.
    Text { depth: u32, escaped: bool },
    /// Within a number, `true`, `false` or `null`.
    Word,
    /// After an element: `,` or `]`.
    Separator,
    /// After the array's `]`.
    End,
}

impl Reader {
    /// A reader of records of at most `cap` bytes.
    pub fn new(framing: Framing, cap: usize) -> Self {
        let cutter = Cutter {
            framing,
            state: State::Begin,
            held: Vec::new(),
            too_long: false,
            cap,
            line: 1,
            first: 1,
            elements: 0,
        };
        Self { start: Start::default(), cutter }
    }

    /// Takes the next bytes, and hands every record that they complete to `take`, with the line in which it starts.
    /// An array whose syntax is lost is a failure that names the line.
    pub fn push(&mut self, chunk: &[u8], mut take: impl FnMut(u32, Found<'_>)) -> Result<(), Failure> {
        let Self { start, cutter } = self;
        start.pass(chunk, |bytes| cutter.push(bytes, &mut take))
    }

    /// The stream has ended.
    pub fn finish(&mut self, mut take: impl FnMut(u32, Found<'_>)) -> Result<(), Failure> {
        let Self { start, cutter } = self;
        start.end(|bytes| cutter.push(bytes, &mut take))?;
        cutter.finish(&mut take)
    }
}

impl Cutter {
    fn push(&mut self, mut bytes: &[u8], take: &mut impl FnMut(u32, Found<'_>)) -> Result<(), Failure> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Line => self.in_lines(bytes, take),
                State::Tree => {
                    self.hold(bytes);
                    &[]
                }
                State::Nested(_) | State::Text { .. } | State::Word => self.in_element(bytes, take)?,
                _ => self.between(bytes)?,
            };
        }
        Ok(())
    }

    /// Lines, up to the end of `bytes`.
    fn in_lines<'a>(&mut self, mut bytes: &'a [u8], take: &mut impl FnMut(u32, Found<'_>)) -> &'a [u8] {
        while let Some(end) = memchr(b'\n', bytes) {
            self.complete(&bytes[..end], take);
            self.line = self.line.saturating_add(1);
            self.first = self.line;
            bytes = &bytes[end + 1..];
        }
        self.hold(bytes);
        &[]
    }

    /// The bytes around elements, up to the first byte that begins a record.
    fn between<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        let spaces = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.count_lines(&bytes[..spaces]);
        let Some(&byte) = bytes.get(spaces) else { return Ok(&[]) };
        let rest = &bytes[spaces..];
        self.state = match (self.state, byte) {
            (State::Begin, b'[') if self.framing != Framing::Lines => State::FirstElement,
            (State::Begin, b'{') if self.framing == Framing::Array => {
                self.first = self.line;
                self.state = State::Tree;
                return Ok(rest);
            }
            (State::Begin, _) if self.framing == Framing::Array => return self.lost("`[`", rest),
            (State::Begin, _) => {
                self.first = self.line;
                self.state = State::Line;
                return Ok(rest);
            }
            (State::FirstElement | State::Separator, b']') => State::End,
            (State::Separator, b',') => State::NextElement,
            (State::Separator, _) => return self.lost("`,` or `]` after an element", rest),
            (State::End, _) => return self.lost("nothing after the array", rest),
            (_, b',' | b']' | b'}' | b':') => return self.lost("an element", rest),
            (_, b'{' | b'[') => return Ok(self.begin(State::Nested(0), rest)),
            (_, b'"') => return Ok(self.begin(State::Nested(0), rest)),
            _ => return Ok(self.begin(State::Word, rest)),
        };
        Ok(&rest[1..])
    }

    fn begin<'a>(&mut self, state: State, rest: &'a [u8]) -> &'a [u8] {
        self.state = state;
        self.first = self.line;
        self.elements += 1;
        rest
    }

    /// An element, up to its end or that of `bytes`.
    fn in_element<'a>(&mut self, bytes: &'a [u8], take: &mut impl FnMut(u32, Found<'_>)) -> Result<&'a [u8], Failure> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Text { depth, escaped: true } => {
                    self.state = State::Text { depth, escaped: false };
                    at += 1;
                }
                State::Text { depth, escaped: false } => {
                    let Some(found) = memchr3(b'"', b'\\', b'\n', &bytes[at..]) else { break };
                    at += found + 1;
                    match bytes[at - 1] {
                        b'\\' => self.state = State::Text { depth, escaped: true },
                        b'"' if depth == 0 => return Ok(self.element(bytes, at, take)),
                        b'"' => self.state = State::Nested(depth),
                        _ => return self.fail("a line break within a string"),
                    }
                }
                State::Nested(depth) => {
                    at += 1;
                    match byte {
                        b'"' => self.state = State::Text { depth, escaped: false },
                        b'{' | b'[' => self.state = State::Nested(depth + 1),
                        b'}' | b']' if depth <= 1 => return Ok(self.element(bytes, at, take)),
                        b'}' | b']' => self.state = State::Nested(depth - 1),
                        b'\n' => self.line = self.line.saturating_add(1),
                        _ => {}
                    }
                }
                _ => {
                    if byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}' | b'{' | b'[' | b'"') {
                        return Ok(self.element(bytes, at, take));
                    }
                    at += 1;
                }
            }
        }
        self.hold(bytes);
        Ok(&[])
    }

    /// The element that ends with `bytes[..end]` is whole.
    fn element<'a>(&mut self, bytes: &'a [u8], end: usize, take: &mut impl FnMut(u32, Found<'_>)) -> &'a [u8] {
        self.complete(&bytes[..end], take);
        self.state = State::Separator;
        &bytes[end..]
    }

    /// The record that ends with `tail` is whole.
    fn complete(&mut self, tail: &[u8], take: &mut impl FnMut(u32, Found<'_>)) {
        if self.too_long || self.held.len() + tail.len() > self.cap {
            take(self.first, Found::TooLong);
        } else if self.held.is_empty() {
            give(self.first, tail, take);
        } else {
            self.held.extend_from_slice(tail);
            give(self.first, &self.held, take);
        }
        self.held.clear();
        self.too_long = false;
    }

    /// Keeps the beginning of a record, up to the cap.
    fn hold(&mut self, bytes: &[u8]) {
        if self.too_long || self.held.len() + bytes.len() > self.cap {
            self.too_long = true;
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(bytes);
        }
    }

    fn count_lines(&mut self, bytes: &[u8]) {
        self.line = self.line.saturating_add(memchr::memchr_iter(b'\n', bytes).count() as u32);
    }

    fn finish(&mut self, take: &mut impl FnMut(u32, Found<'_>)) -> Result<(), Failure> {
        match self.state {
            State::Line => {
                if self.too_long || !self.held.is_empty() {
                    self.complete(&[], take);
                }
                Ok(())
            }
            State::Tree if self.too_long => {
                take(self.first, Found::TooLong);
                Ok(())
            }
            State::Tree => {
                take(self.first, Found::Tree(self.held.trim_ascii()));
                Ok(())
            }
            State::Begin if self.framing == Framing::Array => self.fail("the end of the file, expected `[`"),
            State::Begin | State::End => Ok(()),
            State::FirstElement | State::NextElement | State::Separator => {
                self.fail("the end of the file, expected the array's `]`")
            }
            State::Nested(_) | State::Text { .. } | State::Word => {
                let (element, first) = (self.elements, self.first);
                self.fail(&format!("the end of the file within element {element}, which starts in line {first}"))
            }
        }
    }

    fn lost<T>(&self, expected: &str, rest: &[u8]) -> Result<T, Failure> {
        let found = String::from_utf8_lossy(&rest[..rest.len().min(1)]).into_owned();
        Err(Failure::Input(format!("line {}: expected {expected}, found `{found}`", self.line)))
    }

    fn fail<T>(&self, found: &str) -> Result<T, Failure> {
        Err(Failure::Input(format!("line {}: found {found}", self.line)))
    }
}

/// Hands over a record without the spaces around it, and nothing where there are only spaces.
fn give(line: u32, record: &[u8], take: &mut impl FnMut(u32, Found<'_>)) {
    let record = record.trim_ascii();
    if !record.is_empty() {
        take(line, Found::Record(record));
    }
}
