//! `[redaction]`, `detection_only`, provenance, `[quality]` and `[rebalance]`, as a user meets them.

use std::path::Path;

use serde_json::{Value, json};

use super::{lines, manifest, outcome, so8t, write};

/// What must never be seen again, one a kind, and a second mail address.
const SECRETS: [&str; 7] = [
    "taro.yamada@example.com",
    "090-1234-5678",
    "123456789018",
    "4111-1111-1111-1111",
    "東京都渋谷区神南1-2-3",
    "AKIAABCDEFGHIJKLMNOP",
    "hanako@example.jp",
];

/// Twenty good lines, and lines that hold secrets in every field: three that are accepted and two that are not.
fn with_secrets() -> String {
    let [mail, phone, number, card, address, key, other] = SECRETS;
    let rows = [
        json!({"instruction": format!("write to {mail} or {phone}"), "label": "ALLOW", "id": other, "group": mail}),
        json!({"instruction": "what is this?", "input": format!("{number} {card}"), "label": "DENY", "category": mail, "group": mail}),
        json!({"instruction": "where?", "output": format!("{address} with {key}"), "label": "REFUSE"}),
        json!({"instruction": "no such label", "label": mail}),
        json!({"instruction": {"oops": mail}, "label": "ALLOW", mail: phone}),
    ];
    rows.iter().fold(lines(), |out, row| out + &row.to_string() + "\n")
}

fn with(tables: &str) -> String {
    manifest("mapper = \"four-class\"", "mapper = \"four-class\"\nmax_rejected = 0.5") + tables
}

/// Every file of a run's folder, and what was said, must be free of the secrets.
#[track_caller]
fn check_clean(folder: &Path, said: &[&str]) {
    for secret in SECRETS {
        for text in said {
            assert!(!text.contains(secret), "{secret} was said: {text}");
        }
        for entry in std::fs::read_dir(folder.join("runs/test")).unwrap() {
            let path = entry.unwrap().path();
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            assert!(!text.contains(secret), "{secret} stands in {}", path.display());
        }
    }
}

fn prepared(data: &str, manifest: &str) -> (tempfile::TempDir, Value, String, i32) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.jsonl", data);
    write(folder.path(), "so8t.toml", manifest);
    let (stdout, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--json"]));
    let value: Value = serde_json::from_str(&stdout).unwrap_or(Value::Null);
    (folder, value["statistics"].clone(), stderr, code)
}

