//! `so8t prepare` on good and on bad data, and the lock file.

use serde_json::Value;

use super::{lines, manifest, outcome, so8t, write};

#[test]
fn prepared_data_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.jsonl", &lines());
    write(folder.path(), "so8t.toml", &manifest("", ""));
    let (stdout, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["schema"], "so8t.prepared/1");
    assert_eq!(report["statistics"]["sources"][0]["accepted"], 20);
    assert_eq!(report["labels"]["names"][3], "REFUSE");

    // The prepared set goes through the standard converter and mapper again, and nothing is lost.
    let out = folder.path().join("runs/test");
    let written = std::fs::read_to_string(out.join("dataset.jsonl")).unwrap();
    write(folder.path(), "again/data.jsonl", &written);
    write(folder.path(), "again/so8t.toml", &manifest("", ""));
    let (stdout, stderr, code) =
        outcome(&so8t(&folder.path().join("again"), &["prepare", "so8t.toml", "--json", "--out", "elsewhere"]));
    assert_eq!(code, 0, "{stderr}");
    let again: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(again["statistics"]["sources"][0]["accepted"].as_u64(), Some(written.lines().count() as u64));
    assert!(folder.path().join("again/elsewhere/dataset.jsonl").is_file());
    assert!(!folder.path().join("again/runs").exists());
}

#[test]
fn two_runs_are_byte_identical_and_a_stage_is_not_done_twice() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.jsonl", &lines());
    write(folder.path(), "so8t.toml", &manifest("", ""));
    for out in ["a", "b", "a"] {
        assert_eq!(outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--out", out])).2, 0);
    }
    for name in ["dataset.jsonl", "evaluation.jsonl", "statistics.json", "rejected.jsonl", "so8t.lock"] {
        let read = |out: &str| std::fs::read(folder.path().join(out).join(name)).unwrap();
        assert_eq!(read("a"), read("b"), "{name}");
    }
    let (_, stderr, _) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--out", "a"]));
    assert!(stderr.contains("prepared before"), "{stderr}");
    let (_, stderr, _) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--out", "a", "--fresh"]));
    assert!(!stderr.contains("prepared before"), "{stderr}");
    write(folder.path(), "data.jsonl", &lines().replace("request 0", "request zero"));
    let (_, stderr, _) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--out", "a"]));
    assert!(!stderr.contains("prepared before"), "{stderr}");
}

#[test]
fn rejected_records_are_listed_and_too_many_fail() {
    let folder = tempfile::tempdir().unwrap();
    let bad = "{\"instruction\":\"x\",\"label\":\"PERHAPS\"}\nnot json\n{\"instruction\":\"no label\"}\n";
    write(folder.path(), "data.jsonl", &format!("{}{bad}", lines()));
    write(folder.path(), "so8t.toml", &manifest("", ""));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("source `requests`: 3 of 23 records were rejected"), "{stderr}");
    let rejected = std::fs::read_to_string(folder.path().join("runs/test/rejected.jsonl")).unwrap();
    let rows: Vec<Value> = rejected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut found: Vec<_> = rows.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, [21, 22, 23]);
    assert!(rejected.contains("PERHAPS"), "{rejected}");
    assert!(!folder.path().join("runs/test/dataset.jsonl").exists());

    write(
        folder.path(),
        "so8t.toml",
        &manifest("mapper = \"four-class\"", "mapper = \"four-class\"\nmax_rejected = 0.2"),
    );
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("3 rejected"), "{stderr}");
}

