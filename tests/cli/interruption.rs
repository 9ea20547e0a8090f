//! Ctrl-C in the middle of training, and going on from the checkpoint.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{outcome, so8t, write};

/// A training of 88 steps on the quick start's model and data.
fn manifest(folder: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let text = format!(
        "[run]\nname = \"stopped\"\nseed = 3\n[model]\nbase = {:?}\n[[data]]\nname = \"requests\"\npath = {:?}\n\
         converter = \"jsonl\"\nmapper = \"four-class\"\ngroup = \"group\"\n[train]\nepochs = 4\nbatch = 8\ndropout = 0.1\n\
         checkpoint_steps = 7\nmax_length = 256\n[split]\neval = 0.5\n",
        root.join("model"),
        root.join("data/four_class_requests.jsonl")
    );
    write(folder, "so8t.toml", &text);
}

#[test]
fn a_stopped_training_goes_on_and_ends_in_the_same_adapter() {
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path());
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["train", "so8t.toml", "--out", "whole"]));
    assert_eq!(code, 0, "{stderr}");

    let (_, stderr, code) = outcome(&so8t(folder.path(), &["train", "so8t.toml", "--out", "stopped", "--resume"]));
    assert!(code == 1 && stderr.contains("holds no checkpoint of this training"), "{stderr}");

    let child = Command::new(env!("CARGO_BIN_EXE_so8t"))
        .args(["train", "so8t.toml", "--out", "stopped"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = folder.path().join("stopped/training.jsonl");
    let lines = || std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    let started = Instant::now();
    while lines() < 5 && started.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let (_, stderr, code) = outcome(&child.wait_with_output().unwrap());
    assert_eq!(code, 1, "{stderr}");
    let stopped_at = lines();
    assert!(stopped_at >= 5, "{stderr}");
    assert!(!folder.path().join("stopped/adapter").exists(), "a half-trained adapter is no result");

    let (_, stderr, code) = outcome(&so8t(folder.path(), &["train", "so8t.toml", "--out", "stopped", "--resume"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("prepared before"), "{stderr}");
    let read = |run: &str, name: &str| std::fs::read(folder.path().join(run).join(name)).unwrap();
    let name = "adapter/adapter_model.safetensors";
    assert!(read("whole", name) == read("stopped", name), "stopped after {stopped_at} steps");
    let losses = |run: &str| {
        let text = String::from_utf8(read(run, "training.jsonl")).unwrap();
        let loss = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["loss"].as_f64().unwrap();
        text.lines().map(loss).collect::<Vec<_>>()
    };
    assert_eq!(losses("whole"), losses("stopped"));
    assert!(!folder.path().join("stopped/checkpoint").exists());

    let (_, stderr, _) = outcome(&so8t(folder.path(), &["train", "so8t.toml", "--out", "stopped"]));
    assert!(stderr.contains("trained before"), "{stderr}");
}
