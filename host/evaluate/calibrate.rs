//! Calibration: a temperature and per-class thresholds, fitted on rows that are neither trained on nor evaluated, and
//! applied to predictions when they are measured. Predictions files keep what the model said; with `calibration.json`
//! anyone can compute the calibrated numbers again.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::row::EvaluatedRow;
use super::table::Table;
use super::thresholds;
use so8t_base::{Error, Result, files};
use so8t_data::{INVALID, LabelSet, Prediction};

/// The temperatures between which one is looked for.
const TEMPERATURES: (f64, f64) = (0.05, 20.0);
/// Below so many rows a reader is warned.
const FEW: usize = 50;

/// What the thresholds of the classes are fitted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Thresholds {
    /// There are none: the class with the largest score is the decision.
    #[default]
    None,
    /// Macro-F1 over all labels.
    F1Macro,
}

/// What was fitted for one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Log scores are divided by it; 1 where none was asked for.
    pub temperature: f64,
    /// What is added to the log of a label's score before the largest is the decision, by label; equivalently the score is
    /// multiplied by its exponential. The first label's is 0, since only differences matter. Empty where none were asked for.
    pub thresholds: Table<f64>,
    /// The rows that it was fitted on.
    pub n: usize,
    /// The mean negative log probability of the gold label over these rows, in nats, with temperature 1.
    pub log_loss_before: f64,
    /// The same with the temperature.
    pub log_loss_after: f64,
}

/// The calibrations of a run, as `calibration.json` keeps them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrations {
    /// That of the model as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Calibration>,
    /// That of the model after training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Calibration>,
}

impl Calibrations {
    /// The file in a run's folder.
    pub const FILE: &str = "calibration.json";

    /// Reads a run's calibrations; `None` where it has none.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(Self::FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let calibrations = serde_json::from_str(&files::read_text(&path)?)
            .map_err(|e| Error::data(format!("{}:{}:{}: {e}", path.display(), e.line(), e.column())))?;
        Ok(Some(calibrations))
    }

    /// Writes them into a run's folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        files::write(&folder.join(Self::FILE), &files::json(self)?)
    }

    /// The rows of a predictions file as they are to be measured: calibrated as the `calibration.json` beside the file says,
    /// or as they are where there is none. The file's name tells `before` from `after`.
    ///
    /// # Errors
    /// A `calibration.json` that cannot be read, or that says nothing of these predictions.
    pub fn apply_beside(predictions: &Path, labels: &LabelSet, rows: Vec<EvaluatedRow>) -> Result<Vec<EvaluatedRow>> {
        let folder = predictions.parent().unwrap_or(Path::new(""));
        let Some(calibrations) = Self::read(folder)? else { return Ok(rows) };
        let name = predictions.file_stem().unwrap_or_default().to_string_lossy();
        let own = match &*name {
            "predictions_before" => calibrations.before,
            "predictions_after" => calibrations.after,
            _ => return Ok(rows),
        };
        let own = own.ok_or_else(|| {
            Error::data(format!(
                "`{}`: expected the calibration of `{name}`, found none",
                folder.join(Self::FILE).display()
            ))
            .with_hint("evaluate again, or delete the file to judge what the model says as it is")
        })?;
        own.apply(labels, &rows).map(Cow::into_owned)
    }
}

