//! `so8t search`, and what is done with a finished run: `watch`, `track`, `export`, `release`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{outcome, so8t, write};

const SEARCH: &str = "[search]\ntrials = 5\nstartup = 3\nconfirm = 1\nshare = 0.3\n\
     [search.space]\n\"train.learning_rate\" = { low = 1e-4, high = 1e-2, log = true }\n\"train.rank\" = { values = [4, 8] }\n\
     \"train.alpha\" = { values = [1, 2], times = \"train.rank\" }\n\
     [[search.constraints]]\nmetric = \"classification.unsafe_pass_rate\"\nmax_rise = 0.9\n";

/// A manifest on the quick start's model and data; `train` are further keys of `[train]`.
fn manifest(folder: &Path, train: &str, search: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let text = format!(
        "[run]\nname = \"small\"\nseed = 8\n[model]\nbase = {:?}\n[[data]]\nname = \"requests\"\npath = {:?}\nconverter = \"jsonl\"\n\
         mapper = \"four-class\"\ngroup = \"group\"\n[split]\neval = 0.3\n[evaluate]\nresamples = 100\n[predict]\nsystem_prompt = \"Judge the request.\"\n\
         max_length = 256\n[train]\nrank = 8\nalpha = 16\nlearning_rate = 1e-3\nepochs = 1\nbatch = 16\nmax_length = 256\n{train}\n{search}",
        root.join("model"),
        root.join("data/four_class_requests.jsonl")
    );
    write(folder, "so8t.toml", &text);
}

fn ids(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let id = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["id"].as_str().expect("an id").to_owned();
    text.lines().map(id).collect()
}

fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let (stdout, stderr, code) = outcome(&so8t(folder, arguments));
    assert_eq!(code, 0, "{arguments:?}: {stderr}");
    stdout
}

#[test]
fn a_search_chooses_on_the_training_part_and_judges_once_on_the_evaluation_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    manifest(folder, "", SEARCH);
    // Stopped after two trials, as it were: a smaller budget, and then the whole.
    let first: Value =
        serde_json::from_str(&succeeds(folder, &["search", "so8t.toml", "--out", "found", "--trials", "2", "--json"]))
            .expect("JSON");
    assert_eq!(first["trials"].as_array().map(Vec::len), Some(2));
    let own = &first["trials"][0]["setting"];
    assert_eq!(
        (own["train.rank"].as_i64(), own["train.alpha"].as_f64()),
        (Some(8), Some(16.0)),
        "the manifest's own setting comes first: {own}"
    );
    let found: Value =
        serde_json::from_str(&succeeds(folder, &["search", "so8t.toml", "--out", "found", "--json"])).expect("JSON");
    let trials = found["trials"].as_array().expect("trials");
    assert_eq!(trials.len(), 5);
    assert_eq!(trials[..2], first["trials"].as_array().expect("trials")[..], "what was found stays");
    assert!(trials.iter().all(|trial| trial["state"] == "complete"), "{trials:#?}");
    let best = trials.iter().filter_map(|trial| trial["value"].as_f64()).fold(0.0, f64::max);
    assert_eq!(trials[found["best"].as_u64().expect("a best") as usize]["value"].as_f64(), Some(best));
    for trial in trials {
        let (rank, alpha) = (
            trial["setting"]["train.rank"].as_f64().expect("a rank"),
            trial["setting"]["train.alpha"].as_f64().expect("an alpha"),
        );
        assert!(alpha == rank || alpha == 2.0 * rank, "{trial}");
    }
    // No trial's folder holds a row of the evaluation part, and all trials are judged on the same rows.
    let evaluation = ids(&folder.join("found/confirm/seed-8/evaluation.jsonl"));
    let training = ids(&folder.join("found/confirm/seed-8/dataset.jsonl"));
    let judged = ids(&folder.join("found/trials/0000/evaluation.jsonl"));
    for number in 0..5 {
        let own = folder.join(format!("found/trials/{number:04}"));
        let parts = [ids(&own.join("dataset.jsonl")), ids(&own.join("evaluation.jsonl"))];
        assert_eq!(parts[1], judged);
        let all: BTreeSet<String> = parts.into_iter().flatten().collect();
        assert_eq!(all, training);
        assert!(all.is_disjoint(&evaluation));
    }
    // The report of it, the replay, and a second one who finds nothing left to do.
    for name in ["search.md", "search.html", "search.json"] {
        assert!(folder.join("found").join(name).is_file(), "{name}");
    }
    assert!(succeeds(folder, &["search", "so8t.toml", "--out", "found", "--verify"]).contains("5 proposals follow"));
    let again: Value =
        serde_json::from_str(&succeeds(folder, &["search", "so8t.toml", "--out", "found", "--json"])).expect("JSON");
    assert_eq!(again["trials"], found["trials"]);
    succeeds(folder, &["verify", "found/confirm/seed-8"]);
    manifest(folder, "", &SEARCH.replace("high = 1e-2", "high = 2e-2"));
    let (_, stderr, code) = outcome(&so8t(folder, &["search", "so8t.toml", "--out", "found"]));
    assert!(code == 1 && stderr.contains("is the journal of another search"), "{stderr}");
}

