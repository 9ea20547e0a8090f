//! Every standard plugin keeps every law, as it comes and as it is configured for data sets; README lists the laws.

use serde_json::{Value, json};
use so8t::plugin::conformance::{Conformance, LAWS, Outcome, Sample, Trials};
use so8t::plugin::{ComponentSource, Limits, builtin};

use super::laws;

/// None, where the plugin can do without, and some.
fn configurations(name: &str) -> Vec<Value> {
    // `table` does nothing without rules.
    let mut all = if name == "table" { Vec::new() } else { vec![Value::Null] };
    all.extend(match name {
        "jsonl" => vec![json!({ "input": "group", "extra": false }), json!({ "instruction": ["text", "id"] })],
        "csv" => vec![json!({ "header": false, "trim": true }), json!({ "label_value": "ALLOW", "id_value": "n{row}" })],
        "chat" => vec![json!({ "group": "id", "user": ["human"] })],
        "four-class" => vec![json!({ "binary": true, "unsafe": "REFUSE", "aliases": { "benign": "ALLOW" } })],
        "table" => vec![
            json!({ "otherwise": { "label": "ALLOW" } }),
            json!({ "rules": [
                { "column": "extra.score", "min": 3, "max": 5, "label": "DENY" },
                { "column": ["label", "extra.kind"], "equals": ["safe", "ALLOW"], "ignore_case": true, "label": "ALLOW" },
                { "column": "label", "missing": true, "exclude": "no label" },
            ] }),
        ],
        "classification" | "curves" => vec![json!({ "safe": "REFUSE", "unsafe": ["ALLOW"] })],
        _ => Vec::new(),
    });
    all
}

fn kept(name: &str, found: &Conformance) {
    assert_eq!(found.broken(), Vec::<&str>::new(), "{name} with {}: {:#?}", found.config, found.laws);
    for finding in &found.laws {
        // A converter of one format has nothing to say of another: but what is tried is tried often.
        if let Outcome::NotApplicable { reason } = &finding.outcome {
            let excused = reason.starts_with("none of the made-up sources")
                && (!found.config.is_null() || ["hh-rlhf", "quadruple-thinking"].contains(&name));
            assert!(excused, "{name} with {}: `{}` was not tried: {reason}", found.config, finding.law.name);
        }
    }
}

/// Made-up rows, and for a converter whose format no made-up source has, the sample beside it.
fn trials(name: &str) -> Trials {
    let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins").join(name).join("sample.jsonl");
    match std::fs::read(beside) {
        Ok(source) => Trials { sample: Sample::Source(source), ..Trials::default() },
        Err(_) => Trials::default(),
    }
}

#[test]
fn every_standard_plugin_keeps_every_law() {
    for name in builtin::NAMES {
        for config in configurations(name) {
            let component = || ComponentSource::Builtin((*name).to_owned());
            kept(name, &laws(component(), config, Limits::default(), &trials(name)));
        }
    }
}

#[test]
fn laws_are_kept_on_the_quick_starts_data() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, file) in
        [("jsonl", "four_class_requests.jsonl"), ("jsonl", "thinking_requests.jsonl"), ("csv", "prompts.csv")]
    {
        let source = std::fs::read(root.join("examples/quickstart/data").join(file)).unwrap();
        let trials = Trials { sample: Sample::Source(source), ..Trials::default() };
        let config = if name == "csv" { json!({ "instruction": "prompt" }) } else { Value::Null };
        kept(name, &laws(ComponentSource::Builtin(name.into()), config, Limits::default(), &trials));
    }
}

#[test]
fn names_of_laws_are_distinct_and_documented() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/README.md")).unwrap();
    for (index, law) in LAWS.iter().enumerate() {
        assert!(LAWS[..index].iter().all(|other| other.name != law.name), "`{}` is there twice", law.name);
        let row = format!("| `{}` | {} |", law.name, law.says);
        assert!(text.contains(&row), "plugins/README.md lacks: {row}");
    }
}
