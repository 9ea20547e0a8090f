//! Text in any encoding as UTF-8, in a stream.
//!
//! Without a declaration the first text outside ASCII decides, with up to a mebibyte from there on as evidence. What is UTF-8 there
//! is UTF-8; the same where at most a tenth of its characters is wrong, and what is wrong costs its record. What is not is
//! Shift_JIS or EUC-JP only with certainty: all of it must be valid in one of the two, and hold as much hiragana as Japanese does
//! (16 characters, a fifth of what is not ASCII), which no other encoding's text looks like by chance. On doubt it is an error
//! that names the byte, and shows what it would read as.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use encoding_rs::{Decoder, DecoderResult, EUC_JP, SHIFT_JIS, UTF_16BE, UTF_16LE};

use super::wrong;
use so8t_base::Error;

/// An encoding that the manifest declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8; wrong bytes are the converter's to reject.
    Utf8,
    /// UTF-16 in the order that its mark gives.
    Utf16,
    /// Another encoding of the WHATWG's list, such as Shift_JIS (that is cp932) or EUC-JP.
    Other(&'static encoding_rs::Encoding),
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.trim().to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Ok(Self::Utf8),
            "utf-16" | "utf16" => Ok(Self::Utf16),
            "cp932" => Ok(Self::Other(SHIFT_JIS)),
            "eucjp" => Ok(Self::Other(EUC_JP)),
            name => match encoding_rs::Encoding::for_label_no_replacement(name.as_bytes()) {
                Some(found) => Ok(Self::Other(found)),
                None => Err(format!(
                    "`{name}` is not an encoding: expected `utf-8`, `utf-16`, `utf-16le`, `utf-16be`, `shift_jis` (`cp932`), \
                     `euc-jp`, `iso-2022-jp`, or another name of the WHATWG's list"
                )),
            },
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16 => "UTF-16",
            Self::Other(encoding) => encoding.name(),
        })
    }
}

/// How much is read before what the text is in is decided.
const EVIDENCE: usize = 1 << 20;
/// How much is read and decoded at once.
const CHUNK: usize = 1 << 18;
/// More bytes than a wrong sequence and what follows it may have.
const RECENT: usize = 8;
/// How much of a line is shown before what is doubtful in it.
const CONTEXT: usize = 16;
/// The least hiragana that is evidence of Japanese.
const HIRAGANA: usize = 16;

/// Gives the text of `inner` as UTF-8.
pub(super) struct Decoding<R> {
    inner: R,
    declared: Option<Encoding>,
    state: State,
    /// What was read and not given or decoded yet: `held[at..]`.
    held: Vec<u8>,
    at: usize,
    /// Decoded text that was not given yet: `decoded[given..]`.
    decoded: Vec<u8>,
    given: usize,
    /// The last bytes that were decoded, or those of the last line that were plain ASCII.
    recent: Vec<u8>,
    ended: bool,
    /// The offset of `held[at]` in the text.
    offset: u64,
    /// The line of `held[at]`, counted from 1.
    line: u64,
    found: Arc<OnceLock<&'static str>>,
}

enum State {
    /// Nothing was read.
    Begin,
    /// All was ASCII so far.
    Ascii,
    /// UTF-8, given as it is.
    Passing,
    /// Another encoding.
    Other { decoder: Decoder, whole: bool },
}

impl<R: Read> Decoding<R> {
    pub(super) fn new(inner: R, declared: Option<Encoding>, found: Arc<OnceLock<&'static str>>) -> Self {
        Self {
            inner,
            declared,
            state: State::Begin,
            held: Vec::new(),
            at: 0,
            decoded: Vec::new(),
            given: 0,
            recent: Vec::new(),
            ended: false,
            offset: 0,
            line: 1,
            found,
        }
    }

