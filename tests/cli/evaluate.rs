//! `so8t evaluate` and `so8t merge`: a predictions file measured in one process, and in several.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use so8t::data::{INVALID, LabelSet, Prediction};
use so8t::evaluate::{EvaluatedRow, Random, predictions};

use super::{outcome, so8t, write};

/// Rows in three sources with plausible scores, some of them grouped.
fn rows(count: usize, grouped: bool) -> Vec<EvaluatedRow> {
    let mut random = Random::new(3, 0);
    let sources = ["dolly", "検証", "xstest"];
    (0..count)
        .map(|index| {
            let gold = random.below(4) as u8;
            let label = [gold, gold, gold, random.below(4) as u8, INVALID][random.below(5) as usize];
            let raw: Vec<f32> =
                (0..4_u8).map(|id| (1 + random.below(1000)) as f32 * if id == label { 3.0 } else { 1.0 }).collect();
            let sum: f32 = raw.iter().sum();
            let source = sources[random.below(3) as usize];
            EvaluatedRow {
                id: format!("{source}:{index}"),
                source: source.to_owned(),
                group: if grouped && index % 4 > 0 { format!("g{}", index / 2) } else { String::new() },
                gold,
                prediction: Prediction { label, scores: raw.iter().map(|score| score / sum).collect() },
                latency_ms: None,
                request: None,
            }
        })
        .collect()
}

fn report(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap()
}

/// What must be the same, as bytes: all but the moment, the command and how many shards there were.
fn numbers(folder: &Path) -> String {
    let mut report = report(folder);
    for key in ["created", "command", "shards"] {
        report["run"].as_object_mut().unwrap().shift_remove(key);
    }
    report.to_string()
}

/// Every standard metric.
const METRICS: [&str; 10] = [
    "--metric",
    "classification",
    "--metric",
    "calibration",
    "--metric",
    "curves",
    "--metric",
    "cost",
    "--metric",
    "agreement",
];

#[test]
fn seven_processes_give_the_bytes_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let labels = LabelSet::four_decisions();
    for (name, grouped) in [("grouped", true), ("alone", false)] {
        let file = format!("{name}.parquet");
        predictions::write(&folder.path().join(&file), &labels, &rows(20_011, grouped)).unwrap();
        let one = format!("{name}-one");
        let single = ["evaluate", &file, "--resamples", "60", "--threads", "1", "--out", &one];
        let (stdout, stderr, code) = outcome(&so8t(folder.path(), &[&single[..], &METRICS].concat()));
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.contains("f1_macro") || stdout.contains("Macro-F1"), "{stdout}");
        let expected = numbers(&folder.path().join(&one));
        assert_eq!(expected.contains("Clopper-Pearson"), !grouped);
        assert_eq!(expected.contains("clustered bootstrap"), grouped);
        for value in ["calibration.ece", "curves.auroc_unsafe", "cost.cost_mean", "agreement.mcc"] {
            assert!(expected.contains(value), "{value} is lacking");
        }

        for shards in [1, 7] {
            let states = format!("{name}-states-{shards}");
            let processes: Vec<_> = (1..=shards)
                .map(|index| {
                    Command::new(env!("CARGO_BIN_EXE_so8t"))
                        .args(["evaluate", &file, "--resamples", "60", "--threads", "2", "--out", &states])
                        .args(["--shard", &format!("{index}/{shards}")])
                        .args(METRICS)
                        .current_dir(folder.path())
                        .stdout(Stdio::piped())
                        .spawn()
                        .unwrap()
                })
                .collect();
            let mut paths: Vec<String> = processes
                .into_iter()
                .map(|process| {
                    let output = process.wait_with_output().unwrap();
                    assert!(output.status.success());
                    String::from_utf8(output.stdout).unwrap().trim().to_owned()
                })
                .collect();
            // The order in which they are named does not matter.
            paths.reverse();
            let out = format!("{name}-merged-{shards}");
            let arguments: Vec<&str> =
                ["merge"].into_iter().chain(paths.iter().map(String::as_str)).chain(["--out", &*out]).collect();
            let (_, stderr, code) = outcome(&so8t(folder.path(), &arguments));
            assert_eq!(code, 0, "{stderr}");
            assert!(numbers(&folder.path().join(&out)) == expected, "{shards} shards of {name} give another report");
            assert_eq!(report(&folder.path().join(&out))["run"]["shards"], shards);
        }
    }
}

