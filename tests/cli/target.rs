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
    assert!(stdout.starts_with("measured: the base model `") && stdout.contains(", and what was trained: `"), "{stdout}");
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
