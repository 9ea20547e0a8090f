//! The program killed while it trains, again and again, and started again until it is done; and stopped by SIGTERM.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use so8t::train::random::Random;

use super::{outcome, so8t, write};

const LORA: &str = "dropout = 0.1\nrank = 4";
const FULL: &str = "method = \"full\"\nlearning_rate = 1e-4";

/// A short training on the quick start's model, validated twice an epoch, with a checkpoint every other step.
fn manifest(folder: &Path, method: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let text = format!(
        "[run]\nname = \"killed\"\nseed = 5\n[model]\nbase = {:?}\nquantization = \"none\"\n[[data]]\nname = \"prompts\"\npath = {:?}\n\
         converter = \"prompts\"\nmapper = \"four-class\"\n[plugins.prompts]\ncomponent = \"builtin:csv\"\n\
         config = {{ instruction = \"prompt\", label = \"label\", group = \"scenario\" }}\n[split]\neval = 0.3\n\
         [train]\nepochs = 6\nbatch = 4\n{method}\nmax_length = 256\ncheckpoint_steps = 2\n\
         [train.validation]\nevery = 5\nshare = 0.3\n",
        root.join("model"),
        root.join("data/prompts.csv")
    );
    write(folder, "so8t.toml", &text);
}

fn start(folder: &Path, run: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_so8t"))
        .args(["train", "so8t.toml", "--out", run])
        .current_dir(folder)
        .env("XDG_CONFIG_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-configuration"))
        .env_remove("SO8T_POLICY")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Every line of a run's log or validation, without what depends on the clock.
fn lines(folder: &Path, run: &str, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(run).join(file)).unwrap();
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().shift_remove("tokens_per_second");
        value
    };
    text.lines().map(line).collect()
}

fn logged(folder: &Path, run: &str) -> usize {
    std::fs::read_to_string(folder.join(run).join("training.jsonl")).map_or(0, |text| text.lines().count())
}

#[test]
fn a_killed_training_ends_with_the_same_bits() {
    ends_with_the_same_bits(LORA, 3, &["adapter/adapter_model.safetensors", "adapter/adapter_config.json"]);
}

#[test]
fn a_killed_training_of_all_weights_ends_with_the_same_bits() {
    ends_with_the_same_bits(FULL, 1, &["trained_model/model.safetensors", "trained_model/config.json"]);
}

fn ends_with_the_same_bits(method: &str, seeds: u64, files: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    manifest(folder, method);
    let (_, stderr, code) = outcome(&so8t(folder, &["train", "so8t.toml", "--out", "whole"]));
    assert_eq!(code, 0, "{stderr}");
    let steps = lines(folder, "whole", "training.jsonl");
    assert!(steps.len() >= 30, "{} steps", steps.len());
    for seed in 0..seeds {
        let run = format!("killed-{seed}");
        let mut random = Random::new(seed, "kill");
        let (mut kills, mut within) = (0, 0);
        loop {
            // After some more steps, and some of the time that a step takes; later each time, so that it ends.
            let child = start(folder, &run);
            let wanted = logged(folder, &run) + random.below(24);
            let pause = Duration::from_micros(random.below(40_000) as u64);
            let started = Instant::now();
            let mut child = child;
            while kills < 4 && logged(folder, &run) < wanted && started.elapsed() < Duration::from_secs(60) {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            if kills < 4 && child.try_wait().unwrap().is_none() {
                std::thread::sleep(pause);
                // SIGKILL: nothing of the program runs any more.
                child.kill().unwrap();
                within += usize::from(logged(folder, &run) > 0);
                child.wait().unwrap();
                kills += 1;
                continue;
            }
            let (_, stderr, code) = outcome(&child.wait_with_output().unwrap());
            assert_eq!(code, 0, "{stderr}");
            break;
        }
        assert!(kills > 0 && within > 0, "seed {seed}: {kills} kills, {within} of them while it trained");
        assert_eq!(lines(folder, &run, "training.jsonl"), steps, "seed {seed}");
        assert_eq!(lines(folder, &run, "validation.jsonl"), lines(folder, "whole", "validation.jsonl"));
        for file in files {
            let read = |run: &str| std::fs::read(folder.join(run).join(file)).unwrap();
            assert!(read("whole") == read(&run), "seed {seed}: `{file}` after {kills} kills");
        }
        let left: Vec<_> = std::fs::read_dir(folder.join(&run)).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{left:?}");
    }
}

#[test]
fn sigterm_saves_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    manifest(folder, LORA);
    let child = start(folder, "stopped");
    let started = Instant::now();
    while logged(folder, "stopped") < 3 && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let (_, stderr, code) = outcome(&child.wait_with_output().unwrap());
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("error: training stopped after step ") && stderr.contains("keeps it"), "{stderr}");
    assert!(stderr.contains("hint: go on with `--resume`"), "{stderr}");
    let (_, stderr, code) = outcome(&so8t(folder, &["train", "so8t.toml", "--out", "stopped", "--resume"]));
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn what_is_not_finite_names_the_examples() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    manifest(folder, LORA);
    let text = std::fs::read_to_string(folder.join("so8t.toml")).unwrap();
    let wild = text.replace("[train]\n", "[train]\nlearning_rate = 1e30\nmax_grad_norm = 0\nwarmup = 0.0\n");
    write(folder, "so8t.toml", &wild);
    let (_, stderr, code) = outcome(&so8t(folder, &["train", "so8t.toml", "--out", "wild"]));
    assert_eq!(code, 1, "{stderr}");
    let message = stderr.lines().find(|line| line.starts_with("error: step ")).expect(&stderr);
    let data = std::fs::read_to_string(folder.join("wild/dataset.jsonl")).unwrap();
    let ids: Vec<String> = data
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(ids.iter().any(|id| message.contains(&format!("`{id}`"))), "{message}");
    assert!(message.contains("step 2, samples `"), "{message}");
    assert!(stderr.contains("checkpoint` holds the adapter after step 0"), "{stderr}");
    assert!(folder.join("wild/checkpoint/adapter_model.safetensors").is_file());
    assert!(!folder.join("wild/adapter").exists(), "a broken training leaves no result");
}