#[test]
fn a_trial_that_others_beat_is_ended_early_and_nothing_that_breaks_a_constraint_is_chosen() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let search = format!("{}[search.halving]\nrungs = [0.5]\neta = 4.0\n", SEARCH.replace("trials = 5", "trials = 6"));
    manifest(folder, "[train.validation]\nshare = 0.3\nevery = 4\n", &search.replace("max_rise = 0.9", "max = -0.5"));
    let (_, stderr, code) = outcome(&so8t(folder, &["search", "so8t.toml", "--out", "found"]));
    assert!(code == 1 && stderr.contains("trials keeps to every constraint: nothing is chosen"), "{stderr}");
    let found: Value =
        serde_json::from_slice(&fs::read(folder.join("found/search.json")).expect("a report")).expect("JSON");
    let trials = found["trials"].as_array().expect("trials");
    assert!(trials.iter().all(|trial| trial["feasible"] == false));
    let early = trials.iter().filter(|trial| trial["state"] == "ended early").count();
    assert!((1..6).contains(&early), "{trials:#?}");
    assert!(trials.iter().all(|trial| trial["rungs"]["50"].is_f64()), "{trials:#?}");
    assert!(!folder.join("found/confirm").exists());
}

#[test]
fn a_table_that_makes_no_sense_is_refused_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for (old, new, expected) in [
        ("\"train.rank\" = { values = [4, 8] }", "\"train.rnk\" = { values = [4, 8] }", "unknown field `rnk`"),
        (
            "\"train.rank\" = { values = [4, 8] }",
            "\"split.eval\" = { values = [0.1] }\n\"train.rank\" = { values = [4, 8] }",
            "this cannot be searched",
        ),
        (
            "\"train.rank\" = { values = [4, 8] }",
            "\"train.rank\" = { values = [4, 0] }",
            "`train.rank`: expected a whole number",
        ),
        ("{ values = [4, 8] }", "{ values = [4, 8], low = 1 }", "expected either `values`, or"),
        ("times = \"train.rank\"", "times = \"train.runk\"", "neither searched nor a number"),
        ("max_rise = 0.9", "max_rise = 0.9\nmax = 1.0", "expected one of `max`"),
        ("classification.unsafe_pass_rate", "nothing.at_all", "is no metric"),
        ("share = 0.3\n", "share = 1.0\n", "expected a share"),
        ("confirm = 1", "confirm = 1\nhalving = {}", "expected `[train.validation]` too"),
        ("confirm = 1", "confirm = 1\nbudget = 3", "unknown field `budget`"),
    ] {
        assert!(SEARCH.contains(old), "{old}");
        manifest(folder, "", &SEARCH.replacen(old, new, 1));
        let (_, stderr, code) = outcome(&so8t(folder, &["search", "so8t.toml", "--out", "found"]));
        assert!(code == 1 && stderr.contains(expected), "{new}: {stderr}");
        assert!(!folder.join("found").exists(), "nothing is written: {new}");
    }
    manifest(folder, "", "");
    let (_, stderr, code) = outcome(&so8t(folder, &["search", "so8t.toml"]));
    assert!(code == 1 && stderr.contains("has no `[search]` table"), "{stderr}");
}

