//! Metrics that break one law at a time.

use serde_json::json;
use so8t::plugin::Limits;

use super::{Case, case, configurations, every_behaviour, limited, tight, try_cases};

/// One case at least for every behaviour of the guest.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = configurations();
    cases.extend([
        case("remembers-instance", "metric.deterministic", "another state of a second measurement in one instance: byte 0 is 0 and 1", "0 rows"),
        case("declares-by-rows", "metric.declarations-constant", "`share` is `share_of_rows` after rows were taken in", "1 row\ngold ALLOW predicted ALLOW weight 1"),
        case("finalize-counts", "metric.finalize-idempotent", "`rows` is 0 at first, and 1 when asked again", "0 rows"),
        case("counts-batches", "metric.batches", "`rows` is 3 in one batch, and 4 in batches", "2 rows in 2 parts\npart 1: gold ALLOW predicted ALLOW weight 1\npart 2: gold ALLOW predicted ALLOW weight 1"),
        case("state-halved", "metric.merge-one-pass", "`rows` is 1 in one pass, and 0 merged", "1 row\ngold ALLOW predicted ALLOW weight 1"),
        case("merge-doubles", "metric.merge-commutative", "`rows` is 1 where part 2 goes into part 1, and 2 where part 1 goes into part 2", "1 row\ngold ALLOW predicted ALLOW weight 1"),
        case("merge-averages", "metric.merge-associative", "`rows` is 0 as (1 + 2) + 3, and 1 as 1 + (2 + 3)", "2 rows in 3 parts\npart 1: gold ALLOW predicted ALLOW weight 1\npart 1: gold ALLOW predicted ALLOW weight 1\npart 2: no rows\npart 3: no rows"),
        case("merge-counts", "metric.merge-empty", "`rows` is 0 before a state of no rows was merged, and 1 after", "0 rows"),
        case("weighs-places", "metric.row-order", "`rows` is 5 in order, and 4 in reverse", "2 rows\ngold ALLOW predicted ALLOW weight 1\ngold ALLOW predicted ALLOW weight 2"),
        case("ignores-weights", "metric.weight-repeats", "`rows` is 1 with weights, and 2 with as many rows", "1 row\ngold ALLOW predicted ALLOW weight 2"),
        case("at-least-one", "metric.weight-zero", "`rows` is 1 with rows of weight 0, and 0 without them", "1 row\ngold ALLOW predicted ALLOW weight 0"),
        case("refuses-invalid", "metric.invalid", "`update`, batch 1: refuses its input: an answer is no label", "1 row\ngold ALLOW predicted ALLOW weight 0"),
        case("refuses-nothing", "metric.empty-batch", "`update`, batch 1: refuses its input: expected rows", "0 rows"),
        case("needs-two", "metric.one-row", "`finalize`: failed: there is no value of one row", "1 row\ngold ALLOW predicted ALLOW weight 1"),
        case("counts-in-u16", "metric.many-rows", "`update`, batch 1: trapped: wasm `unreachable` instruction executed; the last error that it logged: panicked at", "43690 rows"),
        case("four-labels", "metric.label-sets", "`open`: trapped: wasm `unreachable` instruction executed; the last error that it logged: panicked at", "the labels `l`"),
        case("trusts-states", "metric.foreign-state", "`merge`: trapped: wasm `unreachable` instruction executed; the last error that it logged: panicked at", "a state of 0 bytes: "),
        limited(json!({ "behaviour": "slow" }), little_fuel, "limits.fuel", "`update`, batch 1: did more work than `fuel = 200000000`", ""),
        limited(json!({ "behaviour": "slow" }), little_time, "limits.seconds", "`update`, batch 1: took longer than `seconds = 0.01`", ""),
        limited(json!({ "behaviour": "keeps-rows", "size": 200 }), little_memory, "limits.memory", "`update`, batch 1: needed more memory than `memory_mb = 16` allows", ""),
        limited(json!({ "behaviour": "large-state", "size": 16 }), little_lifted, "limits.lifted", "`state`: gave the host more than `result_mb = 1` allows", "43690 rows"),
    ]);
    cases
}

pub(super) fn little_fuel() -> Limits {
    Limits { fuel: 200_000_000, ..tight() }
}

pub(super) fn little_time() -> Limits {
    Limits { seconds: 0.01, fuel: 1_000_000_000_000, ..tight() }
}

pub(super) fn little_memory() -> Limits {
    Limits { memory_bytes: 16 << 20, ..tight() }
}

pub(super) fn little_lifted() -> Limits {
    Limits { lifted_bytes: 1 << 20, ..tight() }
}

#[test]
fn lawless_metrics_are_found_with_the_smallest_counterexample() {
    try_cases("lawless-metric", &cases());
}

#[test]
fn every_behaviour_is_tried() {
    every_behaviour(include_str!("../guests/lawless-metric/src/lib.rs"), &cases());
}
