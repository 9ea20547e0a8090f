//! `eval` beside a finished run: what is measured is said first, and the run keeps its report.

use std::path::Path;

use serde_json::Value;

use super::{outcome, so8t, write};

fn manifest(seed: u64) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    format!(
        "[run]\nname = \"mine\"\nseed = {seed}\n[model]\nbase = {:?}\n[[data]]\nname = \"requests\"\npath = {:?}\n\
         converter = \"jsonl\"\nmapper = \"four-class\"\ngroup = \"group\"\n[split]\neval = 0.6\n[evaluate]\nresamples = 50\n\
         [train]\nepochs = 1\nbatch = 8\nmax_length = 256\nlearning_rate = 1e-3\n",
        root.join("model"),
        root.join("data/four_class_requests.jsonl")
    )
}

#[test]
fn an_evaluation_never_replaces_the_report_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "so8t.toml", &manifest(3));
    let command = |arguments: &[&str]| outcome(&so8t(folder, arguments));
    let json = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap() };

    // Before there is a run, the base model is measured, in the run's folder.
    let (stdout, stderr, code) = command(&["eval", "so8t.toml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("measured: the base model `"), "{stdout}");
    let (stdout, stderr, code) = command(&["run", "so8t.toml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.starts_with("measured: the base model `") && stdout.contains(", and what was trained: `"),
        "{stdout}"
    );
    let report = std::fs::read(folder.join("runs/mine/report.json")).unwrap();

    // Beside a finished run, what was trained is measured unless the base is asked for.
    for (arguments, first, name, moment) in [
        (&["eval", "so8t.toml"][..], "measured: what was trained: `", "runs/mine-eval", "after"),
        (&["eval", "so8t.toml", "--base"], "measured: the base model `", "runs/mine-eval-base", "before"),
        (
            &["eval", "so8t.toml", "--adapter", "runs/mine/adapter"],
            "measured: what was trained: `runs/mine/adapter`",
            "runs/mine-eval-adapter",
            "after",
        ),
        (&["eval", "so8t.toml", "--out", "elsewhere"], "measured: what was trained: `", "elsewhere", "after"),
    ] {
        let (stdout, stderr, code) = command(arguments);
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.starts_with(first), "{arguments:?}: {stdout}");
        let (own, of_run) = (json(&format!("{name}/report.json")), json("runs/mine/report.json"));
        assert_eq!(own[moment]["metrics"], of_run[moment]["metrics"], "{arguments:?}");
        assert!(["before", "after"].iter().all(|side| *side == moment || own[*side].is_null()), "{arguments:?}");
        let (stdout, stderr, code) = command(&["verify", name]);
        assert_eq!(code, 0, "{stderr} {stdout}");
    }
    assert_eq!(std::fs::read(folder.join("runs/mine/report.json")).unwrap(), report);
    let (stdout, stderr, code) = command(&["verify", "runs/mine"]);
    assert_eq!(code, 0, "{stderr} {stdout}");

    // A manifest that is no longer the run's is told, in the report too.
    write(folder, "so8t.toml", &manifest(4));
    let (stdout, stderr, code) = command(&["eval", "so8t.toml"]);
    assert_eq!(code, 0, "{stderr}");
    let note = "`so8t.toml` has changed since the run in `";
    assert!(stderr.contains(note) && stdout.lines().next().unwrap().contains(note), "{stderr} {stdout}");

    // An adapter that is not there is told before any work is done.
    let (_, stderr, code) = command(&["eval", "so8t.toml", "--adapter", "nowhere", "--out", "new"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("`--adapter nowhere`: expected a folder with"), "{stderr}");
    assert!(!folder.join("new").exists());
}

