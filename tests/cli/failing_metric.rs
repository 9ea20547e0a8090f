//! One metric that fails: its error stands in every form of the report, the others' values are there, nothing is trained twice, and
//! the exit code is 1.

use std::path::{Path, PathBuf};

use serde_json::Value;
use so8t::data::{LabelSet, Prediction};
use so8t::evaluate::{EvaluatedRow, predictions};

use super::{outcome, so8t, write};

/// A hostile metric that does `behaviour` in `call`, as a table of the manifest.
fn evil(behaviour: &str, call: &str) -> String {
    let folder = std::env::var_os("SO8T_COMPONENTS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/prebuilt"));
    format!(
        "[plugins.odd]\ncomponent = {:?}\nconfig = {{ behaviour = {behaviour:?}, in = {call:?} }}\n",
        folder.join("evil-metric.wasm")
    )
}

fn manifest(train: bool, plugin: &str, rest: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let train = if train { "[train]\nepochs = 1\nbatch = 16\nmax_length = 128\n" } else { "" };
    format!(
        "[run]\nname = \"odd\"\nseed = 3\n[model]\nbase = {:?}\n{plugin}[[data]]\nname = \"requests\"\npath = {:?}\n\
         converter = \"jsonl\"\nmapper = \"four-class\"\ngroup = \"group\"\n[split]\neval = 0.7\n[evaluate]\n\
         metrics = [\"classification\", \"odd\", \"cost\"]\nresamples = 50\n{train}{rest}",
        root.join("model"),
        root.join("data/four_class_requests.jsonl")
    )
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn values(measured: &Value, plugin: &str) -> usize {
    let all = measured["metrics"].as_object().unwrap();
    all.keys().filter(|name| name.starts_with(&format!("{plugin}."))).count()
}

/// An error may go on with where in the guest it was.
fn begins(found: &Value, expected: &str) -> bool {
    found.as_str().is_some_and(|found| found.starts_with(expected))
}

const TRAPPED: &str = "trapped: wasm `unreachable` instruction executed";

#[test]
fn a_run_keeps_what_the_other_metrics_gave() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let run = ["run", "so8t.toml", "--out", "run"];
    let rule = "[[accept.rules]]\nmetric = \"odd.share\"\nmin = 0.0\n";
    write(folder, "so8t.toml", &manifest(true, &evil("trap", "finalize"), rule));
    let (stdout, stderr, code) = outcome(&so8t(folder, &run));
    assert_eq!(code, 1, "{stderr}");
    let error = format!("plugin `odd` 0.1.0: `finalize`: {TRAPPED}");
    assert!(
        stderr.contains(&format!("error: metric `odd` failed, and the report lacks the values: {error}"))
            && stderr.contains("\nhint: the other values are whole"),
        "{stderr}"
    );

    // In its place in every form.
    assert!(stdout.contains(&format!("odd (before): failed: {error}")), "{stdout}");
    assert!(stdout.contains(&format!("odd (after): failed: {error}")), "{stdout}");
    let report = json(&folder.join("run/report.json"));
    for moment in ["before", "after"] {
        let measured = &report[moment];
        assert!(begins(&measured["failed"]["odd"], &error), "{moment}: {measured}");
        assert_eq!(values(measured, "odd"), 0);
        assert!(values(measured, "classification") > 10 && values(measured, "cost") == 2, "{measured}");
    }
    let rule = &report["accept"]["rules"][0];
    assert_eq!(rule["passed"], false);
    assert!(begins(&rule["reason"], &format!("metric `odd` failed: {error}")), "{rule}");
    let text = |name: &str| std::fs::read_to_string(folder.join("run").join(name)).unwrap();
    let markdown = text("report.md");
    assert!(
        markdown.contains("- ❌ `odd` (after) failed: plugin `odd` 0.1.0: `finalize`: trapped: wasm"),
        "{markdown}"
    );
    let page = text("report.html");
    assert!(page.matches("The metric odd (after) failed").count() >= 2, "at the top, and among the values");
    assert!(page.contains("指標 odd (after) は失敗し"));
    assert!(folder.join("run/predictions_before.parquet").is_file());

    // Exchanged for one that works: measured again, and nothing else is done again.
    let adapter = folder.join("run/adapter/adapter_model.safetensors");
    let digest = so8t::files::sha256_file(&adapter).unwrap();
    let modified = adapter.metadata().unwrap().modified().unwrap();
    write(folder, "so8t.toml", &manifest(true, &evil("honest", ""), ""));
    let (_, stderr, code) = outcome(&so8t(folder, &run));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("trained before") && stderr.contains("predicted before"), "{stderr}");
    assert_eq!(so8t::files::sha256_file(&adapter).unwrap(), digest);
    assert_eq!(adapter.metadata().unwrap().modified().unwrap(), modified);
    let mended = json(&folder.join("run/report.json"));
    assert_eq!(values(&mended["after"], "odd"), 2);
    assert!(mended["after"].get("failed").is_none());
    // The others' values are those that they had beside the one that failed.
    for moment in ["before", "after"] {
        for (name, value) in report[moment]["metrics"].as_object().unwrap() {
            assert_eq!(&mended[moment]["metrics"][name], value, "{moment}: {name}");
        }
    }
}

