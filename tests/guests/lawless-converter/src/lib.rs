//! A converter that breaks one law at a time. Lawful, it makes an example of each line that is not blank.
//!
//! | behaviour | law that it breaks |
//! |---|---|
//! | those of `behaviour.rs` | |
//! | `remembers-instance` | `converter.deterministic`: ids hold how many sources the instance has read |
//! | `cuts-at-chunks` | `converter.chunking`: a chunk ends a line |
//! | `one-of-nothing` | `converter.empty-source`: there is always a last example |
//! | `needs-two` | `converter.one-record`: a source of one line gives none |
//! | `counts-in-u16` | `converter.many-records`: 65,536 lines are too many |
//! | `wrong-lines` | `converter.lines`: lines are counted in hundreds |
//! | `trusts-text` | `converter.malformed`: takes it for granted that a source is UTF-8 |
//! | `slow` | `limits.fuel` and `limits.seconds`: work that grows with the square of the lines |
//! | `keeps-rows` | `limits.memory`: keeps `size` bytes of each line |
//! | `large-output` | `limits.lifted`: an output of `size` bytes for each line |
#![cfg(target_arch = "wasm32")]

#[path = "../../lawless-metric/src/behaviour.rs"]
mod behaviour;

use behaviour::{Behaviour, SCHEMA};
use so8t_plugin_sdk::{About, Converter, Example, Examples, Failure};
use so8t_plugin_sdk::{about, export_converter};

/// Lines, as they come.
pub struct Lawless {
    behaviour: Behaviour,
    line: Vec<u8>,
    number: u32,
    examples: usize,
    /// A line that waits for another, where one alone is not enough.
    waiting: Option<(u32, String)>,
    kept: Vec<Vec<u8>>,
}
export_converter!(Lawless);

impl Converter for Lawless {
    type Config = serde_json::Value;
    const ABOUT: About = about!("lawless-converter", SCHEMA);

    fn open(config: serde_json::Value) -> Result<Self, Failure> {
        let behaviour = Behaviour::read(&config)?;
        Ok(Self { behaviour, line: Vec::new(), number: 1, examples: 0, waiting: None, kept: Vec::new() })
    }

    fn push(&mut self, chunk: &[u8], out: &mut Examples) -> Result<(), Failure> {
        for &byte in chunk {
            match byte {
                b'\n' => {
                    self.end(out);
                    self.number += 1;
                }
                byte => self.line.push(byte),
            }
        }
        if self.behaviour.is("cuts-at-chunks") {
            self.end(out);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Examples) -> Result<(), Failure> {
        self.end(out);
        if self.behaviour.is("one-of-nothing") && self.examples == 0 {
            out.push(1, Example { instruction: "nothing", ..Example::default() });
        }
        Ok(())
    }
}

impl Lawless {
    /// The line that was collected is whole.
    fn end(&mut self, out: &mut Examples) {
        let bytes = std::mem::take(&mut self.line);
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if self.behaviour.is("trusts-text") => panic!("{error}"),
            Err(error) => return out.reject(self.number, error.to_string()),
        };
        if text.trim().is_empty() {
            return;
        }
        self.examples += 1;
        self.behaviour.count(self.examples);
        if self.behaviour.is("slow") {
            // The square of the lines, a line at a time: limits are those of one chunk.
            (0..self.examples * 2).for_each(|i| drop(std::hint::black_box(i)));
        }
        if self.behaviour.is("keeps-rows") {
            self.kept.push(vec![1; self.behaviour.size]);
        }
        if self.behaviour.is("needs-two") && self.examples == 1 {
            self.waiting = Some((self.number, text));
            return;
        }
        if let Some((line, text)) = self.waiting.take() {
            out.push(line, Example { instruction: &text, ..Example::default() });
        }
        let line = if self.behaviour.is("wrong-lines") { self.number * 100 } else { self.number };
        let id = match self.behaviour.is("remembers-instance") {
            true => format!("{}-{}", self.behaviour.opened_before, self.examples),
            false => self.examples.to_string(),
        };
        let output = if self.behaviour.is("large-output") { "x".repeat(self.behaviour.size) } else { String::new() };
        out.push(line, Example { id: &id, instruction: &text, output: &output, ..Example::default() });
    }
}
