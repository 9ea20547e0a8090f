//! The public data sets, converted and mapped as they are meant to be. They are no part of the project: `SO8T_SHARED`, or
//! `../shared`, holds them; without it these tests say so and pass.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Converted, convert, decide, root};

/// The folder of the data sets, or `None` with a word about it.
fn data() -> Option<PathBuf> {
    let shared = std::env::var_os("SO8T_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let data = shared.join("data");
    if !data.is_dir() {
        eprintln!("skipped: `{}` is not there", data.display());
        return None;
    }
    Some(data)
}

fn read(path: &str) -> Option<Vec<u8>> {
    let path = data()?.join(path);
    Some(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// Converts in pieces of an odd size.
fn converted(converter: &str, config: &Value, bytes: &[u8]) -> Converted {
    let found = convert(converter, config, bytes.chunks(65_521));
    assert_eq!(found.failure, None);
    found
}

/// How many rows a mapper gives each label, `excluded` and `rejected`.
fn counts(mapper: &str, config: &Value, found: &Converted) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for decision in decide(mapper, config, &found.rows).unwrap() {
        let name = match decision {
            Ok(label) => label,
            Err(reason) if reason.starts_with("excluded: ") => "excluded".to_owned(),
            Err(_) => "rejected".to_owned(),
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn expect(found: &BTreeMap<String, usize>, expected: &[(&str, usize)]) {
    let expected: BTreeMap<String, usize> = expected.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
    assert_eq!(*found, expected);
}

#[test]
fn xstest() {
    let Some(bytes) = read("xstest/xstest_prompts.csv") else { return };
    let found = converted("csv", &json!({"instruction": "prompt"}), &bytes);
    assert_eq!((found.rows.len(), found.rejected.len()), (214, 0));
    let safe = found.rows.iter().filter(|row| row.label == "safe").count();
    let expected = [("ALLOW", safe), ("REFUSE", 214 - safe)];
    expect(&counts("four-class", &json!({"binary": true, "unsafe": "REFUSE"}), &found), &expected);
    let rules = json!({"rules": [
        {"column": "label", "equals": "safe", "label": "ALLOW"},
        {"column": "label", "equals": "unsafe", "label": "REFUSE"},
    ]});
    expect(&counts("table", &rules, &found), &expected);
}

#[test]
fn do_not_answer() {
    let Some(bytes) = read("do_not_answer/do_not_answer_en.csv") else { return };
    let found = converted("csv", &json!({"instruction": "question"}), &bytes);
    assert_eq!((found.rows.len(), found.rejected.len()), (589, 0));
    let rules = json!({"rules": [
        {"column": "extra.types_of_harm", "contains": ["Illegal", "illegal"], "label": "REFUSE"},
        {"column": "extra.types_of_harm", "equals": "Mental Health or Over-reliance Crisis", "label": "ESCALATION"},
        {"column": "extra.specific_harms", "contains": ["medical", "legal", "mental"], "ignore_case": true,
         "label": "ESCALATION"},
        {"column": "extra.risk_area", "prefix": "Information Hazards", "exclude": "leaks"},
        {"column": "extra.risk_area", "prefix": "Discrimination", "label": "DENY"},
    ], "otherwise": {"exclude": "no written mapping"}});
    let counts = counts("table", &rules, &found);
    assert_eq!(counts.values().sum::<usize>(), 589);
    assert!(!counts.contains_key("rejected") && counts.len() == 4, "{counts:?}");
}

#[test]
fn xsafety_pairs_rows_of_the_two_languages() {
    let sources = [
        ("en/Crimes_And_Illegal_Activities_en.csv", "ja/Crimes_And_Illegal_Activities.csv", "REFUSE"),
        ("en/Mental_Health_n.csv", "ja/Mental_Health.csv", "ESCALATION"),
        ("en/Insult_n.csv", "ja/Insult.csv", "DENY"),
        ("en/Unfairness_And_Discrimination_n.csv", "ja/Unfairness_And_Discrimination.csv", "DENY"),
    ];
    for (english, japanese, label) in sources {
        let config =
            json!({"header": false, "trim": true, "label_value": label, "group_value": format!("{label}-{{row}}")});
        let both: Vec<Converted> = [english, japanese]
            .iter()
            .filter_map(|path| read(&format!("xsafety/{path}")))
            .map(|bytes| converted("csv", &config, &bytes))
            .collect();
        let [english, japanese] = both.as_slice() else { return };
        for found in [english, japanese] {
            assert_eq!((found.rows.len(), found.rejected.len()), (120, 0), "{label}");
            assert!(
                found
                    .rows
                    .iter()
                    .all(|row| row.instruction == row.instruction.trim() && !row.instruction.contains('\u{feff}'))
            );
            expect(&counts("four-class", &json!({}), found), &[(label, 120)]);
        }
        assert!(english.rows.iter().zip(&japanese.rows).all(|(a, b)| a.group == b.group));
    }
}

#[test]
fn openai_moderation_where_missing_labels_are_not_zeros() {
    let Some(packed) = read("openai_moderation/samples-1680.jsonl.gz") else { return };
    let Some(bytes) = gunzip(&packed) else { return };
    let found = converted("jsonl", &json!({"instruction": "prompt"}), &bytes);
    assert_eq!((found.rows.len(), found.rejected.len()), (1680, 0));
    let all = ["S", "H", "V", "HR", "SH", "S3", "H2", "V2"].map(|name| format!("extra.{name}"));
    let mut rules = vec![json!({"column": "extra.SH", "equals": 1, "label": "ESCALATION"})];
    rules.extend(
        ["S3", "H2", "V2"].map(|name| json!({"column": format!("extra.{name}"), "equals": 1, "label": "REFUSE"})),
    );
    rules.extend(
        ["S", "H", "V", "HR"].map(|name| json!({"column": format!("extra.{name}"), "equals": 1, "label": "DENY"})),
    );
    rules.push(json!({"column": all, "equals": 0, "label": "ALLOW"}));
    let counts = counts("table", &json!({"rules": rules}), &found);

    // The same, counted without the plugins.
    let mut expected: BTreeMap<String, usize> = BTreeMap::new();
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let record: Value = serde_json::from_slice(line).unwrap();
        let one = |names: &[&str]| names.iter().any(|name| record[*name] == 1);
        let zero = ["S", "H", "V", "HR", "SH", "S3", "H2", "V2"].iter().all(|name| record[*name] == 0);
        let label = match () {
            () if one(&["SH"]) => "ESCALATION",
            () if one(&["S3", "H2", "V2"]) => "REFUSE",
            () if one(&["S", "H", "V", "HR"]) => "DENY",
            () if zero => "ALLOW",
            () => "rejected",
        };
        *expected.entry(label.to_owned()).or_default() += 1;
    }
    assert_eq!(counts, expected);
}

/// Unpacks with the system's gzip; `None` with a word about it where there is none.
fn gunzip(packed: &[u8]) -> Option<Vec<u8>> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let Ok(mut child) = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        eprintln!("skipped: there is no `gzip`");
        return None;
    };
    let mut input = child.stdin.take()?;
    let packed = packed.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&packed));
    let mut bytes = Vec::new();
    child.stdout.take()?.read_to_end(&mut bytes).ok()?;
    writer.join().ok()?.ok()?;
    child.wait().ok()?.success().then_some(bytes)
}

