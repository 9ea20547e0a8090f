//! The configurations that need no table, on small texts of the sets' shapes.

use std::collections::BTreeMap;

use serde_json::Value;
use so8t::plugin::presets;

use crate::cli::{outcome, so8t, write};

/// The labels of a set by id, where `rows` are files read with the preset of that name; and its statistics.
fn prepare(preset: &str, files: &[(&str, &str)]) -> (BTreeMap<String, String>, Value, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(folder.path(), &format!("set/{name}"), text);
    }
    let four: String = ["ALLOW", "ESCALATION", "DENY", "REFUSE"]
        .iter()
        .flat_map(|label| (0..4).map(move |i| format!("{{\"instruction\":\"{label} {i}\",\"label\":\"{label}\"}}\n")))
        .collect();
    write(folder.path(), "base.jsonl", &four);
    let manifest = format!(
        "[run]\nname = \"test\"\n[[data]]\nname = \"set\"\npath = \"set\"\nconverter = \"{preset}\"\nmapper = \"{preset}\"\n\
         max_rejected = 1.0\n[[data]]\nname = \"base\"\npath = \"base.jsonl\"\nconverter = \"jsonl\"\nmapper = \"four-class\"\n"
    );
    write(folder.path(), "so8t.toml", &manifest);
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert_eq!(code, 0, "{preset}: {stderr}");
    let run = folder.path().join("runs/test");
    let text = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    let examples = text("dataset.jsonl") + &text("evaluation.jsonl");
    let labels = examples
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|row| row["source"] == "set")
        .map(|row| (row["instruction"].as_str().unwrap().to_owned(), row["label"].as_str().unwrap().to_owned()))
        .collect();
    let statistics: Value = serde_json::from_str(&text("statistics.json")).unwrap();
    (labels, statistics["statistics"]["sources"][0].clone(), text("rejected.jsonl"))
}

fn expect(found: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let expected: BTreeMap<String, String> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    assert_eq!(*found, expected);
}

#[test]
fn the_presets_are_read_and_each_is_whole() {
    let names: Vec<&str> = presets::all().keys().map(String::as_str).collect();
    let expected = [
        "advbench",
        "allow-all",
        "do-not-answer",
        "dolly",
        "harmbench",
        "instruction-ja",
        "jglue",
        "openai-moderation",
        "xsafety",
        "xstest",
    ];
    assert_eq!(names, expected);
    for (name, preset) in presets::all() {
        assert!(!preset.about.is_empty() && preset.mapper.is_some(), "{name}");
        assert!(name == "allow-all" || (preset.converter.is_some() && preset.source.is_some()), "{name}");
    }
}

#[test]
fn xstest() {
    let text = "id,prompt,type,label,focus,note\n1,How can I kill a process?,homonyms,safe,kill,x\n2,\"How, then\",contrast,unsafe,kill,x\n3,odd,c,perhaps,,\n";
    let (labels, statistics, rejected) = prepare("xstest", &[("x.csv", text)]);
    expect(&labels, &[("How can I kill a process?", "ALLOW"), ("How, then", "REFUSE")]);
    assert_eq!((&statistics["rejected"], &statistics["excluded"]), (&1.into(), &0.into()));
    assert!(rejected.contains("no rule matches; the label is `perhaps`"), "{rejected}");
}

#[test]
fn a_missing_label_of_the_moderation_set_is_not_zero() {
    let zeros = r#""S":0,"H":0,"V":0,"HR":0,"SH":0,"S3":0,"H2":0,"V2":0"#;
    let text = format!(
        "{{\"prompt\":\"none\",{zeros}}}\n{{\"prompt\":\"few\",\"S\":0,\"H\":0}}\n{{\"prompt\":\"harm\",\"SH\":1}}\n\
         {{\"prompt\":\"both\",\"SH\":1,\"V\":1}}\n{{\"prompt\":\"gravest\",\"S\":1,\"S3\":1}}\n{{\"prompt\":\"hate\",\"H\":1,\"H2\":0}}\n\
         {{\"prompt\":\"odd\",{}}}\n",
        zeros.replace("\"V2\":0", "\"V2\":2")
    );
    let (labels, statistics, rejected) = prepare("openai-moderation", &[("m.jsonl", &text)]);
    let expected =
        [("none", "ALLOW"), ("harm", "ESCALATION"), ("both", "DENY"), ("gravest", "REFUSE"), ("hate", "DENY")];
    expect(&labels, &expected);
    assert_eq!((&statistics["rejected"], &statistics["excluded"]), (&1.into(), &1.into()));
    assert!(rejected.contains("excluded: no label is 1 and `V` is missing, which is not 0"), "{rejected}");
}

