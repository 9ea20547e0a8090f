//! `[contamination]`, `category`, and the set that a calibration is fitted on, in the prepared data.

use serde_json::Value;

use super::{manifest, outcome, so8t, write};

/// Forty requests of which eight evaluated ones nearly repeat a trained one, in two sources.
fn sources(folder: &std::path::Path) {
    let labels = ["ALLOW", "ESCALATION", "DENY", "REFUSE"];
    let words: Vec<&str> = "bridge engine garden ladder mirror needle pencil saddle tunnel window basket carpet desert feather \
                            hammer island jacket kettle lantern marble napkin orchard pillow quarry ribbon shelter thunder"
        .split(' ')
        .collect();
    let text = |i: usize| {
        (0..9).map(|place| words[(i * (place + 3) * 7 + place * place + i / 27) % 27]).collect::<Vec<_>>().join(" ")
    };
    let line = |text: &str, i: usize| {
        format!("{{\"instruction\":\"{text}\",\"label\":\"{}\",\"category\":\"kind {}\"}}\n", labels[i % 4], i % 2)
    };
    let train: String = (0..40).map(|i| line(&text(i), i)).collect();
    let eval: String = (0..20)
        .map(|i| if i < 8 { line(&format!("{}, says he", text(i)), i) } else { line(&text(i + 100), i) })
        .collect();
    write(folder, "data.jsonl", &train);
    write(folder, "eval.jsonl", &eval);
}

fn with_tables(tables: &str) -> String {
    manifest("mapper = \"four-class\"", "mapper = \"four-class\"\nuse = \"train\"")
        + "\n[[data]]\nname = \"held-out\"\npath = \"eval.jsonl\"\nconverter = \"jsonl\"\nmapper = \"four-class\"\nuse = \"eval\"\n"
        + tables
}

fn prepare(tables: &str) -> (tempfile::TempDir, Value, String, i32) {
    let folder = tempfile::tempdir().unwrap();
    sources(folder.path());
    write(folder.path(), "so8t.toml", &with_tables(tables));
    let (stdout, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--json"]));
    let value = serde_json::from_str(&stdout).unwrap_or(Value::Null);
    (folder, value, stderr, code)
}

fn lines(folder: &tempfile::TempDir, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.path().join("runs/test").join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn without_the_tables_nothing_is_looked_for_and_nothing_held_out() {
    let (folder, value, stderr, code) = prepare("");
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(value["statistics"]["warnings"].to_string().matches("contamination").count(), 0);
    assert_eq!((lines(&folder, "dataset.jsonl").len(), lines(&folder, "evaluation.jsonl").len()), (40, 20));
    for name in ["contamination.jsonl", "calibration_set.jsonl"] {
        assert!(!folder.path().join("runs/test").join(name).exists(), "{name}");
    }
    assert_eq!(lines(&folder, "evaluation.jsonl")[3]["category"], "kind 1");
}

#[test]
fn a_warning_keeps_the_rows() {
    let (folder, value, stderr, code) = prepare("[contamination]\n");
    assert_eq!(code, 0, "{stderr}");
    let said =
        "contamination: training holds 8 of 20 evaluation rows too (0 to the letter, 0 after normalisation, 8 nearly)";
    assert!(stderr.contains(said), "{stderr}");
    assert!(value["statistics"]["warnings"].to_string().contains(said));
    let pairs = lines(&folder, "contamination.jsonl");
    assert_eq!(pairs.len(), 8, "{pairs:?}");
    assert_eq!(
        (&pairs[2]["eval"], &pairs[2]["train"], &pairs[2]["kind"]),
        (&"held-out:3".into(), &"requests:3".into(), &"near".into())
    );
    assert!(pairs.iter().all(|pair| pair["similarity"].as_f64().unwrap() >= 0.8));
    assert_eq!(lines(&folder, "evaluation.jsonl").len(), 20);
}

#[test]
fn dropped_rows_are_counted_and_said() {
    let (folder, value, stderr, code) = prepare("[contamination]\naction = \"drop\"\n");
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("8 of 20 evaluation rows were dropped"), "{stderr}");
    assert_eq!(value["statistics"]["sources"][1]["contaminated"], 8);
    assert_eq!(lines(&folder, "evaluation.jsonl").len(), 12);
    assert_eq!(lines(&folder, "dataset.jsonl").len(), 40);
    // A stricter similarity finds nothing, and the stage is done again for it.
    write(folder.path(), "so8t.toml", &with_tables("[contamination]\naction = \"drop\"\nsimilarity = 1.0\n"));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert!(code == 0 && !stderr.contains("dropped") && !stderr.contains("prepared before"), "{stderr}");
    assert_eq!((lines(&folder, "evaluation.jsonl").len(), lines(&folder, "contamination.jsonl").len()), (20, 0));
}

#[test]
fn a_failure_names_the_first_pairs() {
    let (folder, _, stderr, code) = prepare("[contamination]\naction = \"fail\"\n");
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("error: 8 of 20 evaluation rows stand in the training part too"), "{stderr}");
    assert!(stderr.contains("the first: `held-out:1` and `requests:1`, `held-out:2` and `requests:2`"), "{stderr}");
    assert!(stderr.contains("hint: `") && stderr.contains("contamination.jsonl` lists all pairs"), "{stderr}");
    assert_eq!(lines(&folder, "contamination.jsonl").len(), 8);
    assert!(!folder.path().join("runs/test/dataset.jsonl").exists());
}

#[test]
fn calibration_rows_leave_training_alone() {
    let (folder, value, stderr, code) = prepare("[calibrate]\nshare = 0.3\n");
    assert_eq!(code, 0, "{stderr}");
    let [train, calibration, eval] =
        ["dataset.jsonl", "calibration_set.jsonl", "evaluation.jsonl"].map(|name| lines(&folder, name));
    assert_eq!((train.len(), calibration.len(), eval.len()), (28, 12, 20));
    assert!(calibration.iter().all(|row| row["source"] == "requests" && !train.contains(row)));
    assert_eq!(value["statistics"]["calibration"]["DENY"], 3);
    write(folder.path(), "so8t.toml", &with_tables(""));
    assert_eq!(outcome(&so8t(folder.path(), &["prepare", "so8t.toml"])).2, 0);
    assert_eq!(lines(&folder, "dataset.jsonl").len(), 40);
    assert!(!folder.path().join("runs/test/calibration_set.jsonl").exists());
}

#[test]
fn a_calibration_without_training_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    sources(folder.path());
    let text = manifest("mapper = \"four-class\"", "mapper = \"four-class\"\nuse = \"eval\"") + "[calibrate]\n";
    write(folder.path(), "so8t.toml", &text);
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert!(code == 1 && stderr.contains("no example is left to calibrate on"), "{stderr}");
}