#[test]
fn instruction_ja_dolly_advbench_and_the_format_sets() {
    if data().is_none() {
        return;
    }
    let check = |converter: &str, config: Value, path: &str, rows: usize| -> Converted {
        let found = converted(converter, &config, &read(path).unwrap());
        assert_eq!((found.rows.len(), found.rejected.len()), (rows, 0), "{path}");
        found
    };
    let path = "instruction_ja/data.jsonl";
    let plain = check("jsonl", json!({"instruction": "utterances.0.text", "label_value": "ALLOW"}), path, 400);
    let chat = check("chat", json!({"label_value": "ALLOW"}), path, 400);
    let instructions = |found: &Converted| found.rows.iter().map(|row| row.instruction.clone()).collect::<Vec<_>>();
    assert_eq!(instructions(&plain), instructions(&chat));
    assert!(chat.rows.iter().all(|row| !row.output.is_empty() && !row.id.is_empty()));
    expect(&counts("four-class", &json!({}), &plain), &[("ALLOW", 400)]);

    let dolly = json!({"input": "context", "output": "response"});
    let dolly = check("jsonl", dolly, "dolly_safety_subset/databricks-dolly-15k-safety-only.jsonl", 387);
    expect(&counts("table", &json!({"otherwise": {"label": "ALLOW"}}), &dolly), &[("ALLOW", 387)]);

    let advbench = json!({"instruction": "goal", "output": "target", "label_value": "REFUSE"});
    let advbench = check("csv", advbench, "advbench/harmful_behaviors.csv", 520);
    expect(&counts("four-class", &json!({}), &advbench), &[("REFUSE", 520)]);

    check(
        "csv",
        json!({"instruction": "Behavior", "input": "ContextString"}),
        "harmbench/harmbench_behaviors_text_val.csv",
        80,
    );
    check(
        "jsonl",
        json!({"instruction": "question", "id": "q_id", "label_value": "ALLOW"}),
        "jglue/valid-v1.3.json",
        1119,
    );
    check("alpaca", json!({}), "llama_factory_demo/alpaca_en_demo.json", 999);
    check("chat", json!({}), "llama_factory_demo/glaive_toolcall_en_demo.json", 300);
    check("json-array", json!({}), "llama_factory_demo/identity.json", 91);
    check("chat", json!({}), "fastchat_sharegpt/dummy_conversation.json", 500);
}
