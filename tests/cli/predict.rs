//! `so8t predict`: requests without labels get the decisions that the run's report rests on, to the last bit.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use so8t::data::LabelSet;
use so8t::data::input::{self, InputOptions};
use so8t::evaluate::{Calibrations, EvaluatedRow, predictions};

use super::{outcome, so8t, write};

fn manifest() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    format!(
        "[run]\nname = \"deciding\"\nseed = 3\noutput = \"run\"\n[model]\nbase = {:?}\n[[data]]\nname = \"requests\"\npath = {:?}\n\
         converter = \"jsonl\"\nmapper = \"four-class\"\ngroup = \"group\"\n[split]\neval = 0.6\n[evaluate]\nresamples = 50\n\
         [train]\nepochs = 1\nbatch = 8\nmax_length = 256\nlearning_rate = 1e-3\n[calibrate]\nshare = 0.3\nthresholds = \"f1_macro\"\n\
         [redaction]\nmail = \"redact\"\n",
        root.join("model"),
        root.join("data/four_class_requests.jsonl")
    )
}

/// A finished run in `run`, and its labels.
fn run(folder: &Path) -> LabelSet {
    write(folder, "so8t.toml", &manifest());
    let (_, stderr, code) = outcome(&so8t(folder, &["run", "so8t.toml"]));
    assert_eq!(code, 0, "{stderr}");
    LabelSet::four_decisions()
}

/// Runs a command that must succeed; standard output.
fn good(folder: &Path, arguments: &[&str]) -> String {
    let (stdout, stderr, code) = outcome(&so8t(folder, arguments));
    assert_eq!(code, 0, "{stderr}");
    stdout
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Holds decisions against stored predictions: the decision and every bit of both probabilities.
fn hold(labels: &LabelSet, decided: &[Value], raw: &[EvaluatedRow], judged: &[EvaluatedRow]) {
    assert_eq!(decided.len(), raw.len());
    let by_id = |rows: &[EvaluatedRow]| -> BTreeMap<String, EvaluatedRow> {
        rows.iter().map(|row| (row.id.clone(), row.clone())).collect()
    };
    let (raw, judged) = (by_id(raw), by_id(judged));
    for one in decided {
        let id = one["id"].as_str().unwrap();
        assert_eq!(one["decision"].as_str().unwrap(), labels.name(judged[id].prediction.label), "{id}");
        for (key, rows) in [("raw", &raw), ("probabilities", &judged)] {
            for (name, score) in labels.names.iter().zip(&rows[id].prediction.scores) {
                let found = one[key][name].as_f64().unwrap() as f32;
                assert_eq!(found.to_bits(), score.to_bits(), "{id} {key} {name}");
            }
        }
    }
}

/// The predictions that a run stored: as the model made them, and as they were judged.
fn stored(folder: &Path, name: &str, labels: &LabelSet) -> (Vec<EvaluatedRow>, Vec<EvaluatedRow>) {
    let path = folder.join("run").join(name);
    let raw = predictions::read(&path, labels).unwrap();
    let judged = Calibrations::apply_beside(&path, labels, raw.clone()).unwrap();
    (raw, judged)
}

#[test]
fn the_decisions_are_those_of_the_report_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let labels = run(folder);
    let (raw, judged) = stored(folder, predictions::AFTER, &labels);
    assert_ne!(raw, judged, "the calibration changes something");

    let decided = json_lines(&good(folder, &["predict", "run", "run/evaluation.jsonl"]));
    hold(&labels, &decided, &raw, &judged);
    // The manifest of a finished run stands for it; a part of the requests gets the same bits; the base is asked where it is named.
    let part: String = std::fs::read_to_string(folder.join("run/evaluation.jsonl"))
        .unwrap()
        .lines()
        .skip(7)
        .step_by(3)
        .map(|line| format!("{line}\n"))
        .collect();
    write(folder, "part.jsonl", &part);
    let of_part = json_lines(&good(folder, &["predict", "so8t.toml", "part.jsonl"]));
    let expected: Vec<&Value> = decided.iter().skip(7).step_by(3).collect();
    assert_eq!(of_part.iter().collect::<Vec<_>>(), expected);
    let of_base = json_lines(&good(folder, &["predict", "run", "run/evaluation.jsonl", "--base"]));
    let (raw, judged) = stored(folder, predictions::BEFORE, &labels);
    hold(&labels, &of_base, &raw, &judged);

    // Every form says the same.
    good(folder, &["predict", "run", "run/evaluation.jsonl", "--out", "decided.parquet"]);
    good(folder, &["predict", "run", "run/evaluation.jsonl", "--out", "decided.csv"]);
    let mut text = String::new();
    let mut reader = input::open(&folder.join("decided.parquet"), &InputOptions::default()).unwrap();
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    let csv = std::fs::read_to_string(folder.join("decided.csv")).unwrap();
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    for ((of_parquet, of_csv), one) in json_lines(&text).iter().zip(csv.lines().skip(1)).zip(&decided) {
        assert_eq!((&of_parquet["id"], &of_parquet["decision"]), (&one["id"], &one["decision"]));
        let cells: BTreeMap<&str, &str> = header.iter().copied().zip(of_csv.split(',')).collect();
        assert_eq!(cells["decision"], one["decision"]);
        for name in &labels.names {
            for (column, key) in [("probability", "probabilities"), ("raw", "raw")] {
                let expected = one[key][name].as_f64().unwrap() as f32;
                let column = format!("{column}_{name}");
                assert_eq!(of_parquet[&column].as_f64().unwrap() as f32, expected);
                assert_eq!(cells[&*column].parse::<f32>().unwrap(), expected);
            }
        }
    }
    assert_eq!(text.lines().count(), decided.len());

    // One request, looked at closely.
    let id = decided[3]["id"].as_str().unwrap();
    let by_id = good(folder, &["predict", "run", "run/evaluation.jsonl", "--explain", id]);
    assert_eq!(by_id, good(folder, &["predict", "run", "run/evaluation.jsonl", "--explain", "4"]));
    let score = decided[3]["raw"]["REFUSE"].as_f64().unwrap();
    assert!(by_id.contains(&format!("{score:.6}")) && by_id.contains("prompt, "), "{by_id}");
    assert!(by_id.contains(&format!("decision {}", decided[3]["decision"].as_str().unwrap())), "{by_id}");

    // What the run trained is not what it was: nothing is decided.
    let adapter = folder.join("run/adapter/adapter_model.safetensors");
    let mut bytes = std::fs::read(&adapter).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&adapter, bytes).unwrap();
    let (stdout, stderr, code) = outcome(&so8t(folder, &["predict", "run", "part.jsonl"]));
    assert_eq!((stdout.as_str(), code), ("", 1), "{stderr}");
    assert!(stderr.contains("`adapter/adapter_model.safetensors` has sha256"), "{stderr}");
    write(folder, "so8t.toml", &manifest().replace("seed = 3", "seed = 4"));
    let (_, stderr, code) = outcome(&so8t(folder, &["predict", "so8t.toml", "part.jsonl"]));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("has changed since the run in"), "{stderr}");
}