    /// Reads until at least `least` bytes are held, or the text ends.
    fn fill(&mut self, least: usize) -> io::Result<()> {
        while self.held.len() - self.at < least && !self.ended {
            if self.at > 0 {
                self.held.drain(..self.at);
                self.at = 0;
            }
            let before = self.held.len();
            self.held.resize(before + CHUNK, 0);
            let read = loop {
                match self.inner.read(&mut self.held[before..]) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    result => break result,
                }
            };
            self.held.truncate(before + *read.as_ref().unwrap_or(&0));
            self.ended = read? == 0;
        }
        Ok(())
    }

    /// Looks at the mark, and begins as it and the declaration say.
    fn begin(&mut self) -> io::Result<State> {
        self.fill(4)?;
        let head = &self.held[self.at..];
        let mark = match head {
            [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
                return Err(wrong(Error::data("it begins with the byte order mark of UTF-32, which is not read")));
            }
            [0xef, 0xbb, 0xbf, ..] => Some("UTF-8"),
            [0xff, 0xfe, ..] => Some(UTF_16LE.name()),
            [0xfe, 0xff, ..] => Some(UTF_16BE.name()),
            _ => None,
        };
        let fits = match self.declared {
            None => true,
            Some(Encoding::Utf8) => mark.is_none_or(|mark| mark == "UTF-8"),
            Some(Encoding::Utf16) => mark.is_some_and(|mark| mark != "UTF-8"),
            Some(Encoding::Other(encoding)) => mark.is_none_or(|mark| mark == encoding.name()),
        };
        match (self.declared, mark) {
            (Some(declared), Some(mark)) if !fits => Err(wrong(Error::data(format!(
                "it is declared as {declared}, and begins with the byte order mark of {mark}"
            )))),
            (Some(Encoding::Utf16), None) if head.is_empty() => Ok(State::Passing),
            (Some(Encoding::Utf16), None) => Err(wrong(
                Error::data("it is declared as UTF-16, and has no byte order mark that says which")
                    .with_hint("declare `encoding = \"utf-16le\"` or `\"utf-16be\"`"),
            )),
            (_, Some("UTF-8")) | (Some(Encoding::Utf8), None) => Ok(self.pass()),
            (_, Some(mark)) => {
                (self.at, self.offset) = (self.at + 2, 2);
                Ok(self.decode(if mark == UTF_16LE.name() { UTF_16LE } else { UTF_16BE }))
            }
            (Some(Encoding::Other(encoding)), None) => Ok(self.decode(encoding)),
            (None, None) => match head {
                [0, b, ..] | [b, 0, ..] if *b != 0 => Err(wrong(
                    Error::data(
                        "it begins with a zero byte among the first two, as UTF-16 without a byte order mark does",
                    )
                    .with_hint(format!(
                        "declare `encoding = \"{}\"`",
                        if head[0] == 0 { "utf-16be" } else { "utf-16le" }
                    )),
                )),
                _ => Ok(State::Ascii),
            },
        }
    }

    fn pass(&self) -> State {
        let _ = self.found.set("UTF-8");
        State::Passing
    }

    fn decode(&self, encoding: &'static encoding_rs::Encoding) -> State {
        let _ = self.found.set(encoding.name());
        State::Other { decoder: encoding.new_decoder_without_bom_handling(), whole: false }
    }

    /// Decides by what is held, which begins outside ASCII.
    fn decide(&mut self) -> io::Result<State> {
        self.fill(EVIDENCE)?;
        let evidence = &self.held[self.at..];
        let evidence = &evidence[..evidence.len().min(EVIDENCE)];
        let whole = self.ended && evidence.len() == self.held.len() - self.at;
        let (mut right, mut faults, mut first) = (0_usize, 0_usize, None);
        let mut at = 0;
        for chunk in evidence.utf8_chunks() {
            right += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
            at += chunk.valid().len();
            let cut = at + chunk.invalid().len() == evidence.len() && !whole;
            if !chunk.invalid().is_empty() && !cut {
                faults += 1;
                first.get_or_insert(at);
            }
            at += chunk.invalid().len();
        }
        let escaped = evidence[0] == ESCAPE;
        if !escaped && (faults == 0 || right >= 10 * faults) {
            return Ok(self.pass());
        }
        let certain = [SHIFT_JIS, EUC_JP].map(|encoding| is_japanese(encoding, evidence, whole));
        match certain {
            [true, false] if !escaped => Ok(self.decode(SHIFT_JIS)),
            [false, true] if !escaped => Ok(self.decode(EUC_JP)),
            // An escape is itself what is doubtful.
            _ => Err(wrong(self.doubt(evidence, first.filter(|_| !escaped).unwrap_or(0), whole, right > 0))),
        }
    }

    /// The error for text that may be in several encodings, or in none that is known.
    fn doubt(&self, evidence: &[u8], first: usize, whole: bool, is_part_utf8: bool) -> Error {
        let line = self.line + lines(&evidence[..first]);
        let what = if evidence[0] == ESCAPE { "begins a sequence of ISO-2022-JP" } else { "is not UTF-8" };
        let error = Error::data(format!(
            "the byte at offset {} (0x{:02x}, line {line}) {what}, and what the text is in is not certain",
            self.offset + first as u64,
            evidence[first],
        ));
        let names = match evidence[0] == ESCAPE {
            true => vec![("iso-2022-jp", encoding_rs::ISO_2022_JP)],
            false => vec![("shift_jis", SHIFT_JIS), ("euc-jp", EUC_JP)],
        };
        let reading = |name: &str, encoding| {
            let text = decoded(encoding, evidence, whole)?;
            let start = evidence[..first].iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
            let skipped = decoded(encoding, &evidence[..start.unwrap_or(0)], true)?.len();
            let before = if start.is_none() { String::from_utf8_lossy(&self.recent) } else { "".into() };
            let line = text.get(skipped..)?.lines().next().unwrap_or_default();
            let shown = before.chars().chain(line.chars().take(24));
            let shown: String = shown.map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            Some(format!("`encoding = \"{name}\"` reads `{shown}`"))
        };
        let mut readings: Vec<String> =
            names.into_iter().filter_map(|(name, encoding)| reading(name, encoding)).collect();
        if readings.is_empty() && !is_part_utf8 {
            readings.extend(reading("windows-1252", encoding_rs::WINDOWS_1252));
        }
        match readings.as_slice() {
            [] => error.with_hint(
                "no encoding of Japanese fits: the file may be damaged or mixed; `encoding = \"utf-8\"` rejects the records that are wrong",
            ),
            _ => error.with_hint(format!("declare what is right in `[[data]]`: {}", readings.join("; "))),
        }
    }

    /// Decodes the next piece into `decoded`. `false` at the end.
    fn decode_more(&mut self) -> io::Result<bool> {
        self.fill(1)?;
        let State::Other { decoder, whole } = &mut self.state else { return Ok(false) };
        if *whole {
            return Ok(false);
        }
        let source = &self.held[self.at..];
        let last = self.ended;
        self.decoded.resize(CHUNK, 0);
        let (result, read, written) = decoder.decode_to_utf8_without_replacement(source, &mut self.decoded, last);
        self.decoded.truncate(written);
        self.given = 0;
        self.recent.extend_from_slice(&source[read.saturating_sub(RECENT)..read]);
        self.recent.drain(..self.recent.len().saturating_sub(RECENT));
        self.at += read;
        self.offset += read as u64;
        self.line += lines(&self.decoded);
        match result {
            DecoderResult::Malformed(length, after) => {
                // The wrong bytes end `after` bytes before what was read.
                let (length, after) = (usize::from(length), usize::from(after));
                let end = self.recent.len().saturating_sub(after);
                let bytes = &self.recent[end.saturating_sub(length)..end];
                let shown: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
                let name = decoder.encoding().name();
                Err(wrong(Error::data(format!(
                    "the byte at offset {} ({}, line {}) is not {name}",
                    self.offset - (length + after) as u64,
                    shown.join(" "),
                    self.line,
                ))))
            }
            DecoderResult::InputEmpty => {
                *whole = last;
                Ok(true)
            }
            DecoderResult::OutputFull => Ok(true),
        }
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match &self.state {
                State::Begin => self.state = self.begin()?,
                State::Passing if self.at == self.held.len() => return self.inner.read(out),
                State::Passing => return Ok(self.give(out, self.held.len())),
                State::Ascii => {
                    self.fill(1)?;
                    let held = &self.held[self.at..];
                    if held.is_empty() {
                        return Ok(0);
                    }
                    match plain(held, self.ended) {
                        // What follows tells whether it begins a sequence.
                        0 if held[0] == ESCAPE && held.len() < SEQUENCE && !self.ended => self.fill(SEQUENCE)?,
                        0 => self.state = self.decide()?,
                        length => {
                            let length = self.give(out, self.at + length);
                            self.line += lines(&out[..length]);
                            self.remember(&out[..length]);
                            return Ok(length);
                        }
                    }
                }
                State::Other { .. } => {
                    if self.given < self.decoded.len() {
                        let length = out.len().min(self.decoded.len() - self.given);
                        out[..length].copy_from_slice(&self.decoded[self.given..self.given + length]);
                        self.given += length;
                        return Ok(length);
                    }
                    if !self.decode_more()? {
                        return Ok(0);
                    }
                }
            }
        }
    }
}