fn rows(folder: &tempfile::TempDir, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.path().join("runs/test").join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn all(folder: &tempfile::TempDir) -> Vec<Value> {
    [rows(folder, "dataset.jsonl"), rows(folder, "evaluation.jsonl")].concat()
}

#[test]
fn what_is_redacted_stands_nowhere() {
    let (folder, statistics, stderr, code) = prepared(&with_secrets(), &with("[redaction]\n"));
    assert_eq!(code, 0, "{stderr}");
    check_clean(folder.path(), &[&stderr, &statistics.to_string()]);
    let found = json!({"address": 1, "card": 1, "key": 1, "mail": 1, "my_number": 1, "phone": 1});
    assert_eq!(statistics["sources"][0]["found"], found);
    assert_eq!((&statistics["policy"]["found"], &statistics["policy"]["renamed"]), (&found, &json!(4)));
    assert_eq!(statistics["policy"]["actions"]["ip"], "keep");
    let rows = all(&folder);
    let of = |key: &str, text: &str| rows.iter().filter(|row| row[key] == text).count();
    assert_eq!(of("instruction", "write to [MAIL] or [PHONE]"), 1);
    assert_eq!(of("input", "[MY_NUMBER] [CARD]"), 1);
    assert_eq!(of("output", "[ADDRESS] with [KEY]"), 1);
    // The two rows of one group stay in one group.
    let groups: Vec<&Value> = rows.iter().map(|row| &row["group"]).filter(|group| *group != "").collect();
    assert!(
        groups.len() == 2 && groups[0] == groups[1] && groups[0].as_str().unwrap().starts_with("[MAIL]-"),
        "{groups:?}"
    );
    let rejected = std::fs::read_to_string(folder.path().join("runs/test/rejected.jsonl")).unwrap();
    assert!(rejected.lines().count() == 2 && rejected.contains("[MAIL]"), "{rejected}");
}

#[test]
fn without_a_policy_nothing_is_looked_for() {
    let (folder, statistics, stderr, code) = prepared(&with_secrets(), &with(""));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(statistics["policy"], Value::Null);
    assert!(all(&folder).iter().any(|row| row.to_string().contains(SECRETS[0])));
}

#[test]
fn examples_are_dropped_by_kind_and_listed() {
    let (folder, statistics, stderr, code) = prepared(
        &with_secrets(),
        &with("[redaction]\nphone = \"drop\"\nsecrets = \"drop\"\nmail = \"keep\"\naddress = \"keep\"\n"),
    );
    assert_eq!(code, 0, "{stderr}");
    let source = &statistics["sources"][0];
    assert_eq!((&source["dropped"], &source["accepted"], &source["rejected"]), (&json!(2), &json!(23), &json!(2)));
    let rejected = rows(&folder, "rejected.jsonl");
    let reasons: Vec<&str> =
        rejected.iter().map(|row| row["reason"].as_str().unwrap()).filter(|r| r.starts_with("policy")).collect();
    assert_eq!(reasons, ["policy: holds phone: `drop`", "policy: holds key: `drop`"]);
    assert_eq!(all(&folder).len(), 21);
    let kept = all(&folder).iter().map(Value::to_string).collect::<String>();
    assert!(kept.contains(SECRETS[0]) && !kept.contains(SECRETS[1]) && !kept.contains(SECRETS[5]), "{kept}");
}

#[test]
fn a_failing_policy_says_what_and_never_the_value() {
    let (folder, _, stderr, code) = prepared(&with_secrets(), &with("[redaction]\npii = \"fail\"\n"));
    assert_eq!(code, 1, "{stderr}");
    let expected = "error: source `requests` holds `address` 1 times in 1 examples, `card` 1 times in 1 examples, `mail` 1 times in 1 examples";
    assert!(stderr.contains(expected), "{stderr}");
    assert!(stderr.contains("the first: `requests:[MAIL]-"), "{stderr}");
    assert!(stderr.contains("hint: `rejected.jsonl`"), "{stderr}");
    check_clean(folder.path(), &[&stderr]);
    assert!(!folder.path().join("runs/test/dataset.jsonl").exists());
    // Nor does a source that fails for its rejected records say them.
    let manifest = with("[redaction]\n").replace("max_rejected = 0.5", "max_rejected = 0.0");
    let (folder, _, stderr, code) = prepared(&with_secrets(), &manifest);
    assert!(code == 1 && stderr.contains("2 of 25 records were rejected") && stderr.contains("[MAIL]"), "{stderr}");
    check_clean(folder.path(), &[&stderr]);
}

/// A manifest with a second source, which is detection-only.
fn detection(keys: &str) -> String {
    manifest("", "")
        + &format!(
            "[[data]]\nname = \"harm\"\npath = \"harm.jsonl\"\nconverter = \"jsonl\"\nmapper = \"four-class\"\n{keys}\n"
        )
}

#[test]
fn outputs_of_detection_only_sources_are_withheld() {
    let folder = tempfile::tempdir().unwrap();
    let text = "a text of harm that is only to be judged";
    let repeated =
        json!({"instruction": "say it", "output": "A text of  harm that is only to be judged.", "label": "ALLOW"});
    let kept = json!({"instruction": "say else", "output": "certainly not that", "label": "ALLOW"});
    write(folder.path(), "data.jsonl", &format!("{}{repeated}\n{kept}\n", lines()));
    let harm: String = (0..8)
        .map(|i| json!({"instruction": format!("{text}{}", " !".repeat(i)), "output": "so be it, at length", "label": (["DENY", "REFUSE"][i % 2])}).to_string() + "\n")
        .collect();
    write(folder.path(), "harm.jsonl", &harm);
    for (keys, own, repeats, outputs) in [("detection_only = true", 8, 1, 1), ("", 0, 0, 3)] {
        write(folder.path(), "so8t.toml", &detection(keys));
        let (stdout, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--json"]));
        assert_eq!(code, 0, "{stderr}");
        let statistics = &serde_json::from_str::<Value>(&stdout).unwrap()["statistics"];
        let card = std::fs::read_to_string(folder.path().join("runs/test/dataset_card.md")).unwrap();
        let found = all(&folder).iter().filter(|row| row["output"] != "").count();
        match keys {
            "" => assert_eq!(statistics["withheld"], Value::Null),
            _ => {
                assert_eq!(statistics["withheld"], json!({"own": own, "repeated": repeats}));
                assert_eq!(statistics["sources"][1]["detection_only"], true);
                assert!(
                    card.contains("Detection only: `harm`") && card.contains("8 outputs of theirs were withheld"),
                    "{card}"
                );
                let rows = all(&folder);
                assert!(
                    rows.iter().all(|row| (row["source"] == "harm") == (row["training"]["detection_only"] == true))
                );
            }
        }
        // The requests of harm repeat one another after normalisation: one is left.
        assert_eq!(found, outputs, "{keys}");
    }
}

#[test]
fn a_file_cannot_be_detection_only_and_not() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.jsonl", &lines());
    write(folder.path(), "so8t.toml", &detection("detection_only = true").replace("harm.jsonl", "*.jsonl"));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("so8t.toml:18:8: `") && stderr.contains("is read by source `harm`, which is `detection_only`"),
        "{stderr}"
    );
}

