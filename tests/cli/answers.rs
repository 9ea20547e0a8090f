//! Decisions from generated answers.

use std::path::Path;

use super::{outcome, so8t, write};

fn manifest(folder: &Path, predict: &str, metric: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let text = format!(
        "[run]\nname = \"answers\"\nseed = 3\n[model]\nbase = {:?}\n[[data]]\nname = \"requests\"\npath = {:?}\n\
         converter = \"jsonl\"\nmapper = \"four-class\"\ngroup = \"group\"\n[predict]\nsystem_prompt = \"Judge the request.\"\n\
         {predict}\n[evaluate]\nmetrics = [\"{metric}\"]\nresamples = 50\n[train]\nepochs = 2\nlearning_rate = 1e-3\n\
         max_length = 256\n[split]\neval = 0.2\n",
        root.join("model"),
        root.join("data/four_class_requests.jsonl")
    );
    write(folder, "so8t.toml", &text);
}

#[test]
fn answers_are_generated_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), "mode = \"generate\"\nmax_new_tokens = 12\nmax_length = 256", "classification");
    let (stdout, stderr, code) = outcome(&so8t(folder.path(), &["run", "so8t.toml", "--out", "run", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let invalid = |side: &str| report[side]["metrics"]["classification.invalid_rate"]["value"].as_f64().unwrap();
    // The base model has never been told to answer with a label alone; the trained one has.
    assert!(invalid("before") > 0.3, "{}", invalid("before"));
    assert!(invalid("after") < 0.05, "{}", invalid("after"));

    let labels = so8t::data::LabelSet::four_decisions();
    for side in ["before", "after"] {
        let read = |name: String| std::fs::read_to_string(folder.path().join("run").join(name)).unwrap();
        let answers = read(format!("answers_{side}.jsonl"));
        let answer = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let predictions =
            so8t::evaluate::predictions::read(&folder.path().join(format!("run/predictions_{side}.parquet")), &labels)
                .unwrap();
        assert_eq!(answers.lines().count(), predictions.len());
        for (line, row) in answers.lines().zip(&predictions) {
            let line = answer(line);
            assert_eq!(line["id"], row.id.as_str());
            let text = line["answer"].as_str().unwrap();
            assert_eq!(so8t::predict::decide(text, &labels), row.prediction.label, "{text}");
        }
    }
}

#[test]
fn a_metric_of_probabilities_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path(), "mode = \"generate\"\nmax_new_tokens = 0", "classification");
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["eval", "so8t.toml"]));
    assert!(code == 1 && stderr.contains("`[predict] max_new_tokens` is 0: expected 1 to 65536"), "{stderr}");
    manifest(folder.path(), "mode = \"guess\"", "classification");
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["eval", "so8t.toml"]));
    assert!(code == 1 && stderr.contains("expected `score` or `generate`"), "{stderr}");
}