impl Calibration {
    /// Fits a calibration to the model's predictions of rows with known labels.
    ///
    /// The temperature T minimises the mean of −log softmax(z / T)\[gold\], z the log scores (Guo, Pleiss, Sun and Weinberger
    /// 2017, <https://arxiv.org/abs/1706.04599>). That is convex in 1 / T, so Newton's method within a bracket finds it. The
    /// thresholds maximise macro-F1 over all labels by a coordinate search (see [`super::thresholds`]); a label without a row
    /// keeps 0. Rows whose prediction is INVALID have no score that means anything, and count for the thresholds as missed.
    ///
    /// # Errors
    /// Fewer than two valid rows, rows of a single label, or scores that are all 0 or 1, as those of generated answers.
    pub fn fit(labels: &LabelSet, rows: &[EvaluatedRow], temperature: bool, wanted: Thresholds) -> Result<Self> {
        let valid: Vec<&EvaluatedRow> = rows.iter().filter(|row| row.prediction.label != INVALID).collect();
        if valid.len() < 2 || valid.iter().all(|row| row.gold == valid[0].gold) {
            return Err(Error::data(format!(
                "expected calibration rows of at least two labels, found {} rows with a valid prediction",
                valid.len()
            ))
            .with_hint("raise `[calibrate] share`, or give more training data"));
        }
        if valid.iter().all(|row| row.prediction.scores.iter().all(|&score| score == 0.0 || score == 1.0)) {
            return Err(Error::data("expected probabilities to calibrate, found scores that are all 0 or 1")
                .with_hint("a generated answer has no probabilities: score the labels, or leave `[calibrate]` out"));
        }
        let gold: Vec<usize> = valid.iter().map(|row| usize::from(row.gold)).collect();
        let logs: Vec<Vec<f64>> = valid.iter().map(|row| log_scores(&row.prediction.scores)).collect();
        let inverse = if temperature { fit_inverse_temperature(&logs, &gold) } else { 1.0 };
        let mut table = Table::default();
        if wanted == Thresholds::F1Macro {
            let scaled: Vec<Vec<f64>> = logs.iter().map(|z| z.iter().map(|z| z * inverse).collect()).collect();
            let mut missed = vec![0; labels.len()];
            rows.iter()
                .filter(|row| row.prediction.label == INVALID)
                .for_each(|row| missed[usize::from(row.gold)] += 1);
            let biases = thresholds::fit(&scaled, &gold, &missed);
            labels.names.iter().zip(biases).for_each(|(name, bias)| table.insert(name, bias));
        }
        Ok(Self {
            temperature: 1.0 / inverse,
            thresholds: table,
            n: valid.len(),
            log_loss_before: log_loss(&logs, &gold, 1.0),
            log_loss_after: log_loss(&logs, &gold, inverse),
        })
    }

    /// What a reader must know before believing it.
    pub fn warning(&self) -> Option<String> {
        let (low, high) = TEMPERATURES;
        if self.temperature <= low * 1.001 || self.temperature >= high * 0.999 {
            return Some(format!(
                "calibration: the temperature is {:.3}, at the end of its range: the scores say little of how sure the model is",
                self.temperature
            ));
        }
        (self.n < FEW).then(|| format!("calibration rests on {} rows only", self.n))
    }

