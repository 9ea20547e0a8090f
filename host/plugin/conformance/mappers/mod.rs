//! Laws of label mappers.

mod rows;

use super::kit::Kit;
use super::law::{
    EVERY_ROW, LABELS_CONSTANT, Law, MAPPER_DETERMINISTIC, MAPPER_EMPTY, MAPPER_MANY, MAPPER_ONE, MAPPER_ORDER,
    NO_DEFAULT, ODD_LABELS, REASONS, SPLITTING,
};
use super::shrink::{Broke, Kept, Parts};
use crate::Plugin;
use crate::checks::NO_REASON;
use so8t_base::Result;
use so8t_evaluate::Random;

pub use rows::Row;
pub(super) use rows::made_up;
use rows::{columns, odd_labels, show};

/// The seed of everything that is made up.
const SEED: u64 = 1;
/// More reasons than these in one batch cannot be told apart in the interface's one byte.
const REASONS_OF_A_BATCH: usize = 255;

type Decision = std::result::Result<u8, String>;

/// A mapper and what it is tried on.
pub(super) struct Subject<'a> {
    pub(super) plugin: &'a Plugin,
    /// The labels that it maps into.
    labels: Vec<String>,
    /// Rows to try laws on, in parts: small ones first.
    trials: Vec<Parts<Row>>,
    pub(super) many: Vec<Row>,
}

impl<'a> Subject<'a> {
    /// `sample` comes before what is made up.
    pub(super) fn new(plugin: &'a Plugin, sample: &[Row], many: usize) -> Result<Self> {
        let labels = plugin.open_mapper()?.labels().names.clone();
        let mut random = Random::new(SEED, 0);
        let mut trials = Vec::new();
        let cut = |rows: Vec<Row>, random: &mut Random| {
            let cuts = (0..2).map(|_| random.below(rows.len() as u64 + 1) as usize).collect();
            Parts::new(rows, cuts)
        };
        for size in [3, 200, 2000] {
            if !sample.is_empty() {
                trials.push(cut(sample[..size.min(sample.len())].to_vec(), &mut random));
            }
        }
        for size in [1, 2, 3, 8, 60, 400] {
            let rows = made_up(size, &labels, &mut random);
            trials.push(cut(rows, &mut random));
        }
        let mut rows: Vec<Row> = sample.iter().take(many).cloned().collect();
        rows.extend(made_up(many - rows.len(), &labels, &mut random));
        Ok(Self { plugin, labels, trials, many: rows })
    }

    fn hold(&self, kit: &mut Kit<'_>, law: Law, keeps: impl FnMut(&Parts<Row>) -> Kept) {
        kit.hold(law, self.trials.iter().cloned(), show, keeps);
    }

    fn map(&self, rows: &[Row]) -> Result<Vec<Decision>> {
        self.plugin.open_mapper()?.assign(&columns(rows))
    }

    /// What the limits are tried with: the first rows of many.
    pub(super) fn work(&self, plugin: &Plugin, rows: usize) -> Result<Vec<u8>> {
        let decisions = plugin.open_mapper()?.assign(&columns(&self.many[..rows]))?;
        Ok(format!("{decisions:?}").into_bytes())
    }
}

/// Tries all laws of label mappers.
pub(super) fn laws(kit: &mut Kit<'_>, subject: &Subject<'_>) {
    subject.hold(kit, MAPPER_DETERMINISTIC, |rows| deterministic(subject, rows));
    // The host holds every answer against the rows and the labels.
    subject.hold(kit, EVERY_ROW, |rows| subject.map(&rows.items).map(drop).map_err(Broke::from));
    subject.hold(kit, REASONS, |rows| {
        let decisions = subject.map(&rows.items)?;
        match decisions.iter().position(|decision| decision.as_ref().is_err_and(|reason| reason == NO_REASON)) {
            Some(row) => Err(Broke(format!("row {row} is rejected without a reason"))),
            None => Ok(()),
        }
    });
    subject.hold(kit, SPLITTING, |rows| splitting(subject, rows));
    subject.hold(kit, MAPPER_ORDER, |rows| order(subject, rows));
    subject.hold(kit, LABELS_CONSTANT, |rows| constant(subject, rows));
    no_default(kit, subject);
    let odd = odd_labels().into_iter().flat_map(|label| {
        let extra_json = serde_json::json!({ "label": label, "\u{1F6AB}": [[[[]]]] }).to_string();
        let instruction = if label.trim().is_empty() { "x".to_owned() } else { label.clone() };
        let filled = |label: &str| Row {
            id: label.to_owned(),
            instruction: instruction.clone(),
            input: label.to_owned(),
            output: label.to_owned(),
            label: label.to_owned(),
            group: label.to_owned(),
            extra_json: extra_json.clone(),
        };
        [Row { label: label.clone(), instruction: "x".into(), ..Row::default() }, filled(&label)]
    });
    kit.hold(ODD_LABELS, odd.map(|row| Parts::new(vec![row], Vec::new())), show, |rows| {
        subject.map(&rows.items).map(drop).map_err(Broke::from)
    });
    let nothing = [Parts::new(Vec::new(), Vec::new())];
    kit.hold(MAPPER_EMPTY, nothing, show, |_| Ok(subject.plugin.open_mapper()?.assign_nothing()?));
    let singles =
        subject.trials[subject.trials.len() - 1].items.iter().map(|row| Parts::new(vec![row.clone()], Vec::new()));
    kit.hold(MAPPER_ONE, singles, show, |rows| subject.map(&rows.items).map(drop).map_err(Broke::from));
    let rows = |size: usize| (format!("{size} rows"), serde_json::json!({ "rows": size }));
    kit.hold_size(MAPPER_MANY, subject.many.len(), rows, |size| {
        subject.map(&subject.many[..size]).map(drop).map_err(Broke::from)
    });
}