#[test]
fn provenance_is_recorded_and_required_under_strict() {
    let stated = "mapper = \"four-class\"\nlicence = \"CC-BY-4.0\"\norigin = \"https://example.org/set\"\ncollected_at = 2025-01-31\n\
                  terms = \"robots.txt allows it\"";
    let text = manifest("mapper = \"four-class\"", stated) + "[redaction]\nstrict = true\n";
    let (folder, statistics, stderr, code) = prepared(&lines(), &text);
    assert_eq!(code, 0, "{stderr}");
    let expected = json!({
        "licence": "CC-BY-4.0", "origin": "https://example.org/set", "collected_at": "2025-01-31", "terms": "robots.txt allows it",
    });
    assert_eq!(statistics["sources"][0]["provenance"], expected);
    let card = std::fs::read_to_string(folder.path().join("runs/test/dataset_card.md")).unwrap();
    assert!(card.starts_with("---\nlicense: cc-by-4.0\n"), "{card}");
    assert!(
        card.contains("| `requests` | CC-BY-4.0 | https://example.org/set | 2025-01-31 | robots.txt allows it |"),
        "{card}"
    );

    let (_, _, stderr, code) = prepared(&lines(), &(manifest("", "") + "[redaction]\nstrict = true\n"));
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("so8t.toml:10:8: source `requests` states no licence, and `[redaction] strict` is true"),
        "{stderr}"
    );
    assert!(stderr.contains("hint: add `licence = \"…\"`"), "{stderr}");
    let (_, _, stderr, code) = prepared(&lines(), &(manifest("", "") + "[redaction]\n"));
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn conflicts_are_listed_and_gates_warn_or_fail() {
    let more = "{\"instruction\":\"Request 0.\",\"label\":\"REFUSE\"}\n{\"instruction\":\"request  0\",\"label\":\"DENY\"}\n\
                {\"instruction\":\"request 1\",\"label\":\"ESCALATION\"}\n{\"instruction\":\"？！\",\"label\":\"DENY\"}\n";
    let data = lines() + more;
    let (folder, statistics, stderr, code) = prepared(&data, &manifest("", ""));
    assert_eq!(code, 0, "{stderr}");
    let conflicts = rows(&folder, "conflicts.jsonl");
    let line = |removed: &str, label: &str| json!({"kept": "requests:1", "kept_label": "ALLOW", "removed": removed, "removed_label": label});
    assert_eq!(conflicts, [line("requests:21", "REFUSE"), line("requests:22", "DENY")]);
    let warned = "quality: label_conflicts: 2 of 24 examples repeat another that has another label (`conflicts.jsonl` lists them) \
                  (8.33 %): expected none";
    assert!(stderr.contains(&format!("warning: {warned}")), "{stderr}");
    assert!(
        statistics["warnings"].to_string().contains("quality: empty: 1 of 21 requests have no letter and no digit"),
        "{statistics}"
    );
    let gate = |name: &str| statistics["quality"].as_array().unwrap().iter().find(|gate| gate["gate"] == name).cloned();
    assert_eq!(gate("duplicates").unwrap()["count"], 3);
    assert!(gate("near_duplicates").is_none());

    for (table, expected) in [
        ("label_conflicts = { action = \"fail\" }", "error: quality: label_conflicts: 2 of 24"),
        (
            "duplicates = { max = 0.1, action = \"fail\" }",
            "error: quality: duplicates: 3 of 24 examples repeat another (12.5 %): expected at most 10 %",
        ),
        ("empty = { action = \"fail\" }", "error: quality: empty: 1 of 21"),
        ("too_long = { max = 0.0, characters = 9, action = \"fail\" }", "error: quality: too_long: "),
        ("class_balance = { min = 0.5, action = \"fail\" }", "training examples are of the smallest class"),
        (
            "languages.ja = { min = 0.1, action = \"fail\" }",
            "error: quality: languages.ja: 0 of 21 requests are of the language `ja` (0 %): expected at least 10 %",
        ),
        (
            "near_duplicates = { max = 0.0, similarity = 0.3, action = \"fail\" }",
            "training requests nearly repeat another (similarity from 0.3 on)",
        ),
    ] {
        let (folder, _, stderr, code) = prepared(&data, &(manifest("", "") + "[quality]\n" + table + "\n"));
        assert!(code == 1 && stderr.contains(expected), "{table}: {stderr}");
        assert!(stderr.contains("hint: mend the data, or change the bound"), "{stderr}");
        assert!(folder.path().join("runs/test/conflicts.jsonl").is_file());
        assert!(!folder.path().join("runs/test/dataset.jsonl").exists(), "{table}");
        let off = table.replace("fail", "off");
        let (_, statistics, stderr, code) = prepared(&data, &(manifest("", "") + "[quality]\n" + &off + "\n"));
        let name = table.split([' ', '=']).next().unwrap();
        assert_eq!(code, 0, "{stderr}");
        assert!(!statistics["quality"].to_string().contains(&format!("\"{name}\"")), "{name}: {statistics}");
    }
    let bad = lines() + "nothing\n";
    let (_, _, stderr, code) =
        prepared(&bad, &(manifest("", "") + "[quality]\nrejected = { max = 0.01, action = \"fail\" }\n"));
    assert!(code == 1 && stderr.contains("quality: rejected: 1 of 21 records were rejected"), "{stderr}");
}

