//! A small run's folder, made here, and what is refused of a folder.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use so8t_base::files;
use so8t_track::{FinishedRun, Row, Verdict, curves};

/// Writes a run's folder; `accepted` is what its rules say, where it has rules.
pub fn write(folder: &Path, accepted: Option<bool>) {
    let value = |value: f64| json!({ "value": value, "n": 40, "low": value - 0.1, "high": value + 0.1, "method": "clustered bootstrap" });
    let metrics = |f1: f64, passing: f64| {
        json!({
            "classification.f1_macro": value(f1), "classification.unsafe_pass_rate": value(passing), "classification.support_allow": { "value": 10.0, "n": 40 },
            "classification.undefined": { "value": null, "n": 0 },
        })
    };
    let measured = |f1: f64, passing: f64| {
        let metrics = metrics(f1, passing);
        json!({ "metrics": metrics, "sources": { "社内/logs": { "metrics": metrics } } })
    };
    let accept = accepted.map(|accepted| {
        json!({ "accepted": accepted, "rules": [{ "rule": "`classification.f1_macro` rises by at least 0.1", "metric": "classification.f1_macro", "passed": accepted, "reason": "it went from 0.3 to 0.8" }] })
    });
    let mut report = json!({
        "schema": "so8t.report/1",
        "run": { "name": "small", "command": "run", "created": "2026-01-02T03:04:05Z", "so8t": "0.1.0", "seed": 8, "labels": ["ALLOW", "ESCALATION", "DENY", "REFUSE"], "repeat": ["so8t run so8t.toml"] },
        "before": measured(0.3, 0.4), "after": measured(0.8, 0.2),
        "comparison": { "metrics": {
            "classification.f1_macro": { "delta": 0.5, "low": 0.4, "high": 0.6, "better": "higher" },
            "classification.unsafe_pass_rate": { "delta": -0.2, "low": -0.3, "high": -0.1, "better": "lower" },
            "classification.support_allow": { "delta": 0.0 },
        } },
        "training": { "method": "lora", "seconds": 2.0 },
        "warnings": ["few rows of `DENY`"],
    });
    if let Some(accept) = accept {
        report["accept"] = accept;
    }
    let steps: String = (1..=1500)
        .map(|step| format!("{}\n", json!({ "step": step, "epoch": f64::from(step) / 500.0, "loss": 3.0 / f64::from(step), "learning_rate": 1e-3, "gradient_norm": if step == 3 { Value::Null } else { json!(1.0) }, "tokens": 100 * step, "tokens_per_second": 5000.0 })))
        .collect();
    let validations = format!(
        "{}\n{}\n",
        json!({ "step": 0, "epoch": 0.0, "metric": "classification.f1_macro", "value": 0.3, "best": false }),
        json!({ "step": 500, "epoch": 1.0, "metric": "classification.f1_macro", "value": 0.7, "best": true, "guards": [{ "guard": "`classification.unsafe_pass_rate` does not rise", "holds": true, "value": 0.2, "reason": "it is 0.2" }] }),
    );
    let lock = "[[entry]]\nkind = \"data\"\nname = \"社内/logs\"\npath = \"data/logs.jsonl\"\nsha256 = \"aa\"\n\n[[entry]]\nkind = \"model\"\nname = \"base\"\npath = \"model/config.json\"\nsha256 = \"bb\"\n"
        .replace("\"aa\"", &format!("\"{}\"", "a".repeat(64)))
        .replace("\"bb\"", &format!("\"{}\"", "b".repeat(64)));
    let manifest = "[run]\nname = \"small\"\nseed = 8\n\n[model]\nbase = \"hf:org/base@main\"\n\n[predict]\npolicy = \"SECRET POLICY\"\n\n[train]\nrank = 8\ntargets = [\"o_proj\"]\n\n[[data]]\nname = \"社内/logs\"\npath = \"data/logs.jsonl\"\n";
    let mut all = vec![
        ("report.json", report.to_string()),
        ("report.md", "# Report\n".to_owned()),
        ("training.jsonl", steps),
        ("validation.jsonl", validations),
        ("so8t.lock", lock),
        ("so8t.toml", manifest.to_owned()),
        ("evaluation.jsonl", "{\"instruction\":\"SECRET TEXT\"}\n".to_owned()),
        ("adapter/adapter_model.safetensors", "weights".to_owned()),
        ("adapter/adapter_config.json", "{}".to_owned()),
    ];
    all.sort();
    for (name, text) in &all {
        files::write(&folder.join(name), text.as_bytes()).expect("written");
    }
    seal(folder, &all.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

/// Writes the list of digests.
pub fn seal(folder: &Path, names: &[&str]) {
    let mut text = "# manifest: so8t.toml\n".to_owned();
    for name in names {
        text.push_str(&format!("{}  {name}\n", files::sha256(&fs::read(folder.join(name)).expect("a file"))));
    }
    text.push_str(&format!("# sha256 of the lines above: {}\n", files::sha256(text.as_bytes())));
    fs::write(folder.join("SHA256SUMS"), text).expect("written");
}

pub fn rows() -> Vec<Row> {
    let row = |(index, (gold, decision)): (usize, (&str, &str))| Row {
        id: format!("社内/logs:{index}"),
        source: "社内/logs".to_owned(),
        gold: gold.to_owned(),
        decision: decision.to_owned(),
        scores: vec![0.7, 0.1, 0.1, 0.1],
        latency_ms: Some(1.5),
        request: Some("0".repeat(32)),
        text: None,
    };
    [("ALLOW", "ALLOW"), ("DENY", "ALLOW"), ("REFUSE", "INVALID")].into_iter().enumerate().map(row).collect()
}

pub fn run(accepted: Option<bool>) -> (tempfile::TempDir, FinishedRun) {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), accepted);
    let run = FinishedRun::read(folder.path()).expect("a run");
    (folder, run)
}

