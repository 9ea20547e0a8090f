//! The real program: what it answers is what the report measured, to the last bit, whatever the load.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use so8t::data::LabelSet;
use so8t::evaluate::{Calibrations, EvaluatedRow, predictions};
use so8t::train::random::Random;

use super::call;
use crate::cli::{outcome, so8t, write};

/// A short training on the quick start's model, with all that changes a decision: an adapter, a calibration, a policy. It is done once.
pub fn run() -> PathBuf {
    static RUN: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
        let text = format!(
            "[run]\nname = \"served\"\nseed = 5\n[model]\nbase = {:?}\n[[data]]\nname = \"prompts\"\npath = {:?}\n\
             converter = \"prompts\"\nmapper = \"four-class\"\n[plugins.prompts]\ncomponent = \"builtin:csv\"\n\
             config = {{ instruction = \"prompt\", label = \"label\", group = \"scenario\" }}\n[split]\neval = 0.5\n\
             [predict]\nsystem_prompt = \"Judge the request.\"\n[redaction]\npii = \"redact\"\nsecrets = \"drop\"\n\
             [calibrate]\nshare = 0.4\nthresholds = \"f1_macro\"\n[evaluate]\nresamples = 50\n\
             [train]\nepochs = 2\nbatch = 4\nmax_length = 256\nlearning_rate = 1e-3\n\
             [serve]\non_timeout = \"ESCALATION\"\ndeadline = 60\n[serve.categories]\nillicit = [\"DENY\", \"REFUSE\"]\n",
            root.join("model"),
            root.join("data/prompts.csv")
        );
        write(folder.path(), "so8t.toml", &text);
        let (_, stderr, code) = outcome(&so8t(folder.path(), &["run", "so8t.toml", "--out", "run", "--quiet"]));
        assert_eq!(code, 0, "{stderr}");
        folder
    });
    folder.path().join("run")
}

pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_so8t"));
    command.env("XDG_CONFIG_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-configuration")).env_remove("SO8T_POLICY");
    command
}

/// Waits until a server says where it listens.
pub fn listening(command: &mut Command) -> (Child, SocketAddr) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let address = loop {
        let Some(Ok(line)) = lines.next() else { panic!("the server ended: {said}") };
        said.push_str(&format!("{line}\n"));
        if let Some(address) = line.strip_prefix("listening on http://") {
            break address.parse().unwrap();
        }
    };
    // What it says later must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (child, address)
}

fn serve(run: &Path, audit: &Path) -> (Child, SocketAddr) {
    listening(command().arg("serve").arg(run).args(["--listen", "127.0.0.1:0", "--audit"]).arg(audit))
}

pub fn terminate(mut child: Child) {
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}

fn scores(value: &Value, labels: &LabelSet) -> Vec<u32> {
    labels.names.iter().map(|name| (value[name].as_f64().unwrap() as f32).to_bits()).collect()
}

fn bits(row: &EvaluatedRow) -> Vec<u32> {
    row.prediction.scores.iter().map(|score| score.to_bits()).collect()
}