/// 40 requests: 24 ALLOW, 12 DENY, 4 REFUSE.
fn uneven() -> String {
    let words = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath"];
    let label = |i: usize| if i < 24 { "ALLOW" } else { ["DENY", "DENY", "DENY", "REFUSE"][i % 4] };
    let line = |i: usize| {
        format!("{{\"instruction\":\"{} {} {i}\",\"label\":\"{}\"}}\n", words[i % 8], words[i * 5 % 7], label(i))
    };
    (0..40).map(line).collect()
}

#[test]
fn classes_are_rebalanced_by_sampling_and_by_weights() {
    let counts = |folder: &tempfile::TempDir| {
        let rows = rows(folder, "dataset.jsonl");
        ["ALLOW", "DENY", "REFUSE"].map(|label| rows.iter().filter(|row| row["label"] == label).count())
    };
    let run = |table: &str| prepared(&uneven(), &(manifest("", "") + table));
    let (plain, ..) = run("");
    assert_eq!(counts(&plain), [12, 6, 2]);
    let (folder, statistics, stderr, code) = run("[rebalance]\nmethod = \"over\"\n");
    assert_eq!((code, counts(&folder)), (0, [12, 12, 12]), "{stderr}");
    assert_eq!(statistics["rebalanced"]["before"], json!({"ALLOW": 12, "ESCALATION": 0, "DENY": 6, "REFUSE": 2}));
    let ids: std::collections::HashSet<String> =
        rows(&folder, "dataset.jsonl").iter().map(|row| row["id"].to_string()).collect();
    assert_eq!(ids.len(), 36, "copies have ids of their own");
    assert_eq!(rows(&folder, "evaluation.jsonl"), rows(&plain, "evaluation.jsonl"));
    assert_eq!(counts(&run("[rebalance]\nmethod = \"over\"\nmost = 3\n").0), [12, 12, 6]);
    assert_eq!(counts(&run("[rebalance]\nmethod = \"over\"\nstrength = 0.5\n").0), [12, 8, 5]);
    assert_eq!(counts(&run("[rebalance]\nmethod = \"under\"\n").0), [2, 2, 2]);
    assert_eq!(counts(&run("[rebalance]\nmethod = \"under\"\nstrength = 0.0\n").0), [12, 6, 2]);

    let (folder, statistics, ..) = run("[rebalance]\nmethod = \"weights\"\n");
    assert_eq!(counts(&folder), [12, 6, 2]);
    // 20 examples, three classes of equal weight in all: 20 / 3 a class.
    let weights = &statistics["rebalanced"]["weights"];
    for (label, n) in [("ALLOW", 12.0), ("DENY", 6.0), ("REFUSE", 2.0)] {
        assert!((weights[label].as_f64().unwrap() - 20.0 / 3.0 / n).abs() < 1e-6, "{weights}");
    }
    let sum: f64 = rows(&folder, "dataset.jsonl").iter().map(|row| row["training"]["weight"].as_f64().unwrap()).sum();
    assert!((sum - 20.0).abs() < 1e-4, "{sum}");
    assert!(rows(&folder, "evaluation.jsonl").iter().all(|row| row["training"] == Value::Null));
    // Another seed draws others.
    let (first, second) = (run("[rebalance]\nmethod = \"under\"\n").0, run("[rebalance]\nmethod = \"under\"\n").0);
    assert_eq!(rows(&first, "dataset.jsonl"), rows(&second, "dataset.jsonl"));
}

