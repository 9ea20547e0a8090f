//! A whole run killed at random points, and one whose disk is full at every stage: either a whole result or a clear error, and
//! nobody's files touched.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use so8t::train::random::Random;

use super::contents;
use crate::cli::{outcome, write};

/// Files that depend on nothing but the manifest and its inputs.
const FILES: [&str; 4] =
    ["adapter/adapter_model.safetensors", "adapter/adapter_config.json", "dataset.jsonl", "evaluation.jsonl"];
/// What `report.json` holds besides, without times and names of folders.
const VALUES: [&str; 5] = ["before", "after", "comparison", "loss_curve", "data"];

/// A run of every stage on the quick start's model and its smallest file.
fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let text = format!(
        "[run]\nname = \"interrupted\"\nseed = 5\n[model]\nbase = {:?}\nquantization = \"none\"\n[[data]]\nname = \"prompts\"\npath = {:?}\n\
         converter = \"prompts\"\nmapper = \"four-class\"\n[plugins.prompts]\ncomponent = \"builtin:csv\"\n\
         config = {{ instruction = \"prompt\", label = \"label\", group = \"scenario\" }}\n[split]\neval = 0.4\n[predict]\nmax_length = 256\n\
         [train]\nepochs = 4\nbatch = 4\nrank = 4\nmax_length = 256\ncheckpoint_steps = 2\n\
         [evaluate]\nmetrics = [\"classification\", \"calibration\"]\nresamples = 50\nmin_support = 1\n",
        root.join("model"),
        root.join("data/prompts.csv")
    );
    write(folder.path(), "so8t.toml", &text);
    folder
}

fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("NO_COLOR", "1").env_remove("SO8T_POLICY");
    command.env("XDG_CONFIG_HOME", folder.join("no-configuration"));
    command
}

fn so8t(folder: &Path, arguments: &[&str]) -> (String, String, i32) {
    outcome(&command(env!("CARGO_BIN_EXE_so8t"), folder).args(arguments).output().unwrap())
}

