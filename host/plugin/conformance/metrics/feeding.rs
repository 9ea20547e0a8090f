//! What a metric must take in, and what it may not trip over.

use serde_json::{Value, json};

use super::rows::{Agree, Row, agree, batch};
use super::{SEED, Subject};
use crate::conformance::kit::Kit;
use crate::conformance::law::{
    DECLARATIONS, FOREIGN, INVALID_ANSWERS, LABEL_SETS, METRIC_DETERMINISTIC, METRIC_EMPTY, METRIC_MANY, METRIC_ONE,
};
use crate::conformance::shrink::{Broke, Kept, Parts};
use crate::conformance::{bytes, is_tolerable};
use so8t_data::INVALID;
use so8t_evaluate::{Measure as _, Random};

/// What must be the same whenever it is asked.
pub(super) fn constant(kit: &mut Kit<'_>, subject: &Subject<'_>) {
    subject.hold(kit, METRIC_DETERMINISTIC, |rows| deterministic(subject, rows));
    subject.hold(kit, DECLARATIONS, |rows| declarations(subject, rows));
}

pub(super) fn laws(kit: &mut Kit<'_>, subject: &Subject<'_>) {
    subject.hold(kit, INVALID_ANSWERS, |rows| {
        let invalid = |row: &Row| Row { predicted: INVALID, scores: vec![0.0; row.scores.len()], ..row.clone() };
        let all: Vec<Row> = rows.items.iter().map(invalid).collect();
        subject.values(&all)?;
        // With the scores as they were: an answer may be none, whatever the scores say.
        let answers: Vec<Row> = rows.items.iter().map(|row| Row { predicted: INVALID, ..row.clone() }).collect();
        subject.values(&answers)?;
        Ok(())
    });
    subject.hold(kit, METRIC_EMPTY, |rows| empty(subject, rows));
    let singles = every_row(subject.labels.len()).into_iter().map(|row| Parts::new(vec![row], Vec::new()));
    kit.hold(
        METRIC_ONE,
        singles,
        |rows| super::show(rows, subject.labels, subject.wants),
        |rows| {
            subject.values(&rows.items)?;
            Ok(())
        },
    );
    let show = |size: usize| (format!("{size} rows"), json!({ "rows": size }));
    kit.hold_size(METRIC_MANY, subject.many.len(), show, |size| many(subject, size));
    label_sets(kit, subject);
    foreign(kit, subject);
}

fn deterministic(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let mut first = subject.open()?;
    let mut other = subject.open()?;
    for part in rows.parts() {
        first.update(&batch(part))?;
        other.update(&batch(part))?;
    }
    let state = first.state()?;
    let values = first.finalize()?;
    let same_state = |found: &[u8], whose: &str| match state == found {
        true => Ok(()),
        false => Err(Broke(format!("another state {whose}: {}", first_difference(&state, found)))),
    };
    same_state(&first.state()?, "when it is asked again")?;
    same_state(&other.state()?, "in another instance")?;
    agree(("in one instance", &values), ("in another", &other.finalize()?), Agree::Exactly)?;
    other.reopen(subject.plugin, subject.labels)?;
    for part in rows.parts() {
        other.update(&batch(part))?;
    }
    same_state(&other.state()?, "of a second measurement in one instance")?;
    agree(("at first", &values), ("in a second measurement of one instance", &other.finalize()?), Agree::Exactly)
}

fn first_difference(left: &[u8], right: &[u8]) -> String {
    match left.iter().zip(right).position(|(a, b)| a != b) {
        Some(at) => format!("byte {at} is {} and {}", left[at], right[at]),
        None => format!("{} bytes and {}", left.len(), right.len()),
    }
}

fn declarations(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let mut measurement = subject.open()?;
    let first = (measurement.metrics().to_vec(), measurement.wants());
    let same = |when: &str, found: (Vec<so8t_evaluate::MetricInfo>, so8t_evaluate::Wants)| {
        if found.1 != first.1 {
            return Err(Broke(format!("it wants other columns {when}")));
        }
        match first.0.iter().zip(&found.0).find(|(a, b)| a != b) {
            Some((a, b)) if a.name == b.name => {
                Err(Broke(format!("`{}` has another direction or bounds {when}", a.name)))
            }
            Some((a, b)) => Err(Broke(format!("`{}` is `{}` {when}", a.name, b.name))),
            None if first.0.len() != found.0.len() => {
                Err(Broke(format!("{} values, and {} {when}", first.0.len(), found.0.len())))
            }
            None => Ok(()),
        }
    };
    same("when it is asked again", measurement.declared()?)?;
    measurement.update(&batch(&rows.items))?;
    measurement.finalize()?;
    same("after rows were taken in", measurement.declared()?)?;
    let mut other = subject.open()?;
    same("in another instance", (other.metrics().to_vec(), other.wants()))?;
    other.reopen(subject.plugin, subject.labels)?;
    same("in a second measurement of one instance", other.declared()?)
}

