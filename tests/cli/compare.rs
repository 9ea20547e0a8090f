//! `so8t compare`: two predictions files, and every form of the report.

use serde_json::{Value, json};

use super::{lines, manifest, outcome, so8t, write};

/// A prediction that is sure of `label`.
fn prediction(example: &Value, label: &str) -> String {
    let mut scores = json!({ "ALLOW": 0.1, "ESCALATION": 0.1, "DENY": 0.1, "REFUSE": 0.1 });
    scores[label] = json!(0.7);
    let line = json!({
        "id": example["id"], "source": example["source"], "gold": example["label"], "predicted": label, "scores": scores,
    });
    format!("{line}\n")
}

#[test]
fn the_report_is_written_in_every_form_and_says_how_to_repeat_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "data.jsonl", &lines());
    write(folder, "so8t.toml", &manifest("", ""));
    let (_, stderr, code) = outcome(&so8t(folder, &["prepare", "so8t.toml", "--out", "run"]));
    assert_eq!(code, 0, "{stderr}");
    let evaluation = std::fs::read_to_string(folder.join("run/evaluation.jsonl")).unwrap();
    let examples: Vec<Value> = evaluation.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // First everything is refused, then everything is right but one, which passes.
    let first: String = examples.iter().map(|example| prediction(example, "REFUSE")).collect();
    let worst = examples.iter().position(|example| example["label"] == "REFUSE").unwrap();
    let second = examples.iter().enumerate().map(|(index, example)| {
        prediction(example, if index == worst { "ALLOW" } else { example["label"].as_str().unwrap() })
    });
    write(folder, "run/first.jsonl", &first);
    write(folder, "run/second.jsonl", &second.collect::<String>());

    let arguments = ["compare", "run/first.jsonl", "run/second.jsonl", "--out", "the report"];
    let (stdout, stderr, code) = outcome(&so8t(folder, &arguments));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("\nverdict: "), "{stdout}");
    let read = |name: &str| std::fs::read_to_string(folder.join("the report").join(name)).unwrap();
    let (markdown, html, report) = (read("report.md"), read("report.html"), read("report.json"));
    let command = "so8t compare run/first.jsonl run/second.jsonl --out 'the report'";
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["run"]["repeat"], json!([command]));
    assert!(markdown.contains(&format!("    {command}\n")), "{markdown}");
    let id = examples[worst]["id"].as_str().unwrap();
    assert!(markdown.contains(&format!("| `{id}` | `requests` | `REFUSE` | `REFUSE` | `ALLOW` |")), "{markdown}");
    // The page alone has the requests.
    let request = examples[worst]["instruction"].as_str().unwrap();
    assert!(html.contains(&format!("<div class=\"text\" dir=\"auto\">{}", so8t::report::escape(request))), "{request}");
    assert!(!markdown.contains(request) && !report.to_string().contains(request));
}
