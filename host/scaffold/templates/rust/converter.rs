//! One request a line: the instruction, a separator, the label.

use serde::Deserialize;
use so8t_plugin_sdk::{About, Converter, Example, Examples, Failure, about, export_converter};

/// The longest line, in bytes: a file without line breaks must not fill the memory.
const MAX_LINE: usize = 1 << 20;

/// The manifest's `config` table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default = "tab")]
    separator: String,
}

fn tab() -> String {
    "\t".to_owned()
}

/// The lines of a source.
pub struct Lines {
    separator: String,
    /// The line that has not ended yet, or what was kept of one that is too long.
    line: Vec<u8>,
    too_long: bool,
    /// The number of that line, counted from 1.
    number: u32,
}

export_converter!(Lines);

impl Converter for Lines {
    type Config = Config;
    const ABOUT: About = about!(
        "@NAME@",
        r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "separator": { "type": "string", "minLength": 1, "description": "Between instruction and label; a tab unless said" }
            }
        }"#
    );

    fn open(config: Config) -> Result<Self, Failure> {
        if config.separator.is_empty() || config.separator.contains('\n') {
            return Err(Failure::Config("config: `separator`: expected a text without line breaks".to_owned()));
        }
        Ok(Self { separator: config.separator, line: Vec::new(), too_long: false, number: 1 })
    }

    fn push(&mut self, chunk: &[u8], out: &mut Examples) -> Result<(), Failure> {
        // A chunk may end anywhere, even within a character: only whole lines are read.
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            let (piece, ended) = piece.strip_suffix(b"\n").map_or((piece, false), |piece| (piece, true));
            self.too_long |= self.line.len() + piece.len() > MAX_LINE;
            if !self.too_long {
                self.line.extend_from_slice(piece);
            }
            if ended {
                self.end_line(out);
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Examples) -> Result<(), Failure> {
        self.end_line(out);
        Ok(())
    }
}

impl Lines {
    fn end_line(&mut self, out: &mut Examples) {
        match self.too_long {
            true => out.reject(self.number, format!("the line has more than {MAX_LINE} bytes")),
            false => self.read_line(out),
        }
        self.line.clear();
        self.too_long = false;
        self.number += 1;
    }

    fn read_line(&self, out: &mut Examples) {
        let Ok(line) = str::from_utf8(&self.line) else {
            return out.reject(self.number, "the line is not UTF-8");
        };
        let line = line.strip_suffix('\r').unwrap_or(line);
        match line.split_once(&self.separator) {
            _ if line.is_empty() => {}
            Some((instruction, label)) => out.push(self.number, Example { instruction, label, ..Example::default() }),
            None => out.reject(self.number, "there is no separator: expected an instruction, a separator and a label"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instructions of the examples and reasons of the rejections, in order.
    fn convert(separator: &str, chunks: &[&[u8]]) -> (Vec<u8>, Vec<String>) {
        let mut lines = Lines::open(Config { separator: separator.to_owned() }).unwrap();
        let mut out = Examples::default();
        for chunk in chunks {
            lines.push(chunk, &mut out).unwrap();
        }
        lines.finish(&mut out).unwrap();
        let batch = out.into_batch();
        (batch.examples.instruction.bytes, batch.rejected.into_iter().map(|rejection| rejection.reason).collect())
    }

    #[test]
    fn any_chunks_give_the_same_examples() {
        let source = "水\tALLOW\nfire\tDENY\r\n\nno label\n\tALLOW\nwind\tALLOW".as_bytes();
        let whole = convert("\t", &[source]);
        assert_eq!(whole.0, "水firewind".as_bytes());
        assert_eq!(whole.1.len(), 2);
        let bytes: Vec<&[u8]> = source.chunks(1).collect();
        assert_eq!(convert("\t", &bytes), whole);
    }

    #[test]
    fn bad_lines_are_rejected_with_a_reason() {
        let long = vec![b'x'; MAX_LINE + 1];
        let (_, reasons) = convert(";", &[b"\xff;ALLOW\n", &long, b";ALLOW\n"]);
        assert_eq!(reasons, ["the line is not UTF-8", "the line has more than 1048576 bytes"]);
        assert!(Lines::open(Config { separator: String::new() }).is_err());
    }
}
