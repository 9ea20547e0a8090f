//! `[accept]` and `[calibrate]` through the whole program: verdicts, exit codes, and stages that are not done twice.

use std::path::{Path, PathBuf};

use serde_json::Value;
use so8t::data::LabelSet;
use so8t::evaluate::predictions;

use super::{outcome, so8t, write};

/// The quick start's model and half of its data, trained for a moment.
fn manifest(tables: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    format!(
        "[run]\nname = \"judged\"\nseed = 3\n[model]\nbase = {:?}\n[[data]]\nname = \"requests\"\npath = {:?}\n\
         converter = \"jsonl\"\nmapper = \"four-class\"\ngroup = \"group\"\n[split]\neval = 0.6\n[evaluate]\nresamples = 200\n\
         [train]\nepochs = 1\nbatch = 8\nmax_length = 256\nlearning_rate = 1e-3\n{tables}",
        root.join("model"),
        root.join("data/four_class_requests.jsonl")
    )
}

fn rules(rules: &[&str]) -> String {
    rules.iter().map(|rule| format!("[[accept.rules]]\n{}\n", rule.replace("; ", "\n"))).collect()
}

const CALIBRATE: &str = "[calibrate]\nshare = 0.3\nthresholds = \"f1_macro\"\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes the manifest and runs a command; standard output, standard error, exit code.
    fn command(&self, tables: &str, arguments: &[&str]) -> (String, String, i32) {
        write(self.0.path(), "so8t.toml", &manifest(tables));
        outcome(&so8t(self.0.path(), arguments))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }
}

#[test]
fn runs_are_accepted_and_refused() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let run = ["run", "so8t.toml", "--out", "run"];
    let met = [
        "metric = \"classification.accuracy\"; min = 0.0",
        "metric = \"classification.accuracy\"; max_drop = 1.0; source = \"requests\"",
        "metric = \"classification.over_block_rate\"; max = 1.0; significant = true",
    ];

    // A metric that does not exist is told before the model is asked.
    let wrong = rules(&["metric = \"classification.f1_macros\"; min = 0.5"]);
    let (_, stderr, code) = folder.command(&wrong, &run);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("so8t.toml:22:10: no plugin of this run gives the metric `classification.f1_macros`"),
        "{stderr}"
    );
    assert!(stderr.contains("hint: did you mean `classification.f1_macro`?"), "{stderr}");
    assert!(!folder.path("run").join(predictions::BEFORE).exists());

    let (stdout, stderr, code) = folder.command(&format!("{CALIBRATE}{}", rules(&met)), &run);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("verdict: accepted, 3 of 3 rules met"), "{stdout}");
    assert!(stdout.contains("  met      `classification.accuracy` is at least 0: it is 0."), "{stdout}");
    let report = folder.json("run/report.json");
    assert_eq!(report["accept"]["accepted"], true);
    assert_eq!(
        report["accept"]["rules"][1]["delta"],
        report["comparison"]["sources"]["requests"]["metrics"]["classification.accuracy"]["delta"]
    );
    let flips = report["comparison"]["flips"].as_array().unwrap();
    let languages = report["comparison"]["flip_counts"]["language"].as_object().unwrap();
    let counted = languages.values().flat_map(|own| own.as_object().unwrap().values()).map(|n| n.as_u64().unwrap());
    assert_eq!(counted.sum::<u64>(), flips.len() as u64);
    assert!(flips.iter().all(|flip| flip["length"].as_u64() > Some(0)));

    // The calibration is that of the trained model, and rests on rows that nothing else saw.
    let calibrations = folder.json("run/calibration.json");
    assert_eq!(report["calibration"], calibrations["after"]);
    assert_ne!(calibrations["before"], calibrations["after"]);
    let own = &report["calibration"];
    assert!(own["log_loss_after"].as_f64() < own["log_loss_before"].as_f64(), "{own}");
    assert_eq!(own["thresholds"].as_object().unwrap().len(), 4);
    assert!(report["digests"]["calibration.json"].is_string());

    // Other rules are judged without any other stage being done again.
    let refused = rules(&[met[0], "metric = \"classification.accuracy\"; drop = 0.5; significant = true"]);
    let (stdout, stderr, code) = folder.command(&format!("{CALIBRATE}{refused}"), &run);
    assert_eq!(code, 3, "{stderr}");
    assert!(stdout.contains("verdict: not accepted, 1 of 2 rules met"), "{stdout}");
    assert!(
        stdout.contains(
            "  not met  `classification.accuracy` drops by at least 0.5, with its whole 95 % interval: it went from"
        ),
        "{stdout}"
    );
    for said in [
        "prepared before",
        "before   predicted before",
        "tuning   predicted before",
        "trained before",
        "after    predicted before",
    ] {
        assert!(stderr.contains(said), "expected `{said}`: {stderr}");
    }
    assert!(!stderr.contains("tuned"), "{stderr}");
    let (stdout, _, code) =
        folder.command(&format!("{CALIBRATE}{refused}"), &["run", "so8t.toml", "--out", "run", "--json"]);
    assert_eq!(
        (code, serde_json::from_str::<Value>(&stdout).unwrap()["accept"]["accepted"].clone()),
        (3, false.into())
    );

    numbers_come_from_predictions_and_calibration(&folder);
    runs_are_compared_by_the_rules(&folder);
    an_evaluation_alone_has_nothing_to_compare(&folder);
}

