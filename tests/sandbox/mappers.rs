//! Hostile label mappers: each behaviour of `tests/guests/evil-mapper`, and the words with which the host ends it.

use super::{Case, case, check, load, roomy, tight};
use so8t::data::{ExampleColumns, Texts};
use so8t::plugin::Plugin;

/// One case at least for every behaviour; `guests.rs` sees to it.
pub(super) const CASES: &[Case] = &[
    case("honest", "", tight, ""),
    case("loop", "assign", tight, "plugin `guest` 0.1.0: `assign`, batch 1: did more work than `fuel = 300000000`"),
    case("loop", "open", tight, "plugin `guest` 0.1.0: `open`: did more work than `fuel = 300000000`"),
    case("loop", "labels", tight, "plugin `guest` 0.1.0: `labels`: did more work than `fuel = 300000000`"),
    case(
        "trap-later",
        "assign",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 2: trapped: wasm `unreachable` instruction executed",
    ),
    case(
        "memory",
        "assign",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 1: needed more memory than `memory_mb = 64` allows",
    ),
    case(
        "trap",
        "assign",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 1: trapped: wasm `unreachable` instruction executed",
    ),
    case(
        "panic",
        "assign",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 1: trapped: wasm `unreachable` instruction executed",
    ),
    case("stack", "assign", tight, "plugin `guest` 0.1.0: `assign`, batch 1: trapped: out of bounds memory access"),
    case(
        "log-flood",
        "assign",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 1: did more work than `fuel = 300000000`",
    ),
    case(
        "log-large",
        "assign",
        roomy,
        "plugin `guest` 0.1.0: `assign`, batch 1: gave the host more than `result_mb = 16` allows",
    ),
    case("log-escape", "assign", tight, ""),
    case("fail", "assign", tight, "plugin `guest` 0.1.0: `assign`, batch 1: failed: the guest fails in `assign`"),
    case(
        "fail-large",
        "assign",
        roomy,
        "plugin `guest` 0.1.0: `assign`, batch 1: gave the host more than `result_mb = 16` allows",
    ),
    case("trap", "open", tight, "plugin `guest` 0.1.0: `open`: trapped: wasm `unreachable` instruction executed"),
    case("trap", "labels", tight, "plugin `guest` 0.1.0: `labels`: trapped: wasm `unreachable` instruction executed"),
    case(
        "too-few-ids",
        "",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 1: returned malformed data: 2 ids: expected 3, one a row",
    ),
    case(
        "too-many-ids",
        "",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 1: returned malformed data: 4 ids: expected 3, one a row",
    ),
    case(
        "no-ids",
        "",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 1: returned malformed data: 0 ids: expected 3, one a row",
    ),
    case(
        "id-out-of-range",
        "",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 1: returned malformed data: row 0: id 9: expected an id below 4, or 255",
    ),
    case(
        "id-invalid",
        "",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 1: returned malformed data: row 0: id 254: expected an id below 4, or 255",
    ),
    case(
        "code-missing",
        "",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 1: returned malformed data: 0 codes: expected 3, one a row",
    ),
    case(
        "code-out-of-range",
        "",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 1: returned malformed data: row 0: reason 7 of 1",
    ),
    case(
        "no-reasons",
        "",
        tight,
        "plugin `guest` 0.1.0: `assign`, batch 1: returned malformed data: row 0: reason 0 of 0",
    ),
    case(
        "huge-reasons",
        "",
        roomy,
        "plugin `guest` 0.1.0: `assign`, batch 1: gave the host more than `result_mb = 16` allows",
    ),
    case(
        "huge-reason",
        "",
        roomy,
        "plugin `guest` 0.1.0: `assign`, batch 1: gave the host more than `result_mb = 16` allows",
    ),
    case(
        "labels-empty",
        "",
        tight,
        "plugin `guest` 0.1.0: `labels`: returned malformed data: 0 labels: expected 1 to 200",
    ),
    case(
        "labels-many",
        "",
        tight,
        "plugin `guest` 0.1.0: `labels`: returned malformed data: 201 labels: expected 1 to 200",
    ),
    case(
        "labels-duplicate",
        "",
        tight,
        "plugin `guest` 0.1.0: `labels`: returned malformed data: name `ALLOW` of label 1 is taken: expected distinct names",
    ),
    case(
        "label-unnamed",
        "",
        tight,
        "plugin `guest` 0.1.0: `labels`: returned malformed data: name `` of label 2: expected 1 to 200 printable characters",
    ),
    case(
        "severity-short",
        "",
        tight,
        "plugin `guest` 0.1.0: `labels`: returned malformed data: 3 severities: expected 4, one a label",
    ),
    case("labels-change", "", tight, ""),
];

fn three_rows() -> ExampleColumns {
    ExampleColumns { instruction: ["a", "b", "c"].into_iter().collect(), ..ExampleColumns::default() }
}

pub(super) fn map(plugin: &Plugin) -> so8t::Result<()> {
    let mut mapper = plugin.open_mapper()?;
    let labels = mapper.labels().clone();
    let first = mapper.assign(&three_rows());
    if let Err(first) = &first {
        let again = mapper.assign(&three_rows()).expect_err("a guest that failed is not called again").to_string();
        let first = first.to_string();
        let first = first.split_once(": ").expect("a title").1;
        assert!(
            again.ends_with(&format!("`assign`, batch 2: not called, for this plugin has failed before: {first}")),
            "{again}"
        );
    }
    assert_eq!(first?, [Ok(0), Ok(0), Ok(0)]);
    assert_eq!(mapper.assign(&three_rows())?, [Ok(0), Ok(0), Ok(0)]);
    assert_eq!(*mapper.labels(), labels, "the labels are asked for once");
    Ok(())
}

#[test]
fn hostile_mappers_end_with_an_error() {
    check(
        CASES,
        |case| map(&load("evil-mapper", case.behaviour, case.call, (case.limits)())),
        || map(&load("evil-mapper", "honest", "", tight())).expect("an honest guest works"),
    );
}

#[test]
fn columns_that_disagree_are_refused_before_the_guest_sees_them() {
    let mut mapper = load("evil-mapper", "honest", "", tight()).open_mapper().unwrap();
    let mut rows = three_rows();
    rows.label = Texts::from_iter(["x"]);
    let error = mapper.assign(&rows).unwrap_err().to_string();
    assert_eq!(error, "plugin `guest` 0.1.0: `assign`: column `label` has 1 rows: expected 3");
    assert_eq!(mapper.assign(&three_rows()).unwrap(), [Ok(0), Ok(0), Ok(0)], "the guest is not at fault, and goes on");
}
