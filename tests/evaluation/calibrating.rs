//! Temperature and thresholds: against SciPy and scikit-learn (`tests/golden/calibration.py`), and what applying them does.

use serde::Deserialize;
use so8t::data::{INVALID, LabelSet, Prediction};
use so8t::evaluate::{Calibration, Calibrations, EvaluatedRow, Table, Thresholds};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    labels: usize,
    gold: Vec<u8>,
    scores: Vec<f32>,
    temperature: f64,
    log_loss_before: f64,
    log_loss_after: f64,
    f1_before: f64,
    best_f1: Option<f64>,
}

impl Case {
    fn label_set(&self) -> LabelSet {
        let all = LabelSet::four_decisions();
        LabelSet { names: all.names[..self.labels].to_vec(), severity: all.severity[..self.labels].to_vec() }
    }

    /// The rows, each with the decision of its largest score.
    fn rows(&self) -> Vec<EvaluatedRow> {
        let row = |(index, (scores, &gold)): (usize, (&[f32], &u8))| {
            let best = (0..scores.len()).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
            EvaluatedRow {
                id: format!("row {index}"),
                source: "s".to_owned(),
                group: String::new(),
                gold,
                prediction: Prediction { label: best as u8, scores: scores.to_vec() },
                latency_ms: None,
                request: None,
            }
        };
        self.scores.chunks(self.labels).zip(&self.gold).enumerate().map(row).collect()
    }
}

fn golden() -> Vec<Case> {
    serde_json::from_str::<Golden>(include_str!("golden/calibration.json")).unwrap().cases
}

fn f1_macro(labels: usize, rows: &[EvaluatedRow]) -> f64 {
    let f1 = |label: u8| {
        let count = |test: &dyn Fn(bool, bool) -> bool| {
            rows.iter().filter(|row| test(row.gold == label, row.prediction.label == label)).count() as f64
        };
        let hit = count(&|gold, predicted| gold && predicted);
        if hit == 0.0 { 0.0 } else { 2.0 * hit / (2.0 * hit + count(&|gold, predicted| gold != predicted)) }
    };
    (0..labels as u8).map(f1).sum::<f64>() / labels as f64
}

#[test]
fn the_temperature_is_that_of_scipy() {
    for (index, case) in golden().iter().enumerate() {
        let fitted = Calibration::fit(&case.label_set(), &case.rows(), true, Thresholds::None).unwrap();
        // The minimum is flat: SciPy finds its place to about the square root of a rounding error, and its value exactly.
        assert!((fitted.temperature / case.temperature - 1.0).abs() < 1e-6, "{index}: {fitted:?}");
        assert!((fitted.log_loss_before - case.log_loss_before).abs() < 1e-12, "{index}: {fitted:?}");
        assert!((fitted.log_loss_after - case.log_loss_after).abs() < 1e-12, "{index}: {fitted:?}");
        assert!(fitted.log_loss_after <= case.log_loss_after + 1e-15, "{index}: SciPy found a lower one");
        assert_eq!((fitted.n, fitted.thresholds.len()), (case.gold.len(), 0));
    }
}

#[test]
fn a_temperature_changes_scores_and_no_decision() {
    for case in golden() {
        let (labels, rows) = (case.label_set(), case.rows());
        let fitted = Calibration::fit(&labels, &rows, true, Thresholds::None).unwrap();
        let applied = fitted.apply(&labels, &rows).unwrap();
        let mut loss = 0.0;
        for (raw, own) in rows.iter().zip(applied.iter()) {
            assert_eq!(raw.prediction.label, own.prediction.label);
            assert_ne!(raw.prediction.scores, own.prediction.scores);
            let total: f32 = own.prediction.scores.iter().sum();
            assert!((total - 1.0).abs() < 1e-6, "{total}");
            loss -= f64::from(own.prediction.scores[usize::from(own.gold)]).ln() / rows.len() as f64;
        }
        assert!((loss - fitted.log_loss_after).abs() < 1e-6, "{loss} {fitted:?}");
        // Calibrated scores need no other temperature.
        let again = Calibration::fit(&labels, &applied, true, Thresholds::None).unwrap();
        assert!((again.temperature - 1.0).abs() < 1e-4, "{again:?}");
    }
}

#[test]
fn thresholds_of_two_labels_reach_the_best_macro_f1() {
    let mut gained = 0;
    for case in golden() {
        let (labels, rows) = (case.label_set(), case.rows());
        assert!((f1_macro(case.labels, &rows) - case.f1_before).abs() < 1e-12);
        for temperature in [false, true] {
            let fitted = Calibration::fit(&labels, &rows, temperature, Thresholds::F1Macro).unwrap();
            assert_eq!(fitted.thresholds.get("ALLOW"), Some(&0.0));
            let applied = fitted.apply(&labels, &rows).unwrap();
            let f1 = f1_macro(case.labels, &applied);
            assert!(f1 >= case.f1_before - 1e-12, "{f1} {}", case.f1_before);
            gained += usize::from(f1 > case.f1_before + 1e-9);
            if let Some(best) = case.best_f1 {
                assert!((f1 - best).abs() < 1e-12, "{f1} against {best}");
            }
            // No step of one threshold alone is better.
            for name in &labels.names {
                for step in (-200..200).map(|step| f64::from(step) * 0.05) {
                    let mut other = fitted.clone();
                    other.thresholds.insert(name, fitted.thresholds.get(name).unwrap() + step);
                    let stepped = f1_macro(case.labels, &other.apply(&labels, &rows).unwrap());
                    assert!(stepped <= f1 + 1e-12, "{name} {step}: {stepped} is better than {f1}");
                }
            }
        }
    }
    assert!(gained >= 8, "{gained}");
}

