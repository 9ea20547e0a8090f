//! Splits, duplicates, statistics and the prepared files.

mod contamination;
mod duplicates;
mod minhash;
mod policy;
mod rules;
mod split;
mod storage;
mod text;
mod thinking;
mod traits;

use so8t::data::{Candidate, Example, Request, Text, Training, Usage};

/// An example of source `s` with the instruction as its id.
fn candidate(instruction: &str, label: u8, group: &str, usage: Usage) -> Candidate {
    Candidate {
        example: Example {
            id: format!("s:{instruction}:{label}:{group}").into(),
            source: "s".into(),
            request: Request { instruction: instruction.into(), input: Text::EMPTY },
            output: Text::EMPTY,
            label,
            group: group.into(),
            category: Text::EMPTY,
            training: Training::default(),
        },
        usage,
    }
}
