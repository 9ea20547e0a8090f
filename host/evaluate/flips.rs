//! Rows whose decision changed, the most dangerous first.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::row::EvaluatedRow;
use crate::data::{INVALID, LabelSet};

/// Whether a changed decision is better or worse than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A graver mistake than before.
    Worsened,
    /// Another mistake, as grave.
    Sideways,
    /// A lesser mistake, or none.
    Improved,
}

/// One row whose decision changed. Labels are names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flip {
    /// The row's id.
    pub id: String,
    /// The row's source.
    pub source: String,
    /// The gold label.
    pub gold: String,
    /// The decision before.
    pub before: String,
    /// The decision after.
    pub after: String,
    /// Whether that is better or worse.
    pub change: Change,
    /// The request's language: `ja`, `en` or `other`; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
    /// The request's length in characters; 0 where it is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub length: usize,
    /// The request's category, where the data have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

fn is_zero(length: &usize) -> bool {
    *length == 0
}

/// How many decisions changed, by what the change amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeCounts {
    /// Graver mistakes than before.
    pub worsened: usize,
    /// Other mistakes, as grave.
    pub sideways: usize,
    /// Lesser mistakes, or none.
    pub improved: usize,
}

/// How grave it is to answer `predicted` where `gold` is right: larger is graver. First the kind of the mistake (0 none, 1
/// too strict, 2 no label at all, 3 too lenient, 4 let through: the mildest label where a graver one is right), then by how
/// many steps of severity.
pub fn gravity(labels: &LabelSet, gold: u8, predicted: u8) -> (u8, u8) {
    if gold == predicted {
        return (0, 0);
    }
    let severity = |id: u8| labels.severity.get(usize::from(id)).copied().unwrap_or(id);
    let due = severity(gold);
    if predicted == INVALID {
        return (2, due);
    }
    let given = severity(predicted);
    let mildest = (0..labels.len() as u8).map(severity).min().unwrap_or(0);
    match given < due {
        true if given == mildest => (4, due - given),
        true => (3, due - given),
        false => (1, given - due),
    }
}

/// The rows whose decision changed: worsened ones first, the gravest on top; then those as grave; then improved ones, those
/// that were gravest on top. `pairs` holds each row before and after.
pub fn flips(labels: &LabelSet, pairs: &[(&EvaluatedRow, &EvaluatedRow)]) -> Vec<Flip> {
    let mut changed: Vec<_> = pairs
        .iter()
        .filter(|(before, after)| before.prediction.label != after.prediction.label)
        .map(|(before, after)| {
            let was = gravity(labels, before.gold, before.prediction.label);
            let is = gravity(labels, after.gold, after.prediction.label);
            let change = match is.cmp(&was) {
                std::cmp::Ordering::Greater => Change::Worsened,
                std::cmp::Ordering::Equal => Change::Sideways,
                std::cmp::Ordering::Less => Change::Improved,
            };
            let flip = Flip {
                id: before.id.clone(),
                source: before.source.clone(),
                gold: labels.name(before.gold).to_owned(),
                before: labels.name(before.prediction.label).to_owned(),
                after: labels.name(after.prediction.label).to_owned(),
                change,
                language: String::new(),
                length: 0,
                category: None,
            };
            (change, Reverse(is.max(was)), flip)
        })
        .collect();
    changed.sort_by(|a, b| (a.0, a.1, &a.2.id).cmp(&(b.0, b.1, &b.2.id)));
    changed.into_iter().map(|(_, _, flip)| flip).collect()
}