#[test]
fn weights_reach_the_loss_and_balance_is_measured_by_weight() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/model");
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.jsonl", &uneven());
    let text = manifest("\"model\"", &format!("\"{}\"", model.display()));
    let loss = |table: &str| {
        let tables = format!("[train]\nepochs = 1\nrank = 4\nbatch = 20\ntargets = [\"o_proj\"]\n{table}");
        write(folder.path(), "so8t.toml", &(text.clone() + &tables));
        let (stdout, stderr, code) = outcome(&so8t(folder.path(), &["train", "so8t.toml", "--json", "--fresh"]));
        assert_eq!(code, 0, "{stderr}");
        let value: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(value["training"]["samples"], 20);
        value["training"]["first_loss"].as_f64().unwrap()
    };
    // One step over all 20 samples: only their weights can change its loss.
    let plain = loss("");
    assert_eq!(loss("[rebalance]\nmethod = \"weights\"\nstrength = 0.0\n"), plain);
    assert!((loss("[rebalance]\nmethod = \"weights\"\n") - plain).abs() > 1e-3);

    let gate = |table: &str| {
        let (_, statistics, ..) = prepared(&uneven(), &(manifest("", "") + table));
        let gates = statistics["quality"].as_array().unwrap().clone();
        gates.into_iter().find(|gate| gate["gate"] == "class_balance").unwrap()
    };
    assert_eq!(gate("")["meaning"], "training examples are of the smallest class, ESCALATION");
    let weighted = gate("[rebalance]\nmethod = \"weights\"\n");
    assert_eq!((&weighted["count"], &weighted["of"]), (&json!(0), &json!(20)));
    assert_eq!(weighted["meaning"], "training examples are of the smallest class, by weight, ESCALATION");
}

