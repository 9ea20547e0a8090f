//! Any text as an answer that thinks aloud: its parts are pieces of it, in order, and say what the text says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use so8t_data::thinking::{self, Repair};

fuzz_target!(|text: &str| {
    let Some(thinking) = thinking::parse(text) else {
        // Without a single tag, nothing is found; with a whole one, something is.
        assert!(!text.contains("<final>") && !text.contains("</think-task>"), "{text:?}");
        return;
    };
    let whole = text.as_bytes().as_ptr_range();
    let mut end = whole.start;
    for (_, part) in &thinking.parts {
        let own = part.as_bytes().as_ptr_range();
        assert!(own.start >= end && own.end <= whole.end, "a part out of order: {part:?} of {text:?}");
        assert_eq!(part.trim(), *part);
        end = own.end;
    }
    assert!(!thinking.parts.is_empty() || thinking.repairs.is_empty());
    if thinking.is_quadruple() {
        assert!(thinking.final_part().is_some());
        // What has no fault and is written out again reads the same.
        let [task, safety, policy, answer] = [0, 1, 2, 3].map(|i| thinking.parts[i].1);
        let written = format!(
            "<think-task>{task}</think-task><think-safety>{safety}</think-safety><think-policy>{policy}</think-policy>\
             <final>{answer}</final>"
        );
        assert_eq!(thinking::parse(&written).expect("it has tags").parts, thinking.parts);
    }
    if !text.contains(['<', '#']) {
        assert!(thinking.repairs.contains(&Repair::Bracket));
    }
});
