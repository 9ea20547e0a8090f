//! Detection-only texts, days, and rebalancing, apart from any manifest.

use so8t::data::{
    Example, LabelSet, RebalanceMethod, RebalanceSettings, Training, Usage, is_date, read_examples, rebalance,
    withhold, write_examples,
};

use super::candidate;

#[test]
fn withheld_outputs_are_those_of_the_source_and_what_repeats_it() {
    let mut only = candidate("a text that is to be judged alone", 3, "", Usage::Both);
    only.example.training = Training { detection_only: true, ..Training::default() };
    only.example.output = "an answer that a plugin gave anyway".into();
    let with_output = |output: &str| {
        let mut other = candidate("x", 0, "", Usage::Both);
        other.example.output = output.into();
        other
    };
    let mut rows = vec![
        with_output("Ａ text that is  to be judged alone."),
        only,
        with_output("an answer that a plugin gave anyway"),
        with_output("something else altogether"),
        with_output("OK"),
    ];
    let withheld = withhold(&mut rows);
    assert_eq!((withheld.own, withheld.repeated), (1, 2));
    let outputs: Vec<&str> = rows.iter().map(|row| row.example.output.as_str()).collect();
    assert_eq!(outputs, ["", "", "", "something else altogether", "OK"]);
}

#[test]
fn a_target_of_a_detection_only_source_is_refused_wherever_it_comes_from() {
    let mut example = candidate("x", 3, "", Usage::Train).example;
    assert_eq!(example.target().unwrap(), None);
    example.output = "y".into();
    assert_eq!(example.target().unwrap(), Some("y"));
    example.training.detection_only = true;
    let error = example.target().unwrap_err().to_string();
    assert!(error.contains("has an output, though its source is `detection_only`"), "{error}");

    // A prepared file that was changed by hand is refused where it is read.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dataset.jsonl");
    let labels = LabelSet::four_decisions();
    write_examples(&path, &[example], &labels).unwrap();
    let error = read_examples(&path, &labels).unwrap_err().to_string();
    assert!(error.contains("dataset.jsonl:1: `s:x:3:` has an output"), "{error}");
}

#[test]
fn days_exist() {
    for day in ["2024-02-29", "2000-02-29", "2025-12-31", "0001-01-01"] {
        assert!(is_date(day), "{day}");
    }
    for day in [
        "2025-02-29",
        "1900-02-29",
        "2025-13-01",
        "2025-00-10",
        "2025-04-31",
        "2025-1-1",
        "25-01-01",
        "2025/01/01",
        "",
        "2025-01-0１",
    ] {
        assert!(!is_date(day), "{day}");
    }
}

fn examples() -> Vec<Example> {
    let label = |i: usize| if i < 30 { 0 } else { 2 + u8::from(i.is_multiple_of(5)) };
    (0..50).map(|i| candidate(&format!("request {i}"), label(i), "", Usage::Train).example).collect()
}

#[test]
fn sampling_does_not_depend_on_the_order_and_depends_on_the_seed() {
    let labels = LabelSet::four_decisions();
    for method in [RebalanceMethod::Under, RebalanceMethod::Over] {
        let settings = RebalanceSettings { method, strength: 0.7, most: 10.0 };
        let ids = |mut rows: Vec<Example>, seed| {
            rebalance(&mut rows, &labels, settings, seed);
            let mut ids: Vec<String> = rows.into_iter().map(|row| row.id.to_string()).collect();
            ids.sort();
            ids
        };
        let mut turned = examples();
        turned.reverse();
        assert_eq!(ids(examples(), 1), ids(turned, 1));
        assert_ne!(ids(examples(), 1), ids(examples(), 2));
    }
}

#[test]
fn rebalancing_nothing_is_nothing() {
    let labels = LabelSet::four_decisions();
    for method in [RebalanceMethod::Under, RebalanceMethod::Over, RebalanceMethod::Weights] {
        let mut rows = Vec::new();
        let settings = RebalanceSettings { method, strength: 1.0, most: 10.0 };
        let done = rebalance(&mut rows, &labels, settings, 1);
        assert!(rows.is_empty() && done.weights.is_empty() && done.before == done.after);
    }
}
