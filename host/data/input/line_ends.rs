//! Lines that end in a carriage return alone, as old programs write them, end in a line feed here: every converter counts on that.

use std::io::{self, Read};

/// How much is read to see how lines end.
const EVIDENCE: usize = 1 << 20;
/// How much is read at once.
const CHUNK: usize = 1 << 16;

/// Gives the text of `inner`, in which lines end in a line feed. A text that has none in its first mebibyte, and has carriage returns,
/// ends its lines in these.
pub(super) struct LineEnds<R> {
    inner: R,
    /// `None` until it is known whether carriage returns end the lines.
    are_returns: Option<bool>,
    held: Vec<u8>,
    given: usize,
}

impl<R: Read> LineEnds<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, are_returns: None, held: Vec::new(), given: 0 }
    }

    fn look(&mut self) -> io::Result<bool> {
        while self.held.len() < EVIDENCE {
            let before = self.held.len();
            self.held.resize(before + CHUNK, 0);
            let read = self.inner.read(&mut self.held[before..]);
            self.held.truncate(before + *read.as_ref().unwrap_or(&0));
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => {
                    if other? == 0 {
                        break;
                    }
                }
            }
            if self.held[before..].contains(&b'\n') {
                return Ok(false);
            }
        }
        Ok(self.held.contains(&b'\r'))
    }
}

impl<R: Read> Read for LineEnds<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let are_returns = match self.are_returns {
            Some(known) => known,
            None => {
                let found = self.look()?;
                *self.are_returns.insert(found)
            }
        };
        let read = match self.given < self.held.len() {
            true => {
                let length = out.len().min(self.held.len() - self.given);
                out[..length].copy_from_slice(&self.held[self.given..self.given + length]);
                self.given += length;
                if self.given == self.held.len() {
                    (self.held, self.given) = (Vec::new(), 0);
                }
                length
            }
            false => self.inner.read(out)?,
        };
        if are_returns {
            out[..read].iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
        }
        Ok(read)
    }
}
