//! Converters that break one law at a time.

use serde_json::json;

use super::metrics::{little_fuel, little_lifted, little_memory, little_time};
use super::{Case, case, configurations, every_behaviour, limited, try_cases};

/// One case at least for every behaviour of the guest.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = configurations();
    cases.extend([
        case("remembers-instance", "converter.deterministic", "", ""),
        case("cuts-at-chunks", "converter.chunking", "", ""),
        case("one-of-nothing", "converter.empty-source", "", ""),
        case("needs-two", "converter.one-record", "", ""),
        case("counts-in-u16", "converter.many-records", "", ""),
        case("wrong-lines", "converter.lines", "", ""),
        case("trusts-text", "converter.malformed", "", ""),
        limited(json!({ "behaviour": "slow" }), little_fuel, "limits.fuel", "", ""),
        limited(json!({ "behaviour": "slow" }), little_time, "limits.seconds", "", ""),
        limited(json!({ "behaviour": "keeps-rows", "size": 200 }), little_memory, "limits.memory", "", ""),
        limited(json!({ "behaviour": "large-output", "size": 20_000 }), little_lifted, "limits.lifted", "", ""),
    ]);
    cases
}

#[test]
fn lawless_converters_are_found_with_the_smallest_counterexample() {
    try_cases("lawless-converter", &cases());
}

#[test]
fn every_behaviour_is_tried() {
    every_behaviour(include_str!("../guests/lawless-converter/src/lib.rs"), &cases());
}
