//! A metric without a sandbox: a confusion matrix whose states add up.

use std::sync::Mutex;

use so8t::Result;
use so8t::data::{INVALID, LabelSet};
use so8t::evaluate::{Direction, Measure, Metric, MetricBatch, MetricInfo, MetricValue, Wants};

/// What may be done to the values before they are returned.
pub type Spoil = fn(&mut Vec<MetricValue>);

/// Opens [`Counts`]; `seen` records the sizes of the batches.
pub struct Counting {
    pub name: String,
    pub labels: LabelSet,
    pub wants: Wants,
    pub seen: Mutex<Vec<MetricBatch>>,
    /// What `finalize` does to its values before it returns them.
    pub spoil: Spoil,
}

impl Counting {
    pub fn new(labels: &LabelSet) -> Self {
        Self {
            name: "classification".into(),
            labels: labels.clone(),
            wants: Wants { weights: true, ..Wants::default() },
            seen: Mutex::default(),
            spoil: |_| {},
        }
    }
}

impl Metric for Counting {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self) -> Result<Box<dyn Measure + '_>> {
        let size = self.labels.len();
        Ok(Box::new(Counts { of: self, infos: infos(&self.labels), cells: vec![vec![0; size + 1]; size] }))
    }
}

/// `cells[gold][predicted]`, the last column for INVALID.
struct Counts<'a> {
    of: &'a Counting,
    infos: Vec<MetricInfo>,
    cells: Vec<Vec<u32>>,
}

fn infos(labels: &LabelSet) -> Vec<MetricInfo> {
    let info = |name: String, direction| MetricInfo { name, direction, low: Some(0.0), high: None };
    let mut out = vec![
        info("accuracy".into(), Direction::Higher),
        info("f1_macro".into(), Direction::Higher),
        info("f1_macro_observed".into(), Direction::Higher),
        info("unsafe_pass_rate".into(), Direction::Lower),
        info("over_block_rate".into(), Direction::Lower),
    ];
    for name in &labels.names {
        for kind in ["precision", "recall", "f1"] {
            out.push(info(format!("{kind}_{}", name.to_lowercase()), Direction::Higher));
        }
        out.push(info(format!("support_{}", name.to_lowercase()), Direction::Neither));
    }
    for gold in &labels.names {
        for predicted in labels.names.iter().map(String::as_str).chain(["INVALID"]) {
            out.push(info(format!("confusion.{gold}.{predicted}"), Direction::Neither));
        }
    }
    out
}

impl Counts<'_> {
    fn sum(&self, keep: impl Fn(usize, usize) -> bool) -> u32 {
        let cells =
            self.cells.iter().enumerate().flat_map(|(g, row)| row.iter().enumerate().map(move |(p, n)| (g, p, n)));
        cells.filter(|&(g, p, _)| keep(g, p)).map(|(_, _, n)| n).sum()
    }

    fn rate(&self, name: &str, hits: u32, of: u32) -> MetricValue {
        let value = (of > 0).then(|| f64::from(hits) / f64::from(of));
        MetricValue { name: name.into(), value, support: of }
    }
}

impl Measure for Counts<'_> {
    fn metrics(&self) -> &[MetricInfo] {
        &self.infos
    }

    fn wants(&self) -> Wants {
        self.of.wants
    }

    fn update(&mut self, rows: &MetricBatch) -> Result<()> {
        for row in 0..rows.gold.len() {
            let predicted = match rows.predicted[row] {
                INVALID => self.cells.len(),
                id => usize::from(id),
            };
            self.cells[usize::from(rows.gold[row])][predicted] += rows.weights.get(row).copied().unwrap_or(1);
        }
        self.of.seen.lock().unwrap().push(rows.clone());
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.cells.iter().flatten().flat_map(|n| n.to_le_bytes()).collect())
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        let numbers = state.chunks(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()));
        self.cells.iter_mut().flatten().zip(numbers).for_each(|(own, other)| *own += other);
        Ok(())
    }

    fn finalize(&mut self) -> Result<Vec<MetricValue>> {
        let size = self.cells.len();
        let total = self.sum(|_, _| true);
        let mut classes = Vec::new();
        let (mut f1_sum, mut observed) = (0.0, 0);
        for (class, name) in self.of.labels.names.iter().enumerate() {
            let (hits, gold) = (self.cells[class][class], self.sum(|g, _| g == class));
            let predicted = self.sum(|_, p| p == class);
            let name = name.to_lowercase();
            let f1 = self.rate(&format!("f1_{name}"), 2 * hits, gold + predicted);
            f1_sum += f1.value.unwrap_or(0.0);
            observed += usize::from(f1.value.is_some());
            classes.push(self.rate(&format!("precision_{name}"), hits, predicted));
            classes.push(self.rate(&format!("recall_{name}"), hits, gold));
            classes.push(f1);
            let support = format!("support_{name}");
            classes.push(MetricValue { name: support, value: Some(f64::from(gold)), support: gold });
        }
        let classes_there = (0..size).filter(|&class| self.sum(|g, _| g == class) > 0).count();
        let macro_f1 = (classes_there > 1).then(|| f1_sum / size as f64);
        let mut values = vec![
            self.rate("accuracy", self.sum(|g, p| g == p), total),
            MetricValue { name: "f1_macro".into(), value: macro_f1, support: total },
            MetricValue {
                name: "f1_macro_observed".into(),
                value: (observed > 0).then(|| f1_sum / observed as f64),
                support: total,
            },
            self.rate("unsafe_pass_rate", self.sum(|g, p| g >= 2 && p == 0), self.sum(|g, _| g >= 2)),
            self.rate("over_block_rate", self.sum(|g, p| g == 0 && p != 0), self.sum(|g, _| g == 0)),
        ];
        values.append(&mut classes);
        for (row, gold) in self.of.labels.names.iter().enumerate() {
            for (column, predicted) in self.of.labels.names.iter().map(String::as_str).chain(["INVALID"]).enumerate() {
                let name = format!("confusion.{gold}.{predicted}");
                values.push(MetricValue { name, value: Some(f64::from(self.cells[row][column])), support: total });
            }
        }
        (self.of.spoil)(&mut values);
        Ok(values)
    }
}
