//! `[train.validation]` end to end: metric plugins choose the adapter, guards refuse, the report shows it, and `verify` holds.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{outcome, so8t, write};

fn manifest(folder: &Path, validation: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let text = format!(
        "[run]\nname = \"validated\"\nseed = 8\n[model]\nbase = {:?}\n[[data]]\nname = \"requests\"\npath = {:?}\n\
         converter = \"jsonl\"\nmapper = \"four-class\"\ngroup = \"group\"\n[split]\neval = 0.4\n[evaluate]\nresamples = 20\n\
         metrics = [\"classification\", \"calibration\"]\n[predict]\npolicy = \"Judge the request.\"\nmax_length = 256\n\
         [calibrate]\nshare = 0.2\n[train]\nrank = 8\nlearning_rate = 1e-3\nepochs = 2\nbatch = 16\nmax_length = 256\n{validation}",
        root.join("model"),
        root.join("data/four_class_requests.jsonl")
    );
    write(folder, "so8t.toml", &text);
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
}

fn json_lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path)
        .expect("a file")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn the_best_adapter_is_kept_and_the_report_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    manifest(
        folder,
        "[train.validation]\nshare = 0.25\nevery = 6\nmetric = \"classification.f1_macro\"\n\
         [[train.validation.guards]]\nmetric = \"classification.unsafe_pass_rate\"\nmax_rise = 0.3\n",
    );
    let (_, stderr, code) = outcome(&so8t(folder, &["run", "so8t.toml", "--out", "run"]));
    assert_eq!(code, 0, "{stderr}");
    let run = folder.join("run");
    // Disjoint parts, in whole groups.
    let part = |name: &str, key: &str| -> BTreeSet<String> {
        json_lines(&run.join(name)).iter().map(|line| line[key].as_str().unwrap().to_owned()).collect()
    };
    let names = ["dataset.jsonl", "validation_set.jsonl", "calibration_set.jsonl", "evaluation.jsonl"];
    for key in ["id", "group"] {
        let parts = names.map(|name| part(name, key));
        assert!(parts.iter().all(|part| !part.is_empty()));
        let sum: usize = parts.iter().map(BTreeSet::len).sum();
        assert_eq!(parts.into_iter().flatten().collect::<BTreeSet<_>>().len(), sum, "{key}");
    }
    let found = json_lines(&run.join("validation.jsonl"));
    let steps: Vec<u64> = found.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps[..2], [0, 6]);
    let summary = json(&run.join("training.json"));
    let kept = summary["validation"]["kept_step"].as_u64().unwrap();
    assert!(steps.contains(&kept) && kept > 0);
    // The best of those that keep to the guard, the first of equal ones.
    let best = found[1..]
        .iter()
        .filter(|line| line["guards"][0]["holds"] == true)
        .map(|line| line["value"].as_f64().unwrap())
        .fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(summary["validation"]["kept"].as_f64(), Some(best));
    assert_eq!(found[0]["guards"][0]["guard"], "`classification.unsafe_pass_rate` rises by at most 0.3");
    let report = json(&run.join("report.json"));
    assert_eq!(report["validation"].as_array().unwrap(), &found);
    assert_eq!(report["training"]["validation"]["kept_step"], kept);
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("id=\"validation\"") && page.contains("on the validation part"), "the page has the curve");
    assert!(stderr.contains("valid    after step 0: `classification.f1_macro`"), "{stderr}");

    let (_, stderr, code) = outcome(&so8t(folder, &["verify", "run", "--predictions"]));
    assert_eq!(code, 0, "{stderr}");
    // Nothing is done again; another patience is another training.
    let (_, stderr, _) = outcome(&so8t(folder, &["train", "so8t.toml", "--out", "run"]));
    assert!(stderr.contains("trained before"), "{stderr}");
}

#[test]
fn where_no_adapter_keeps_to_the_guards() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Nothing that is trained is as bad as this.
    let validation = "[train.validation]\nshare = 0.25\npatience = 1\nFALLBACK\n\
                      [[train.validation.guards]]\nmetric = \"classification.accuracy\"\nmax = 0.01\n";
    manifest(folder, &validation.replace("FALLBACK", ""));
    let (_, stderr, code) = outcome(&so8t(folder, &["train", "so8t.toml", "--out", "run"]));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("error: none of the 1 validated adapters can be kept"), "{stderr}");
    assert!(stderr.contains("guard `classification.accuracy` is at most 0.01 does not hold: it is 0."), "{stderr}");
    assert!(!folder.join("run/adapter").exists());

    manifest(folder, &validation.replace("FALLBACK", "fallback = \"base\""));
    let (_, stderr, code) = outcome(&so8t(folder, &["train", "so8t.toml", "--out", "run"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("warning: no adapter keeps to the guards"), "{stderr}");
    let summary = json(&folder.join("run/training.json"));
    assert_eq!((&summary["validation"]["kept_step"], &summary["validation"]["refused"]), (&0.into(), &1.into()));
    assert_eq!(summary["validation"]["ended_early"], true);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let check = |validation: &str, expected: &str| {
        let folder = tempfile::tempdir().unwrap();
        manifest(folder.path(), validation);
        let (_, stderr, code) = outcome(&so8t(folder.path(), &["train", "so8t.toml", "--out", "run"]));
        assert!(code == 1 && stderr.contains(expected), "{validation}: {stderr}");
        assert!(stderr.contains("so8t.toml:"), "no place: {stderr}");
    };
    let table = "[train.validation]\n";
    check(&format!("{table}share = 1.5"), "`train.validation.share`: expected a share of the training part");
    check(&format!("{table}metric = \"other.f1\""), "`other.f1` is no metric");
    check(&format!("{table}metric = \"classification.f1_makro\""), "no plugin of this run gives the metric");
    check(&format!("{table}metric = \"classification.support_allow\""), "has no direction in which it gets better");
    check(&format!("{table}shares = 0.1"), "unknown field `shares`");
    let guard = "[[train.validation.guards]]\nmetric = \"classification.accuracy\"\n";
    check(guard, "`train.validation.guards.0`: expected one of `min`, `max`, `max_rise`, `max_drop`, found `0 bounds`");
    check(&format!("{guard}max = 1\nmin = 0"), "found `2 bounds`");
    check(&format!("{guard}max_rise = -0.1"), "expected a bound from 0 on, found `-0.1`");
    check("keep_checkpoints = 0", "`train.keep_checkpoints`: expected at least 1, found `0`");
}
