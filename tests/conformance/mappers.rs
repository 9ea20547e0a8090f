//! Label mappers that break one law at a time.

use serde_json::json;

use super::metrics::{little_fuel, little_lifted, little_memory, little_time};
use super::{Case, case, configurations, every_behaviour, limited, try_cases};

/// One case at least for every behaviour of the guest.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = configurations();
    cases.extend([
        case("remembers-instance", "mapper.deterministic", "", ""),
        case("skips-unknown", "mapper.every-row", "", ""),
        case("no-reason", "mapper.reasons", "", ""),
        case("refuses-first", "mapper.splitting", "", ""),
        case("previous-label", "mapper.row-order", "", ""),
        case("labels-by-rows", "mapper.labels-constant", "", ""),
        case("default", "mapper.no-default", "", ""),
        case("cuts-labels", "mapper.odd-labels", "", ""),
        case("traps-on-nothing", "mapper.empty-batch", "", ""),
        case("needs-two", "mapper.one-row", "", ""),
        case("counts-in-u16", "mapper.many-rows", "", ""),
        limited(json!({ "behaviour": "slow" }), little_fuel, "limits.fuel", "", ""),
        limited(json!({ "behaviour": "slow" }), little_time, "limits.seconds", "", ""),
        limited(json!({ "behaviour": "keeps-rows", "size": 200 }), little_memory, "limits.memory", "", ""),
        limited(json!({ "behaviour": "large-reasons", "size": 10_000 }), little_lifted, "limits.lifted", "", ""),
    ]);
    cases
}

#[test]
fn lawless_mappers_are_found_with_the_smallest_counterexample() {
    try_cases("lawless-mapper", &cases());
}

#[test]
fn every_behaviour_is_tried() {
    every_behaviour(include_str!("../guests/lawless-mapper/src/lib.rs"), &cases());
}
