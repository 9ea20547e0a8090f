//! What every text format shares.

use so8t_plugin_sdk::Failure;

/// Takes the byte order mark off the front of a stream, which may come in pieces.
#[derive(Debug, Default)]
pub struct Start {
    seen: Vec<u8>,
    passed: bool,
}

const UTF8_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
const UTF16_MARKS: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];

impl Start {
    /// Hands the bytes of `chunk` to `take`, without a mark. UTF-16, which begins with another mark, is a failure.
    pub fn pass(&mut self, chunk: &[u8], mut take: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut rest = chunk;
        while !self.passed {
            let Some((&byte, after)) = rest.split_first() else { return Ok(()) };
            self.seen.push(byte);
            rest = after;
            if UTF16_MARKS.iter().any(|mark| self.seen == mark) {
                return Err(Failure::Input("line 1: expected UTF-8, found the byte order mark of UTF-16".to_owned()));
            }
            let open = |mark: &[u8]| mark.starts_with(&self.seen) && mark.len() > self.seen.len();
            if !open(&UTF8_MARK) && !UTF16_MARKS.iter().any(|mark| open(mark)) {
                self.end(&mut take)?;
            }
        }
        take(rest)
    }

    /// The stream has ended: hands over what was held back.
    pub fn end(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        if self.passed {
            return Ok(());
        }
        self.passed = true;
        if self.seen == UTF8_MARK { Ok(()) } else { take(&self.seen) }
    }
}

/// Reads a record as UTF-8. The reason of a rejection names the byte, counted from 1 in its line, and its line where
/// that is not the record's first, which is `first`.
pub fn utf8(record: &[u8], first: u32) -> Result<&str, String> {
    if let Ok(text) = simdutf8::basic::from_utf8(record) {
        return Ok(text);
    }
    simdutf8::compat::from_utf8(record).map_err(|error| {
        let at = error.valid_up_to();
        let lines = memchr::memchr_iter(b'\n', &record[..at]).count() as u32;
        let byte = at - memchr::memrchr(b'\n', &record[..at]).map_or(0, |line| line + 1) + 1;
        let place = if lines == 0 { String::new() } else { format!(" of line {}", first.saturating_add(lines)) };
        format!("byte {byte}{place} (0x{:02x}) is not UTF-8", record[at])
    })
}

/// At most 60 characters of a text, for messages.
pub fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
