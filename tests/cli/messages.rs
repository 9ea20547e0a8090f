//! What a user is told who names the wrong thing.

use serde_json::Value;

use super::{lines, manifest, outcome, so8t, write};

#[test]
fn the_wrong_thing_is_told_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "data.jsonl", &lines());
    write(folder, "so8t.toml", &manifest("", ""));
    write(folder, "ten.toml", &format!("{}[train]\nepochs = \"ten\"\n", manifest("", "")));
    write(folder, "flag.toml", &manifest("seed = 1", "seed = true"));
    write(folder, "open.toml", &manifest("base = \"model\"", "base = \"?\""));
    std::fs::create_dir(folder.join("empty")).unwrap();
    for (arguments, said, hint) in [
        (&["prepare", "ten.toml"][..], "ten.toml:18:10: expected a whole number from 0 on, found the text `ten`", ""),
        (&["prepare", "flag.toml"], "flag.toml:4:8: expected a whole number from 0 on, found `true`", ""),
        (&["prepare", "open.toml"], "open.toml:7:8: `base = \"?\"` is an open question", "so8t model inspect PATH"),
        (
            &["evaluate", "so8t.toml"],
            "`so8t.toml` is a manifest: expected a file of predictions",
            "so8t eval so8t.toml",
        ),
        (&["evaluate", "empty"], "`empty` is a folder: expected a file of predictions", "predictions_after.parquet"),
        (&["compare", "empty", "."], "`.` is no run: expected the folder of one", "runs/NAME"),
        (
            &["eval", "so8t.toml", "--adapter", "empty"],
            "`--adapter empty`: expected a folder with `adapter_config.json`",
            "",
        ),
        (&["compare", "a", "b", "--rule", "classification.f1_macro least=1"], "expected one of `min`", ""),
    ] {
        let (_, stderr, code) = outcome(&so8t(folder, arguments));
        assert_eq!(code, 1, "{arguments:?}: {stderr}");
        assert!(stderr.contains(said) && stderr.contains(hint), "{arguments:?}: {stderr}");
    }
    // Who asks for JSON is told of an error in JSON.
    let (stdout, stderr, code) = outcome(&so8t(folder, &["prepare", "ten.toml", "--json"]));
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((told["schema"].as_str(), told["exit"].as_u64(), code), (Some("so8t.error/1"), Some(1), 1));
    assert!(stderr.contains(told["error"].as_str().unwrap()), "{stderr}");
}

#[test]
fn a_manifest_is_written_for_data_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let labels = ["allow", "block", "review", "allow"];
    let rows: String =
        (0..40).map(|n| format!("{n},request number {n},{},conversation {}\n", labels[n % 4], n / 2)).collect();
    write(
        folder,
        "chats.csv",
        &format!("id,text,label,conversation_id\n{rows}40,write to someone@example.org,allow,conversation 40\n"),
    );
    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/model");
    let (stdout, stderr, code) = outcome(&so8t(folder, &["init", "chats.csv", "--base", model.to_str().unwrap()]));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("what the label \"block\" stands for, in the place of `?`"), "{stdout}");
    let text = std::fs::read_to_string(folder.join("so8t.toml")).unwrap();
    assert!(text.contains("conversation_id") && text.contains("\n[redaction]\nmail = \"redact\"\n"), "{text}");

    // What is open is an error with a place; what is answered is a manifest that works.
    let (_, stderr, code) = outcome(&so8t(folder, &["prepare", "so8t.toml"]));
    assert_eq!(code, 1, "{stderr}");
    let line = 1 + text.lines().position(|line| line.contains("label = \"?\"")).unwrap();
    assert!(stderr.contains(&format!("so8t.toml:{line}:")) && stderr.contains("is an open question"), "{stderr}");
    assert!(stderr.contains("`so8t data labels`"), "{stderr}");
    let answered =
        text.replacen("label = \"?\"", "label = \"DENY\"", 1).replacen("label = \"?\"", "label = \"ESCALATION\"", 1);
    write(folder, "so8t.toml", &answered);
    let (stdout, stderr, code) = outcome(&so8t(folder, &["prepare", "so8t.toml", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let prepared: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(prepared["statistics"]["policy"]["found"]["mail"], 1);
    // Nothing is written over.
    let (_, stderr, code) = outcome(&so8t(folder, &["init", "chats.csv"]));
    assert!(code == 1 && stderr.contains("`so8t.toml` exists"), "{stderr}");
    assert_eq!(std::fs::read_to_string(folder.join("so8t.toml")).unwrap(), answered);

    // What the run takes, before it is done: nothing is left behind.
    let (stdout, stderr, code) = outcome(&so8t(folder, &["run", "so8t.toml", "--dry-run", "--json", "--out", "never"]));
    assert_eq!(code, 0, "{stderr}");
    let foreseen: Value = serde_json::from_str(&stdout).unwrap();
    let stages = foreseen["foreseen"]["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    let expected = [
        "prepare",
        "predict before",
        "calibrate before",
        "train",
        "predict after",
        "calibrate after",
        "measure and report",
    ];
    assert_eq!(names, expected);
    assert!(stages[3]["tokens"].as_u64() > Some(0) && stages[3]["seconds"].as_f64() > Some(0.0), "{stages:?}");
    assert!(foreseen["foreseen"]["memory_bytes"].as_u64() > Some(1_000_000));
    assert!(!folder.join("never").exists());
}

#[test]
fn the_machine_and_the_model_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let (stdout, stderr, code) = outcome(&so8t(folder.path(), &["doctor", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let told: Value = serde_json::from_str(&stdout).unwrap();
    let findings = told["findings"].as_array().unwrap();
    let sandbox = findings.iter().find(|own| own["what"] == "compile sandbox").unwrap();
    assert_eq!(sandbox["state"], "good");
    assert!(findings.iter().filter(|own| own["state"] == "lacking").all(|own| own["found"].is_string()));

    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/model");
    let model = model.to_str().unwrap();
    let (stdout, stderr, code) = outcome(&so8t(folder.path(), &["model", "inspect", model, "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert!(told["prompt"].as_str().unwrap().contains("<|end|>"), "{told}");
    assert_eq!(told["label_tokens"].as_object().unwrap().len(), 4);
    assert!(told["weights_bytes"]["none"].as_u64() > told["weights_bytes"]["nf4"].as_u64());
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["model", "inspect", "nowhere"]));
    assert!(code == 1 && stderr.contains("expected a model's folder or a GGUF file, found nothing"), "{stderr}");
}