fn empty(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let mut measurement = subject.open()?;
    if let Some(value) = measurement.finalize()?.iter().find(|value| value.support != 0) {
        return Err(Broke(format!("`{}` rests on {} rows, and there are none", value.name, value.support)));
    }
    measurement.update(&batch(&rows.items))?;
    let before = measurement.finalize()?;
    measurement.update_with_nothing()?;
    agree(("before a batch of no rows", &before), ("after it", &measurement.finalize()?), Agree::Exactly)
}

/// A row of each gold and predicted label, with scores that are sure of each label, even, or none.
fn every_row(labels: usize) -> Vec<Row> {
    // 200 labels would make millions of rows; four are as telling.
    let few = labels.min(4);
    let mut rows = Vec::new();
    let sure = |label: usize| (0..labels).map(|at| if at == label { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
    let mut scores: Vec<Vec<f32>> = (0..few).map(sure).collect();
    scores.push(vec![1.0 / labels as f32; labels]);
    scores.push(vec![0.0; labels]);
    for gold in 0..few {
        for predicted in (0..few).map(|id| id as u8).chain([INVALID]) {
            for scores in &scores {
                for weight in [0, 1, 7] {
                    let scores = scores.clone();
                    rows.push(Row { gold: gold as u8, predicted, scores, weight, group: 0, text: String::new() });
                }
            }
        }
    }
    let last = Row { gold: (labels - 1) as u8, predicted: (labels - 1) as u8, ..rows[0].clone() };
    rows.push(Row { group: u32::MAX, text: "\u{1F6AB}\0".repeat(10_000), ..last });
    rows
}

fn many(subject: &Subject<'_>, size: usize) -> Kept {
    let rows = &subject.many[..size];
    let whole = subject.values(rows)?;
    let shards = rows.chunks(rows.len().div_ceil(8).max(1)).map(|part| subject.state(part));
    let shards = shards.collect::<so8t_base::Result<Vec<_>>>()?;
    let shards: Vec<&[u8]> = shards.iter().map(Vec::as_slice).collect();
    agree(("in one pass", &whole), ("merged from parts", &subject.merged(&shards)?.finalize()?), Agree::Closely)
}

fn label_sets(kit: &mut Kit<'_>, subject: &Subject<'_>) {
    let numbered = |count: usize| (0..count).map(|i| format!("label {i}")).collect::<Vec<_>>();
    let sets = [
        numbered(1),
        numbered(2),
        numbered(200),
        ["a", "A"].map(String::from).to_vec(),
        ["ALLOW\u{301}", "\u{1F6AB}", "a.b", "x\"y\\z"].map(String::from).to_vec(),
        vec!["x".repeat(80), "y".repeat(80)],
    ];
    let inputs = sets.into_iter().map(|names| Parts::new(names, Vec::new()));
    let show = |names: &Parts<String>| (format!("the labels `{}`", names.items.join("`, `")), json!(names.items));
    kit.hold(LABEL_SETS, inputs, show, |names| {
        if names.items.is_empty() {
            return Ok(());
        }
        let measure = || -> so8t_base::Result<()> {
            let mut measurement = subject.plugin.open_metric(&names.items)?.grant_texts();
            let rows = super::made_up(30, names.items.len(), &mut Random::new(SEED, 2));
            measurement.update(&batch(&rows))?;
            measurement.finalize().map(drop)
        };
        match measure() {
            Err(error) if !is_tolerable(&error) => Err(error.into()),
            _ => Ok(()),
        }
    });
}

fn foreign(kit: &mut Kit<'_>, subject: &Subject<'_>) {
    let rows = &subject.trials[subject.trials.len() - 1].items;
    let state = match subject.state(rows) {
        Ok(state) => state,
        Err(error) => return kit.skip(FOREIGN, format!("it gives no state: {}", Broke::from(error).0)),
    };
    let mut random = Random::new(SEED, 3);
    let mut states = vec![Vec::new(), vec![0; 1], vec![0xff; 8], vec![0; 1 << 20], b"{\"a\":1}".to_vec()];
    states.extend(bytes::truncations(&state, 64));
    states.push([&state[..], &[0]].concat());
    states.push([&state[..], &state].concat());
    states.extend((0..200).map(|_| bytes::mutated(&state, &mut random)));
    let show = |state: &Parts<u8>| {
        let text = bytes::escaped(&state.items);
        (format!("a state of {} bytes: {text}", state.items.len()), Value::String(text))
    };
    kit.hold(FOREIGN, states.into_iter().map(|state| Parts::new(state, Vec::new())), show, |state| {
        let take = || -> so8t_base::Result<()> {
            let mut measurement = subject.open()?;
            measurement.merge(&state.items)?;
            measurement.finalize().map(drop)
        };
        match take() {
            // A state that was forged well may say anything, even that of 2 rows 3 were right.
            Err(error) if !is_tolerable(&error) && error.fault() != Some(so8t_base::Fault::Malformed) => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    });
}
