//! Agreement of gold and predicted labels beyond chance: Cohen's kappa, linear and quadratic weighted kappa over the order
//! of the labels, and Matthews correlation.
//!
//! The state is the confusion matrix. INVALID, an answer that is no label, is one more predicted class for kappa and
//! Matthews correlation. It has no place in the order: weighted kappa takes it to be as far from the gold label as the first
//! label is from the last. A value is absent where chance alone explains everything (one class, for example).

use so8t_plugin_sdk::{
    About, Confusion, Direction, Failure, Labels, Metric, MetricInfo, Rows, Value, Wants, about, config, export_metric,
};

/// The confusion matrix.
pub struct Agreement(Confusion);

export_metric!(Agreement);

impl Metric for Agreement {
    type Config = config::Empty;
    const ABOUT: About = about!("agreement", include_str!("../config.json"));

    fn open(_: config::Empty, labels: Labels) -> Result<Self, Failure> {
        Ok(Self(Confusion::new(labels.count())))
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        let bounds = |name: &str| MetricInfo {
            name: name.to_owned(),
            direction: Direction::Higher,
            // The least value of kappa depends on the marginals.
            low: (name == "mcc").then_some(-1.0),
            high: Some(1.0),
        };
        ["kappa", "kappa_linear", "kappa_quadratic", "mcc"].map(bounds).to_vec()
    }

    fn wants(&self) -> Wants {
        Wants::WEIGHTS
    }

    fn update(&mut self, rows: &Rows<'_>) -> Result<(), Failure> {
        self.0.update(rows);
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        self.0.write()
    }

    fn merge(&mut self, state: &[u8]) -> Result<(), Failure> {
        self.0.merge(state)
    }

    fn finalize(&self) -> Result<Vec<Value>, Failure> {
        let farthest = self.0.labels() - 1;
        let distance = |gold: usize, predicted: usize| match predicted > farthest {
            true => farthest as f64,
            false => gold.abs_diff(predicted) as f64,
        };
        let total = self.0.total();
        Ok(vec![
            Value::new("kappa", kappa(&self.0, |gold, predicted| f64::from(u8::from(gold != predicted))), total),
            Value::new("kappa_linear", kappa(&self.0, distance), total),
            Value::new("kappa_quadratic", kappa(&self.0, |gold, predicted| distance(gold, predicted).powi(2)), total),
            Value::new("mcc", matthews(&self.0), total),
        ])
    }
}

/// Cohen, "Weighted kappa" (1968): 1 - the observed disagreement / that of independent labels with the same marginals.
fn kappa(confusion: &Confusion, disagreement: impl Fn(usize, usize) -> f64) -> Option<f64> {
    let (golds, predictions) = (confusion.golds(), confusion.predictions());
    let (mut observed, mut expected) = (0.0, 0.0);
    for (gold, &rows) in golds.iter().enumerate() {
        for (predicted, &columns) in predictions.iter().enumerate() {
            let weight = disagreement(gold, predicted);
            observed += weight * confusion.cell(gold, predicted) as f64;
            expected += weight * rows as f64 * columns as f64;
        }
    }
    (expected > 0.0).then(|| 1.0 - observed * confusion.total() as f64 / expected)
}

/// Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient" (2004).
fn matthews(confusion: &Confusion) -> Option<f64> {
    let wide = |counts: Vec<u64>| -> Vec<i128> { counts.into_iter().map(i128::from).collect() };
    let (golds, predictions) = (wide(confusion.golds()), wide(confusion.predictions()));
    let (total, hits) = (i128::from(confusion.total()), i128::from(confusion.hits()));
    let product = |a: &[i128], b: &[i128]| a.iter().zip(b).map(|(a, b)| a * b).sum::<i128>();
    let both = hits * total - product(&golds, &predictions);
    let [gold, predicted] = [&golds, &predictions].map(|counts| (total * total - product(counts, counts)) as f64);
    (gold > 0.0 && predicted > 0.0).then(|| both as f64 / (gold.sqrt() * predicted.sqrt()))
}