#[test]
fn two_runs_with_every_rule_are_byte_identical_and_the_card_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "data.jsonl",
        &(with_secrets() + &uneven() + "{\"instruction\":\"request 0\",\"label\":\"DENY\"}\n"),
    );
    let text = with(
        "[redaction]\n[quality]\n[contamination]\n[rebalance]\nmethod = \"over\"\nmost = 2\n[calibrate]\nshare = 0.2\n",
    );
    write(folder.path(), "so8t.toml", &text);
    for out in ["a", "b"] {
        let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--out", out]));
        assert_eq!(code, 0, "{stderr}");
    }
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path().join("a")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    for name in &names {
        let read = |out: &str| std::fs::read(folder.path().join(out).join(name)).unwrap();
        assert!(read("a") == read("b"), "{name:?}");
    }
    let card = std::fs::read_to_string(folder.path().join("a/dataset_card.md")).unwrap();
    for title in [
        "# test",
        "## Contents",
        "## Sources",
        "## Languages and lengths",
        "## Provenance and licences",
        "## Personal data and secrets",
        "## Quality gates",
        "## Split and contamination",
        "## Limits",
        "## Repeat",
    ] {
        assert!(card.contains(&format!("{title}\n")), "{title}: {card}");
    }
    // Every row of a table has as many cells as its head.
    let mut width = None;
    for line in card.lines() {
        let cells = line.replace("\\|", "").matches('|').count();
        match line.starts_with('|') {
            true => assert_eq!(*width.get_or_insert(cells), cells, "{line}"),
            false => width = None,
        }
    }
    assert!(!card.contains(&*folder.path().to_string_lossy()), "{card}");
    // A rule that changes does the stage again; the same rules do not.
    let again = |text: &str| {
        write(folder.path(), "so8t.toml", text);
        outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--out", "a"])).1.contains("prepared before")
    };
    assert!(again(&text));
    for (old, new) in [
        ("most = 2", "most = 3"),
        ("[redaction]\n", "[redaction]\nip = \"redact\"\n"),
        ("[quality]\n", "[quality]\nempty = { max = 0.5 }\n"),
        ("max_rejected", "licence = \"MIT\"\nmax_rejected"),
    ] {
        assert!(!again(&text.replace(old, new)), "{new}");
    }
    std::fs::remove_file(folder.path().join("a/dataset_card.md")).unwrap();
    assert!(!again(&text.replace("max_rejected", "licence = \"MIT\"\nmax_rejected")));
}

#[test]
fn the_summary_shows_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.jsonl", &with_secrets());
    write(folder.path(), "so8t.toml", &with("[redaction]\nphone = \"drop\"\n"));
    let (stdout, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert_eq!(code, 0, "{stderr}");
    for line in [
        "phone      drop        1",
        "1 examples dropped, 4 ids, groups or categories renamed",
        "quality          outcome",
    ] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
}

