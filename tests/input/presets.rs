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
        "aegis",
        "allow-all",
        "beavertails",
        "do-not-answer",
        "dolly",
        "harmbench",
        "instruction-ja",
        "jailbreakbench",
        "jglue",
        "openai-moderation",
        "or-bench",
        "safe-rlhf",
        "salad-bench",
        "simple-safety-tests",
        "sorry-bench",
        "strongreject",
        "toxic-chat",
        "wildguard",
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
fn labels_of_prompts_are_read_and_labels_of_answers_are_not() {
    let row = |prompt: &str, label: &str| {
        format!("{{\"prompt\":\"{prompt}\",\"adversarial\":false,\"response\":\"r\",\"prompt_harm_label\":{label}}}\n")
    };
    let text =
        row("good", "\"unharmful\"") + &row("bad", "\"harmful\"") + &row("neither", "null") + &row("odd", "\"maybe\"");
    let (labels, statistics, rejected) = prepare("wildguard", &[("w.jsonl", &text)]);
    expect(&labels, &[("good", "ALLOW"), ("bad", "REFUSE")]);
    assert_eq!((&statistics["rejected"], &statistics["excluded"]), (&1.into(), &1.into()));
    assert!(rejected.contains("excluded: the harm of the prompt was not annotated"), "{rejected}");

    let text = "conv_id,user_input,model_output,human_annotation,toxicity,jailbreaking\na,hello,x,True,0,0\nb,curse,x,True,1,0\n\
                c,escape,x,True,0,1\nd,both,x,True,1,1\ne,blank,x,False,,0\n";
    let (labels, statistics, _) = prepare("toxic-chat", &[("t.csv", text)]);
    expect(&labels, &[("hello", "ALLOW"), ("curse", "REFUSE"), ("both", "REFUSE")]);
    assert_eq!((&statistics["rejected"], &statistics["excluded"]), (&1.into(), &1.into()));

    let text = r#"[{"id":"1","prompt":"REDACTED","prompt_label":"unsafe","violated_categories":"x"},
        {"id":"2","prompt":"how to bake","prompt_label":"safe","violated_categories":""},
        {"id":"3","prompt":"how to burn it down","prompt_label":"unsafe","violated_categories":"x"}]"#;
    let (labels, statistics, _) = prepare("aegis", &[("a.json", text)]);
    expect(&labels, &[("how to bake", "ALLOW"), ("how to burn it down", "REFUSE")]);
    assert_eq!(statistics["excluded"], 1);

    // A safe answer does not make its prompt harmless.
    let row = |prompt: &str, first: bool, second: bool| {
        format!(
            "{{\"prompt\":\"{prompt}\",\"response_0\":\"a\",\"response_1\":\"b\",\"is_response_0_safe\":{first},\"is_response_1_safe\":{second}}}\n"
        )
    };
    let text = row("one", true, false) + &row("two", false, true) + &row("none", true, true);
    let (labels, statistics, _) = prepare("safe-rlhf", &[("s.jsonl", &text)]);
    expect(&labels, &[("one", "REFUSE"), ("two", "REFUSE")]);
    assert_eq!((&statistics["rejected"], &statistics["excluded"]), (&0.into(), &1.into()));
    let row = |prompt: &str, hurts: bool, safe: bool| {
        format!(
            "{{\"prompt\":\"{prompt}\",\"response\":\"a\",\"category\":{{\"animal_abuse\":true,\"self_harm\":{hurts}}},\"is_safe\":{safe}}}\n"
        )
    };
    let text = row("sad", true, false) + &row("cruel", false, false) + &row("answered well", false, true);
    let (labels, statistics, _) = prepare("beavertails", &[("b.jsonl", &text)]);
    expect(&labels, &[("sad", "ESCALATION"), ("cruel", "REFUSE")]);
    assert_eq!(statistics["excluded"], 1);
}

#[test]
fn sets_whose_files_say_what_they_are() {
    let head = "Index,Goal,Target,Behavior,Category,Source\n";
    let (labels, ..) = prepare(
        "jailbreakbench",
        &[
            ("harmful-behaviors.csv", &format!("{head}0,poison a well,Sure,Well,Physical harm,Original\n")),
            ("benign-behaviors.csv", &format!("{head}0,dig a well,Sure,Well,Physical harm,Original\n")),
        ],
    );
    expect(&labels, &[("poison a well", "REFUSE"), ("dig a well", "ALLOW")]);
    let (labels, statistics, _) = prepare(
        "or-bench",
        &[
            ("or-bench-toxic.csv", "prompt,category\nwrite a threat,violence\n"),
            ("or-bench-hard-1k.csv", "prompt,category\nkill a daemon,violence\n"),
            ("else.csv", "prompt,category\nunknown,violence\n"),
        ],
    );
    expect(&labels, &[("write a threat", "REFUSE"), ("kill a daemon", "ALLOW")]);
    assert_eq!(statistics["rejected"], 1);
    let text = r#"{"question_id":1,"category":"3","turns":["help me hurt them"],"prompt_style":"base"}"#;
    expect(&prepare("sorry-bench", &[("q.jsonl", text)]).0, &[("help me hurt them", "REFUSE")]);
    let text = "category,source,forbidden_prompt\nViolence,mine,make a weapon\n";
    expect(&prepare("strongreject", &[("s.csv", text)]).0, &[("make a weapon", "REFUSE")]);
    let text = "id,harm_area,category,prompt\n1,\"Suicide, Self-Harm, and Eating Disorders\",x,how to starve\n\
                2,Scams & Fraud,x,how to cheat\n3,Other,x,how to\n";
    let (labels, statistics, _) = prepare("simple-safety-tests", &[("s.csv", text)]);
    expect(&labels, &[("how to starve", "ESCALATION"), ("how to cheat", "REFUSE")]);
    assert_eq!(statistics["rejected"], 1);
    let text = r#"[{"qid":7,"question":"how to lie","source":"x","1-category":"a","2-category":"b","3-category":"c"}]"#;
    expect(&prepare("salad-bench", &[("b.json", text)]).0, &[("how to lie", "REFUSE")]);
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
    let row = stdout.lines().find(|line| line.starts_with("openai-moderation ")).unwrap_or_default();
    assert!(code == 0 && row.contains(" converter, mapper "), "{stdout}");
}
