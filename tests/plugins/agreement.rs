//! `agreement` and `cost` against scikit-learn and numpy: stored values for the rows of `classification.json`, made by
//! `tests/golden/agreement.py`.

use serde::Deserialize;
use serde_json::{Value, json};
use so8t::evaluate::MetricBatch;

use super::{check_close, measure, root, value};

#[derive(Deserialize)]
struct Rows {
    cases: Vec<RowsCase>,
}

#[derive(Deserialize)]
struct RowsCase {
    name: String,
    gold: Vec<u8>,
    predicted: Vec<u8>,
    weights: Option<Vec<u32>>,
}

#[derive(Deserialize)]
struct Golden {
    cost_matrix_default: Value,
    cost_matrix_custom: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    kappa: Option<f64>,
    kappa_linear: Option<f64>,
    kappa_quadratic: Option<f64>,
    mcc: Option<f64>,
    rows: u32,
    cost_default: f64,
    cost_custom: f64,
}

fn rows(gold: &[u8], predicted: &[u8], weights: &[u32]) -> MetricBatch {
    let [gold, predicted] = [gold, predicted].map(<[u8]>::to_vec);
    MetricBatch { gold, predicted, weights: weights.to_vec(), ..MetricBatch::default() }
}

/// The stored values, and the rows that they are about.
fn golden() -> (Golden, Vec<(String, MetricBatch)>) {
    let read = |name: &str| std::fs::read_to_string(root().join("tests/evaluation/golden").join(name)).unwrap();
    let golden: Golden = serde_json::from_str(&read("agreement.json")).unwrap();
    let stored: Rows = serde_json::from_str(&read("classification.json")).unwrap();
    assert_eq!(golden.cases.len(), stored.cases.len());
    let batch = |case: &RowsCase| rows(&case.gold, &case.predicted, case.weights.as_deref().unwrap_or(&[]));
    let rows = stored.cases.iter().map(|case| (case.name.clone(), batch(case))).collect();
    (golden, rows)
}

#[test]
fn agreement_equals_scikit_learn() {
    let (golden, rows) = golden();
    for (Case { name, expected }, (stored, rows)) in golden.cases.iter().zip(&rows) {
        assert_eq!(name, stored);
        let values = measure("agreement", &json!({}), rows);
        for (metric, expected) in [
            ("kappa", expected.kappa),
            ("kappa_linear", expected.kappa_linear),
            ("kappa_quadratic", expected.kappa_quadratic),
            ("mcc", expected.mcc),
        ] {
            check_close(name, value(&values, metric), expected);
        }
        assert_eq!(value(&values, "kappa").support, expected.rows, "{name}");
    }
    assert!(golden.cases.iter().filter(|case| case.expected.kappa.is_some()).count() > 20);
    assert!(golden.cases.iter().filter(|case| case.expected.mcc.is_none()).count() > 3);
}

#[test]
fn cost_equals_the_sum_of_prices() {
    let (golden, rows) = golden();
    let Golden { cost_matrix_default, cost_matrix_custom, cases } = golden;
    for (Case { name, expected }, (_, rows)) in cases.iter().zip(&rows) {
        for (config, total) in [
            (json!({}), expected.cost_default),
            (json!({"matrix": cost_matrix_default}), expected.cost_default),
            (json!({"matrix": cost_matrix_custom}), expected.cost_custom),
        ] {
            let values = measure("cost", &config, rows);
            check_close(name, value(&values, "cost_total"), Some(total));
            let mean = (expected.rows > 0).then(|| total / f64::from(expected.rows));
            check_close(name, value(&values, "cost_mean"), mean);
            assert_eq!(value(&values, "cost_mean").support, expected.rows, "{name}");
        }
    }
}

#[test]
fn too_lenient_costs_more_than_too_strict() {
    let mean = |gold: u8, predicted: u8| {
        let values = measure("cost", &json!({}), &rows(&[gold], &[predicted], &[]));
        value(&values, "cost_mean").value.unwrap()
    };
    assert_eq!((0..4).map(|label| mean(label, label)).sum::<f64>(), 0.0);
    // REFUSE let through, and ALLOW refused; then an answer that is no label.
    assert_eq!((mean(3, 0), mean(0, 3)), (6.0, 3.0));
    assert_eq!((mean(3, 254), mean(0, 254), mean(1, 254)), (6.0, 3.0, 2.0));
}

#[test]
fn invalid_answers_are_as_far_from_gold_as_can_be() {
    // ALLOW and REFUSE in equal parts, half of each INVALID.
    let values = measure("agreement", &json!({}), &rows(&[0, 0, 3, 3], &[0, 254, 3, 254], &[]));
    // Observed 2 rows x 3 steps; expected (2·1·3 + 2·1·3 + 4·2·3) / 4 = 9.
    check_close("linear", value(&values, "kappa_linear"), Some(1.0 - 6.0 / 9.0));
    check_close("quadratic", value(&values, "kappa_quadratic"), Some(1.0 - 18.0 / 27.0));
    // Half right, a quarter by chance: (0.5 - 0.25) / 0.75.
    check_close("unweighted", value(&values, "kappa"), Some(1.0 / 3.0));
    // (2·4 - (2·1 + 2·1)) / √((16 - 8)·(16 - 6)).
    check_close("Matthews", value(&values, "mcc"), Some(4.0 / 80_f64.sqrt()));
}

#[test]
fn one_class_alone_has_no_agreement_beyond_chance() {
    let values = measure("agreement", &json!({}), &rows(&[2, 2], &[2, 2], &[]));
    assert!(values.iter().all(|value| value.value.is_none()), "{values:?}");
    let values = measure("agreement", &json!({}), &rows(&[2, 2], &[2, 1], &[]));
    assert_eq!((value(&values, "kappa").value, value(&values, "mcc").value), (Some(0.0), None));
}