#[test]
fn states_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let labels = LabelSet::four_decisions();
    predictions::write(&folder.path().join("a.parquet"), &labels, &rows(100, true)).unwrap();
    predictions::write(&folder.path().join("b.parquet"), &labels, &rows(101, true)).unwrap();
    let mut twice = rows(100, true);
    twice[99].id = twice[0].id.clone();
    predictions::write_stream(&folder.path().join("twice.parquet"), &labels, &twice).unwrap();
    let shard = |file: &str, shard: &str, out: &str| {
        let arguments = ["evaluate", file, "--resamples", "20", "--shard", shard, "--out", out];
        outcome(&so8t(folder.path(), &arguments))
    };
    for (file, index, out) in [
        ("a.parquet", "1/2", "a"),
        ("a.parquet", "2/2", "a"),
        ("b.parquet", "2/2", "b"),
        ("twice.parquet", "1/2", "t"),
        ("twice.parquet", "2/2", "t"),
    ] {
        let (_, stderr, code) = shard(file, index, out);
        assert_eq!(code, 0, "{stderr}");
    }
    let merge = |states: &[&str]| {
        let arguments: Vec<&str> = ["merge"].iter().chain(states).copied().collect();
        let (_, stderr, code) = outcome(&so8t(folder.path(), &arguments));
        assert_eq!(code, 1, "{stderr}");
        stderr
    };
    let (first, second) = ("a/shard_1_of_2.state", "a/shard_2_of_2.state");
    for (states, expected) in [
        (vec![first], "expected every shard of 2 once, found `1/2`"),
        (vec![first, second, second], "expected every shard of 2 once, found `1/2`, `2/2`, `2/2`"),
        (vec![first, "b/shard_2_of_2.state"], "are not parts of one evaluation: `predictions` is `\"a.parquet\"`"),
        (vec!["t/shard_1_of_2.state", "t/shard_2_of_2.state"], "expected distinct row ids, found 1 that stand twice"),
        (vec!["a.parquet"], "`a.parquet`: expected a state of `so8t evaluate --shard`, found another file"),
    ] {
        let stderr = merge(&states);
        assert!(stderr.contains(expected), "{stderr}");
    }
    let path = folder.path().join(second);
    let whole = std::fs::read(&path).unwrap();
    for place in [30, whole.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        std::fs::write(&path, changed).unwrap();
        let stderr = merge(&[first, second]);
        assert!(
            stderr.contains("shard_2_of_2.state`: expected a state of `so8t evaluate --shard`, found one that was"),
            "{stderr}"
        );
    }
    for text in ["0/2", "3/2", "2", "a/b"] {
        let (_, stderr, code) = shard("a.parquet", text, "a");
        assert!(code == 1 && stderr.contains("expected I/N with I from 1 to N"), "{text}: {stderr}");
    }
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["evaluate", "a.parquet", "--shard", "1/2"]));
    assert!(code == 1 && stderr.contains("--out"), "{stderr}");
}

#[test]
fn predictions_made_elsewhere_are_json_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for index in 0..40 {
        let (gold, predicted) = (["SAFE", "UNSAFE"][index % 2], ["SAFE", "UNSAFE", "INVALID"][index % 3]);
        text.push_str(&format!(
            "{{\"id\":\"{index}\",\"source\":\"mine\",\"gold\":\"{gold}\",\"predicted\":\"{predicted}\",\
             \"scores\":{{\"SAFE\":0.25,\"UNSAFE\":0.75}}}}\n"
        ));
    }
    write(folder.path(), "mine.jsonl", &text);
    let (stdout, stderr, code) = outcome(&so8t(folder.path(), &["evaluate", "mine.jsonl", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["run"]["labels"], serde_json::json!(["SAFE", "UNSAFE"]));
    let accuracy = &report["before"]["metrics"]["classification.accuracy"];
    assert_eq!((accuracy["n"].as_u64(), accuracy["method"].as_str()), (Some(40), Some("Clopper-Pearson")));
    assert_eq!(report["digests"]["predictions"]["mine.jsonl"].as_str().unwrap().len(), 64);

    let (_, stderr, code) = outcome(&so8t(folder.path(), &["evaluate", "mine.jsonl", "--metric", "no-such"]));
    assert!(code == 1 && stderr.contains("`builtin:no-such` does not exist"), "{stderr}");
    write(folder.path(), "bad.jsonl", &text.replace("\"id\":\"7\"", "\"id\":\"6\""));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["evaluate", "bad.jsonl"]));
    assert!(code == 1 && stderr.contains("`bad.jsonl`: expected distinct row ids, found `6` twice"), "{stderr}");
}

#[test]
#[cfg(unix)]
fn the_script_of_local_shards_gives_the_bytes_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    predictions::write(&folder.path().join("a.parquet"), &LabelSet::four_decisions(), &rows(500, true)).unwrap();
    let single = ["evaluate", "a.parquet", "--resamples", "20", "--out", "one"];
    assert_eq!(outcome(&so8t(folder.path(), &single)).2, 0);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shards.sh");
    let output = Command::new("bash")
        .arg(script)
        .args(["a.parquet", "3", "parts", "--resamples", "20"])
        .env("SO8T", env!("CARGO_BIN_EXE_so8t"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(numbers(&folder.path().join("parts")) == numbers(&folder.path().join("one")));
}
