//! What the decisions cost: every pair of a gold and a predicted label has its price.
//!
//! The state is the confusion matrix, so that nothing depends on the order of the rows. Where the configuration has no
//! matrix, labels are taken to be in the order of their ids, each graver than the one before: right is 0, every step
//! too lenient costs 2, every step too strict 1, and INVALID as much as the worst label for that gold label.

use serde::Deserialize;
use so8t_plugin_sdk::{
    About, Confusion, Direction, Failure, Labels, Metric, MetricInfo, Rows, Value, Wants, about, export_metric,
};

/// The manifest's `config` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    matrix: Option<Vec<Vec<f64>>>,
}

/// The confusion matrix, and the prices.
pub struct Cost {
    confusion: Confusion,
    /// Gold labels by row, predicted labels by column, INVALID last.
    prices: Vec<Vec<f64>>,
}

export_metric!(Cost);

impl Metric for Cost {
    type Config = Config;
    const ABOUT: About = about!("cost", include_str!("../config.json"));

    fn open(config: Config, labels: Labels) -> Result<Self, Failure> {
        let count = labels.count();
        let prices = match config.matrix {
            Some(matrix) => check(matrix, &labels)?,
            None => (0..count).map(|gold| by_order(gold, count)).collect(),
        };
        Ok(Self { confusion: Confusion::new(count), prices })
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        let prices = || self.prices.iter().flatten().copied();
        let low = prices().fold(f64::INFINITY, f64::min);
        let high = prices().fold(f64::NEG_INFINITY, f64::max);
        let info = |name: &str, low, high| MetricInfo { name: name.to_owned(), direction: Direction::Lower, low, high };
        vec![info("cost_mean", Some(low), Some(high)), info("cost_total", (low >= 0.0).then_some(0.0), None)]
    }

    fn wants(&self) -> Wants {
        Wants::WEIGHTS
    }

    fn update(&mut self, rows: &Rows<'_>) -> Result<(), Failure> {
        self.confusion.update(rows);
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        self.confusion.write()
    }

    fn merge(&mut self, state: &[u8]) -> Result<(), Failure> {
        self.confusion.merge(state)
    }

    fn finalize(&self) -> Result<Vec<Value>, Failure> {
        let rows = self.confusion.total();
        let mut sum = 0.0;
        for (gold, prices) in self.prices.iter().enumerate() {
            for (predicted, price) in prices.iter().enumerate() {
                sum += price * self.confusion.cell(gold, predicted) as f64;
            }
        }
        let mean = (rows > 0).then(|| sum / rows as f64);
        Ok(vec![Value::new("cost_mean", mean, rows), Value::new("cost_total", Some(sum), rows)])
    }
}

/// The prices for one gold label of so many, by the order of the labels.
fn by_order(gold: usize, count: usize) -> Vec<f64> {
    let price = |label: usize| if label < gold { 2 * (gold - label) } else { label - gold };
    let mut prices: Vec<f64> = (0..count).map(|label| price(label) as f64).collect();
    prices.push(prices.iter().copied().fold(0.0, f64::max));
    prices
}

/// A matrix that has a row for every label and a column for every label and INVALID, all of them finite.
fn check(matrix: Vec<Vec<f64>>, labels: &Labels) -> Result<Vec<Vec<f64>>, Failure> {
    let fail = |what: String| Err(Failure::Config(format!("config: `matrix`{what}")));
    if matrix.len() != labels.count() {
        return fail(format!(": expected {} rows, one a gold label, found {}", labels.count(), matrix.len()));
    }
    for (prices, name) in matrix.iter().zip(labels.names()) {
        if prices.len() != labels.count() + 1 {
            let (expected, found) = (labels.count() + 1, prices.len());
            return fail(format!(
                ", row of `{name}`: expected {expected} numbers, the last for INVALID, found {found}"
            ));
        }
        // Beyond, a sum over all rows could be infinite.
        if let Some(price) = prices.iter().find(|price| price.abs() > 1e12) {
            return fail(format!(", row of `{name}`: expected numbers from -1e12 to 1e12, found `{price}`"));
        }
    }
    Ok(matrix)
}
