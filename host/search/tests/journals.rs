//! The journal: Optuna's form, what a killed process leaves, other searches.

use std::fs;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};
use so8t_search::{Assignment, Journal, State, Study, work};

use crate::proposals::{Function, settings};
use crate::spaces::mixed;

fn value(own: &Assignment) -> (f64, Vec<f64>) {
    (own["rate"].as_f64().expect("rate"), vec![])
}

#[test]
fn lines_have_the_shape_that_optuna_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let study = Study::open(folder.path(), settings(mixed(), 1, 3, 0)).expect("a study");
    work(&study, &mut Function(value), &AtomicBool::new(false)).expect("works");
    let lines = Journal::new(study.journal()).lines().expect("lines");
    assert_eq!(lines[0]["op_code"], 0);
    assert_eq!(lines[0]["directions"], json!([1]));
    let created: Vec<&Value> = lines.iter().filter(|line| line["op_code"] == 4).collect();
    assert_eq!(created.len(), 3);
    for line in created {
        assert_eq!(line["study_id"], 0);
        assert!(
            line["datetime_start"].as_str().is_some_and(|time| time.len() == 32 && time.ends_with("+00:00")),
            "{line}"
        );
        for (name, distribution) in line["distributions"].as_object().expect("distributions") {
            let distribution: Value = serde_json::from_str(distribution.as_str().expect("a text")).expect("JSON");
            assert!(distribution["name"].as_str().is_some_and(|name| name.ends_with("Distribution")));
            assert!(line["params"][name].is_number(), "a choice is its index");
        }
    }
    let ended: Vec<&Value> = lines.iter().filter(|line| line["op_code"] == 6).collect();
    assert!(
        ended
            .iter()
            .all(|line| line["state"] == 1 && line["values"].as_array().is_some_and(|values| values.len() == 1))
    );
    assert!(fs::symlink_metadata(folder.path().join("journal.log.lock")).is_err(), "the lock was given back");
}

/// Optuna's reader asserts that a line sets one attribute.
#[test]
fn a_line_sets_one_attribute() {
    struct Noted;
    impl so8t_search::Objective for Noted {
        fn run(
            &mut self,
            _: &so8t_search::Trial,
            _: &so8t_search::Reporter<'_>,
        ) -> so8t_base::Result<so8t_search::Outcome> {
            let notes = json!({ "a": 1, "b": { "c": [2] }, "d": "e" }).as_object().cloned().unwrap_or_default();
            Ok(so8t_search::Outcome::Done { value: Some(1.0), constraints: vec![-1.0, 0.5], notes })
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let study = Study::open(folder.path(), settings(mixed(), 1, 2, 2)).expect("a study");
    work(&study, &mut Noted, &AtomicBool::new(false)).expect("works");
    let lines = Journal::new(study.journal()).lines().expect("lines");
    let attributes = lines.iter().filter_map(|line| line.get("user_attr").or_else(|| line.get("system_attr")));
    let sizes: Vec<usize> = attributes.map(|own| own.as_object().expect("an object").len()).collect();
    assert!(sizes.len() > 8 && sizes.iter().all(|size| *size == 1), "{sizes:?}");
    assert_eq!(study.trials().expect("read")[1].notes["b"], json!({ "c": [2] }));
}

#[test]
fn half_a_line_of_a_killed_process_is_taken_away_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let study = Study::open(folder.path(), settings(mixed(), 1, 2, 0)).expect("a study");
    work(&study, &mut Function(value), &AtomicBool::new(false)).expect("works");
    let whole = fs::read_to_string(study.journal()).expect("the journal");
    fs::write(study.journal(), format!("{whole}{{\"op_code\":6,\"trial")).expect("written");
    let study = Study::open(folder.path(), settings(mixed(), 1, 4, 0)).expect("half a line is no line");
    work(&study, &mut Function(value), &AtomicBool::new(false)).expect("works");
    let after = fs::read_to_string(study.journal()).expect("the journal");
    assert!(after.starts_with(&whole));
    assert!(after[whole.len()..].starts_with("{\"op_code\":4"), "{}", &after[whole.len()..]);
    assert_eq!(study.trials().expect("read").len(), 4);
    assert_eq!(study.replay().expect("as proposed"), 4);
}

#[test]
fn a_broken_line_is_named_and_so_is_an_unknown_operation() {
    for (line, expected) in
        [("no JSON", "expected a line"), ("{\"op_code\":11}", "unknown `op_code` 11"), ("{}", "no `op_code`")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("journal.log"), format!("{line}\n")).expect("written");
        let error = Study::open(folder.path(), settings(mixed(), 1, 2, 0)).expect_err("refused").to_string();
        assert!(error.contains("journal.log`:1") && error.contains(expected), "{error}");
    }
}