#[test]
fn invalid_predictions_stay_and_do_not_decide_the_temperature() {
    let case = &golden()[3];
    let (labels, mut rows) = (case.label_set(), case.rows());
    let without = Calibration::fit(&labels, &rows[20..], true, Thresholds::None).unwrap();
    rows[..20].iter_mut().for_each(|row| row.prediction.label = INVALID);
    let fitted = Calibration::fit(&labels, &rows, true, Thresholds::F1Macro).unwrap();
    assert_eq!((fitted.temperature, fitted.n), (without.temperature, without.n));
    let applied = fitted.apply(&labels, &rows).unwrap();
    assert!(applied[..20].iter().all(|row| row.prediction.label == INVALID));
    assert!(applied[20..].iter().all(|row| row.prediction.label != INVALID));
}

#[test]
fn a_certain_wrong_answer_has_a_loss() {
    let labels = LabelSet::four_decisions();
    let mut rows = golden()[3].rows();
    rows[0].prediction.scores = vec![0.0, 1.0, 0.0, 0.0];
    rows[0].gold = 0;
    let fitted = Calibration::fit(&labels, &rows, true, Thresholds::None).unwrap();
    assert!(fitted.log_loss_before.is_finite() && fitted.log_loss_after < fitted.log_loss_before);
    assert!(fitted.apply(&labels, &rows).unwrap().iter().all(|row| row.check(&labels).is_ok()));
}

#[test]
fn too_little_to_fit_is_refused_and_the_end_of_the_range_is_told() {
    let labels = LabelSet::four_decisions();
    let mut rows = golden()[3].rows();
    let few = Calibration::fit(&labels, &rows[..1], true, Thresholds::None).unwrap_err().to_string();
    assert!(few.contains("expected calibration rows of at least two labels, found 1 rows"), "{few}");
    rows.iter_mut().for_each(|row| row.gold = 2);
    assert!(Calibration::fit(&labels, &rows, true, Thresholds::None).is_err());
    let mut generated = golden()[3].rows();
    for row in &mut generated {
        row.prediction.scores = vec![0.0; 4];
        row.prediction.scores[usize::from(row.prediction.label)] = 1.0;
    }
    let error = Calibration::fit(&labels, &generated, true, Thresholds::None).unwrap_err();
    assert_eq!(error.to_string(), "expected probabilities to calibrate, found scores that are all 0 or 1");
    let mut right = golden()[3].rows();
    right.retain(|row| row.prediction.label == row.gold);
    let fitted = Calibration::fit(&labels, &right, true, Thresholds::None).unwrap();
    assert!((fitted.temperature - 0.05).abs() < 1e-9, "{fitted:?}");
    assert!(fitted.warning().unwrap().contains("at the end of its range"));
}

#[test]
fn nothing_fitted_changes_nothing() {
    let labels = LabelSet::four_decisions();
    let rows = golden()[3].rows();
    let fitted = Calibration::fit(&labels, &rows, false, Thresholds::None).unwrap();
    assert_eq!((fitted.temperature, fitted.log_loss_after), (1.0, fitted.log_loss_before));
    assert_eq!(*fitted.apply(&labels, &rows).unwrap(), rows);
}

#[test]
fn a_run_keeps_its_calibrations() {
    let folder = tempfile::tempdir().unwrap();
    let labels = LabelSet::four_decisions();
    let rows = golden()[3].rows();
    let [before, after] = ["predictions_before.x", "predictions_after.x"].map(|name| folder.path().join(name));
    assert_eq!(Calibrations::read(folder.path()).unwrap(), None);
    assert_eq!(Calibrations::apply_beside(&after, &labels, rows.clone()).unwrap(), rows);

    let own = Calibration::fit(&labels, &rows, true, Thresholds::F1Macro).unwrap();
    let all = Calibrations { before: None, after: Some(own.clone()) };
    all.write(folder.path()).unwrap();
    assert_eq!(Calibrations::read(folder.path()).unwrap(), Some(all));
    let applied = Calibrations::apply_beside(&after, &labels, rows.clone()).unwrap();
    assert_eq!(applied, *own.apply(&labels, &rows).unwrap());
    let error = Calibrations::apply_beside(&before, &labels, rows.clone()).unwrap_err().to_string();
    assert!(error.contains("expected the calibration of `predictions_before`, found none"), "{error}");

    let mut other = own;
    other.thresholds = Table::from_iter([("ALLOW".to_owned(), 0.0), ("PERHAPS".to_owned(), 0.0)]);
    assert!(
        other.apply(&labels, &rows).unwrap_err().to_string().contains("expected a threshold for each of the labels")
    );
}
