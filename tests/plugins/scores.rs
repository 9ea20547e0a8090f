//! `calibration` and `curves` against scikit-learn and numpy: stored values for random probabilities, made by
//! `tests/golden/scores.py`.

use serde::Deserialize;
use serde_json::json;
use so8t::evaluate::{Measure, MetricBatch};

use super::{check_close, labels, measure, plugin, root, value};

#[derive(Deserialize)]
struct Golden {
    labels: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    gold: Vec<u8>,
    scores: Vec<Vec<f32>>,
    weights: Option<Vec<u32>>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    rows: u32,
    brier: Option<f64>,
    log_loss: Option<f64>,
    ece: Option<f64>,
    ece_adaptive: Option<f64>,
    /// Rows, confidence, accuracy.
    bins: Vec<(f64, Option<f64>, Option<f64>)>,
    /// AUROC and AUPRC.
    r#unsafe: [Option<f64>; 2],
    labels: Vec<[Option<f64>; 2]>,
    unsafe_pass: Vec<Option<f64>>,
    over_block: Vec<Option<f64>>,
}

/// Rows with these scores; what was predicted does not matter to these metrics.
fn rows(gold: &[u8], scores: &[Vec<f32>], weights: &[u32]) -> MetricBatch {
    MetricBatch {
        gold: gold.to_vec(),
        predicted: (0..gold.len()).map(|row| [254, 0, 3][row % 3]).collect(),
        scores: scores.concat(),
        weights: weights.to_vec(),
        ..MetricBatch::default()
    }
}

fn golden() -> Vec<Case> {
    let text = std::fs::read_to_string(root().join("tests/evaluation/golden/scores.json")).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    assert_eq!(golden.labels, labels());
    assert!(golden.cases.len() > 20);
    golden.cases
}

#[test]
fn calibration_equals_scikit_learn() {
    for Case { name, gold, scores, weights, expected } in &golden() {
        let values = measure("calibration", &json!({}), &rows(gold, scores, weights.as_deref().unwrap_or(&[])));
        let equal = |metric: &str, expected| check_close(name, value(&values, metric), expected);
        equal("brier", expected.brier);
        equal("log_loss", expected.log_loss);
        equal("ece", expected.ece);
        equal("ece_adaptive", expected.ece_adaptive);
        for (index, (count, confidence, accuracy)) in expected.bins.iter().enumerate() {
            equal(&format!("bin.{index:02}.count"), Some(*count));
            equal(&format!("bin.{index:02}.confidence"), *confidence);
            equal(&format!("bin.{index:02}.accuracy"), *accuracy);
        }
        equal("exact", Some(1.0));
        assert_eq!(value(&values, "brier").support, expected.rows, "{name}");
    }
}

#[test]
fn curves_equal_scikit_learn() {
    for Case { name, gold, scores, weights, expected } in &golden() {
        let values = measure("curves", &json!({}), &rows(gold, scores, weights.as_deref().unwrap_or(&[])));
        let equal = |metric: &str, expected| check_close(name, value(&values, metric), expected);
        let curves = std::iter::once(&expected.r#unsafe).chain(&expected.labels);
        for (curve, [roc, precision_recall]) in ["unsafe", "allow", "escalation", "deny", "refuse"].iter().zip(curves) {
            equal(&format!("auroc_{curve}"), *roc);
            equal(&format!("auprc_{curve}"), *precision_recall);
        }
        assert_eq!((expected.unsafe_pass.len(), expected.over_block.len()), (51, 51));
        for (at, (pass, block)) in expected.unsafe_pass.iter().zip(&expected.over_block).enumerate() {
            let threshold = format!("threshold.{:.2}", at as f64 / 50.0);
            equal(&format!("{threshold}.unsafe_pass_rate"), *pass);
            equal(&format!("{threshold}.over_block_rate"), *block);
        }
        equal("exact", Some(1.0));
        assert_eq!(value(&values, "auroc_deny").support, expected.rows, "{name}");
    }
}

#[test]
fn an_answer_without_probabilities_is_wrong_and_not_safe() {
    let nothing = rows(&[0, 3], &[vec![0.0; 4], vec![0.0; 4]], &[]);
    let values = measure("calibration", &json!({}), &nothing);
    assert_eq!((value(&values, "brier").value, value(&values, "ece").value), (Some(1.0), Some(0.0)));
    assert_eq!(value(&values, "bin.00.accuracy").value, Some(0.0));
    // The smallest probability that is told from 0 is 2^-126.
    check_close("loss", value(&values, "log_loss"), Some(126.0 * std::f64::consts::LN_2));
    let values = measure("curves", &json!({}), &nothing);
    assert_eq!(value(&values, "threshold.1.00.unsafe_pass_rate").value, Some(0.0));
    assert_eq!(value(&values, "threshold.1.00.over_block_rate").value, Some(1.0));
}

#[test]
fn thresholds_pass_what_is_below_them() {
    let scores = |of_unsafe: f32| vec![1.0 - of_unsafe, 0.0, of_unsafe, 0.0];
    let values = measure("curves", &json!({}), &rows(&[0, 0, 2, 2], &[0.0, 0.5, 0.5, 1.0].map(scores), &[]));
    let at = |threshold: &str| {
        ["unsafe_pass_rate", "over_block_rate"]
            .map(|rate| value(&values, &format!("threshold.{threshold}.{rate}")).value.unwrap())
    };
    assert_eq!(at("0.00"), [0.0, 1.0]);
    assert_eq!(at("0.02"), [0.0, 0.5]);
    assert_eq!(at("0.50"), [0.0, 0.5]);
    assert_eq!(at("0.52"), [0.5, 0.0]);
    assert_eq!(at("1.00"), [0.5, 0.0]);
    // One pair of four is a tie.
    assert_eq!(value(&values, "auroc_unsafe").value, Some(0.875));
}

#[test]
fn a_label_called_unsafe_has_a_curve_of_its_own() {
    let metric = plugin("curves", &json!({"unsafe": ["unsafe"]})).unwrap();
    let measurement = metric.open_metric(&["safe".to_owned(), "unsafe".to_owned()]).unwrap();
    let names: Vec<&str> = measurement.metrics().iter().map(|info| info.name.as_str()).take(6).collect();
    let expected =
        ["auroc_unsafe", "auprc_unsafe", "auroc_safe", "auprc_safe", "auroc_label_unsafe", "auprc_label_unsafe"];
    assert_eq!(names, expected);
}

#[test]
fn what_is_no_probability_is_refused() {
    for name in ["calibration", "curves"] {
        for (scores, expected) in [
            ([0.5, 0.5, 0.0, -0.25], "column `scores`, row 1: expected probabilities, found `-0.25`"),
            ([0.0, 1.5, 0.0, 0.0], "column `scores`, row 1: expected probabilities, found `1.5`"),
            ([0.5, 1.0, 0.0, 0.0], "column `scores`, row 1: expected probabilities, found numbers whose sum is `1.5`"),
        ] {
            let mut measurement = plugin(name, &json!({})).unwrap().open_metric(&labels()).unwrap();
            let rows = rows(&[0, 1], &[vec![0.25; 4], scores.to_vec()], &[]);
            let error = measurement.update(&rows).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }
}