#[test]
fn data_that_mean_nothing_are_refused() {
    for (text, expected) in [
        ("", "source `requests` gave no example"),
        ("{\"instruction\":\"a\",\"label\":\"ALLOW\"}\n", "0 examples are left to evaluate"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "data.jsonl", text);
        write(folder.path(), "so8t.toml", &manifest("", ""));
        let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
        assert!(code == 1 && stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn groups_of_several_sources_stay_together() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |language: &str| {
        let labels = ["ALLOW", "ESCALATION", "DENY", "REFUSE"];
        (0..40).map(|i| format!("{language} text {i},{}\n", labels[i % 4])).collect::<String>()
    };
    write(folder.path(), "en.csv", &format!("instruction,label\n{}", rows("en")));
    write(folder.path(), "ja.csv", &format!("instruction,label\n{}", rows("ja")));
    let source = |name: &str| {
        format!(
            "[[data]]\nname = \"{name}\"\npath = \"{name}.csv\"\nconverter = \"csv\"\nmapper = \"four-class\"\n\
             group = \"pair-{{row}}\"\n"
        )
    };
    let text = format!(
        "[run]\nname = \"pairs\"\nseed = 5\n[model]\nbase = \"none\"\n{}{}[split]\neval = 0.25\n",
        source("en"),
        source("ja")
    );
    write(folder.path(), "so8t.toml", &text);
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert_eq!(code, 0, "{stderr}");
    let groups = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join("runs/pairs").join(name)).unwrap();
        let mut groups: Vec<String> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["group"].as_str().unwrap().to_owned())
            .collect();
        groups.sort();
        groups
    };
    let (train, eval) = (groups("dataset.jsonl"), groups("evaluation.jsonl"));
    // Of the ten pairs of each class 2.5 would be a quarter: two are held out.
    assert_eq!((train.len(), eval.len()), (64, 16));
    assert!(eval.iter().all(|group| !train.contains(group)));
    assert!(eval.chunks(2).all(|pair| pair[0] == pair[1]), "{eval:?}");
}

#[test]
fn the_lock_file_refuses_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.jsonl", &lines());
    write(folder.path(), "so8t.toml", &manifest("", ""));
    let locked = ["prepare", "so8t.toml", "--locked"];
    let (_, stderr, code) = outcome(&so8t(folder.path(), &locked));
    assert!(code == 1 && stderr.contains("`--locked` needs `so8t.lock`"), "{stderr}");
    assert_eq!(outcome(&so8t(folder.path(), &["prepare", "so8t.toml"])).2, 0);
    let (_, stderr, code) = outcome(&so8t(folder.path(), &locked));
    assert_eq!(code, 0, "{stderr}");
    let lock = std::fs::read_to_string(folder.path().join("so8t.lock")).unwrap();
    assert!(lock.contains("builtin:jsonl") && lock.contains("data.jsonl"), "{lock}");
    assert!(!lock.contains(&*folder.path().to_string_lossy()), "a lock file names no folder of this machine: {lock}");

    write(folder.path(), "data.jsonl", &lines().replace("request 3", "request three"));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &locked));
    assert!(code == 1 && stderr.contains("data.jsonl"), "{stderr}");
}

#[test]
fn a_lock_file_says_the_same_from_wherever_the_manifest_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // A folder whose name looks like a pattern.
    let own = folder.path().join("[set] one");
    write(&own, "so8t.toml", &manifest(r#""data.jsonl""#, r#""data/part_*.jsonl""#));
    write(&own, "data/part_1.jsonl", &lines());
    let absolute = own.join("so8t.toml").display().to_string();
    let names = [(own.as_path(), "so8t.toml"), (&own, "./so8t.toml"), (folder.path(), "[set] one/so8t.toml")];
    let mut locks = Vec::new();
    for (from, name) in names.into_iter().chain([(folder.path(), "./[set] one/so8t.toml"), (&own, absolute.as_str())]) {
        let (_, err, code) = outcome(&so8t(from, &["prepare", name, "--quiet", "--fresh"]));
        assert_eq!(code, 0, "{name}: {err}");
        locks.push(std::fs::read_to_string(own.join("so8t.lock")).unwrap());
        std::fs::remove_file(own.join("so8t.lock")).unwrap();
    }
    assert!(locks[0].contains("path = \"data/part_1.jsonl\"\n"), "{}", locks[0]);
    assert!(locks.iter().all(|lock| *lock == locks[0]), "{locks:#?}");
}
