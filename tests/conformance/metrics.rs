//! Metrics that break one law at a time.

use serde_json::json;
use so8t::plugin::Limits;

use super::{Case, case, configurations, every_behaviour, limited, tight, try_cases};

/// One case at least for every behaviour of the guest.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = configurations();
    cases.extend([
        case("remembers-instance", "metric.deterministic", "", ""),
        case("declares-by-rows", "metric.declarations-constant", "", ""),
        case("finalize-counts", "metric.finalize-idempotent", "", ""),
        case("counts-batches", "metric.batches", "", ""),
        case("state-halved", "metric.merge-one-pass", "", ""),
        case("merge-doubles", "metric.merge-commutative", "", ""),
        case("merge-averages", "metric.merge-associative", "", ""),
        case("merge-counts", "metric.merge-empty", "", ""),
        case("weighs-places", "metric.row-order", "", ""),
        case("ignores-weights", "metric.weight-repeats", "", ""),
        case("at-least-one", "metric.weight-zero", "", ""),
        case("refuses-invalid", "metric.invalid", "", ""),
        case("refuses-nothing", "metric.empty-batch", "", ""),
        case("needs-two", "metric.one-row", "", ""),
        case("counts-in-u16", "metric.many-rows", "", ""),
        case("four-labels", "metric.label-sets", "", ""),
        case("trusts-states", "metric.foreign-state", "", ""),
        limited(json!({ "behaviour": "slow" }), little_fuel, "limits.fuel", "", ""),
        limited(json!({ "behaviour": "slow" }), little_time, "limits.seconds", "", ""),
        limited(json!({ "behaviour": "keeps-rows", "size": 200 }), little_memory, "limits.memory", "", ""),
        limited(json!({ "behaviour": "large-state", "size": 16 }), little_lifted, "limits.lifted", "", ""),
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