impl<R> Decoding<R> {
    /// Keeps the end of the line at hand, to be shown before what is doubtful in it.
    fn remember(&mut self, given: &[u8]) {
        let start = given.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
        if start.is_some() {
            self.recent.clear();
        }
        let line = &given[start.unwrap_or(0)..];
        self.recent.extend_from_slice(&line[line.len().saturating_sub(CONTEXT)..]);
        self.recent.drain(..self.recent.len().saturating_sub(CONTEXT));
    }

    /// Gives what is held, up to `end`.
    fn give(&mut self, out: &mut [u8], end: usize) -> usize {
        let length = out.len().min(end - self.at);
        out[..length].copy_from_slice(&self.held[self.at..self.at + length]);
        self.at += length;
        self.offset += length as u64;
        length
    }
}

const ESCAPE: u8 = 0x1b;

/// How many bytes the beginning of a sequence of ISO-2022-JP has.
const SEQUENCE: usize = 3;

/// How many bytes are plain ASCII: none from an escape of ISO-2022-JP on, nor from one that the end cuts where it is not that of
/// the `whole` text.
fn plain(bytes: &[u8], whole: bool) -> usize {
    let ascii = encoding_rs::Encoding::ascii_valid_up_to(bytes);
    let is_escape = |at: usize| match bytes.get(at + 1..at + SEQUENCE) {
        Some(rest) => matches!(rest, [b'$', b'@' | b'B'] | [b'(', b'J' | b'I']),
        None => !whole,
    };
    let mut from = 0;
    while let Some(at) = bytes[from..ascii].iter().position(|&byte| byte == ESCAPE).map(|at| at + from) {
        if is_escape(at) {
            return at;
        }
        from = at + 1;
    }
    ascii
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// The text, where all of it is valid. Where it is not the `whole` text, a character may be cut at its end.
fn decoded(encoding: &'static encoding_rs::Encoding, bytes: &[u8], whole: bool) -> Option<String> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(decoder.max_utf8_buffer_length_without_replacement(bytes.len())?);
    match decoder.decode_to_string_without_replacement(bytes, &mut text, whole) {
        (DecoderResult::InputEmpty, _) => Some(text),
        _ => None,
    }
}

/// Whether the text is certainly Japanese in this encoding.
fn is_japanese(encoding: &'static encoding_rs::Encoding, bytes: &[u8], whole: bool) -> bool {
    let Some(text) = decoded(encoding, bytes, whole) else { return false };
    let (mut all, mut hiragana, mut half, mut odd) = (0_usize, 0_usize, 0_usize, 0_usize);
    for c in text.chars().filter(|c| !c.is_ascii()) {
        all += 1;
        match c {
            '\u{3041}'..='\u{3096}' => hiragana += 1,
            '\u{ff61}'..='\u{ff9f}' => half += 1,
            '\u{80}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' => odd += 1,
            _ => {}
        }
    }
    hiragana >= HIRAGANA && hiragana * 5 >= all && half * 10 <= all && odd == 0
}