#[test]
fn every_row_is_answered_as_it_was_measured() {
    let run = run();
    let audit = tempfile::tempdir().unwrap();
    let log = audit.path().join("log");
    let labels = LabelSet::four_decisions();
    let raw = predictions::read(&run.join(predictions::AFTER), &labels).unwrap();
    let calibration = Calibrations::read(&run).unwrap().unwrap().after.unwrap();
    assert!(calibration.temperature != 1.0 && !calibration.thresholds.is_empty());
    let calibrated = calibration.apply(&labels, &raw).unwrap().into_owned();
    let text = std::fs::read_to_string(run.join("evaluation.jsonl")).unwrap();
    let examples: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(examples.len(), raw.len());
    assert!(raw.len() > 20, "{}", raw.len());

    let (child, address) = serve(&run, &log);
    let mut random = Random::new(7, "order");
    for clients in [1, 8, 64] {
        let mut order: Vec<usize> = (0..raw.len()).collect();
        (1..order.len()).rev().for_each(|index| order.swap(index, random.below(index + 1)));
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(&row) = order.get(next.fetch_add(1, Ordering::SeqCst)) {
                let mut body = json!({"instruction": examples[row]["instruction"]});
                if let Some(input) = examples[row].get("input") {
                    body["input"] = input.clone();
                }
                let reply = call(address, "POST", "/v1/decisions", &[], &body.to_string());
                assert_eq!(reply.status, 200, "{}", reply.body);
                let reply = reply.json();
                assert_eq!(scores(&reply["probabilities"]["raw"], &labels), bits(&raw[row]), "{}", raw[row].id);
                assert_eq!(
                    scores(&reply["probabilities"]["calibrated"], &labels),
                    bits(&calibrated[row]),
                    "{}",
                    raw[row].id
                );
                assert_eq!(reply["decision"], labels.name(calibrated[row].prediction.label), "{}", raw[row].id);
            }
        };
        std::thread::scope(|scope| (0..clients).for_each(|_| drop(scope.spawn(work))));
    }
    // A batch of all shapes is the same as each alone.
    let requests: Vec<Value> = examples.iter().take(20).map(|one| json!({"instruction": one["instruction"]})).collect();
    let reply = call(address, "POST", "/v1/decisions", &[], &json!({"requests": requests}).to_string()).json();
    for (decision, row) in reply["decisions"].as_array().unwrap().iter().zip(&raw) {
        assert_eq!(scores(&decision["probabilities"]["raw"], &labels), bits(row));
    }
    let report: Value = serde_json::from_slice(&std::fs::read(run.join("report.json")).unwrap()).unwrap();
    assert_eq!(reply["model"]["digests"]["adapter"], report["digests"]["adapter"]);
    // What preparation redacts is redacted here, and what it leaves out is refused.
    let ask = |text: &str| call(address, "POST", "/v1/decisions", &[], &json!({"instruction": text}).to_string());
    let redacted = ask("write to jane.doe@example.com please").json();
    assert_eq!(redacted["redacted"], json!({"mail": 1}), "{redacted}");
    assert_eq!(redacted["probabilities"], ask("write to [MAIL] please").json()["probabilities"]);
    terminate(child);

    let verified = command().args(["audit", "verify", "--json"]).arg(&log).output().unwrap();
    let (stdout, stderr, code) = outcome(&verified);
    assert_eq!(code, 0, "{stderr}");
    let verified: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(verified["entries"].as_u64().unwrap() as usize, 3 * raw.len() + requests.len() + 2);
}

#[test]
fn a_run_that_is_not_what_was_measured_is_not_served() {
    let run = run();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("run");
    assert!(Command::new("cp").arg("-r").args([&run, &copy]).status().unwrap().success());
    // The seal names the manifest by a path from the run's folder.
    std::fs::copy(run.parent().unwrap().join("so8t.toml"), folder.path().join("so8t.toml")).unwrap();
    let refused = |more: &[&str]| {
        let audit = folder.path().join("audit");
        let output = command()
            .arg("serve")
            .arg(&copy)
            .args(["--listen", "127.0.0.1:0", "--audit"])
            .arg(&audit)
            .args(more)
            .output()
            .unwrap();
        let (_, stderr, code) = outcome(&output);
        assert_eq!(code, 1, "{stderr}");
        assert!(!audit.exists(), "a log was begun: {stderr}");
        stderr
    };
    let said = refused(&["--on-timeout", "ALLOW"]);
    assert!(said.contains("expected a label that holds a request up, found `ALLOW`"), "{said}");
    let said = refused(&["--deadline", "0"]);
    assert!(said.contains("expected seconds above 0"), "{said}");
    let adapter = copy.join("adapter/adapter_model.safetensors");
    let mut bytes = std::fs::read(&adapter).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&adapter, bytes).unwrap();
    let said = refused(&[]);
    assert!(said.contains("the run is not as it was recorded: `adapter/adapter_model.safetensors`"), "{said}");
}

#[test]
fn others_reach_a_server_with_keys_alone() {
    let folder = tempfile::tempdir().unwrap();
    let output = command()
        .args(["serve", "run", "--listen", "0.0.0.0:0", "--audit", "audit"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (_, stderr, code) = outcome(&output);
    assert!(
        code == 1 && stderr.contains("`--listen 0.0.0.0:0` is reached by others: expected `--keys FILE`"),
        "{stderr}"
    );
    let made = command().args(["key", "keys.toml", "--name", "gateway"]).current_dir(folder.path()).output().unwrap();
    let (stdout, stderr, code) = outcome(&made);
    assert!(code == 0 && stdout.starts_with("so8t-"), "{stderr}");
    let text = std::fs::read_to_string(folder.path().join("keys.toml")).unwrap();
    assert!(text.contains(&so8t::files::sha256(stdout.trim().as_bytes())) && !text.contains(stdout.trim()), "{text}");
}
