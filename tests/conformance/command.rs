//! `so8t plugin check`, `inspect`, `list` and `bench`, as a user drives them.

use std::path::Path;

use serde_json::Value;

use super::guest;
use crate::cli::{manifest, outcome, so8t, write};

fn run(arguments: &[&str]) -> (String, String, i32) {
    outcome(&so8t(Path::new(env!("CARGO_MANIFEST_DIR")), arguments))
}

fn json(arguments: &[&str]) -> Value {
    let (out, err, _) = run(arguments);
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"))
}

#[test]
fn check_shows_a_table_and_succeeds() {
    let (out, err, code) = run(&["plugin", "check", "builtin:agreement"]);
    assert_eq!((err.as_str(), code), ("", 0), "{out}");
    assert!(
        out.starts_with("builtin:agreement, on made-up data\n\nok    component.imports             It imports nothing"),
        "{out}"
    );
    assert!(out.contains("\nok    metric.merge-associative"), "{out}");
    assert!(out.contains(" kept, 0 broken, 0 not applicable, in "), "{out}");
}

#[test]
fn check_of_a_file_that_breaks_a_law_fails_with_the_counterexample() {
    let path = guest("lawless-metric").display().to_string();
    let arguments = ["plugin", "check", &path, "--config", r#"{"behaviour": "merge-counts"}"#];
    let (out, err, code) = run(&arguments);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.starts_with(&format!("error: `{path}` breaks ")), "{err}");
    assert!(err.contains("`metric.merge-empty`"), "{err}");
    assert!(out.contains("FAIL  metric.merge-empty "), "{out}");
    assert!(
        out.contains(
            "      found: `rows` is 0 before a state of no rows was merged, and 1 after\n      on:    0 rows\n"
        ),
        "{out}"
    );

    let found = json(&[&arguments[..], &["--json"]].concat());
    let law = found["laws"].as_array().unwrap().iter().find(|law| law["name"] == "metric.merge-empty").unwrap();
    assert_eq!(law["outcome"], "failed");
    assert_eq!(law["smallest"], true);
    assert_eq!(law["counterexample"], serde_json::json!([[]]));
    assert_eq!(
        found["failed"].as_u64().unwrap() as usize,
        found["laws"].as_array().unwrap().iter().filter(|law| law["outcome"] == "failed").count()
    );
}