/// The accuracy of the report, computed from the stored predictions and `calibration.json` alone.
fn numbers_come_from_predictions_and_calibration(folder: &Folder) {
    let report = folder.json("run/report.json");
    let calibrations = folder.json("run/calibration.json");
    let labels = LabelSet::four_decisions();
    for (moment, file) in [("before", predictions::BEFORE), ("after", predictions::AFTER)] {
        let own = &calibrations[moment];
        let temperature = own["temperature"].as_f64().unwrap();
        let thresholds: Vec<f64> = labels.names.iter().map(|name| own["thresholds"][name].as_f64().unwrap()).collect();
        let rows = predictions::read(&folder.path("run").join(file), &labels).unwrap();
        let decided = |scores: &[f32]| {
            let sums = scores.iter().zip(&thresholds).map(|(score, bias)| f64::from(*score).ln() / temperature + bias);
            sums.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
        };
        let share = |right: usize| right as f64 / rows.len() as f64;
        let right = share(rows.iter().filter(|row| decided(&row.prediction.scores) == usize::from(row.gold)).count());
        let raw = share(rows.iter().filter(|row| row.is_correct()).count());
        let reported = report[moment]["metrics"]["classification.accuracy"]["value"].as_f64().unwrap();
        assert!((reported - right).abs() < 1e-12, "{moment}: {reported} against {right}");
        assert!(moment == "after" || right != raw, "thresholds that change no decision of the base model show nothing");
    }
}

fn runs_are_compared_by_the_rules(folder: &Folder) {
    let compare = ["compare", "run", "run", "--manifest", "so8t.toml", "--json"];
    let (stdout, stderr, code) =
        folder.command(&rules(&["metric = \"classification.accuracy\"; max_drop = 0.0"]), &compare);
    assert_eq!(code, 0, "{stderr}");
    let compared: Value = serde_json::from_str(&stdout).unwrap();
    let run = folder.json("run/report.json");
    for metric in ["classification.accuracy", "classification.f1_macro"] {
        assert_eq!(compared["after"]["metrics"][metric], run["after"]["metrics"][metric], "calibrated alike");
    }
    let (stdout, _, code) =
        folder.command(&rules(&["metric = \"classification.accuracy\"; rise = 0.0"]), &compare[..5]);
    assert_eq!(code, 3, "{stdout}");
    assert!(stdout.contains("`classification.accuracy` rises: it went from"), "{stdout}");
    let (_, stderr, code) = folder.command(&rules(&["metric = \"classification.acuracy\"; rise = 0.0"]), &compare);
    assert!(code == 1 && stderr.contains("hint: did you mean `classification.accuracy`?"), "{stderr}");
}

fn an_evaluation_alone_has_nothing_to_compare(folder: &Folder) {
    let eval = ["eval", "so8t.toml", "--out", "eval"];
    let max = "metric = \"classification.unsafe_pass_rate\"; max = 1.0";
    let (stdout, stderr, code) = folder.command(&rules(&[max]), &eval);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("verdict: accepted, 1 of 1 rules met"), "{stdout}");
    assert!(folder.json("eval/report.json").get("calibration").is_none());
    let rise = "metric = \"classification.unsafe_pass_rate\"; max_rise = 0.0";
    let (stdout, stderr, code) = folder.command(&rules(&[max, rise]), &eval);
    assert_eq!(code, 3, "{stderr}");
    assert!(stdout.contains("it needs a before and an after, and this command measured one model"), "{stdout}");
}
