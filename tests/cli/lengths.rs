//! What a request's length means: LongRoPE's list hangs on it alone, and requests beyond the model's positions are told.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{outcome, so8t};

/// The quick start's model with other fields in its `config.json`, and requests of some 30 tokens.
fn model(folder: &Path, changes: &Value) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/model");
    fs::create_dir_all(folder.join("model")).unwrap();
    for entry in fs::read_dir(source).unwrap().flatten() {
        fs::copy(entry.path(), folder.join("model").join(entry.file_name())).unwrap();
    }
    let path = folder.join("model/config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    fs::write(&path, config.to_string()).unwrap();
    let row = |i: usize| {
        let label = ["ALLOW", "ESCALATION", "DENY", "REFUSE"][i % 4];
        json!({"id": format!("r{i}"), "instruction": format!("Request number {i}, please help"), "label": label})
    };
    let rows: String = (0..12).map(|i| format!("{}\n", row(i))).collect();
    fs::write(
        folder.join("train.jsonl"),
        rows.replace("Request number", "Another question, the").replace("\"r", "\"t"),
    )
    .unwrap();
    fs::write(folder.join("data.jsonl"), rows).unwrap();
}

fn run(folder: &Path, predict: &str, more: &str) -> (Value, String) {
    let text = format!(
        "[run]\nname = \"r\"\nseed = 1\n[model]\nbase = \"model\"\nquantization = \"none\"\ndevice = \"cpu\"\n[[data]]\nname = \"s\"\n\
         path = \"data.jsonl\"\nconverter = \"jsonl\"\nmapper = \"four-class\"\nuse = \"eval\"\n[[data]]\nname = \"t\"\n\
         path = \"train.jsonl\"\nconverter = \"jsonl\"\nmapper = \"four-class\"\nuse = \"train\"\n[evaluate]\n\
         metrics = [\"classification\", \"calibration\"]\nresamples = 10\n[predict]\nsystem_prompt = \"Judge.\"\n{predict}\n{more}"
    );
    fs::write(folder.join("so8t.toml"), text).unwrap();
    let (_, stderr, code) = outcome(&so8t(folder, &["eval", "so8t.toml", "--fresh"]));
    assert_eq!(code, 0, "{stderr}");
    let report = fs::read(folder.join("runs/r/report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert!(report["before"].is_object(), "{report}");
    (report["before"].clone(), stderr)
}

/// Frequencies of long sequences are others; no setting may choose them for short ones.
#[test]
fn no_setting_changes_what_a_short_request_scores() {
    let folder = tempfile::tempdir().unwrap();
    let long = json!({"original_max_position_embeddings": 64,
        "rope_scaling": {"type": "longrope", "short_factor": vec![1.0; 16], "long_factor": vec![8.0; 16]}});
    model(folder.path(), &long);
    let (expected, stderr) = run(folder.path(), "max_length = 64", "");
    assert!(!stderr.contains("positions"), "{stderr}");
    for (predict, more) in [
        ("max_length = 65", ""),
        ("max_length = 300", ""),
        ("max_length = 64\nbatch = 100", ""),
        ("max_length = 64", "[train]\nrank = 4\nmax_length = 400\ntargets = [\"o_proj\"]"),
        ("max_length = 64", "[train]\nrank = 4\ncompute = \"bf16\"\ntargets = [\"o_proj\"]"),
    ] {
        let (found, _) = run(folder.path(), predict, more);
        assert_eq!(found, expected, "{predict} {more}");
    }
    // The other list is another model.
    let short =
        json!({"rope_scaling": {"type": "longrope", "short_factor": vec![8.0; 16], "long_factor": vec![8.0; 16]}});
    model(folder.path(), &short);
    assert_ne!(run(folder.path(), "max_length = 64", "").0, expected);
}

#[test]
fn requests_beyond_the_positions_are_told() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path(), &json!({"max_position_embeddings": 16}));
    let (_, stderr) = run(folder.path(), "max_length = 64", "");
    assert!(stderr.contains("warning: 12 of 12 requests are longer than the 16 positions"), "{stderr}");
}
