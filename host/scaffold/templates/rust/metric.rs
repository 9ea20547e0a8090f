//! The share of rows whose prediction is right.

use serde::Deserialize;
use so8t_plugin_sdk::{About, Direction, Failure, Labels, Metric, MetricInfo, Rows, Value, Wants};
use so8t_plugin_sdk::{about, counts, export_metric};

/// The manifest's `config` table.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    ignore_invalid: bool,
}

/// Rows by weight: those that are right, and all.
pub struct Right {
    ignore_invalid: bool,
    counts: [u64; 2],
}

export_metric!(Right);

impl Metric for Right {
    type Config = Config;
    const ABOUT: About = about!(
        "@NAME@",
        r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "ignore_invalid": { "type": "boolean", "description": "Whether answers that are no label are left out; false unless said" }
            }
        }"#
    );

    fn open(config: Config, _: Labels) -> Result<Self, Failure> {
        Ok(Self { ignore_invalid: config.ignore_invalid, counts: [0, 0] })
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        vec![MetricInfo::rate("right", Direction::Higher)]
    }

    fn wants(&self) -> Wants {
        Wants::WEIGHTS // resampling passes counts as weights
    }

    fn update(&mut self, rows: &Rows<'_>) -> Result<(), Failure> {
        for (gold, predicted, weight) in rows.labelled() {
            if predicted.is_none() && self.ignore_invalid {
                continue;
            }
            self.counts[0] += u64::from(weight) * u64::from(predicted == Some(gold));
            self.counts[1] += u64::from(weight);
        }
        Ok(())
    }

    // All that was taken in: whole numbers that add, so that any sharding gives the same values.
    fn state(&self) -> Vec<u8> {
        counts::write(&self.counts)
    }

    fn merge(&mut self, state: &[u8]) -> Result<(), Failure> {
        counts::add(&mut self.counts, state)
    }

    fn finalize(&self) -> Result<Vec<Value>, Failure> {
        Ok(vec![Value::ratio("right", self.counts[0], self.counts[1])])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use so8t_plugin_sdk::bindings::measurement::Batch;
    use so8t_plugin_sdk::bindings::types::Texts;

    fn measured(ignore_invalid: bool, rows: &[(u8, u8, u32)]) -> Right {
        let labels = Labels::new(vec!["ALLOW".to_owned(), "DENY".to_owned()]).unwrap();
        let mut right = Right::open(Config { ignore_invalid }, labels).unwrap();
        let batch = Batch {
            gold: rows.iter().map(|row| row.0).collect(),
            predicted: rows.iter().map(|row| row.1).collect(),
            scores: Vec::new(),
            weights: rows.iter().map(|row| row.2).collect(),
            groups: Vec::new(),
            text: Texts { bytes: Vec::new(), offsets: Vec::new() },
        };
        right.update(&Rows::check(&batch, 2).unwrap()).unwrap();
        right
    }

    fn value(right: &Right) -> Option<f64> {
        right.finalize().unwrap()[0].value
    }

    #[test]
    fn rows_count_by_weight() {
        let rows = [(0, 0, 3), (1, 0, 2), (1, 254, 1)];
        assert_eq!(value(&measured(false, &rows)), Some(0.5));
        assert_eq!(value(&measured(true, &rows)), Some(0.6));
        assert_eq!(value(&measured(true, &[])), None);
    }

    #[test]
    fn parts_merge_into_the_whole() {
        let (mut first, second) = (measured(false, &[(0, 0, 1)]), measured(false, &[(0, 1, 3)]));
        first.merge(&second.state()).unwrap();
        assert_eq!(value(&first), Some(0.25));
        assert!(first.merge(&[1, 2, 3]).is_err());
    }
}
