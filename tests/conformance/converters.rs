//! Converters that break one law at a time.

use serde_json::json;

use super::metrics::{little_fuel, little_lifted, little_memory, little_time};
use super::{Case, case, configurations, every_behaviour, limited, try_cases};

/// One case at least for every behaviour of the guest.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = configurations();
    cases.extend([
        case(
            "remembers-instance",
            "converter.deterministic",
            "`id` of example 0 is \"0-1\" at first, and \"1-1\" in a second conversion of one instance",
            "1 byte\n\"a\"",
        ),
        case(
            "cuts-at-chunks",
            "converter.chunking",
            "`instruction` of example 0 is \"aa\" in one chunk, and \"a\" in chunks",
            "2 bytes in 2 chunks\n\"a\"\n\"a\"",
        ),
        case("one-of-nothing", "converter.empty-source", "1 examples of nothing", "0 bytes\n\"\""),
        case("needs-two", "converter.one-record", "0 examples of 1 records", "1 records of JSON lines"),
        case("counts-in-u16", "converter.many-records", "`push`, batch ", "65536 records of JSON lines"),
        case("wrong-lines", "converter.lines", "line 100 of a source of 1", "1 byte\n\"a\""),
        case(
            "trusts-text",
            "converter.malformed",
            "`finish`: trapped: wasm `unreachable` instruction executed",
            "1 byte\n\"\\xff\"",
        ),
        limited(json!({ "behaviour": "slow" }), little_fuel, "limits.fuel", "`push`, batch ", ""),
        limited(json!({ "behaviour": "slow" }), little_time, "limits.seconds", "`push`, batch ", ""),
        limited(
            json!({ "behaviour": "keeps-rows", "size": 200 }),
            little_memory,
            "limits.memory",
            "`push`, batch ",
            "",
        ),
        limited(
            json!({ "behaviour": "large-output", "size": 20_000 }),
            little_lifted,
            "limits.lifted",
            "`push`, batch ",
            "",
        ),
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
