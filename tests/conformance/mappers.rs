//! Label mappers that break one law at a time.

use serde_json::json;

use super::metrics::{little_fuel, little_lifted, little_memory, little_time};
use super::{Case, case, configurations, every_behaviour, limited, try_cases};

/// One case at least for every behaviour of the guest.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = configurations();
    cases.extend([
        case("remembers-instance", "mapper.deterministic", "row 0 is `REFUSE` at first, and is rejected (`expected a label`) in a second mapping of one instance", "1 row\ninstruction \"re\", label \"REFUSE\""),
        case("skips-unknown", "mapper.every-row", "`assign`, batch 1: returned malformed data: 0 ids: expected 1, one a row", "1 row\ninstruction \"re\""),
        case("no-reason", "mapper.reasons", "row 0 is rejected without a reason", "1 row\ninstruction \"re\""),
        case("refuses-first", "mapper.splitting", "row 1 is `ALLOW` in one batch, and is rejected (`expected a label`) in batches", "2 rows in 2 batches\nbatch 1: instruction \"re\"\nbatch 2: instruction \"re\", label \"ALLOW\""),
        case("previous-label", "mapper.row-order", "row 0 is rejected (`expected a label`) in order, and is `ESCALATION` in reverse", "2 rows\ninstruction \"re\"\ninstruction \"re\", label \"ESCALATION\""),
        case("labels-by-rows", "mapper.labels-constant", "the labels are `ALLOW`, `ESCALATION`, `DENY`, `REFUSE` with severities [0, 1, 2, 3], and after rows were mapped `ESCALATION`, `ALLOW`, `DENY`, `REFUSE` with severities [0, 1, 2, 3]", "1 row\ninstruction \"re\""),
        case("default", "mapper.no-default", "a row without a label is `ALLOW`", "1 row\ninstruction \"x\""),
        case("cuts-labels", "mapper.odd-labels", "`assign`, batch 1: trapped: wasm `unreachable` instruction executed; the last error that it logged: panicked at", "1 row\ninstruction \"x\", label \"ＡＬＬＯＷ\""),
        case("traps-on-nothing", "mapper.empty-batch", "`assign`, batch 1: trapped: wasm `unreachable` instruction executed; the last error that it logged: panicked at", "0 rows"),
        case("needs-two", "mapper.one-row", "`assign`, batch 1: trapped: wasm `unreachable` instruction executed; the last error that it logged: panicked at", "1 row\ninstruction \"re\""),
        case("counts-in-u16", "mapper.many-rows", "`assign`, batch 1: trapped: wasm `unreachable` instruction executed; the last error that it logged: panicked at", "65536 rows"),
        limited(json!({ "behaviour": "slow" }), little_fuel, "limits.fuel", "`assign`, batch 1: did more work than `fuel = 200000000`", ""),
        limited(json!({ "behaviour": "slow" }), little_time, "limits.seconds", "`assign`, batch 1: took longer than `seconds = 0.01`", ""),
        limited(json!({ "behaviour": "keeps-rows", "size": 200 }), little_memory, "limits.memory", "`assign`, batch 1: needed more memory than `memory_mb = 16` allows", ""),
        limited(json!({ "behaviour": "large-reasons", "size": 10_000 }), little_lifted, "limits.lifted", "`assign`, batch 1: gave the host more than `result_mb = 1` allows", "1 rows"),
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
