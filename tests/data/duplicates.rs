use so8t::data::{DuplicateCounts, Request, Usage, normalised, remove_duplicates, split};
use unicode_normalization::UnicodeNormalization as _;

use super::candidate;

#[test]
fn one_request_is_kept_once() {
    let distinct = remove_duplicates(vec![
        candidate("How do I  reset it?", 0, "", Usage::Both),
        candidate("How do I  reset it?", 0, "", Usage::Both),
        candidate("how do i reset it", 0, "", Usage::Both),
        candidate("ｈｏｗ do I reset it？", 0, "", Usage::Both),
        candidate("How do I reset that?", 0, "", Usage::Both),
    ]);
    assert_eq!(distinct.candidates.len(), 2);
    assert_eq!(distinct.counts, DuplicateCounts { exact: 1, normalised: 2, across: 0, conflicts: 0 });
    assert_eq!(distinct.by_source["s"], 3);
}

#[test]
fn different_requests_stay_apart() {
    let (a, b) = (candidate("C とは何ですか", 0, "", Usage::Both), candidate("C++ とは何ですか", 0, "", Usage::Both));
    assert_ne!(normalised(&a.example.request), normalised(&b.example.request));
    let mut with_input = a.clone();
    with_input.example.request.input = "x".into();
    assert_eq!(remove_duplicates(vec![a, b, with_input]).candidates.len(), 3);
}

#[test]
fn the_thinking_example_wins_but_never_over_an_evaluation_source() {
    let plain = candidate("x", 0, "", Usage::Both);
    let mut thinking = candidate("x", 0, "thinking", Usage::Both);
    thinking.example.output = "<think-task>…</think-task><final>ALLOW</final>".into();
    let kept = remove_duplicates(vec![plain.clone(), thinking.clone()]).candidates;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].example.output, thinking.example.output);

    let evaluated = candidate("x", 0, "eval", Usage::Eval);
    let distinct = remove_duplicates(vec![thinking, evaluated.clone()]);
    assert_eq!(
        distinct.candidates,
        [evaluated].map(|mut c| {
            c.example.group = "eval".into();
            c
        })
    );
    assert_eq!(distinct.counts.across, 1);
}

#[test]
fn disagreeing_labels_are_told() {
    let distinct = remove_duplicates(vec![candidate("x", 0, "", Usage::Both), candidate("X", 3, "", Usage::Both)]);
    assert_eq!(distinct.counts.conflicts, 1);
    assert_eq!(distinct.conflicts[0].kept, "s:x:0:");
}

#[test]
fn a_winner_without_a_group_links_all_groups_of_its_request() {
    // The request stands in g1, in g2 and, kept because it thinks aloud, without a group: all are one group.
    let mut thinking = candidate("same", 0, "", Usage::Both);
    thinking.example.output = "<final>ALLOW</final>".into();
    let rows = [
        thinking,
        candidate("same", 0, "g2", Usage::Both),
        candidate("Same", 0, "g1", Usage::Both),
        candidate("first", 0, "g1", Usage::Both),
        candidate("second", 0, "g2", Usage::Both),
    ];
    for shift in 0..rows.len() {
        let mut rows = rows.to_vec();
        rows.rotate_left(shift);
        let kept = remove_duplicates(rows).candidates;
        assert_eq!(kept.len(), 3);
        assert!(kept.iter().all(|c| c.example.group == "g1"), "shift {shift}: {kept:?}");
    }
}

#[test]
fn groups_that_a_duplicate_links_never_part() {
    // g1 and g2 hold the same request; what is left of each must stay on one side.
    for seed in 0..10 {
        let mut rows = vec![candidate("same", 0, "g2", Usage::Both), candidate("Same", 0, "g1", Usage::Both)];
        for index in 0..10 {
            rows.push(candidate(&format!("first {index}"), 0, "g1", Usage::Both));
            rows.push(candidate(&format!("second {index}"), 0, "g2", Usage::Both));
            rows.push(candidate(&format!("other {index}"), 0, "g3", Usage::Both));
        }
        let parts = split(remove_duplicates(rows).candidates, 0.4, seed);
        let has =
            |part: &[so8t::data::Example], start: &str| part.iter().any(|e| e.request.instruction.starts_with(start));
        assert!(!(has(&parts.train, "first") && has(&parts.eval, "second")), "seed {seed}");
        assert!(!(has(&parts.eval, "first") && has(&parts.train, "second")), "seed {seed}");
    }
}

/// NFKC, lower case, white space folded, closing punctuation dropped: as the form is defined, without shortcuts.
fn plainly_normalised(request: &Request) -> String {
    let parts = [&request.instruction, &request.input].map(|part| {
        let folded: String = part.nfkc().flat_map(char::to_lowercase).collect();
        let words: Vec<&str> = folded.split_whitespace().collect();
        format!("{}\u{1f}", words.join(" ").trim_end_matches(['.', '?', '!', '。', '…', ' ']))
    });
    parts.concat()
}

#[test]
fn the_short_way_to_the_normalised_form_ends_where_the_long_one_does() {
    for character in (0..=0x1_ffff).filter_map(char::from_u32) {
        let request = Request {
            instruction: format!("か{character}").into(),
            input: format!(" {character} A。{character}。 ").into(),
        };
        assert_eq!(normalised(&request), plainly_normalised(&request), "U+{:04X}", u32::from(character));
    }
    for spaced in [
        "",
        " ",
        "A",
        "A b",
        "A  b",
        " A b",
        "A b ",
        "A\tb",
        "A\u{b}",
        "a\r\nB. ",
        "東 京",
        "東  京",
        "Ａ b",
        "A b\u{3000}",
    ] {
        let request = Request { instruction: spaced.into(), input: spaced.into() };
        assert_eq!(normalised(&request), plainly_normalised(&request), "{spaced:?}");
    }
}
