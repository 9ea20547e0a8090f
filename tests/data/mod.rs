//! Splits, duplicates, statistics and the prepared files.

mod contamination;
mod duplicates;
mod minhash;
mod policy;
mod rules;
mod split;
mod storage;
mod thinking;
mod traits;

use so8t::data::{Candidate, Example, Request, Training, Usage};

/// An example of source `s` with the instruction as its id.
fn candidate(instruction: &str, label: u8, group: &str, usage: Usage) -> Candidate {
    Candidate {
        example: Example {
            id: format!("s:{instruction}:{label}:{group}"),
            source: "s".to_owned(),
            request: Request { instruction: instruction.to_owned(), input: String::new() },
            output: String::new(),
            label,
            group: group.to_owned(),
            category: String::new(),
            training: Training::default(),
        },
        usage,
    }
}