    /// The rows as they are to be measured: scores softmax(z / T), decisions the largest z / T + threshold. INVALID stays
    /// INVALID; without thresholds every decision stays; with temperature 1 every score does.
    ///
    /// # Errors
    /// Thresholds of other labels.
    pub fn apply<'a>(&self, labels: &LabelSet, rows: &'a [EvaluatedRow]) -> Result<Cow<'a, [EvaluatedRow]>> {
        if self.is_plain() {
            return Ok(Cow::Borrowed(rows));
        }
        let biases = self.biases(labels)?;
        let apply = |row: &EvaluatedRow| EvaluatedRow {
            prediction: self.apply_to(&row.prediction, biases.as_deref()),
            ..row.clone()
        };
        Ok(Cow::Owned(rows.iter().map(apply).collect()))
    }

    /// As [`apply`](Self::apply), on predictions alone.
    ///
    /// # Errors
    /// Thresholds of other labels.
    pub fn judge(&self, labels: &LabelSet, predictions: &[Prediction]) -> Result<Vec<Prediction>> {
        if self.is_plain() {
            return Ok(predictions.to_vec());
        }
        let biases = self.biases(labels)?;
        Ok(predictions.iter().map(|prediction| self.apply_to(prediction, biases.as_deref())).collect())
    }

    /// Whether it changes nothing.
    fn is_plain(&self) -> bool {
        self.temperature == 1.0 && self.thresholds.is_empty()
    }

    /// The thresholds in the order of the labels, where there are any.
    fn biases(&self, labels: &LabelSet) -> Result<Option<Vec<f64>>> {
        let biases: Option<Vec<f64>> = match self.thresholds.is_empty() {
            true => None,
            false => labels.names.iter().map(|name| self.thresholds.get(name).copied()).collect(),
        };
        if biases.as_ref().map_or(!self.thresholds.is_empty(), |biases| biases.len() != self.thresholds.len()) {
            return Err(Error::data(format!(
                "expected a threshold for each of the labels `{}` and no other",
                labels.names.join("`, `")
            )));
        }
        Ok(biases)
    }

    fn apply_to(&self, prediction: &Prediction, biases: Option<&[f64]>) -> Prediction {
        let inverse = 1.0 / self.temperature;
        let scaled: Vec<f64> = log_scores(&prediction.scores).iter().map(|z| z * inverse).collect();
        let label = match biases {
            Some(biases) if prediction.label != INVALID => thresholds::decide(&scaled, biases) as u8,
            _ => prediction.label,
        };
        let scores = match self.temperature == 1.0 {
            true => prediction.scores.clone(),
            false => {
                let total = log_sum_exp(&scaled);
                scaled.iter().map(|z| libm::exp(z - total) as f32).collect()
            }
        };
        Prediction { label, scores }
    }
}

/// The logarithms of the scores. A score of 0, which has none, counts as the smallest normal `f32`. `libm` gives the same bits
/// on every machine, as the platform's logarithm need not.
fn log_scores(scores: &[f32]) -> Vec<f64> {
    scores.iter().map(|&score| libm::log(f64::from(score.max(f32::MIN_POSITIVE)))).collect()
}

fn log_sum_exp(z: &[f64]) -> f64 {
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + libm::log(z.iter().map(|z| libm::exp(z - largest)).sum::<f64>())
}

/// The mean of −log softmax(z · inverse)\[gold\].
fn log_loss(logs: &[Vec<f64>], gold: &[usize], inverse: f64) -> f64 {
    let loss = |(z, &gold): (&Vec<f64>, &usize)| {
        let scaled: Vec<f64> = z.iter().map(|z| z * inverse).collect();
        log_sum_exp(&scaled) - scaled[gold]
    };
    logs.iter().zip(gold).map(loss).sum::<f64>() / gold.len() as f64
}

/// The inverse temperature β that minimises the log loss: Newton's method on its derivative, the mean of E\[z\] − z\[gold\],
/// whose own derivative is the mean of Var\[z\] ≥ 0; a step that leaves the bracket becomes a bisection.
fn fit_inverse_temperature(logs: &[Vec<f64>], gold: &[usize]) -> f64 {
    let derivatives = |inverse: f64| {
        let (mut slope, mut curvature) = (0.0, 0.0);
        for (z, &gold) in logs.iter().zip(gold) {
            let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (mut total, mut first, mut second) = (0.0, 0.0, 0.0);
            for z in z {
                let weight = libm::exp((z - largest) * inverse);
                total += weight;
                first += weight * (z - largest);
                second += weight * (z - largest) * (z - largest);
            }
            let mean = first / total;
            slope += mean - (z[gold] - largest);
            curvature += second / total - mean * mean;
        }
        (slope / gold.len() as f64, curvature / gold.len() as f64)
    };
    let (mut low, mut high) = (1.0 / TEMPERATURES.1, 1.0 / TEMPERATURES.0);
    let mut inverse = 1.0_f64;
    for _ in 0..200 {
        let (slope, curvature) = derivatives(inverse);
        if slope > 0.0 {
            high = inverse
        } else {
            low = inverse
        }
        let newton = inverse - slope / curvature;
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - inverse).abs() <= 1e-14 * inverse {
            return next;
        }
        inverse = next;
    }
    inverse
}
