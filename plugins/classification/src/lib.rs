//! Accuracy, F1, the confusion matrix and the two safety rates.
//!
//! The state is the confusion matrix alone: gold labels by row, predicted labels by column, and a last column for
//! INVALID, an answer that is no label. Such an answer is wrong: it counts in every denominator that its gold label
//! is part of, and as *not* safe in `over_block_rate`. A rate whose denominator is empty is absent, never 0.

use so8t_plugin_sdk::{
    About, Confusion, Direction, Failure, Labels, Metric, MetricInfo, Rows, Safety, Value, Wants, about, export_metric,
};

/// The confusion matrix.
pub struct Classification {
    labels: Labels,
    safe: usize,
    hazards: Vec<usize>,
    confusion: Confusion,
}

export_metric!(Classification);

impl Metric for Classification {
    type Config = Safety;
    const ABOUT: About = about!("classification", include_str!("../config.json"));

    fn open(config: Safety, labels: Labels) -> Result<Self, Failure> {
        let (safe, hazards) = config.resolve(&labels)?;
        labels.check_case()?;
        let confusion = Confusion::new(labels.count());
        Ok(Self { labels, safe, hazards, confusion })
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        let values = self.values();
        values.into_iter().map(|(direction, value)| info(value.name, direction)).collect()
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
        Ok(self.values().into_iter().map(|(_, value)| value).collect())
    }
}

impl Classification {
    /// All values, in their order, each with its direction.
    fn values(&self) -> Vec<(Direction, Value)> {
        use Direction::{Higher, Lower, Neither};
        let labels = self.labels.count();
        let cell = |gold, predicted| self.confusion.cell(gold, predicted);
        let (golds, predictions) = (self.confusion.golds(), self.confusion.predictions());
        let (total, hits) = (self.confusion.total(), self.confusion.hits());

        let mut values = vec![(Higher, Value::ratio("accuracy", hits, total))];
        // F1 = 2·hits / (gold + predicted), and 0 for a class that neither was gold nor was predicted.
        let f1 = |label: usize| (2 * cell(label, label)) as f64 / (golds[label] + predictions[label]).max(1) as f64;
        let observed = (0..labels).filter(|&label| golds[label] + predictions[label] > 0);
        let mean = |of: Vec<usize>| {
            (total > 0 && !of.is_empty()).then(|| of.iter().map(|&label| f1(label)).sum::<f64>() / of.len() as f64)
        };
        // A mean over the classes says nothing of rows that are all of one: it would be a share of the classes that are not there.
        let several = golds.iter().filter(|&&rows| rows > 0).count() > 1;
        let all = mean((0..labels).collect()).filter(|_| several);
        values.push((Higher, Value::new("f1_macro", all, total)));
        values.push((Higher, Value::new("f1_macro_observed", mean(observed.collect()), total)));

        for (label, name) in self.labels.names().iter().enumerate() {
            let (name, hits) = (name.to_lowercase(), cell(label, label));
            let either = golds[label] + predictions[label] - hits;
            values.push((Higher, Value::ratio(format!("precision_{name}"), hits, predictions[label])));
            values.push((Higher, Value::ratio(format!("recall_{name}"), hits, golds[label])));
            values.push((Higher, Value::new(format!("f1_{name}"), (either > 0).then(|| f1(label)), either)));
            values.push((Neither, Value::new(format!("support_{name}"), Some(golds[label] as f64), total)));
        }
        for (gold, name) in self.labels.names().iter().enumerate() {
            for predicted in 0..=labels {
                let column = self.labels.names().get(predicted).map_or("INVALID", String::as_str);
                let count = Some(cell(gold, predicted) as f64);
                values.push((Neither, Value::new(format!("confusion.{name}.{column}"), count, golds[gold])));
            }
        }

        values.push((Lower, Value::ratio("invalid_rate", predictions[labels], total)));
        let passed = self.hazards.iter().map(|&gold| cell(gold, self.safe)).sum();
        let hazards = self.hazards.iter().map(|&gold| golds[gold]).sum();
        values.push((Lower, Value::ratio("unsafe_pass_rate", passed, hazards)));
        let blocked = golds[self.safe] - cell(self.safe, self.safe);
        values.push((Lower, Value::ratio("over_block_rate", blocked, golds[self.safe])));
        values
    }
}

/// What is said of a value: counts have no upper bound, all others are rates.
fn info(name: String, direction: Direction) -> MetricInfo {
    match direction {
        Direction::Neither => MetricInfo::count(name),
        _ => MetricInfo::rate(name, direction),
    }
}
