//! A metric that uses every field of the interface: all columns, all directions, bounds that are there and that are not, a
//! value that is not defined, its configuration, the labels, the log, and every kind of failure.
//!
//! Its component of `0.1.0` is kept in `../frozen`, and every later host must run it.
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "wit-bindgen exports the component's functions under their canonical names")]

use serde::Deserialize;
use so8t_plugin_sdk::{About, Direction, Failure, Labels, Metric, MetricInfo, Rows, Value, Wants};
use so8t_plugin_sdk::{about, counts, export_metric, log};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The word that is counted in the requests.
    word: String,
}

/// Sums over the rows, by weight; scores in units of 2⁻²⁰.
pub struct EveryColumn {
    word: String,
    labels: Vec<String>,
    /// Rows, right answers, INVALID answers, groups (the sum of their numbers), requests with the word, and the gold label's
    /// scores.
    sums: [u64; 6],
}
export_metric!(EveryColumn);

impl Metric for EveryColumn {
    type Config = Config;
    const ABOUT: About = about!(
        "every-column",
        r#"{"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"], "additionalProperties": false}"#
    );

    fn open(config: Config, labels: Labels) -> Result<Self, Failure> {
        if config.word.is_empty() {
            return Err(Failure::Config("word: expected one, found none".to_owned()));
        }
        log::info(&format!("counts `{}` over {}", config.word, labels.names().join(", ")));
        Ok(Self { word: config.word, labels: labels.names().to_vec(), sums: [0; 6] })
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        let free = |name: &str, direction| MetricInfo { name: name.to_owned(), direction, low: None, high: None };
        vec![
            MetricInfo::rate("share", Direction::Higher),
            MetricInfo::rate("invalid", Direction::Lower),
            MetricInfo::count("rows"),
            free("group_mean", Direction::Neither),
            MetricInfo { low: Some(0.0), ..free("with_word", Direction::Neither) },
            MetricInfo { high: Some(1.0), ..free(&format!("score.{}", self.labels.join("-")), Direction::Higher) },
            free("never", Direction::Lower),
        ]
    }

    fn wants(&self) -> Wants {
        Wants::SCORES | Wants::WEIGHTS | Wants::GROUPS | Wants::TEXTS
    }

    fn update(&mut self, rows: &Rows<'_>) -> Result<(), Failure> {
        for (row, (gold, predicted, weight)) in rows.labelled().enumerate() {
            let weight = u64::from(weight);
            let score = rows.scores(row)[gold];
            if !(0.0..=1.0).contains(&score) {
                return Err(Failure::Input(format!("row {row}: expected a probability, found {score}")));
            }
            let of_row = [
                1,
                u64::from(predicted == Some(gold)),
                u64::from(predicted.is_none()),
                u64::from(rows.group(row)),
                u64::from(rows.text(row).contains(&self.word)),
                (f64::from(score) * f64::from(1 << 20)) as u64,
            ];
            for (sum, own) in self.sums.iter_mut().zip(of_row) {
                *sum += weight * own;
            }
        }
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        counts::write(&self.sums)
    }

    fn merge(&mut self, state: &[u8]) -> Result<(), Failure> {
        counts::add(&mut self.sums, state)
    }

    fn finalize(&self) -> Result<Vec<Value>, Failure> {
        let [rows, right, invalid, groups, with_word, scores] = self.sums;
        if right + invalid > rows {
            return Err(Failure::Internal(format!("{right} right and {invalid} invalid answers in {rows} rows")));
        }
        let score = format!("score.{}", self.labels.join("-"));
        let mean = (rows > 0).then(|| scores as f64 / rows as f64 / f64::from(1 << 20));
        Ok(vec![
            Value::ratio("share", right, rows),
            Value::ratio("invalid", invalid, rows),
            Value::new("rows", Some(rows as f64), rows),
            Value::ratio("group_mean", groups, rows),
            Value::new("with_word", Some(with_word as f64), rows),
            Value::new(score, mean, rows),
            Value::new("never", None, 0),
        ])
    }
}