#[test]
fn a_finished_run_is_watched_exported_and_released_and_a_dead_server_costs_it_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    // Nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|own| own.local_addr()).expect("a port").port();
    let rules = "[[accept.rules]]\nmetric = \"classification.accuracy\"\nmin = 0.0\n";
    manifest(folder, "", &format!("{rules}[track]\nmlflow = \"http://127.0.0.1:{port}\"\n"));
    succeeds(folder, &["run", "so8t.toml", "--out", "run"]);
    assert!(succeeds(folder, &["watch", "run", "--once"]).contains("loss"));
    assert!(succeeds(folder, &["track", "run", "--tensorboard", "board"]).contains("events.out.tfevents."));
    let (_, stderr, code) = outcome(&so8t(folder, &["track", "run", "--mlflow", &format!("http://127.0.0.1:{port}")]));
    assert!(code == 1 && stderr.contains("cannot reach"), "{stderr}");
    for form in ["eee", "hf-eval-results", "model-card", "inspect", "cyclonedx", "lm-eval"] {
        let text = succeeds(
            folder,
            &["export", "run", "--to", form, "--out", form, "--dataset", "team/set", "--model", "team/gate"],
        );
        assert!(text.lines().all(|line| folder.join(line).is_file()), "{form}: {text}");
    }
    let request = fs::read_to_string(folder.join("run/evaluation.jsonl")).expect("a part");
    let request: Value = serde_json::from_str(request.lines().next().expect("a row")).expect("JSON");
    let request = request["instruction"].as_str().expect("a request");
    let holds = |name: &str| {
        fs::read_dir(folder.join(name))
            .expect("a folder")
            .flatten()
            .any(|entry| fs::read_to_string(entry.path()).is_ok_and(|text| text.contains(request)))
    };
    assert!(!holds("inspect"), "no text was asked for");
    succeeds(folder, &["export", "run", "--to", "inspect", "--out", "texts", "--with-texts"]);
    assert!(holds("texts"));

    succeeds(folder, &["release", "keygen", "key"]);
    let (_, stderr, code) = outcome(&so8t(folder, &["release", "keygen", "key"]));
    assert!(code == 1 && stderr.contains("is there already"), "{stderr}");
    succeeds(folder, &["release", "run", "--key", "key", "--out", "release"]);
    assert!(
        succeeds(folder, &["release", "verify", "release", "--key", "key.pub"]).contains("are as they were signed")
    );
    fs::write(folder.join("release/README.md"), "better").expect("written");
    let (_, stderr, code) = outcome(&so8t(folder, &["release", "verify", "release", "--key", "key.pub"]));
    assert!(code == 1 && stderr.contains("`README.md` is not what was signed"), "{stderr}");
    // A run that misses its rules is no release, nor one that was changed since.
    manifest(folder, "", &rules.replace("min = 0.0", "min = 1.0"));
    let (_, _, code) = outcome(&so8t(folder, &["run", "so8t.toml", "--out", "run"]));
    assert_eq!(code, 3);
    let (_, stderr, code) = outcome(&so8t(folder, &["release", "run", "--key", "key", "--out", "other"]));
    assert!(code == 1 && stderr.contains("does not meet its rules") && !folder.join("other").exists(), "{stderr}");
}
