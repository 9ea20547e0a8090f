//! The forms of other tools. Their own readers check them in `examples/peers/tracking.sh`; here it is that nothing is lost or told too much.

use serde_json::Value;
use so8t_track::export::{About, Form, export};

use crate::runs;

fn about() -> About {
    About { model: Some("team/gate".to_owned()), dataset: Some("team/requests".to_owned()), ..About::default() }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn every_form_is_made_again_to_the_byte_and_holds_no_text_unless_there_is_one() {
    let (_folder, run) = runs::run(Some(true));
    for (name, form) in Form::ALL {
        let (files, _) = export(&run, &runs::rows(), form, &about()).expect(name);
        assert!(!files.is_empty(), "{name}");
        assert_eq!(files, export(&run, &runs::rows(), form, &about()).expect(name).0, "{name}");
        for (path, bytes) in &files {
            assert!(!String::from_utf8_lossy(bytes).contains("SECRET"), "{name}: {path}");
            assert!(!path.starts_with('/') && !path.contains(".."), "{name}: {path}");
        }
    }
    let mut rows = runs::rows();
    rows[0].text = Some("ASKED FOR".to_owned());
    let (files, _) = export(&run, &rows, Form::Inspect, &about()).expect("a log");
    assert!(String::from_utf8_lossy(&files[0].1).contains("ASKED FOR"));
}

#[test]
fn values_stand_with_the_ends_of_their_intervals() {
    let (_folder, run) = runs::run(Some(true));
    let (files, notes) = export(&run, &runs::rows(), Form::EveryEvalEver, &about()).expect("a log");
    let log = json(&files[0].1);
    let result = &log["evaluation_results"][0];
    assert_eq!(result["metric_config"]["metric_id"], "classification.f1_macro");
    assert_eq!(result["metric_config"]["lower_is_better"], false);
    assert_eq!(log["evaluation_results"][1]["metric_config"]["lower_is_better"], true);
    let interval = &result["score_details"]["uncertainty"]["confidence_interval"];
    assert!(interval["lower"].as_f64().is_some_and(|low| (low - 0.7).abs() < 1e-9), "{interval}");
    assert!(notes[0].contains("classification.support_allow"), "what has no direction is told: {notes:?}");
    assert_eq!(log["detailed_evaluation_results"]["total_rows"], 3);
    assert_eq!(log["detailed_evaluation_results"]["checksum"], so8t_base::files::sha256(&files[1].1));

    let (files, _) = export(&run, &[], Form::CycloneDx, &about()).expect("a BOM");
    let metrics =
        &json(&files[0].1)["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"];
    assert!(metrics.as_array().is_some_and(|all| all.iter().any(|own| own["slice"] == "社内/logs")));
    assert!(metrics[0]["confidenceInterval"]["lowerBound"].is_string());

    let (files, _) = export(&run, &runs::rows(), Form::LmEval, &about()).expect("results");
    let results = json(&files[0].1);
    assert_eq!(results["results"]["small"]["classification.f1_macro,none"], 0.8);
    assert_eq!(results["higher_is_better"]["small"]["classification.unsafe_pass_rate"], false);
    assert_eq!(files[1].1.iter().filter(|byte| **byte == b'\n').count(), 3);
}

#[test]
fn a_card_says_what_is_not_met() {
    let card = |accepted| {
        let (_folder, run) = runs::run(accepted);
        let (files, _) = export(&run, &[], Form::ModelCard, &about()).expect("a card");
        String::from_utf8(files[0].1.clone()).expect("UTF-8")
    };
    assert!(card(Some(false)).contains("**It does not meet the rules that were set for it.**"));
    let good = card(Some(true));
    assert!(
        good.contains("Every rule that was set for it is met.")
            && good.contains("| `classification.f1_macro` | 0.8 | 0.7 to 0.9 | 40 |"),
        "{good}"
    );
    assert!(good.starts_with("---\n") && good.contains("base_model: \"org/base\""), "{good}");
    assert!(good.contains("at the most 0.3 by its interval"), "{good}");
}

#[test]
fn what_a_form_asks_for_and_nobody_knows_is_an_error() {
    let (_folder, run) = runs::run(Some(true));
    let error = export(&run, &[], Form::HubResults, &About::default()).expect_err("no dataset").to_string();
    assert!(error.contains("`--dataset ORGANISATION/NAME`"), "{error}");
    let wrong = About { metric: Some("classification.f2".to_owned()), ..about() };
    let error = export(&run, &[], Form::HubResults, &wrong).expect_err("no such value").to_string();
    assert!(error.contains("there is no value `classification.f2`"), "{error}");
    let folder = tempfile::tempdir().expect("a folder");
    runs::write(folder.path(), None);
    let path = folder.path().join("report.json");
    let mut report: Value = json(&std::fs::read(&path).expect("a report"));
    report.as_object_mut().expect("an object").remove("comparison");
    std::fs::write(&path, report.to_string()).expect("written");
    runs::seal(folder.path(), &["report.json"]);
    let run = so8t_track::FinishedRun::read(folder.path()).expect("a run");
    let error = export(&run, &[], Form::EveryEvalEver, &about()).expect_err("no direction is known").to_string();
    assert!(error.contains("does not say of any value whether more of it is better"), "{error}");
}