#[test]
fn what_fails_before_training_is_told_before_training() {
    let temporary = tempfile::tempdir().unwrap();
    write(temporary.path(), "so8t.toml", &manifest(true, &evil("fail", "open"), ""));
    let (_, stderr, code) = outcome(&so8t(temporary.path(), &["run", "so8t.toml", "--out", "run"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("error: plugin `odd` 0.1.0: `open`: failed: the guest fails in `open`"), "{stderr}");
    assert!(temporary.path().join("run/evaluation.jsonl").is_file(), "the prepared data are kept");
    assert!(
        !temporary.path().join("run/predictions_before.parquet").exists() && !stderr.contains("\ntrain "),
        "{stderr}"
    );
}

/// 400 rows of two sources in `p.parquet`.
fn write_predictions(folder: &Path) {
    let rows: Vec<EvaluatedRow> = (0..400_u32)
        .map(|index| EvaluatedRow {
            id: format!("r{index}"),
            source: ["a", "b"][index as usize % 2].to_owned(),
            group: String::new(),
            gold: (index % 4) as u8,
            prediction: Prediction { label: (index % 7 % 4) as u8, scores: vec![0.25; 4] },
            latency_ms: None,
            request: None,
        })
        .collect();
    predictions::write(&folder.join("p.parquet"), &LabelSet::four_decisions(), &rows).unwrap();
}

#[test]
fn a_predictions_file_is_measured_by_those_that_work() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    write_predictions(folder);
    let evaluate = ["evaluate", "p.parquet", "--manifest", "so8t.toml", "--out", "out"];
    write(folder, "so8t.toml", &manifest(false, &evil("honest", ""), ""));
    let (_, stderr, code) = outcome(&so8t(folder, &evaluate));
    assert_eq!(code, 0, "{stderr}");
    let whole = json(&folder.join("out/report.json"));
    for (behaviour, call, error) in [
        ("trap", "open", format!("`open`: {TRAPPED}")),
        ("trap", "update", format!("`update`, batch 1: {TRAPPED}")),
        ("trap", "state", format!("`state`: {TRAPPED}")),
        ("trap", "merge", format!("`merge`: {TRAPPED}")),
        ("nan", "", "`finalize`: returned malformed data: value `share` is NaN: expected a number, or none".to_owned()),
    ] {
        write(folder, "so8t.toml", &manifest(false, &evil(behaviour, call), ""));
        let (stdout, stderr, code) = outcome(&so8t(folder, &evaluate));
        let error = format!("plugin `odd` 0.1.0: {error}");
        assert_eq!(code, 1, "{call}: {stderr}");
        assert!(
            stderr.contains(&format!("error: metric `odd` failed, and the report lacks the values: {error}")),
            "{stderr}"
        );
        assert!(stdout.contains(&format!("odd: failed: {error}")), "{stdout}");
        let report = json(&folder.join("out/report.json"));
        assert!(begins(&report["before"]["failed"]["odd"], &error), "{report}");
        assert_eq!(values(&report["before"], "odd"), 0);
        for (name, value) in report["before"]["metrics"].as_object().unwrap() {
            assert_eq!(&whole["before"]["metrics"][name], value, "{name}");
        }
        assert_eq!(values(&report["before"], "classification"), values(&whole["before"], "classification"));
    }
    // None that works: a report that says so, and no value.
    let lonely =
        manifest(false, &evil("trap", "update"), "").replace("[\"classification\", \"odd\", \"cost\"]", "[\"odd\"]");
    write(folder, "so8t.toml", &lonely);
    let (stdout, _, code) = outcome(&so8t(folder, &evaluate));
    assert!(code == 1 && stdout.contains("odd: failed: "), "{stdout}");
    assert_eq!(json(&folder.join("out/report.json"))["before"]["metrics"], serde_json::json!({}));
}

#[test]
fn parts_of_a_predictions_file_lack_the_metric_that_fails_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    write_predictions(folder);
    // Room for the guest, and not for what its state grows by.
    let tight = "limits = { memory_mb = 2 }\n";
    let trapped = |call: &str| format!("plugin `odd` 0.1.0: `{call}`: {TRAPPED}");
    let large = "plugin `odd` 0.1.0: `update`, batch 1: ".to_owned();
    for (name, plugin, limits, in_parts, merged) in [
        // Fails in both parts; in none, but when they are merged; in the second part alone, under limits of its own.
        ("both", evil("trap", "state"), ["", ""], [Some(trapped("state")), Some(trapped("state"))], trapped("state")),
        ("merge", evil("trap", "merge"), ["", ""], [None, None], trapped("merge")),
        ("second", evil("state-grows", ""), ["", tight], [None, Some(large.clone())], large),
    ] {
        write(folder, "so8t.toml", &manifest(false, &plugin, ""));
        let (_, stderr, code) =
            outcome(&so8t(folder, &["evaluate", "p.parquet", "--manifest", "so8t.toml", "--out", "w"]));
        assert_eq!(code, 1, "{stderr}");
        let whole = json(&folder.join("w/report.json"));
        for (index, expected) in in_parts.iter().enumerate() {
            write(folder, "so8t.toml", &manifest(false, &format!("{plugin}{}", limits[index]), ""));
            let shard = format!("{}/2", index + 1);
            let arguments = ["evaluate", "p.parquet", "--manifest", "so8t.toml", "--shard", &shard, "--out", name];
            let (stdout, stderr, code) = outcome(&so8t(folder, &arguments));
            assert!(stdout.ends_with(&format!("shard_{}_of_2.state\n", index + 1)), "{stdout}{stderr}");
            assert_eq!(code, i32::from(expected.is_some()), "{name}, {shard}: {stderr}");
            if let Some(error) = expected {
                let expected = format!("error: metric `odd` failed, and the state holds none of its values: {error}");
                assert!(stderr.contains(&expected), "{stderr}");
            }
        }
        let states = [1, 2].map(|index| format!("{name}/shard_{index}_of_2.state"));
        let (stdout, stderr, code) =
            outcome(&so8t(folder, &["merge", &states[1], &states[0], "--manifest", "so8t.toml", "--out", "m"]));
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("error: metric `odd` failed, and the report lacks the values: "), "{stderr}");
        let report = json(&folder.join("m/report.json"));
        // A state says so for its part, whose name stands before the error.
        let error = report["before"]["failed"]["odd"].as_str().unwrap();
        let part = in_parts.iter().position(Option::is_some);
        let place = part.map_or(String::new(), |part| format!("`{}`: ", states[part]));
        assert!(error.starts_with(&format!("{place}{merged}")), "{error}");
        assert!(stdout.contains("odd: failed: "), "{stdout}");
        assert!(values(&report["before"], "classification") > 10 && values(&report["before"], "odd") == 0);
        for table in ["metrics", "sources"] {
            assert_eq!(report["before"][table], whole["before"][table], "{name}: {table}");
        }
    }
}