/// Answers that must agree. Where a batch has more reasons than the interface can tell apart, the reasons are not compared.
fn agree(subject: &Subject<'_>, left: (&str, &[Decision]), right: (&str, &[Decision])) -> Kept {
    let reasons = |decisions: &[Decision]| {
        decisions.iter().filter_map(|decision| decision.as_ref().err()).collect::<std::collections::BTreeSet<_>>().len()
    };
    let compared = reasons(left.1).max(reasons(right.1)) < REASONS_OF_A_BATCH;
    let shown = |decision: &Decision| match decision {
        Ok(id) => format!("is `{}`", subject.labels.get(usize::from(*id)).map_or("?", String::as_str)),
        Err(reason) => format!("is rejected (`{reason}`)"),
    };
    for (row, (a, b)) in left.1.iter().zip(right.1).enumerate() {
        let same = match (a, b) {
            (Err(_), Err(_)) if !compared => true,
            (a, b) => a == b,
        };
        if !same {
            return Err(Broke(format!("row {row} {} {}, and {} {}", shown(a), left.0, shown(b), right.0)));
        }
    }
    match left.1.len() == right.1.len() {
        true => Ok(()),
        false => Err(Broke(format!("{} answers {}, and {} {}", left.1.len(), left.0, right.1.len(), right.0))),
    }
}

fn deterministic(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let columns = columns(&rows.items);
    let mut mapper = subject.plugin.open_mapper()?;
    let first = mapper.assign(&columns)?;
    let other = subject.plugin.open_mapper()?.assign(&columns)?;
    agree(subject, ("in one instance", &first), ("in another", &other))?;
    agree(subject, ("at first", &first), ("when asked again", &mapper.assign(&columns)?))?;
    mapper.reopen(subject.plugin)?;
    agree(subject, ("at first", &first), ("in a second mapping of one instance", &mapper.assign(&columns)?))
}

fn splitting(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let whole = subject.map(&rows.items)?;
    let mut mapper = subject.plugin.open_mapper()?;
    let mut parts = Vec::new();
    for part in rows.parts() {
        parts.extend(mapper.assign(&columns(part))?);
    }
    agree(subject, ("in one batch", &whole), ("in batches", &parts))
}

fn order(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let forward = subject.map(&rows.items)?;
    let mut reversed = rows.items.clone();
    reversed.reverse();
    let mut backward = subject.map(&reversed)?;
    backward.reverse();
    agree(subject, ("in order", &forward), ("in reverse", &backward))
}

fn constant(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let mut mapper = subject.plugin.open_mapper()?;
    let first = mapper.labels().clone();
    let same = |when: &str, found: &so8t_data::LabelSet| match first == *found {
        true => Ok(()),
        false => {
            let text =
                |set: &so8t_data::LabelSet| format!("`{}` with severities {:?}", set.names.join("`, `"), set.severity);
            Err(Broke(format!("the labels are {}, and {when} {}", text(&first), text(found))))
        }
    };
    same("when asked again", &mapper.declared()?)?;
    mapper.assign(&columns(&rows.items))?;
    same("after rows were mapped", &mapper.declared()?)?;
    same("in another instance", subject.plugin.open_mapper()?.labels())?;
    mapper.reopen(subject.plugin)?;
    same("in a second mapping of one instance", mapper.labels())
}

/// A default that the configuration asks for is none of the plugin's. So the law is tried without a configuration, where there can
/// be none; else a label that the configuration names is taken to be asked for.
fn no_default(kit: &mut Kit<'_>, subject: &Subject<'_>) {
    let bare = subject.plugin.with_configuration(&serde_json::json!({}));
    let plugin = if bare.open_mapper().is_ok() { &bare } else { subject.plugin };
    let config = serde_json::from_str(plugin.configuration()).unwrap_or_default();
    let asked_for = |id: u8| subject.labels.get(usize::from(id)).is_some_and(|name| names(&config, name));
    let unlabelled =
        |instruction: &str, id: &str| Row { id: id.into(), instruction: instruction.into(), ..Row::default() };
    let inputs = [
        Parts::new(vec![unlabelled("x", "")], Vec::new()),
        Parts::new(vec![unlabelled("a request without a label", "r1"), unlabelled("another", "r2")], Vec::new()),
        // Among rows that have one the column is not lacking, and the label is empty.
        Parts::new(
            vec![Row { label: subject.labels[0].clone(), ..unlabelled("x", "r1") }, unlabelled("x", "r2")],
            Vec::new(),
        ),
    ];
    kit.hold(NO_DEFAULT, inputs, show, |rows| {
        let decisions = plugin.open_mapper()?.assign(&columns(&rows.items))?;
        let defaulted = |(row, decision): &(&Row, &Decision)| {
            row.label.is_empty() && decision.as_ref().is_ok_and(|id| !asked_for(*id))
        };
        let given = rows.items.iter().zip(&decisions).find(defaulted);
        match given {
            Some((_, Ok(id))) => {
                let name = subject.labels.get(usize::from(*id)).map_or("?", String::as_str);
                Err(Broke(format!("a row without a label is `{name}`")))
            }
            _ => Ok(()),
        }
    });
}

/// Whether a text stands anywhere in a configuration.
fn names(config: &serde_json::Value, text: &str) -> bool {
    match config {
        serde_json::Value::String(found) => found == text,
        serde_json::Value::Array(values) => values.iter().any(|value| names(value, text)),
        serde_json::Value::Object(fields) => fields.values().any(|value| names(value, text)),
        _ => false,
    }
}
