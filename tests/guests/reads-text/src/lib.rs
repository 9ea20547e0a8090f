//! A metric of the requests' text: how many bytes it saw (`bytes`), and of how many rows (`rows`).
#![cfg(target_arch = "wasm32")]

use so8t_plugin_sdk::{About, Direction, Failure, Labels, Metric, MetricInfo, Rows, Value, Wants};
use so8t_plugin_sdk::{about, config, counts, export_metric};

pub struct ReadsText([u64; 2]);
export_metric!(ReadsText);

impl Metric for ReadsText {
    type Config = config::Empty;
    const ABOUT: About = about!("reads-text", r#"{"type": "object", "additionalProperties": false}"#);

    fn open(_: config::Empty, _: Labels) -> Result<Self, Failure> {
        Ok(Self([0, 0]))
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        let bytes = MetricInfo { name: "bytes".to_owned(), direction: Direction::Higher, low: Some(0.0), high: None };
        vec![bytes, MetricInfo::count("rows")]
    }

    fn wants(&self) -> Wants {
        Wants::TEXTS | Wants::WEIGHTS
    }

    fn update(&mut self, rows: &Rows<'_>) -> Result<(), Failure> {
        for (row, (_, _, weight)) in rows.labelled().enumerate() {
            self.0[0] += u64::from(weight) * rows.text(row).len() as u64;
            self.0[1] += u64::from(weight);
        }
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        counts::write(&self.0)
    }

    fn merge(&mut self, state: &[u8]) -> Result<(), Failure> {
        counts::add(&mut self.0, state)
    }

    fn finalize(&self) -> Result<Vec<Value>, Failure> {
        let [bytes, rows] = self.0;
        Ok(vec![Value::new("bytes", Some(bytes as f64), rows), Value::new("rows", Some(rows as f64), rows)])
    }
}