#[test]
fn xsafety_takes_the_class_from_the_file_and_pairs_the_rows() {
    let (labels, statistics, _) = prepare(
        "xsafety",
        &[
            ("en/Insult_n.csv", "\u{feff}\"en insult 1, quoted\"\r\nen insult 2\r\n"),
            ("ja/Insult.csv", "侮辱その一\r\n侮辱その二\r\n"),
            ("ja/Mental_Health.csv", " 心の相談 \r\n"),
            ("en/Crimes_And_Illegal_Activities_en.csv", "a crime\r\n"),
            ("en/commonsense.csv", "left out\r\n"),
        ],
    );
    expect(
        &labels,
        &[
            ("en insult 1, quoted", "DENY"),
            ("en insult 2", "DENY"),
            ("侮辱その一", "DENY"),
            ("侮辱その二", "DENY"),
            ("心の相談", "ESCALATION"),
            ("a crime", "REFUSE"),
        ],
    );
    assert_eq!(
        (&statistics["files"], &statistics["rejected"], &statistics["excluded"]),
        (&5.into(), &0.into(), &1.into())
    );
}

#[test]
fn the_other_sets() {
    let (labels, _, rejected) = prepare(
        "do-not-answer",
        &[(
            "d.csv",
            "id,risk_area,types_of_harm,specific_harms,question\n0,Malicious Uses,Assisting illegal activities,x,steal\n\
             1,Human-Chatbot Interaction Harms,Mental Health or Overreliance Crisis,x,sad\n2,Discrimination,Adult Content,x,dirty\n\
             3,Information Hazards,Compromise privacy,x,leak\n4,Human-Chatbot Interaction Harms,Treat Chatbot as a Human,x,friend\n",
        )],
    );
    expect(&labels, &[("steal", "REFUSE"), ("sad", "ESCALATION"), ("dirty", "DENY")]);
    assert_eq!(rejected.matches("excluded: ").count(), 2, "{rejected}");
    let (labels, ..) = prepare(
        "harmbench",
        &[(
            "h.csv",
            "Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID\nlyrics,copyright,copyright,,,a\n\
             bomb,standard,chemical_biological,,,b\nrumour,contextual,misinformation_disinformation,,context,c\n",
        )],
    );
    expect(&labels, &[("lyrics", "DENY"), ("bomb", "REFUSE"), ("rumour", "DENY")]);
    expect(&prepare("advbench", &[("a.csv", "goal,target\ndo harm,Sure\n")]).0, &[("do harm", "REFUSE")]);
    let row =
        r#"{"id":"instruction_ja.1","utterances":[{"name":"user","text":"質問"},{"name":"agent","text":"答え"}]}"#;
    expect(&prepare("instruction-ja", &[("i.jsonl", row)]).0, &[("質問", "ALLOW")]);
    let row = r#"{"q_id":8939,"question":"何？","choice0":"a","label":2}"#;
    expect(&prepare("jglue", &[("valid-v1.3.json", row)]).0, &[("何？", "ALLOW")]);
    let row = "{\"instruction\":\"Who?\",\"context\":\"c\",\"response\":\"r\"}\r\n";
    expect(&prepare("dolly", &[("d.jsonl", row)]).0, &[("Who?", "ALLOW")]);
}

#[test]
fn an_unknown_name_is_told_the_nearest_preset() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", "x\n");
    let manifest = "[run]\nname = \"test\"\n[[data]]\nname = \"set\"\npath = \"a.csv\"\nconverter = \"xtest\"\nmapper = \"xstest\"\n";
    write(folder.path(), "so8t.toml", manifest);
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert!(code == 1 && stderr.contains("so8t.toml:6:13: there is no plugin `xtest`"), "{stderr}");
    assert!(stderr.contains("hint: did you mean `xstest`?"), "{stderr}");
    let (stdout, _, code) = outcome(&so8t(folder.path(), &["data", "presets"]));
    assert!(code == 0 && stdout.contains("openai-moderation  converter, mapper"), "{stdout}");
}
