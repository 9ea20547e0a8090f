//! `so8t verify` on the quick start's run: intact, and with every file and input changed in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use so8t::files::sha256;

use super::requests::folder;

/// What verification says, and whether it succeeded.
fn verify(run: &Path, arguments: &[&str]) -> (Value, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_so8t"))
        .args([Path::new("verify"), run, Path::new("--json"), Path::new("--quiet")])
        .args(arguments)
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let code = output.status.code();
    // 4: inputs that are not here.
    assert!(matches!(code, Some(0 | 1 | 4)), "{stderr}");
    (serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout} {stderr}")), code == Some(0))
}

/// The files that faults name.
fn named(found: &Value) -> Vec<&str> {
    found["faults"].as_array().unwrap().iter().map(|fault| fault["file"].as_str().unwrap()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

/// Changes one byte of a file while `test` runs.
fn with_changed_byte(path: &Path, test: impl FnOnce()) {
    let whole = fs::read(path).unwrap();
    let mut changed = whole.clone();
    let place = whole.len() / 2;
    changed[place] ^= 1;
    fs::write(path, changed).unwrap();
    test();
    fs::write(path, whole).unwrap();
}

/// Writes the digests of a folder's files anew, as somebody would who wants a change to go unseen.
fn seal_again(run: &Path) {
    let path = run.join("SHA256SUMS");
    let text = fs::read_to_string(&path).unwrap();
    let mut body = String::new();
    for line in text.lines() {
        if line.starts_with("# sha256 of") {
            continue;
        }
        match line.split_once("  ") {
            Some((_, name)) if !line.starts_with('#') => {
                body.push_str(&format!("{}  {name}\n", sha256(&fs::read(run.join(name)).unwrap())));
            }
            _ => body.push_str(&format!("{line}\n")),
        }
    }
    fs::write(&path, format!("{body}# sha256 of the lines above: {}\n", sha256(body.as_bytes()))).unwrap();
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
}

/// Checks the run in a folder; the folder is as it was afterwards.
pub fn check(run: &Path) {
    let (found, is_intact) = verify(run, &["--predictions"]);
    assert!(is_intact, "{found}");
    assert_eq!(found["checked"].as_array().unwrap().len(), 5, "{found}");
    for name in ["predictions_before.parquet", "predictions_after.parquet"] {
        assert_eq!(found["predictions"][name]["largest_difference"], 0.0, "{found}");
    }
    every_file_counts(run);
    every_input_counts(run);
    a_forged_number_is_found(run);
    an_adapter_from_elsewhere_is_named(run);
    assert!(verify(run, &[]).1);
}

/// A run that evaluated an adapter of another folder is repeated with that adapter, and with no other.
fn an_adapter_from_elsewhere_is_named(run: &Path) {
    let place = tempfile::tempdir().unwrap();
    let (evaluated, other) = (place.path().join("evaluated"), place.path().join("other"));
    let adapter = run.join("adapter");
    let output = Command::new(env!("CARGO_BIN_EXE_so8t"))
        .args([Path::new("eval"), &folder().join("so8t.toml"), Path::new("--quiet")])
        .args([Path::new("--adapter"), &adapter, Path::new("--out"), &evaluated])
        .output()
        .unwrap();
    // 3: the manifest's rules are about a change, and one model shows none.
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(verify(&evaluated, &[]).1);
    let (found, is_intact) = verify(&evaluated, &["--predictions"]);
    assert!(!is_intact && found["faults"][0]["what"].as_str().unwrap().contains("`--adapter`"), "{found}");
    let with = |adapter: &Path| verify(&evaluated, &["--predictions", "--adapter", adapter.to_str().unwrap()]);
    let (found, is_intact) = with(&adapter);
    assert!(is_intact, "{found}");
    assert_eq!(found["predictions"]["predictions_after.parquet"]["largest_difference"], 0.0, "{found}");
    copy(&adapter, &other);
    with_changed_byte(&other.join("adapter_model.safetensors"), || {
        let (found, is_intact) = with(&other);
        assert!(!is_intact && found["faults"][0]["what"].as_str().unwrap().contains("recorded is `"), "{found}");
    });
}

fn every_file_counts(run: &Path) {
    let all = files(run);
    assert!(all.len() >= 14, "{all:?}");
    for path in all {
        let name = path.strip_prefix(run).unwrap().to_str().unwrap();
        let whole = fs::read(&path).unwrap();
        // An empty file has no byte to change.
        if !whole.is_empty() {
            with_changed_byte(&path, || {
                let (found, is_intact) = verify(run, &[]);
                assert!(!is_intact && named(&found) == [name], "{name}: {found}");
            });
        }
        if name != "SHA256SUMS" {
            fs::remove_file(&path).unwrap();
            let (found, is_intact) = verify(run, &[]);
            assert!(!is_intact && named(&found) == [name], "{name}: {found}");
            fs::write(&path, whole).unwrap();
        }
    }
    fs::write(run.join("notes.txt"), "mine").unwrap();
    assert_eq!(named(&verify(run, &[]).0), ["notes.txt"]);
    fs::remove_file(run.join("notes.txt")).unwrap();
}

fn every_input_counts(run: &Path) {
    let temporary = tempfile::tempdir().unwrap();
    let inputs = temporary.path();
    for name in ["so8t.toml", "data", "model"] {
        let from = folder().join(name);
        if from.is_dir() { copy(&from, &inputs.join(name)) } else { _ = fs::copy(from, inputs.join(name)).unwrap() }
    }
    let manifest = inputs.join("so8t.toml");
    let elsewhere = ["--manifest", manifest.to_str().unwrap()];
    let (found, is_intact) = verify(run, &elsewhere);
    assert!(is_intact, "{found}");
    for (file, title) in [
        ("data/prompts.csv", "data `prompts` (data/prompts.csv)"),
        ("model/model.safetensors", "model `base` (model/model.safetensors)"),
    ] {
        with_changed_byte(&inputs.join(file), || {
            let (found, is_intact) = verify(run, &elsewhere);
            assert!(!is_intact && named(&found) == [title], "{found}");
        });
    }
    fs::remove_file(inputs.join("data/prompts.csv")).unwrap();
    let (found, is_intact) = verify(run, &elsewhere);
    assert!(!is_intact && found.to_string().contains("data/prompts.csv"), "{found}");
}

fn a_forged_number_is_found(run: &Path) {
    let seal = fs::read(run.join("SHA256SUMS")).unwrap();
    let report = run.join("report.json");
    let whole = fs::read_to_string(&report).unwrap();
    let mut forged: Value = serde_json::from_str(&whole).unwrap();
    forged["after"]["metrics"]["classification.f1_macro"]["value"] = 0.99.into();
    fs::write(&report, forged.to_string()).unwrap();
    seal_again(run);
    let (found, is_intact) = verify(run, &[]);
    assert!(!is_intact && named(&found) == ["report.json"], "{found}");
    let what = found["faults"][0]["what"].as_str().unwrap();
    assert!(
        what.starts_with("`after.metrics.classification.f1_macro.value` is `0.99`, computed again it is `0."),
        "{what}"
    );
    fs::write(&report, whole).unwrap();

    // Predictions that no model made, with a report that fits them.
    let path = run.join("predictions_after.parquet");
    let predictions = fs::read(&path).unwrap();
    fs::copy(run.join("predictions_before.parquet"), &path).unwrap();
    seal_again(run);
    let (found, is_intact) = verify(run, &[]);
    assert!(!is_intact && named(&found).iter().all(|&name| name == "report.json"), "{found}");
    fs::write(&path, predictions).unwrap();
    fs::write(run.join("SHA256SUMS"), seal).unwrap();
}
