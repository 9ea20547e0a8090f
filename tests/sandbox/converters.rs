//! Hostile converters: each behaviour of `tests/guests/evil-converter`, and the words with which the host ends it.

use super::{Case, case, check, generous, load, roomy, tight};
use so8t::plugin::Plugin;

/// One case at least for every behaviour; `guests.rs` sees to it.
pub(super) const CASES: &[Case] = &[
    case("honest", "", tight, ""),
    case("loop", "push", tight, "plugin `guest` 0.1.0: `push`, batch 1: did more work than `fuel = 300000000`"),
    case("loop", "open", tight, "plugin `guest` 0.1.0: `open`: did more work than `fuel = 300000000`"),
    case("loop", "finish", tight, "plugin `guest` 0.1.0: `finish`: did more work than `fuel = 300000000`"),
    case(
        "trap-later",
        "push",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 2: trapped: wasm `unreachable` instruction executed",
    ),
    case(
        "memory",
        "push",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: needed more memory than `memory_mb = 64` allows",
    ),
    case(
        "trap",
        "push",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: trapped: wasm `unreachable` instruction executed",
    ),
    case(
        "panic",
        "push",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: trapped: wasm `unreachable` instruction executed",
    ),
    case("stack", "push", tight, "plugin `guest` 0.1.0: `push`, batch 1: trapped: out of bounds memory access"),
    case("log-flood", "push", tight, "plugin `guest` 0.1.0: `push`, batch 1: did more work than `fuel = 300000000`"),
    case(
        "log-large",
        "push",
        roomy,
        "plugin `guest` 0.1.0: `push`, batch 1: gave the host more than `result_mb = 16` allows",
    ),
    case("log-escape", "push", tight, ""),
    case("fail", "push", tight, "plugin `guest` 0.1.0: `push`, batch 1: failed: the guest fails in `push`"),
    case(
        "fail-large",
        "push",
        roomy,
        "plugin `guest` 0.1.0: `push`, batch 1: gave the host more than `result_mb = 16` allows",
    ),
    case("trap", "open", tight, "plugin `guest` 0.1.0: `open`: trapped: wasm `unreachable` instruction executed"),
    case("trap", "finish", tight, "plugin `guest` 0.1.0: `finish`: trapped: wasm `unreachable` instruction executed"),
    case(
        "no-instruction",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `instruction` is lacking: expected 1 rows",
    ),
    case(
        "offsets-decreasing",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `instruction`, row 1: offsets fall from 11 to 5",
    ),
    case(
        "offsets-out-of-range",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `instruction` ends at byte 4000000000: expected 11, the number of its bytes",
    ),
    case(
        "offsets-start",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `instruction` starts at byte 3: expected 0",
    ),
    case(
        "offsets-short",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `instruction` ends at byte 8: expected 11, the number of its bytes",
    ),
    case(
        "offsets-few",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `instruction` has 1 rows: expected 2",
    ),
    case(
        "offsets-none",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `instruction` is lacking: expected 2 rows",
    ),
    case(
        "columns-disagree",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `input` has 2 rows: expected 1",
    ),
    case(
        "lines-disagree",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `instruction` has 1 rows: expected 3",
    ),
    case(
        "line-zero",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: row 0 is said to start in line 0: lines are counted from 1",
    ),
    case(
        "bad-utf8",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `instruction`, row 0: byte 1 of the column is not UTF-8",
    ),
    case(
        "split-character",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `instruction`, row 1 starts within a character: each row must be UTF-8",
    ),
    case(
        "extra-not-json",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `extra-json`, row 0: expected a JSON object, found `{not json`",
    ),
    case(
        "extra-not-object",
        "",
        tight,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: column `extra-json`, row 0: expected a JSON object, found `[1, 2]`",
    ),
    case("empty-instruction", "", tight, ""),
    case(
        "too-many-rows",
        "",
        roomy,
        "plugin `guest` 0.1.0: `push`, batch 1: gave the host more than `result_mb = 16` allows",
    ),
    case(
        "too-many-rows",
        "",
        generous,
        "plugin `guest` 0.1.0: `push`, batch 1: returned malformed data: 4000000 rows: expected at most 1048576 a call",
    ),
    case(
        "huge-column",
        "",
        roomy,
        "plugin `guest` 0.1.0: `push`, batch 1: gave the host more than `result_mb = 16` allows",
    ),
    case(
        "rejection-flood",
        "",
        roomy,
        "plugin `guest` 0.1.0: `push`, batch 1: gave the host more than `result_mb = 16` allows",
    ),
    case("duplicate-ids", "", tight, ""),
];

pub(super) fn convert(plugin: &Plugin) -> so8t::Result<()> {
    let mut converter = plugin.open_converter()?;
    let first = converter.push(b"{}\n");
    if let Err(first) = &first {
        let again = converter.push(b"{}\n").expect_err("a guest that failed is not called again").to_string();
        let first = first.to_string();
        let first = first.split_once(": ").expect("a title").1;
        assert!(
            again.ends_with(&format!("`push`, batch 2: not called, for this plugin has failed before: {first}")),
            "{again}"
        );
    }
    first?;
    converter.push(b"{}\n")?;
    converter.finish().map(|_| ())
}

#[test]
fn hostile_converters_end_with_an_error() {
    check(
        CASES,
        |case| convert(&load("evil-converter", case.behaviour, case.call, (case.limits)())),
        || convert(&load("evil-converter", "honest", "", tight())).expect("an honest guest works"),
    );
}

#[test]
fn an_honest_converter_gives_whole_columns() {
    let mut converter = load("evil-converter", "honest", "", tight()).open_converter().unwrap();
    let batch = converter.push(b"anything").unwrap();
    assert_eq!(batch.examples.rows(), 1);
    assert_eq!(batch.examples.instruction.get(0), Some("instruction"));
    assert_eq!(batch.examples.input.get(0), Some("input"));
    assert!(batch.examples.label.is_lacking());
    assert_eq!(batch.lines, [1]);
    assert_eq!(converter.finish().unwrap().examples.rows(), 0);
}