#[test]
fn several_runs_stand_in_one_table_and_meet_a_rule_or_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "so8t.toml", &manifest(3));
    for (name, epochs) in [("one", "1"), ("two", "2"), ("four", "4")] {
        let text = manifest(3).replace("epochs = 1", &format!("epochs = {epochs}"));
        write(folder, &format!("{name}.toml"), &text);
        let (_, stderr, code) = outcome(&so8t(folder, &["run", &format!("{name}.toml"), "--out", name]));
        assert_eq!(code, 0, "{stderr}");
    }
    let rule = "classification.accuracy max_drop=1";
    let (stdout, stderr, code) = outcome(&so8t(folder, &["compare", "one", "two", "four", "--rule", rule]));
    assert_eq!(code, 0, "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines[0].starts_with("run ") && lines[0].contains("unsafe_pass_rate"), "{stdout}");
    assert!(lines[1].starts_with("one ") && lines[2].starts_with("two ") && lines[3].starts_with("four "), "{stdout}");
    let rule = "classification.accuracy rise=0.9";
    let arguments = ["compare", "one", "two", "four", "--rule", rule, "--json", "--out", "sweep"];
    let (stdout, stderr, code) = outcome(&so8t(folder, &arguments));
    assert_eq!(code, 3, "{stderr}");
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(told["runs"][1]["name"], "four");
    assert_eq!(told["runs"][0]["report"]["accept"]["rules"][0]["passed"], false);
    assert!(folder.join("sweep/two/report.html").is_file() && folder.join("sweep/four/report.json").is_file());
    // Each run is measured with its own seed and resamples.
    assert_eq!(told["runs"][0]["report"]["run"]["seed"], 3);
    assert_eq!(told["runs"][0]["report"]["comparison"]["resamples"], 50);
    let (_, stderr, code) =
        outcome(&so8t(folder, &["compare", "one", "two", "--rule", "classification.acuracy rise=0"]));
    assert!(code == 1 && stderr.contains("did you mean `classification.accuracy`?"), "{stderr}");
}

#[test]
fn what_is_not_here_is_told_from_what_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let data = std::fs::read_to_string(root.join("data/four_class_requests.jsonl")).unwrap();
    write(folder, "here/data.jsonl", &data);
    let (head, _) = manifest(3).split_once("[train]").map(|(head, tail)| (head.to_owned(), tail.to_owned())).unwrap();
    let path = format!("path = {:?}", root.join("data/four_class_requests.jsonl"));
    assert!(head.contains(&path));
    write(folder, "here/so8t.toml", &head.replace(&path, "path = \"data.jsonl\""));
    let (_, stderr, code) = outcome(&so8t(&folder.join("here"), &["eval", "so8t.toml", "--out", "run"]));
    assert_eq!(code, 0, "{stderr}");
    // Another machine has the run alone.
    std::fs::create_dir(folder.join("there")).unwrap();
    std::fs::rename(folder.join("here/run"), folder.join("there/run")).unwrap();
    let (stdout, stderr, code) = outcome(&so8t(folder, &["verify", "there/run"]));
    assert_eq!(code, 4, "{stdout} {stderr}");
    assert!(stdout.contains("absent data `requests` is not here") && !stdout.contains("FAULT"), "{stdout}");
    assert!(stderr.contains("its inputs are not here"), "{stderr}");
    let (stdout, stderr, code) = outcome(&so8t(folder, &["verify", "there/run", "--inputs", "here"]));
    assert_eq!(code, 0, "{stdout} {stderr}");
    // A file of the run that was changed is a fault, wherever it is.
    write(folder, "there/run/rejected.jsonl", "{}\n");
    let (stdout, _, code) = outcome(&so8t(folder, &["verify", "there/run"]));
    assert!(code == 1 && stdout.contains("FAULT  rejected.jsonl"), "{stdout}");
}

/// Needs a Python with PyTorch, Transformers and PEFT, which `SO8T_PYTHON` names.
#[test]
fn a_run_is_reproduced_with_transformers_and_peft() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text =
        manifest(3).replace("[split]", "[predict]\nsystem_prompt = \"Say \\\"ALLOW\\\" or not: 日本語も。\"\n[split]");
    write(folder, "so8t.toml", &format!("{text}[calibrate]\nshare = 0.3\nthresholds = \"f1_macro\"\n"));
    let (_, stderr, code) = outcome(&so8t(folder, &["run", "so8t.toml"]));
    assert_eq!(code, 0, "{stderr}");
    let run = folder.join("runs/mine");
    let report: Value = serde_json::from_slice(&std::fs::read(run.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["run"]["prompt"]["system"], "Say \"ALLOW\" or not: 日本語も。");
    assert!(report["run"]["prompt"]["rendered"].as_str().unwrap().contains("(the request)"));
    let script = std::fs::read_to_string(run.join("use_with_peft.py")).unwrap();
    assert!(script.is_ascii() && !script.contains("@SETTINGS@"));
    let Some(python) = std::env::var_os("SO8T_PYTHON") else {
        eprintln!("skipped: SO8T_PYTHON names no Python with PyTorch, Transformers and PEFT");
        return;
    };
    let output = std::process::Command::new(python).arg(run.join("use_with_peft.py")).output().unwrap();
    let (stdout, stderr, code) = outcome(&output);
    assert_eq!(code, 0, "{stdout} {stderr}");
    assert!(stdout.contains("3 of 3 decisions are reproduced"), "{stdout}");
}