fn results(run: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    let report = std::fs::read(run.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let values = VALUES.map(|name| (name, report[name].to_string().into_bytes()));
    FILES.map(|name| (name, std::fs::read(run.join(name)).unwrap())).into_iter().chain(values).collect()
}

/// Exit code 0 and a seal that holds.
fn is_whole(folder: &Path, run: &str, stderr: &str, code: i32) {
    assert_eq!(code, 0, "{run}: {stderr}");
    let (stdout, stderr, code) = so8t(folder, &["verify", run]);
    assert_eq!(code, 0, "{run}: {stdout}{stderr}");
}

/// `SO8T_KILLS=100` for the whole table; ten where nothing is said.
#[test]
fn a_run_killed_anywhere_ends_with_the_same_bits_and_a_seal_that_holds() {
    let kills: usize = std::env::var("SO8T_KILLS").map_or(10, |kills| kills.parse().expect("a number"));
    let place = place();
    let folder = place.path();
    let began = Instant::now();
    let (_, stderr, code) = so8t(folder, &["run", "so8t.toml", "--out", "whole", "--quiet"]);
    let whole_time = began.elapsed();
    is_whole(folder, "whole", &stderr, code);
    let expected = results(&folder.join("whole"));
    write(folder, "beside.txt", "not so8t's");

    let mut random = Random::new(7, "kill");
    let (mut killed, mut stages) = (0, BTreeMap::<String, usize>::new());
    for number in 0.. {
        if killed >= kills {
            break;
        }
        assert!(number < 20 * kills, "{killed} of {kills} kills in {number} runs");
        let run = format!("run-{number}");
        let at = folder.join(&run);
        // Some kills after each other, then to the end.
        for _ in 0..=random.below(4) {
            let mut child = command(env!("CARGO_BIN_EXE_so8t"), folder)
                .args(["run", "so8t.toml", "--out", &run, "--quiet"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // Where it is killed is chance, early more often than late; that it is, is not.
            let share = random.below(1000) as f64 / 1000.0;
            std::thread::sleep(whole_time.mul_f64(share * share));
            let ended = child.try_wait().unwrap().is_some();
            // SIGKILL: nothing of the program runs any more.
            let _ = child.kill();
            child.wait().unwrap();
            if ended {
                break;
            }
            killed += 1;
            *stages.entry(stage(&at)).or_default() += 1;
            // Before so8t marked it, a folder with something of a user in it is the user's.
            if at.join(".so8t-run").is_file() {
                write(&at, "notes.txt", "a user's own");
            }
        }
        let (_, stderr, code) = so8t(folder, &["run", "so8t.toml", "--out", &run, "--quiet"]);
        is_whole(folder, &run, &stderr, code);
        let differ: Vec<_> =
            results(&at).into_iter().filter(|(name, bytes)| expected[name] != *bytes).map(|(name, _)| name).collect();
        assert!(differ.is_empty(), "{run}: other bits in {differ:?} after {killed} kills");
        let left = contents(&at);
        assert!(left.get("notes.txt").is_none_or(|notes| notes == b"a user's own"), "{run}");
        assert!(!left.keys().any(|name| name.contains(".tmp")), "{run}: {:?}", left.keys());
        std::fs::remove_dir_all(&at).unwrap();
    }
    assert_eq!(std::fs::read(folder.join("beside.txt")).unwrap(), b"not so8t's");
    eprintln!("{killed} kills, by what was done: {stages:?}");
}

/// How far a run has come, by the last file that it has finished.
fn stage(run: &Path) -> String {
    let last = [
        "report.html",
        "predictions_after.parquet",
        "adapter/adapter_model.safetensors",
        "checkpoint/adapter_model.safetensors",
        "training.jsonl",
        "predictions_before.parquet",
        "dataset.jsonl",
        ".so8t-run",
    ];
    last.iter().find(|name| run.join(name).exists()).map_or_else(|| "nothing".to_owned(), |name| (*name).to_owned())
}

/// A file system of some kilobytes in a name space of its own: the run in it, then more room and the run again, and `verify`.
const FULL: &str = r#"
mount -t tmpfs -o size="$2"k tmpfs "$3" || exit 77
"$1" run so8t.toml --out "$3/run" --quiet 2>"$4/first.txt"; echo "first $?"
for file in $(find "$3" -type f ! -name '*.tmp' -name '*.json'); do
    python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$file" || echo "half-written $file"
done
mount -o remount,size=64m "$3"
"$1" run so8t.toml --out "$3/run" --quiet 2>"$4/again.txt"; echo "again $?"
"$1" verify "$3/run" >"$4/verify.txt" 2>&1; echo "verify $?"
cp -r "$3/run" "$4/kept"
"#;

#[test]
fn a_full_disk_is_told_and_costs_nothing_but_what_did_not_fit() {
    let place = place();
    let folder = place.path();
    let (_, stderr, code) = so8t(folder, &["run", "so8t.toml", "--out", "whole", "--quiet"]);
    is_whole(folder, "whole", &stderr, code);
    let expected = results(&folder.join("whole"));
    let size: usize = contents(&folder.join("whole")).values().map(|bytes| bytes.len().div_ceil(4096) * 4).sum();
    std::fs::create_dir(folder.join("disk")).unwrap();
    let mut told = BTreeMap::<String, usize>::new();
    for part in 1..=12 {
        // From what holds no file to more than all of them, while temporary files lie beside finished ones.
        let kilobytes = (size * part * part / 12).max(8).to_string();
        let out = folder.join(format!("out-{part}"));
        std::fs::create_dir(&out).unwrap();
        let mut unshared = command("unshare", folder);
        unshared.args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            FULL,
            "sh",
            env!("CARGO_BIN_EXE_so8t"),
            &kilobytes,
        ]);
        let output = match unshared.arg(folder.join("disk")).arg(&out).output() {
            Ok(output) if output.status.code() != Some(77) && !output.stdout.is_empty() => output,
            _ => return eprintln!("no file system can be mounted here: a full disk was not tried"),
        };
        let said = String::from_utf8(output.stdout).unwrap();
        let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap_or_default();
        let first = read("first.txt");
        match said.contains("first 0\n") {
            true => *told.entry("whole".to_owned()).or_default() += 1,
            false => {
                assert!(said.contains("first 1\n"), "{kilobytes} kB: {said}{first}");
                assert!(
                    first.contains("error: ") && first.contains("No space left on device"),
                    "{kilobytes} kB: {first}"
                );
                let error = first
                    .lines()
                    .find(|line| line.starts_with("error: "))
                    .unwrap()
                    .replace(&folder.display().to_string(), "");
                *told.entry(error).or_default() += 1;
            }
        }
        assert!(!said.contains("half-written"), "{kilobytes} kB: {said}");
        assert!(
            said.contains("again 0\nverify 0\n"),
            "{kilobytes} kB: {said}{}{}",
            read("again.txt"),
            read("verify.txt")
        );
        assert!(results(&out.join("kept")) == expected, "{kilobytes} kB: other bits");
    }
    assert!(told.len() > 2 && told.contains_key("whole"), "every size ended alike: {told:?}");
    eprintln!("{told:#?}");
}
