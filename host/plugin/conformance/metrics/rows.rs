//! Rows for the laws of metrics: made up, or from a predictions file.

use serde_json::{Map, Value, json};

use crate::conformance::shrink::{Broke, Kept, Parts, Simpler};
use so8t_data::INVALID;
use so8t_evaluate::{MetricBatch, MetricValue, Random, Wants};

/// One prediction with its gold label.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The gold id.
    pub gold: u8,
    /// The predicted id, or [`INVALID`].
    pub predicted: u8,
    /// A probability for every label.
    pub scores: Vec<f32>,
    /// How often the row counts.
    pub weight: u32,
    /// A number for its group.
    pub group: u32,
    /// The request.
    pub text: String,
}

impl Simpler for Row {
    fn simpler(&self) -> Vec<Self> {
        let sure: Vec<f32> = (0..self.scores.len()).map(|label| if label == 0 { 1.0 } else { 0.0 }).collect();
        let candidates = [
            (self.gold != 0).then(|| Self { gold: 0, ..self.clone() }),
            (self.predicted != 0).then(|| Self { predicted: 0, ..self.clone() }),
            (self.scores != sure).then(|| Self { scores: sure, ..self.clone() }),
            (self.weight > 1).then(|| Self { weight: 1, ..self.clone() }),
            (self.weight > 2).then(|| Self { weight: self.weight / 2, ..self.clone() }),
            (self.group != 0).then(|| Self { group: 0, ..self.clone() }),
            (!self.text.is_empty()).then(|| Self { text: String::new(), ..self.clone() }),
        ];
        candidates.into_iter().flatten().collect()
    }
}

/// Rows as a metric takes them.
pub(in crate::conformance) fn batch(rows: &[Row]) -> MetricBatch {
    MetricBatch {
        gold: rows.iter().map(|row| row.gold).collect(),
        predicted: rows.iter().map(|row| row.predicted).collect(),
        scores: rows.iter().flat_map(|row| row.scores.iter().copied()).collect(),
        weights: rows.iter().map(|row| row.weight).collect(),
        groups: rows.iter().map(|row| row.group).collect(),
        texts: rows.iter().map(|row| row.text.as_str()).collect(),
    }
}

/// Rows with every label, some INVALID answers and some rows that count not at all: the same ones for the same generator.
pub(in crate::conformance) fn made_up(count: usize, labels: usize, random: &mut Random) -> Vec<Row> {
    let below = |random: &mut Random, bound: usize| random.below(bound as u64) as usize;
    (0..count)
        .map(|index| {
            let gold = below(random, labels);
            let predicted = match random.below(3) {
                0 => below(random, labels + 1),
                _ => gold,
            };
            let invalid = predicted == labels;
            // Few different scores, so that some are equal.
            let parts: Vec<f32> = (0..labels).map(|_| 1.0 + random.below(100) as f32).collect();
            let sum: f32 = parts.iter().sum();
            let zeros = invalid && random.below(2) == 0;
            Row {
                gold: gold as u8,
                predicted: if invalid { INVALID } else { predicted as u8 },
                scores: parts.iter().map(|part| if zeros { 0.0 } else { part / sum }).collect(),
                weight: random.below(4) as u32,
                group: (index / 3) as u32,
                text: format!("request {index}"),
            }
        })
        .collect()
}

/// Rows for people, part by part, and for programs; what the metric does not want is left out.
pub(super) fn show(rows: &Parts<Row>, labels: &[String], wants: Wants) -> (String, Value) {
    let name = |id: u8| labels.get(usize::from(id)).map_or("INVALID", String::as_str);
    let value = |row: &Row| {
        let mut fields = Map::new();
        fields.insert("gold".into(), json!(name(row.gold)));
        fields.insert("predicted".into(), json!(name(row.predicted)));
        if wants.scores {
            fields.insert("scores".into(), json!(row.scores));
        }
        if wants.weights {
            fields.insert("weight".into(), json!(row.weight));
        }
        if wants.groups {
            fields.insert("group".into(), json!(row.group));
        }
        if wants.texts {
            fields.insert("text".into(), json!(row.text));
        }
        Value::Object(fields)
    };
    let words = |row: &Row| {
        let mut text = format!("gold {} predicted {}", name(row.gold), name(row.predicted));
        if wants.scores {
            text.push_str(&format!(" scores {:?}", row.scores));
        }
        if wants.weights {
            text.push_str(&format!(" weight {}", row.weight));
        }
        if wants.groups {
            text.push_str(&format!(" group {}", row.group));
        }
        if wants.texts {
            text.push_str(&format!(" text {:?}", row.text));
        }
        text
    };
    let (count, parts) = (rows.items.len(), rows.cuts.len() + 1);
    let mut text = format!("{count} {}", if count == 1 { "row" } else { "rows" });
    if parts > 1 {
        text.push_str(&format!(" in {parts} parts"));
    }
    /// So many rows are written out for people.
    const SHOWN: usize = 12;
    for (number, part) in rows.parts().enumerate() {
        if count > SHOWN {
            break;
        }
        let prefix = if parts > 1 { format!("part {}: ", number + 1) } else { String::new() };
        if part.is_empty() && parts > 1 {
            text.push_str(&format!("\n{prefix}no rows"));
        }
        part.iter().for_each(|row| text.push_str(&format!("\n{prefix}{}", words(row))));
    }
    /// So many rows are written out for programs.
    const KEPT: usize = 1000;
    let value = match count > KEPT {
        true => json!({ "rows": count, "parts": parts }),
        false => Value::Array(rows.parts().map(|part| part.iter().map(value).collect()).collect()),
    };
    (text, value)
}

/// Whether values must agree to their last bit, or but for the rounding of sums in another order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Agree {
    Exactly,
    Closely,
}

/// Values that were found in two ways, which must agree.
pub(super) fn agree(left: (&str, &[MetricValue]), right: (&str, &[MetricValue]), how: Agree) -> Kept {
    let same = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) if how == Agree::Closely => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        (a, b) => a.map(f64::to_bits) == b.map(f64::to_bits),
    };
    let shown = |value: Option<f64>| value.map_or("absent".to_owned(), |value| value.to_string());
    for (a, b) in left.1.iter().zip(right.1) {
        let name = &a.name;
        if !same(a.value, b.value) {
            let (a, b) = (shown(a.value), shown(b.value));
            return Err(Broke(format!("`{name}` is {a} {}, and {b} {}", left.0, right.0)));
        }
        if a.support != b.support {
            return Err(Broke(format!(
                "`{name}` rests on {} rows {}, and on {} {}",
                a.support, left.0, b.support, right.0
            )));
        }
    }
    match left.1.len() == right.1.len() {
        true => Ok(()),
        false => Err(Broke(format!("{} values {}, and {} {}", left.1.len(), left.0, right.1.len(), right.0))),
    }
}
