//! Lines of a file that need not have any.

use std::io::{self, BufRead, Read as _};

/// The most bytes of a line: with 200 labels and a long id a line has some 20 KB.
pub(super) const MOST_LINE: u64 = 16 << 20;

/// The lines of a text, as [`BufRead::lines`] gives them, but that one of more than [`MOST_LINE`] bytes is an error and is not read to its end.
pub(super) fn lines(mut reader: impl BufRead) -> impl Iterator<Item = io::Result<String>> {
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        match reader.by_ref().take(MOST_LINE + 1).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(read) if read as u64 > MOST_LINE => {
                return Some(Err(io::Error::other(format!("a line has more than {MOST_LINE} bytes: expected fewer"))));
            }
            Ok(_) => {}
            Err(e) => return Some(Err(e)),
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        Some(
            String::from_utf8(line)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8")),
        )
    })
}