#[test]
fn check_takes_samples_for_each_kind() {
    let folder = tempfile::tempdir().unwrap();
    let predictions = r#"{"id":"a","source":"s","gold":"YES","predicted":"NO","scores":{"NO":0.75,"YES":0.25}}
{"id":"b","source":"s","group":"g","gold":"NO","predicted":"INVALID","scores":{"NO":0.5,"YES":0.5}}
{"id":"c","source":"s","group":"g","gold":"NO","predicted":"NO","scores":{"NO":1,"YES":0}}
"#;
    write(folder.path(), "predictions.jsonl", predictions);
    write(folder.path(), "examples.csv", "id,instruction,label\n1,make tea,allow\n2,\"say, no\",\n");
    let check = |arguments: &[&str]| outcome(&so8t(folder.path(), &[&["plugin", "check"], arguments].concat()));
    let (out, err, code) =
        check(&["builtin:curves", "--data", "predictions.jsonl", "--config", r#"{"safe": "NO", "unsafe": ["YES"]}"#]);
    assert_eq!((err.as_str(), code), ("", 0), "{out}");
    assert!(out.starts_with("builtin:curves with config `{\"safe\":\"NO\",\"unsafe\":[\"YES\"]}`, on `predictions.jsonl` and made-up data\n"), "{out}");
    let (out, err, code) = check(&["builtin:four-class", "--data", "examples.csv", "--converter", "builtin:csv"]);
    assert_eq!((err.as_str(), code), ("", 0), "{out}");
    let (out, err, code) = check(&["builtin:csv", "--data", "examples.csv"]);
    assert_eq!((err.as_str(), code), ("", 0), "{out}");
    let (_, err, code) = check(&["builtin:csv", "--data", "no-such-file"]);
    assert_eq!(code, 1);
    assert!(err.starts_with("error: cannot read `no-such-file`: "), "{err}");
}

#[test]
fn check_refuses_what_is_no_configuration() {
    let (_, err, code) = run(&["plugin", "check", "builtin:jsonl", "--config", "{"]);
    assert_eq!(code, 1);
    assert!(err.starts_with("error: --config: expected JSON: "), "{err}");
    let (_, err, code) = run(&["plugin", "check", "builtin:jsonl", "--config", "[]"]);
    assert_eq!((err.as_str(), code), ("error: plugin `jsonl`: config: expected a table, found `[]`\n", 1));
    let (_, err, code) = run(&["plugin", "check", "builtin:no-such"]);
    assert_eq!(code, 1);
    assert!(err.starts_with("error: plugin `no-such`: `builtin:no-such` does not exist: expected one of "), "{err}");
}

#[test]
fn inspect_shows_what_a_component_is_made_of() {
    let found = json(&["plugin", "inspect", "builtin:jsonl", "--json"]);
    assert_eq!(found["kind"], "converter");
    assert_eq!(found["refused"], Value::Null);
    assert_eq!(found["metadata"]["name"], "jsonl");
    assert_eq!(found["metadata"]["config_schema"]["type"], "object");
    let imports: Vec<&str> = found["imports"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(imports.contains(&"so8t:plugin/log@0.1.0"), "{imports:?}");
    assert_eq!(found["exports"], serde_json::json!(["so8t:plugin/conversion@0.1.0"]));
    let bytes: u64 =
        found["sections"].as_array().unwrap().iter().map(|section| section["bytes"].as_u64().unwrap()).sum();
    assert_eq!(bytes, found["bytes"].as_u64().unwrap(), "the sections are all of the file");
}

#[test]
fn inspect_shows_what_a_plugin_reads_and_gives_once_it_is_open() {
    let found = json(&["plugin", "inspect", "builtin:curves", "--json", "--labels", "yes,no"]);
    assert_eq!(found["metric"]["wants"], serde_json::json!(["scores", "weights"]));
    assert_eq!(found["metric"]["labels"], serde_json::json!(["yes", "no"]));
    let values = found["metric"]["values"].as_array().unwrap();
    let of =
        |name: &str| values.iter().find(|value| value["name"] == name).unwrap_or_else(|| panic!("{name}: {found}"));
    let expected = serde_json::json!({"name": "auroc_yes", "direction": "higher", "low": 0.0, "high": 1.0});
    assert_eq!(of("auroc_yes"), &expected);
    let (out, err, code) = run(&["plugin", "inspect", "builtin:classification"]);
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(out.contains("\nreads       gold, predicted, weights\n"), "{out}");
    assert!(out.contains("\nlabels      ALLOW, ESCALATION, DENY, REFUSE\n"), "{out}");
    let line = out.lines().find(|line| line.contains(" unsafe_pass_rate ")).unwrap();
    assert!(line.ends_with("  lower is better, 0 to 1"), "{line}");

    let found = json(&["plugin", "inspect", "builtin:four-class", "--json"]);
    assert_eq!(found["label_mapper"]["names"], serde_json::json!(["ALLOW", "ESCALATION", "DENY", "REFUSE"]));
    assert!(json(&["plugin", "inspect", "builtin:jsonl", "--json"]).get("not_opened").is_none());
    // What needs a configuration says so, and takes one.
    let (out, err, code) = run(&["plugin", "inspect", "builtin:table"]);
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(out.contains("\nnot opened  ") && out.contains("give what it needs with `--config` or"), "{out}");
    let config = r#"{"labels": ["no", "yes"], "rules": [{"column": "label", "equals": "x", "label": "yes"}]}"#;
    let (out, _, code) = run(&["plugin", "inspect", "builtin:table", "--config", config]);
    assert!(code == 0 && out.contains("\nlabels      no, severity 0\n            yes, severity 1\n"), "{out}");
}

#[test]
fn inspect_says_why_a_component_would_be_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign.wasm");
    std::fs::write(&path, wat::parse_str(r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#).unwrap())
        .unwrap();
    let (out, err, code) = outcome(&so8t(folder.path(), &["plugin", "inspect", "foreign.wasm"]));
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(out.contains("REFUSED     imports `wasi:cli/environment@0.2.0`, which no plugin gets"), "{out}");
    assert!(out.contains("imports     wasi:cli/environment@0.2.0\nexports     nothing\n"), "{out}");
    write(folder.path(), "text.wasm", "no component");
    let (out, _, code) = outcome(&so8t(folder.path(), &["plugin", "inspect", "text.wasm"]));
    assert_eq!(code, 0);
    assert!(out.contains("REFUSED     is not a WebAssembly component"), "{out}");
}

#[test]
fn list_shows_builtins_and_what_of_a_manifest_is_locked() {
    let (out, err, code) = run(&["plugin", "list"]);
    assert_eq!((err.as_str(), code), ("", 0));
    assert_eq!(out.lines().count(), so8t::plugin::builtin::NAMES.len());
    let line = |line: &str| line.split_whitespace().take(3).eq(["classification", "metric", "0.1.0"]);
    assert!(out.lines().any(line), "{out}");

    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "so8t.toml", &manifest("", ""));
    write(folder.path(), "data.jsonl", "");
    let list = || json_in(folder.path(), &["plugin", "list", "so8t.toml", "--json"]);
    assert!(list().as_array().unwrap().iter().all(|plugin| plugin["lock"] == "not locked"));
    let digest = list()[0]["sha256"].as_str().unwrap().to_owned();
    assert_eq!(list()[0]["name"], "classification");
    let lock = |digest: &str| {
        format!(
            "[[entry]]\nkind = \"component\"\nname = \"classification\"\npath = \"builtin:classification\"\nsha256 = \"{digest}\"\n"
        )
    };
    write(folder.path(), "so8t.lock", &lock(&digest));
    assert_eq!(list()[0]["lock"], "locked");
    write(folder.path(), "so8t.lock", &lock(&"0".repeat(64)));
    assert_eq!(list()[0]["lock"], "changed");
}

fn json_in(folder: &Path, arguments: &[&str]) -> Value {
    let (out, err, _) = outcome(&so8t(folder, arguments));
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"))
}

#[test]
fn bench_measures_each_kind() {
    for (name, unit) in [("classification", "rows"), ("four-class", "rows"), ("jsonl", "bytes")] {
        let found = json(&["plugin", "bench", &format!("builtin:{name}"), "--seconds", "0.05", "--json"]);
        assert_eq!(found["unit"], unit, "{found}");
        for key in ["start_cold_ms", "start_cached_ms", "open_ms", "per_second"] {
            assert!(found[key].as_f64().unwrap() > 0.0, "{key}: {found}");
        }
        assert!(found["start_cached_ms"].as_f64().unwrap() < found["start_cold_ms"].as_f64().unwrap(), "{found}");
        assert!(found["memory_bytes"].as_u64().unwrap() >= found["memory_open_bytes"].as_u64().unwrap(), "{found}");
    }
    let (out, _, code) = run(&["plugin", "bench", "builtin:cost", "--seconds", "0.05"]);
    assert_eq!(code, 0);
    assert!(out.contains(" million rows/s\n"), "{out}");
}
