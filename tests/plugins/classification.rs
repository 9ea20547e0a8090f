//! `classification` against scikit-learn: stored values for random predictions, made by `tests/golden/classification.py`.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;
use so8t::evaluate::{Measure, MetricBatch, MetricValue};

use super::{check_close, labels, plugin, root, value};

const LABELS: [&str; 4] = ["ALLOW", "ESCALATION", "DENY", "REFUSE"];

#[derive(Deserialize)]
struct Golden {
    labels: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    gold: Vec<u8>,
    predicted: Vec<u8>,
    weights: Option<Vec<u32>>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    accuracy: Option<f64>,
    f1_macro: Option<f64>,
    f1_macro_observed: Option<f64>,
    precision: HashMap<String, Option<f64>>,
    recall: HashMap<String, Option<f64>>,
    f1: HashMap<String, Option<f64>>,
    support: HashMap<String, f64>,
    confusion: Vec<Vec<f64>>,
    unsafe_pass_rate: Option<f64>,
    over_block_rate: Option<f64>,
    invalid_rate: Option<f64>,
}

fn batch(gold: &[u8], predicted: &[u8], weights: &[u32]) -> MetricBatch {
    MetricBatch {
        gold: gold.to_vec(),
        predicted: predicted.to_vec(),
        weights: weights.to_vec(),
        ..MetricBatch::default()
    }
}

/// The values over rows in one update.
fn measure(gold: &[u8], predicted: &[u8], weights: &[u32]) -> Vec<MetricValue> {
    super::measure("classification", &json!({}), &batch(gold, predicted, weights))
}

#[test]
fn equals_scikit_learn() {
    let text = std::fs::read_to_string(root().join("tests/evaluation/golden/classification.json")).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    assert_eq!(golden.labels, LABELS);
    assert!(golden.cases.len() >= 20);
    for case in &golden.cases {
        let values = measure(&case.gold, &case.predicted, case.weights.as_deref().unwrap_or(&[]));
        let equal = |name: &str, expected: Option<f64>| check_close(&case.name, value(&values, name), expected);
        let expected = &case.expected;
        equal("accuracy", expected.accuracy);
        // Of rows of one class it is absent here: the classes that are not there would decide it.
        let several = case.gold.iter().any(|gold| *gold != case.gold[0]);
        equal("f1_macro", expected.f1_macro.filter(|_| several));
        equal("f1_macro_observed", expected.f1_macro_observed);
        equal("unsafe_pass_rate", expected.unsafe_pass_rate);
        equal("over_block_rate", expected.over_block_rate);
        equal("invalid_rate", expected.invalid_rate);
        for (row, label) in LABELS.iter().enumerate() {
            let lower = label.to_lowercase();
            equal(&format!("precision_{lower}"), expected.precision[*label]);
            equal(&format!("recall_{lower}"), expected.recall[*label]);
            equal(&format!("f1_{lower}"), expected.f1[*label]);
            equal(&format!("support_{lower}"), Some(expected.support[*label]));
            for (column, predicted) in LABELS.iter().chain(&["INVALID"]).enumerate() {
                equal(&format!("confusion.{label}.{predicted}"), Some(expected.confusion[row][column]));
            }
        }
    }
}

#[test]
fn a_value_with_an_empty_denominator_is_absent_and_not_zero() {
    let values = measure(&[1, 1], &[1, 254], &[]);
    for name in ["precision_allow", "recall_allow", "f1_allow", "unsafe_pass_rate", "over_block_rate"] {
        assert_eq!((value(&values, name).value, value(&values, name).support), (None, 0), "{name}");
    }
    assert_eq!(value(&values, "recall_escalation").value, Some(0.5));
    assert_eq!(value(&values, "precision_escalation").value, Some(1.0));
    assert_eq!(value(&values, "invalid_rate").value, Some(0.5));
    assert_eq!(value(&values, "confusion.ESCALATION.INVALID").value, Some(1.0));
    // The F1 of one class is what is observed; a mean over four would be a quarter of it whatever was predicted.
    check_close("F1 of one class", value(&values, "f1_macro"), None);
    check_close("F1 of one class", value(&values, "f1_macro_observed"), Some(2.0 / 3.0));

    let nothing = measure(&[], &[], &[]);
    assert!(nothing.iter().filter(|value| value.value.is_some()).all(|value| value.value == Some(0.0)));
    for name in ["accuracy", "f1_macro", "f1_macro_observed", "invalid_rate"] {
        assert_eq!(value(&nothing, name).value, None, "{name}");
    }
}

#[test]
fn the_support_of_a_value_is_its_denominator() {
    let values = measure(&[0, 0, 2, 3], &[0, 254, 0, 3], &[5, 1, 2, 4]);
    let check = |name: &str, expected: Option<f64>, support: u32| {
        let found = value(&values, name);
        assert_eq!((found.value, found.support), (expected, support), "{name}");
    };
    check("accuracy", Some(9.0 / 12.0), 12);
    check("over_block_rate", Some(1.0 / 6.0), 6);
    check("unsafe_pass_rate", Some(2.0 / 6.0), 6);
    check("precision_allow", Some(5.0 / 7.0), 7);
    check("recall_allow", Some(5.0 / 6.0), 6);
    check("f1_allow", Some(10.0 / 13.0), 8);
    check("support_allow", Some(6.0), 12);
    check("confusion.DENY.ALLOW", Some(2.0), 2);
}

#[test]
fn labels_and_configuration_are_checked() {
    let open = |config: serde_json::Value, names: &[&str]| {
        let metric = plugin("classification", &config).unwrap();
        metric
            .open_metric(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let failure = |config, names: &[&str], part: &str| {
        let message = open(config, names).unwrap_err();
        assert!(message.contains(part), "{message}");
    };
    open(json!({"safe": "DENY", "unsafe": ["ALLOW"]}), &LABELS).unwrap();
    open(json!({}), &["safe", "unsafe"]).unwrap();
    failure(json!({"safe": "allow"}), &LABELS, "`allow` is not a label: expected one of `ALLOW`");
    failure(json!({"unsafe": ["DENY", "BLOCK"]}), &LABELS, "`BLOCK` is not a label");
    failure(json!({"unsafe": ["ALLOW"]}), &LABELS, "`ALLOW` is both safe and unsafe");
    failure(json!({}), &["Safe", "safe"], "two labels are spelled `safe` but for the case");

    let metric = plugin("classification", &json!({"safe": "DENY", "unsafe": ["ALLOW"]})).unwrap();
    let mut measurement = metric.open_metric(&labels()).unwrap();
    measurement.update(&batch(&[0, 0, 2], &[2, 0, 0], &[])).unwrap();
    let values = measurement.finalize().unwrap();
    assert_eq!(value(&values, "unsafe_pass_rate").value, Some(0.5));
    assert_eq!(value(&values, "over_block_rate").value, Some(1.0));
}

#[test]
fn a_foreign_state_is_refused() {
    let metric = plugin("classification", &json!({})).unwrap();
    let mut measurement = metric.open_metric(&labels()).unwrap();
    let message = measurement.merge(&[0; 7]).unwrap_err().to_string();
    assert!(message.contains("state: expected 160 bytes, found 7"), "{message}");
}