/// What is wrong, the tables that are wrong, and what standard error must hold.
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "unknown action",
        "[redaction]\nmail = \"hide\"\n",
        &["so8t.toml:19:8: unknown variant `hide`, expected one of `keep`, `redact`, `drop`, `fail`"],
    ),
    (
        "unknown kind",
        "[redaction]\nemail = \"drop\"\n",
        &["so8t.toml:19:1: unknown field `email`", "hint: did you mean `mail`?"],
    ),
    (
        "unknown gate",
        "[quality]\nduplicate = { max = 0.1 }\n",
        &["so8t.toml:19:1: unknown field `duplicate`", "hint: did you mean `duplicates`?"],
    ),
    (
        "no share",
        "[quality]\nduplicates = { max = 10 }\n",
        &["so8t.toml:19:14: `duplicates` has `max = 10`: expected a share from 0 to 1"],
    ),
    ("unknown gate action", "[quality]\nempty = { action = \"stop\" }\n", &["so8t.toml:19:20: unknown variant `stop`"]),
    (
        "low similarity",
        "[quality]\nnear_duplicates = { similarity = 0.1 }\n",
        &["so8t.toml:19:19: `near_duplicates` has `similarity = 0.1`: expected a number from 0.3 to 1"],
    ),
    (
        "unknown language",
        "[quality]\nlanguages.fr = { min = 0.1 }\n",
        &["so8t.toml:19:11: `languages` has `fr`: expected `ja`, `en` or `other`"],
    ),
    (
        "no bound",
        "[quality]\nlanguages.ja = { action = \"fail\" }\n",
        &["`languages.ja` has no bound: expected `min`, `max` or both"],
    ),
    (
        "crossed bounds",
        "[quality]\nlanguages.ja = { min = 0.5, max = 0.2 }\n",
        &["`languages.ja` has `min = 0.5` above `max = 0.2`"],
    ),
    ("no method", "[rebalance]\nstrength = 1.0\n", &["so8t.toml:18:1: missing field `method`"]),
    (
        "unknown method",
        "[rebalance]\nmethod = \"smote\"\n",
        &["so8t.toml:19:10: unknown variant `smote`, expected one of `weights`, `over`, `under`"],
    ),
    (
        "strength",
        "[rebalance]\nmethod = \"over\"\nstrength = 2.0\n",
        &["so8t.toml:20:12: `[rebalance] strength` is 2: expected a number from 0 to 1"],
    ),
    (
        "most",
        "[rebalance]\nmethod = \"over\"\nmost = 0.5\n",
        &["so8t.toml:20:8: `[rebalance] most` is 0.5: expected a number from 1 to 1000"],
    ),
];

#[test]
fn mistakes_in_the_rules_say_where_they_stand() {
    for (what, tables, expected) in CASES {
        let (_, _, stderr, code) = prepared(&lines(), &(manifest("", "") + "\n" + tables));
        assert_eq!(code, 1, "{what}: {stderr}");
        for part in *expected {
            assert!(stderr.contains(part), "{what}: expected {part} in {stderr}");
        }
    }
    for (key, expected) in [
        ("licence = \" \"", "so8t.toml:14:11: `licence` is empty: expected a statement"),
        (
            "collected_at = \"2025-02-30\"",
            "so8t.toml:14:16: `collected_at` is `2025-02-30`: expected a day that exists, as YYYY-MM-DD",
        ),
        ("collected_at = 12:30:00", "so8t.toml:14:16: `collected_at` is `12:30:00`: expected a day"),
        ("collected_at = 5", "expected a date such as 2025-01-31"),
        ("license = \"MIT\"", "hint: did you mean `licence`?"),
        ("detection_only = \"yes\"", "so8t.toml:14:18: expected true or false, found the text `yes`"),
    ] {
        let text = manifest("mapper = \"four-class\"", &format!("mapper = \"four-class\"\n{key}"));
        let (_, _, stderr, code) = prepared(&lines(), &text);
        assert!(code == 1 && stderr.contains(expected), "{key}: {stderr}");
    }
}
