//! Hostile metrics: each behaviour of `tests/guests/evil-metric`, and the words with which the host ends it.

use super::{Case, case, check, generous, load, measure, roomy, tight};

/// One case at least for every behaviour; `guests.rs` sees to it.
pub(super) const CASES: &[Case] = &[
    case("honest", "", tight, ""),
    case("loop", "open", tight, "plugin `guest` 0.1.0: `open`: did more work than `fuel = 300000000`"),
    case("loop", "update", tight, "plugin `guest` 0.1.0: `update`, batch 1: did more work than `fuel = 300000000`"),
    case("loop", "metrics", tight, "plugin `guest` 0.1.0: `metrics`: did more work than `fuel = 300000000`"),
    case("loop", "wants", tight, "plugin `guest` 0.1.0: `wants`: did more work than `fuel = 300000000`"),
    case("loop", "state", tight, "plugin `guest` 0.1.0: `state`: did more work than `fuel = 300000000`"),
    case("loop", "merge", tight, "plugin `guest` 0.1.0: `merge`: did more work than `fuel = 300000000`"),
    case("loop", "finalize", tight, "plugin `guest` 0.1.0: `finalize`: did more work than `fuel = 300000000`"),
    case(
        "memory",
        "update",
        tight,
        "plugin `guest` 0.1.0: `update`, batch 1: needed more memory than `memory_mb = 64` allows",
    ),
    case(
        "trap",
        "update",
        tight,
        "plugin `guest` 0.1.0: `update`, batch 1: trapped: wasm `unreachable` instruction executed",
    ),
    case(
        "panic",
        "update",
        tight,
        "plugin `guest` 0.1.0: `update`, batch 1: trapped: wasm `unreachable` instruction executed",
    ),
    case("stack", "update", tight, "plugin `guest` 0.1.0: `update`, batch 1: trapped: out of bounds memory access"),
    case(
        "log-flood",
        "update",
        tight,
        "plugin `guest` 0.1.0: `update`, batch 1: did more work than `fuel = 300000000`",
    ),
    case(
        "log-large",
        "update",
        roomy,
        "plugin `guest` 0.1.0: `update`, batch 1: gave the host more than 1048576 bytes, the most that this call may",
    ),
    case("log-escape", "update", tight, ""),
    case("fail", "update", tight, "plugin `guest` 0.1.0: `update`, batch 1: failed: the guest fails in `update`"),
    case(
        "fail-large",
        "update",
        roomy,
        "plugin `guest` 0.1.0: `update`, batch 1: gave the host more than 1048576 bytes, the most that this call may",
    ),
    case("trap", "open", tight, "plugin `guest` 0.1.0: `open`: trapped: wasm `unreachable` instruction executed"),
    case("trap", "metrics", tight, "plugin `guest` 0.1.0: `metrics`: trapped: wasm `unreachable` instruction executed"),
    case("trap", "wants", tight, "plugin `guest` 0.1.0: `wants`: trapped: wasm `unreachable` instruction executed"),
    case("trap", "state", tight, "plugin `guest` 0.1.0: `state`: trapped: wasm `unreachable` instruction executed"),
    case("trap", "merge", tight, "plugin `guest` 0.1.0: `merge`: trapped: wasm `unreachable` instruction executed"),
    case(
        "trap-later",
        "update",
        tight,
        "plugin `guest` 0.1.0: `update`, batch 2: trapped: wasm `unreachable` instruction executed",
    ),
    case(
        "trap",
        "finalize",
        tight,
        "plugin `guest` 0.1.0: `finalize`: trapped: wasm `unreachable` instruction executed",
    ),
    case("fail", "open", tight, "plugin `guest` 0.1.0: `open`: failed: the guest fails in `open`"),
    case(
        "duplicate-names",
        "",
        tight,
        "plugin `guest` 0.1.0: `metrics`: returned malformed data: name `rows` of value 1 is taken: expected distinct names",
    ),
    case(
        "empty-name",
        "",
        tight,
        "plugin `guest` 0.1.0: `metrics`: returned malformed data: name `` of value 1: expected 1 to 200 printable characters",
    ),
    case(
        "odd-name",
        "",
        tight,
        r"plugin `guest` 0.1.0: `metrics`: returned malformed data: name `share\n\u{1b}[31m` of value 1: expected 1 to 200 printable characters",
    ),
    case("many-metrics", "", roomy, "plugin `guest` 0.1.0: `metrics`: gave the host more than `result_mb = 16` allows"),
    case(
        "many-metrics",
        "",
        generous,
        "plugin `guest` 0.1.0: `metrics`: returned malformed data: 1000000 values declared: expected 1 to 50000",
    ),
    case(
        "no-metrics",
        "",
        tight,
        "plugin `guest` 0.1.0: `metrics`: returned malformed data: 0 values declared: expected 1 to 50000",
    ),
    case(
        "bounds-nan",
        "",
        tight,
        "plugin `guest` 0.1.0: `metrics`: returned malformed data: bounds of `share`: expected numbers, the lower one first, found `NaN` and `1`",
    ),
    case(
        "bounds-reversed",
        "",
        tight,
        "plugin `guest` 0.1.0: `metrics`: returned malformed data: bounds of `share`: expected numbers, the lower one first, found `1` and `0`",
    ),
    case(
        "metrics-change",
        "",
        tight,
        "plugin `guest` 0.1.0: `finalize`: returned malformed data: value `share` was not declared by `metrics`",
    ),
    case(
        "nan",
        "",
        tight,
        "plugin `guest` 0.1.0: `finalize`: returned malformed data: value `share` is NaN: expected a number, or none",
    ),
    case(
        "infinite",
        "",
        tight,
        "plugin `guest` 0.1.0: `finalize`: returned malformed data: value `share` is inf: expected a number, or none",
    ),
    case(
        "above-bound",
        "",
        tight,
        "plugin `guest` 0.1.0: `finalize`: returned malformed data: value `share` is 1.5: above 1, the bound that `metrics` declares",
    ),
    case(
        "wrong-name",
        "",
        tight,
        "plugin `guest` 0.1.0: `finalize`: returned malformed data: value `shore` was not declared by `metrics`",
    ),
    case(
        "missing-value",
        "",
        tight,
        "plugin `guest` 0.1.0: `finalize`: returned malformed data: 1 values: expected 2, as `metrics` declares",
    ),
    case(
        "extra-value",
        "",
        tight,
        "plugin `guest` 0.1.0: `finalize`: returned malformed data: value `more` was not declared by `metrics`",
    ),
    case(
        "reordered",
        "",
        tight,
        "plugin `guest` 0.1.0: `finalize`: returned malformed data: value `share` where `rows` is due: expected the order of `metrics`",
    ),
    case("huge-list", "", roomy, "plugin `guest` 0.1.0: `finalize`: gave the host more than `result_mb = 16` allows"),
    case("huge-string", "", roomy, "plugin `guest` 0.1.0: `finalize`: gave the host more than `result_mb = 16` allows"),
    case(
        "bad-utf8-string",
        "",
        tight,
        "plugin `guest` 0.1.0: `finalize`: broke the interface: invalid utf-8 sequence of 1 bytes from index 1",
    ),
    case(
        "support-lies",
        "",
        tight,
        "plugin `guest` 0.1.0: `finalize`: returned malformed data: value `share` rests on 4294967295 rows: 10 were taken in",
    ),
    case("huge-state", "", roomy, "plugin `guest` 0.1.0: `state`: gave the host more than `result_mb = 16` allows"),
    case(
        "state-grows",
        "",
        tight,
        "plugin `guest` 0.1.0: `merge`: refuses its input: state: expected 8 bytes, found 2097152",
    ),
    case("state-lies", "", tight, ""),
    case("merge-order", "", tight, ""),
    case("values-drift", "", tight, ""),
];

#[test]
fn hostile_metrics_end_with_an_error() {
    check(
        CASES,
        |case| measure(&load("evil-metric", case.behaviour, case.call, (case.limits)())),
        || measure(&load("evil-metric", "honest", "", tight())).expect("an honest guest works"),
    );
}