#[test]
fn the_journal_of_another_search_is_refused_and_a_larger_budget_is_not_another() {
    let folder = tempfile::tempdir().expect("a folder");
    Study::open(folder.path(), settings(mixed(), 1, 2, 0)).expect("a study");
    Study::open(folder.path(), settings(mixed(), 1, 20, 0)).expect("the same with more trials");
    let mut other = settings(mixed(), 1, 2, 0);
    other.fixed = json!("other data");
    for own in [settings(mixed(), 2, 2, 0), settings(mixed(), 1, 2, 1), other] {
        let error = Study::open(folder.path(), own).expect_err("refused").to_string();
        assert!(error.contains("another search"), "{error}");
    }
}

#[test]
fn a_changed_proposal_is_found_by_the_replay() {
    let folder = tempfile::tempdir().expect("a folder");
    let study = Study::open(folder.path(), settings(mixed(), 1, 12, 0)).expect("a study");
    work(&study, &mut Function(value), &AtomicBool::new(false)).expect("works");
    assert_eq!(study.replay().expect("as proposed"), 12);
    let text = fs::read_to_string(study.journal()).expect("the journal");
    // A value that was seen is made better than it was: later proposals would have been others.
    let changed: String = text
        .lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).expect("JSON");
            if line["op_code"] == 6 && line["trial_id"] == 4 {
                line["values"] = json!([-50.0]);
            }
            format!("{line}\n")
        })
        .collect();
    fs::write(study.journal(), changed).expect("written");
    let error = study.replay().expect_err("found").to_string();
    assert!(error.contains("is not what the seed and the journal propose"), "{error}");
}

#[test]
fn studies_and_trials_of_others_in_the_same_journal_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = "{\"op_code\":0,\"worker_id\":\"w\",\"study_name\":\"other\",\"directions\":[2]}\n\
                 {\"op_code\":4,\"worker_id\":\"w\",\"study_id\":0,\"datetime_start\":\"2026-01-01T00:00:00.000000+00:00\"}\n";
    fs::write(folder.path().join("journal.log"), other).expect("written");
    let study = Study::open(folder.path(), settings(mixed(), 1, 3, 0)).expect("a study");
    work(&study, &mut Function(value), &AtomicBool::new(false)).expect("works");
    let lines = Journal::new(study.journal()).lines().expect("lines");
    let touched = lines.iter().skip(2).filter(|line| line["op_code"].as_u64().is_some_and(|op| op >= 5));
    assert!(touched.into_iter().all(|line| line["trial_id"] != 0), "trial 0 is another study's");
    assert_eq!(study.trials().expect("read").len(), 3);
    assert!(fs::read_to_string(study.journal()).expect("the journal").starts_with(other));
}

#[test]
fn what_another_program_enqueues_is_run_as_it_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let study = Study::open(folder.path(), settings(mixed(), 1, 3, 0)).expect("a study");
    let asked = json!({ "rate": 0.05, "rank": 7, "kind": "dora", "dropout": 0.25 });
    let line = |fixed: &Value| {
        json!({
            "op_code": 4, "worker_id": "python", "study_id": 0, "datetime_start": null, "state": 4, "value": null, "values": null, "distributions": {},
            "params": {}, "user_attrs": {}, "system_attrs": { "fixed_params": fixed }, "intermediate_values": {},
        })
    };
    let mut text = fs::read_to_string(study.journal()).expect("the journal");
    // One that the space does not hold stays in the queue.
    text.push_str(&format!("{}\n{}\n", line(&asked), line(&json!({ "rate": 7.0 }))));
    fs::write(study.journal(), text).expect("written");
    work(&study, &mut Function(value), &AtomicBool::new(false)).expect("works");
    let trials = study.trials().expect("read");
    assert_eq!(serde_json::to_value(&trials[0].parameters).expect("JSON"), asked);
    assert_eq!((trials[0].state, trials[0].value), (State::Complete, Some(0.05)));
    assert_eq!(trials[1].state, State::Waiting);
    assert_eq!(study.replay().expect("as proposed"), 1, "what was asked for is nobody's proposal");
}