#[test]
fn texts_come_from_any_field_and_a_record_without_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let manifest = manifest();
    let (without_training, _) = manifest.split_once("[train]").unwrap();
    write(folder, "so8t.toml", without_training);

    // The base model of a manifest that was never run: four ways to hand over one request.
    write(folder, "a.jsonl", "{\"text\":\"How do I bake bread?\"}\n");
    write(folder, "b.csv", "id,question,input\nbread,How do I bake bread?,not read\n");
    write(folder, "c.json", "[{\"input\":\"How do I bake bread?\",\"label\":{\"odd\":1}}]");
    let decided = |arguments: &[&str]| {
        let all: Vec<&str> = ["predict", "so8t.toml"].into_iter().chain(arguments.iter().copied()).collect();
        json_lines(&good(folder, &all))
    };
    let first = decided(&["a.jsonl", "--text", "text"]);
    assert_eq!(first[0]["id"], "1");
    let others = [decided(&["b.csv", "--text", "question"]), decided(&["c.json"])];
    for other in &others {
        assert_eq!((&other[0]["decision"], &other[0]["raw"]), (&first[0]["decision"], &first[0]["raw"]));
    }
    assert_eq!(others[0][0]["id"], "bread");

    // From standard input, with a record that holds none.
    let mut child = Command::new(env!("CARGO_BIN_EXE_so8t"))
        .args(["predict", "so8t.toml", "-", "--text", "text"])
        .current_dir(folder)
        .env("XDG_CONFIG_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-configuration"))
        .env_remove("SO8T_POLICY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = b"{\"text\":\"How do I bake bread?\"}\n{\"words\":\"none\"}\n{\"text\":\"Thanks\"}\n";
    child.stdin.take().unwrap().write_all(lines).unwrap();
    let (stdout, stderr, code) = outcome(&child.wait_with_output().unwrap());
    assert_eq!(code, 1, "{stderr}");
    let decided = json_lines(&stdout);
    assert_eq!(decided.iter().map(|one| one["id"].as_str().unwrap()).collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(decided[0]["raw"], first[0]["raw"]);
    assert!(stderr.contains("1 of 3 records hold no request: the decisions on the other 2 are written"), "{stderr}");
    assert!(stderr.contains("no request: -:2: "), "{stderr}");

    // Nothing to read a text from, and what would be written over.
    let (_, stderr, code) = outcome(&so8t(folder, &["predict", "so8t.toml", "a.jsonl", "--text", "txt"]));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("hint: `--text FIELD` names the field that holds the text"), "{stderr}");
    let (_, stderr, code) = outcome(&so8t(folder, &["predict", "so8t.toml", "a.jsonl", "--out", "a.jsonl"]));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("`a.jsonl` is what is read"), "{stderr}");
}