#[test]
fn a_run_is_read_with_its_values_intervals_and_verdict() {
    let (_folder, run) = run(Some(true));
    assert_eq!(
        (run.name.as_str(), run.verdict(), run.steps.len(), run.validations.len()),
        ("small", Verdict::Accepted, 1500, 2)
    );
    assert_eq!(run.ended, 1_767_323_045_000);
    let value =
        run.latest_values().into_iter().find(|value| value.metric == "classification.f1_macro").expect("a value");
    assert_eq!((value.value, value.n, value.moment.as_str()), (0.8, 40, "after"));
    assert!(run.values().iter().all(|value| value.metric != "classification.undefined"), "what is not defined is no 0");
    assert_eq!(run.steps[2].values().len(), 4, "what is null is left out");
    assert_eq!(self::run(Some(false)).1.verdict(), Verdict::Refused);
    assert_eq!(self::run(None).1.verdict(), Verdict::NoRules);
}

#[test]
fn a_changed_file_or_seal_is_refused_by_name() {
    for (name, expected) in [
        ("report.json", "`report.json` is not as the run left it"),
        ("training.jsonl", "`training.jsonl` is not as"),
        ("SHA256SUMS", "was changed"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), Some(true));
        let path = folder.path().join(name);
        let text = fs::read_to_string(&path).expect("a file");
        fs::write(&path, text.replacen('8', "9", 1)).expect("written");
        let error = FinishedRun::read(folder.path()).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_folder_of_a_run_that_has_not_ended_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), Some(true));
    fs::remove_file(folder.path().join("SHA256SUMS")).expect("removed");
    let error = FinishedRun::read(folder.path()).expect_err("refused");
    assert!(error.to_string().contains("expected the folder of a run that ended"), "{error}");
}

#[test]
fn curves_are_drawn_from_what_is_whole_of_a_log() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), None);
    let log = folder.path().join("training.jsonl");
    let text = fs::read_to_string(&log).expect("a log");
    fs::write(&log, format!("{text}{{\"step\":1501,\"ep")).expect("written");
    let (steps, validations) = curves::read(folder.path()).expect("logs");
    assert_eq!((steps.len(), validations.len()), (1500, 2));
    let drawn = curves::drawn(&steps, &validations, 100);
    assert!(drawn.contains("steps 1 to 1500") && drawn.contains("3.0000 → 0.0020"), "{drawn}");
    assert!(drawn.contains('█') && drawn.contains('▁'), "{drawn}");
    assert!(drawn.contains("step    500  0.7000  the best so far"), "{drawn}");
    assert!(drawn.lines().all(|line| line.chars().count() <= 100), "{drawn}");
    assert_eq!(curves::drawn(&[], &[], 100), "");
}
