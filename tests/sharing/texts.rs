//! A metric that reads requests: given them where its entry asks and the policy grants it, in every command that measures.

use serde_json::Value;

use super::Place;
use crate::cli::{manifest, outcome, write};

const TABLES: &str =
    "[plugins.reads]\ncomponent = \"reads.wasm\"\ntexts = true\n[evaluate]\nmetrics = [\"reads\"]\nresamples = 20";

/// A finished evaluation of the quick start's model on its own data.
fn evaluated(tables: &str) -> (Place, Value) {
    let place = Place::new("");
    std::fs::copy(crate::sandbox::guest("reads-text"), place.file("reads.wasm")).unwrap();
    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/model");
    let text = manifest("[split]", &format!("{tables}\n[split]"));
    write(place.path(), "so8t.toml", &text.replace("base = \"model\"", &format!("base = \"{}\"", model.display())));
    write(place.path(), "policy.toml", "[plugins]\ntext = [\"path:*/reads.wasm\"]\n");
    let report = place.done(&["eval", "so8t.toml", "--policy", "policy.toml", "--quiet", "--json"]);
    (place, serde_json::from_str(&report).unwrap())
}

/// The bytes of the held-out requests.
fn expected(place: &Place) -> (f64, f64) {
    let text = std::fs::read_to_string(place.file("runs/test/evaluation.jsonl")).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bytes = rows.iter().map(|row| row["instruction"].as_str().unwrap().len()).sum::<usize>();
    (bytes as f64, rows.len() as f64)
}

fn found(report: &Value) -> (f64, f64) {
    let value = |name: &str| report["before"]["metrics"][name]["value"].as_f64().unwrap();
    (value("reads.bytes"), value("reads.rows"))
}

#[test]
fn a_granted_metric_reads_the_requests_in_every_command() {
    let (place, report) = evaluated(TABLES);
    let expected = expected(&place);
    assert!(expected.0 > 0.0);
    assert_eq!(found(&report), expected);
    // The interval comes from resamples, which see the texts too.
    let bytes = &report["before"]["metrics"]["reads.bytes"];
    let [low, high] = ["low", "high"].map(|end| bytes[end].as_f64().unwrap());
    assert!(low > 0.0 && low <= expected.0 && expected.0 <= high, "{bytes}");
    assert!(report["run"]["host_policy"].as_str().is_some_and(|digest| digest.len() == 64), "{report}");

    let verified = place.done(&["verify", "runs/test", "--policy", "policy.toml", "--quiet"]);
    assert!(verified.contains("computed again to the last bit"), "{verified}");
    let (stdout, _, code) = outcome(&place.so8t(&["verify", "runs/test", "--quiet"]));
    assert!(code == 1 && stdout.contains("which the default policy does not grant"), "{stdout}");

    let predictions = "runs/test/predictions_before.parquet";
    let evaluate = ["evaluate", predictions, "--manifest", "so8t.toml", "--policy", "policy.toml"];
    let alone: Value = serde_json::from_str(&place.done(&[&evaluate[..], &["--json"]].concat())).unwrap();
    assert_eq!(found(&alone), expected);
    for shard in ["1/2", "2/2"] {
        place.done(&[&evaluate[..], &["--shard", shard, "--out", "states"]].concat());
    }
    let states = ["states/shard_1_of_2.state", "states/shard_2_of_2.state"];
    let merge = [&["merge"], &states[..], &["--manifest", "so8t.toml", "--policy", "policy.toml", "--json"]].concat();
    let merged: Value = serde_json::from_str(&place.done(&merge)).unwrap();
    assert_eq!(merged["before"]["metrics"], alone["before"]["metrics"]);

    // Predictions that stand alone have no requests.
    std::fs::copy(place.file(predictions), place.file("alone.parquet")).unwrap();
    let stderr = place.refused(&["evaluate", "alone.parquet", "--manifest", "so8t.toml", "--policy", "policy.toml"]);
    let expected = "metric `reads` reads the requests' text, and there is no `evaluation.jsonl` beside `alone.parquet`";
    assert!(stderr.contains(expected), "{stderr}");
}

#[test]
fn a_metric_that_does_not_ask_sees_nothing() {
    let (place, report) = evaluated(&TABLES.replace("texts = true\n", ""));
    assert_eq!(found(&report), (0.0, expected(&place).1));
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("asks for the requests' text and is not given it"), "{warnings}");
}
