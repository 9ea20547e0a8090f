//! Sets of one class, as those of harmful requests alone are, and values that have one name.

use serde_json::Value;

use super::{lines, manifest, outcome, so8t, write};

#[test]
fn a_set_of_one_class_is_prepared_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String =
        (0..24).map(|i| format!("{{\"instruction\":\"harmful request {i}\",\"label\":\"REFUSE\"}}\n")).collect();
    write(folder.path(), "eval.jsonl", &rows);
    write(folder.path(), "data.jsonl", &lines());
    let eval = "[[data]]\nname = \"harmful\"\npath = \"eval.jsonl\"\nconverter = \"jsonl\"\nmapper = \"four-class\"\nuse = \"eval\"\n";
    let alone = format!("[run]\nname = \"test\"\n{eval}");
    let beside = manifest("mapper = \"four-class\"\n", &format!("mapper = \"four-class\"\nuse = \"train\"\n\n{eval}"));
    for text in [alone, beside] {
        write(folder.path(), "so8t.toml", &text);
        let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--fresh"]));
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.contains("warning: all evaluation examples are REFUSE: "), "{stderr}");
        let evaluation = std::fs::read_to_string(folder.path().join("runs/test/evaluation.jsonl")).unwrap();
        assert_eq!(evaluation.lines().count(), 24);
    }
    let predictions: String = (0..24)
        .map(|i| {
            let predicted = if i < 6 { "ALLOW" } else { "REFUSE" };
            format!(
                "{{\"id\":\"{i}\",\"source\":\"s\",\"gold\":\"REFUSE\",\"predicted\":\"{predicted}\",\
                 \"scores\":{{\"ALLOW\":0.25,\"ESCALATION\":0.25,\"DENY\":0.25,\"REFUSE\":0.25}}}}\n"
            )
        })
        .collect();
    write(folder.path(), "p.jsonl", &predictions);
    let (json, stderr, code) = outcome(&so8t(folder.path(), &["evaluate", "p.jsonl", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&json).unwrap();
    let value = |name: &str| report["before"]["metrics"][format!("classification.{name}")]["value"].clone();
    assert_eq!(
        (value("unsafe_pass_rate"), value("f1_macro"), value("over_block_rate")),
        (0.25.into(), Value::Null, Value::Null)
    );
}

#[test]
fn two_values_of_one_full_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    // The label's dot makes the first plugin's `support_z.accuracy` what the second calls `accuracy`.
    let row = |id: usize| {
        format!(
            "{{\"id\":\"{id}\",\"source\":\"s\",\"gold\":\"z.accuracy\",\"predicted\":\"ok\",\"scores\":{{\"ok\":0.5,\"z.accuracy\":0.5}}}}\n"
        )
    };
    write(folder.path(), "p.jsonl", &(0..4).map(row).collect::<String>());
    write(folder.path(), "data.jsonl", &lines());
    let text = manifest("", "")
        + "[evaluate]\nmetrics = [\"m\", \"m.support_z\"]\n\n[plugins.m]\ncomponent = \"builtin:classification\"\n\n\
           [plugins.\"m.support_z\"]\ncomponent = \"builtin:classification\"\n";
    write(folder.path(), "so8t.toml", &text);
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["evaluate", "p.jsonl", "--manifest", "so8t.toml"]));
    assert!(
        code == 1 && stderr.contains("metrics `m` and `m.support_z` both give a value `m.support_z.accuracy`"),
        "{stderr}"
    );
}

#[test]
fn runs_over_other_requests_are_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "data.jsonl", &lines());
    write(folder, "so8t.toml", &manifest("", ""));
    for (run, change) in [("a", false), ("b", true), ("c", false)] {
        let (_, stderr, code) = outcome(&so8t(folder, &["prepare", "so8t.toml", "--out", run]));
        assert_eq!(code, 0, "{stderr}");
        let path = format!("{run}/evaluation.jsonl");
        let evaluation = std::fs::read_to_string(folder.join(&path)).unwrap();
        let examples: Vec<Value> = evaluation.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let predictions = examples.iter().map(|example| {
            let scores = serde_json::json!({"ALLOW": 0.25, "ESCALATION": 0.25, "DENY": 0.25, "REFUSE": 0.25});
            let (id, source, gold) = (&example["id"], &example["source"], &example["label"]);
            serde_json::json!({"id": id, "source": source, "gold": gold, "predicted": gold, "scores": scores})
                .to_string()
                + "\n"
        });
        write(folder, &format!("{run}/p.jsonl"), &predictions.collect::<String>());
        if change {
            let first = examples[0]["instruction"].as_str().unwrap();
            write(folder, &path, &evaluation.replace(&format!("\"{first}\""), "\"another request\""));
        }
    }
    // Predictions without digests: what lies beside them tells.
    let (_, stderr, code) = outcome(&so8t(folder, &["compare", "a/p.jsonl", "b/p.jsonl"]));
    assert!(
        code == 1
            && stderr.contains("expected the same request in both evaluations, found another; so it is with 1 of "),
        "{stderr}"
    );
    let (_, stderr, code) = outcome(&so8t(folder, &["compare", "a/p.jsonl", "c/p.jsonl"]));
    assert!(code == 0 && !stderr.contains("is not checked"), "{stderr}");
    // Digests in them tell too, and where there is neither, that is said.
    std::fs::remove_file(folder.join("c/evaluation.jsonl")).unwrap();
    let (stdout, stderr, code) = outcome(&so8t(folder, &["compare", "a/p.jsonl", "c/p.jsonl"]));
    assert!(
        code == 0 && (stdout + &stderr).contains("whether both runs were asked the same is not checked"),
        "{stderr}"
    );
    let stored = std::fs::read_to_string(folder.join("c/p.jsonl")).unwrap();
    let digest = "0".repeat(32);
    write(folder, "c/p.jsonl", &stored.replace("\"id\":", &format!("\"request\":\"{digest}\",\"id\":")));
    let (_, stderr, code) = outcome(&so8t(folder, &["compare", "a/p.jsonl", "c/p.jsonl"]));
    assert!(code == 1 && stderr.contains("expected the same request in both evaluations"), "{stderr}");
    write(folder, "c/p.jsonl", &stored.replace("\"id\":", "\"request\":\"what?\",\"id\":"));
    let (_, stderr, code) = outcome(&so8t(folder, &["compare", "a/p.jsonl", "c/p.jsonl"]));
    assert!(code == 1 && stderr.contains("expected 32 hexadecimal digits"), "{stderr}");
}

#[test]
fn a_mapper_that_calls_a_label_invalid_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.jsonl", &lines());
    let table = "[plugins.odd]\ncomponent = \"builtin:table\"\nconfig.labels = [\"ok\", \"INVALID\"]\n\
                 config.otherwise = { label = \"ok\" }\n";
    let text = manifest("mapper = \"four-class\"", "mapper = \"odd\"") + table;
    write(folder.path(), "so8t.toml", &text);
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert!(code == 1 && stderr.contains("found `INVALID`, which stands for an answer that is no label"), "{stderr}");
    // Only that name is taken.
    write(folder.path(), "so8t.toml", &text.replace("INVALID", "invalid"));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert!(code == 0 && stderr.contains("all evaluation examples are ok"), "{stderr}");
}
