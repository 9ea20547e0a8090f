//! Rows whose decision changed, the most dangerous first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::row::EvaluatedRow;
use super::table::Table;
use so8t_data::{INVALID, LENGTH_SPANS, LabelSet, Language, Traits, length_span};

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
    /// The request's language, where the request is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// The request's characters, where the request is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// The request's category, where its source names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

/// How many decisions changed for the worse, without much of a difference, and for the better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeCounts {
    /// Graver mistakes than before.
    pub worsened: u64,
    /// Other mistakes, as grave.
    pub sideways: u64,
    /// Lesser mistakes, or none.
    pub improved: u64,
}

/// Changed decisions counted by what the rows are. A table holds the keys that have a changed decision; the last three
/// are empty where the requests are not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlipCounts {
    /// By gold label, in the order of the labels.
    pub class: Table<ChangeCounts>,
    /// By source, by name.
    pub source: Table<ChangeCounts>,
    /// By language.
    pub language: Table<ChangeCounts>,
    /// By category, by name; requests without one are not counted.
    pub category: Table<ChangeCounts>,
    /// By length in characters (see [`length_span`]).
    pub length: Table<ChangeCounts>,
}

impl FlipCounts {
    /// Counts the flips.
    pub fn new(labels: &LabelSet, flips: &[Flip]) -> Self {
        let languages = [Language::Ja, Language::En, Language::Other].map(Language::name);
        Self {
            class: count(&labels.names, flips, |flip| Some(&flip.gold)),
            source: count(&[""; 0], flips, |flip| Some(&flip.source)),
            language: count(&languages, flips, |flip| Some(flip.language?.name())),
            category: count(&[""; 0], flips, |flip| flip.category.as_deref()),
            length: count(&LENGTH_SPANS, flips, |flip| Some(length_span(flip.length?))),
        }
    }
}

/// The changes of each key: first the keys of `order`, then the others by name.
fn count<'a>(
    order: &[impl AsRef<str>],
    flips: &'a [Flip],
    key: impl Fn(&'a Flip) -> Option<&'a str>,
) -> Table<ChangeCounts> {
    let mut counts = BTreeMap::<(usize, &str), ChangeCounts>::new();
    for flip in flips {
        let Some(key) = key(flip) else { continue };
        let place = order.iter().position(|name| name.as_ref() == key).unwrap_or(order.len());
        let own = counts.entry((place, key)).or_default();
        match flip.change {
            Change::Worsened => own.worsened += 1,
            Change::Sideways => own.sideways += 1,
            Change::Improved => own.improved += 1,
        }
    }
    counts.into_iter().map(|((_, key), counts)| (key.to_owned(), counts)).collect()
}

impl Flip {
    /// Adds what the request is like.
    pub fn describe(&mut self, traits: &Traits) {
        self.language = Some(traits.language);
        self.length = Some(traits.length);
        self.category.clone_from(&traits.category);
    }
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
                language: None,
                length: None,
                category: None,
            };
            (change, Reverse(is.max(was)), flip)
        })
        .collect();
    changed.sort_by(|a, b| (a.0, a.1, &a.2.id).cmp(&(b.0, b.1, &b.2.id)));
    changed.into_iter().map(|(_, _, flip)| flip).collect()
}
