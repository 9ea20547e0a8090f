//! The quick start through the real program: what the README promises of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;
use so8t::data::LabelSet;
use so8t::evaluate::predictions;

use super::requests::folder;

const LABELS: [&str; 4] = ["ALLOW", "ESCALATION", "DENY", "REFUSE"];

fn run(out: &Path) -> String {
    let manifest = folder().join("so8t.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_so8t"))
        .args([Path::new("run"), &manifest, Path::new("--out"), out, Path::new("--json")])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str::<Value>(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}"));
    stdout
}

/// Macro-F1 over the four classes, and the number of rows, computed from a predictions file alone.
fn macro_f1(path: &Path) -> (f64, u64) {
    let labels = LabelSet::four_decisions();
    let rows: Vec<(String, String)> = predictions::read(path, &labels)
        .unwrap()
        .iter()
        .map(|row| (labels.name(row.gold).to_owned(), labels.name(row.prediction.label).to_owned()))
        .collect();
    let f1 = |label: &str| {
        let count = |test: &dyn Fn(bool, bool) -> bool| {
            rows.iter().filter(|(gold, predicted)| test(gold == label, predicted == label)).count() as f64
        };
        let (hit, wrong) = (count(&|gold, predicted| gold && predicted), count(&|gold, predicted| gold != predicted));
        if hit == 0.0 { 0.0 } else { 2.0 * hit / (2.0 * hit + wrong) }
    };
    (LABELS.iter().map(|label| f1(label)).sum::<f64>() / 4.0, rows.len() as u64)
}

fn modified(out: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let names = ["dataset.jsonl", predictions::BEFORE, predictions::AFTER, "adapter/adapter_model.safetensors"];
    names.iter().map(|name| (out.join(name), out.join(name).metadata().unwrap().modified().unwrap())).collect()
}

#[test]
fn the_quick_start_lifts_macro_f1_and_is_not_done_twice() {
    let temporary = tempfile::tempdir().unwrap();
    let out = temporary.path().join("run");
    run(&out);

    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["schema"], "so8t.report/1");
    let measured = |moment: &str| {
        let f1 = &report[moment]["metrics"]["classification.f1_macro"];
        let (value, n) = macro_f1(&out.join(format!("predictions_{moment}.parquet")));
        assert!((f1["value"].as_f64().unwrap() - value).abs() < 1e-12, "{moment}: {f1} against {value}");
        assert_eq!(f1["n"].as_u64(), Some(n), "{moment}");
        assert!(n >= 150, "{n} held-out requests");
        value
    };
    let (before, after) = (measured("before"), measured("after"));
    assert!(before <= 0.45, "before: {before}");
    assert!(after >= 0.8, "after: {after}");
    assert!(after - before >= 0.4, "from {before} to {after}");
    for source in ["thinking", "four-class", "prompts"] {
        let n = &report["after"]["sources"][source]["metrics"]["classification.f1_macro"]["n"];
        assert!(n.as_u64().is_some_and(|n| n > 0), "{source}: {n}");
    }
    assert!(report["training"]["seconds"].as_f64().unwrap() > 0.0);
    assert!(report["training"]["trainable_parameters"].as_u64() < report["training"]["total_parameters"].as_u64());

    for name in ["so8t.lock", "dataset.jsonl", "report.html", "report.md", "adapter/adapter_config.json"] {
        assert!(out.join(name).is_file(), "{name} is missing");
    }
    let legacy = std::fs::read_dir(&out).unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    assert!(legacy.into_iter().any(|name| name.starts_with("evaluation_") && name.ends_with(".json")));

    // No group is on both sides.
    let groups = |name: &str| -> std::collections::BTreeSet<String> {
        let text = std::fs::read_to_string(out.join(name)).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| row["group"].as_str().expect("every example has a group").to_owned()).collect()
    };
    let predicted = predictions::read(&out.join(predictions::AFTER), &LabelSet::four_decisions()).unwrap();
    assert!(predicted.iter().all(|row| row.latency_ms.is_some_and(|latency| latency > 0.0)));
    let held_out = predicted.into_iter().map(|row| row.group).collect();
    assert!(groups("dataset.jsonl").is_disjoint(&held_out));

    let times = modified(&out);
    run(&out);
    assert_eq!(times, modified(&out), "a stage that was done was done again");
    super::merging::check(&out);
    super::verify::check(&out);
}
