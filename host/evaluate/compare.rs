//! What changed between two evaluations of the same rows, and how sure that is.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::flips::{Flip, FlipCounts, flips};
use super::mcnemar::McNemar;
use super::measure::Direction;
use super::measured::Measured;
use super::resample::interval;
use super::row::EvaluatedRow;
use super::table::Table;
use so8t_base::{Error, Result};
use so8t_data::{LabelSet, Traits};

/// The direction in which a metric gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Larger is better.
    Higher,
    /// Smaller is better.
    Lower,
}

/// How one value changed: after minus before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Absent (null) where one of the values is.
    pub delta: Option<f64>,
    /// The lower end of the 95 % interval of the difference, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end of the 95 % interval of the difference, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// The direction in which the metric gets better, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better: Option<Better>,
}

/// What a difference amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval lies on the better side of 0.
    Better,
    /// The whole interval lies on the worse side of 0.
    Worse,
    /// The interval holds 0, or there is none.
    Unsure,
}

impl Difference {
    /// Whether the interval of the difference leaves 0 out, and on which side.
    pub fn verdict(&self) -> Verdict {
        match (self.better, self.low, self.high) {
            (Some(Better::Higher), Some(low), _) if low > 0.0 => Verdict::Better,
            (Some(Better::Higher), _, Some(high)) if high < 0.0 => Verdict::Worse,
            (Some(Better::Lower), _, Some(high)) if high < 0.0 => Verdict::Better,
            (Some(Better::Lower), Some(low), _) if low > 0.0 => Verdict::Worse,
            _ => Verdict::Unsure,
        }
    }
}

/// The differences of one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceComparison {
    /// Differences by `plugin.metric`.
    pub metrics: Table<Difference>,
}

/// What changed between two evaluations of the same rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Differences over all rows by `plugin.metric`.
    pub metrics: Table<Difference>,
    /// Differences by source.
    pub sources: Table<SourceComparison>,
    /// Whether more rows became right than wrong.
    pub mcnemar: McNemar,
    /// The rows whose decision changed, worsened ones first.
    pub flips: Vec<Flip>,
    /// The flips counted by what the rows are.
    #[serde(default)]
    pub flip_counts: FlipCounts,
    /// The number of resamples behind the intervals.
    pub resamples: u32,
    /// What got worse in a way that a reader must not miss.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

impl Comparison {
    /// Adds to the flips what their requests are like, and counts them by it. `traits` holds requests by row id.
    ///
    /// # Errors
    /// A flip whose request is lacking, since counts over a part of the flips would mislead.
    pub fn describe(&mut self, labels: &LabelSet, traits: &HashMap<&str, Traits>) -> Result<()> {
        for flip in &mut self.flips {
            let traits = traits.get(flip.id.as_str()).ok_or_else(|| {
                Error::data(format!(
                    "row `{}`: expected its request in the prepared evaluation set, found none",
                    flip.id
                ))
            })?;
            flip.describe(traits);
        }
        self.flip_counts = FlipCounts::new(labels, &self.flips);
        Ok(())
    }
}

/// Rows and what was measured on them.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation<'a> {
    /// The rows, in any order.
    pub rows: &'a [EvaluatedRow],
    /// What [`super::measure`] gave for these rows.
    pub measured: &'a Measured,
}

/// Compares two evaluations of the same rows. The intervals of the differences are those of a paired bootstrap: resample
/// `i` of both evaluations counts the same rows, and the differences are taken resample by resample.
///
/// It is an error if the rows differ in more than the prediction, or if seeds or numbers of resamples differ.
pub fn compare(labels: &LabelSet, before: Evaluation<'_>, after: Evaluation<'_>) -> Result<Comparison> {
    let pairs = pair(before.rows, after.rows)?;
    let (was, is) = (&before.measured.resampled, &after.measured.resampled);
    if (was.seed, was.resamples) != (is.seed, is.resamples) {
        return Err(Error::internal(format!(
            "expected both evaluations to use the same resamples, found seed {} with {} and seed {} with {}",
            was.seed, was.resamples, is.seed, is.resamples
        )));
    }
    let better = |name: &str| match after.measured.info.get(name).map(|info| info.direction) {
        Some(Direction::Higher) => Some(Better::Higher),
        Some(Direction::Lower) => Some(Better::Lower),
        _ => None,
    };
    let difference = |name: &str, values: [Option<f64>; 2], resampled: [Option<&Vec<Option<f64>>>; 2]| {
        let delta = values[0].zip(values[1]).map(|(before, after)| after - before);
        let range = match (delta, resampled) {
            (Some(_), [Some(before), Some(after)]) => {
                let paired = before.iter().zip(after).map(|(b, a)| Some((*a)? - (*b)?));
                interval(&paired.collect::<Vec<_>>())
            }
            _ => None,
        };
        Difference { delta, low: range.map(|r| r.0), high: range.map(|r| r.1), better: better(name) }
    };

    let mut metrics = Table::default();
    for (name, value) in before.measured.metrics.iter() {
        let Some(other) = after.measured.metrics.get(name) else { continue };
        let resampled = [was.metrics.get(name), is.metrics.get(name)];
        metrics.insert(name, difference(name, [value.value, other.value], resampled));
    }
    let mut sources = Table::<SourceComparison>::default();
    for (source, values) in before.measured.sources.iter() {
        let Some(others) = after.measured.sources.get(source) else { continue };
        let own = sources.entry(source);
        for (name, value) in values.metrics.iter() {
            let Some(other) = others.metrics.get(name) else { continue };
            let resampled = [was, is].map(|side| side.sources.get(source).and_then(|table| table.get(name)));
            own.metrics.insert(name, difference(name, [value.value, other.value], resampled));
        }
    }
    let count = |wanted: [bool; 2]| {
        pairs.iter().filter(|(before, after)| [before.is_correct(), after.is_correct()] == wanted).count() as u64
    };
    let warnings = warnings_about(&metrics, before.measured, after.measured);
    let flips = flips(labels, &pairs);
    Ok(Comparison {
        metrics,
        sources,
        mcnemar: McNemar::exact(count([true, false]), count([false, true])),
        flip_counts: FlipCounts::new(labels, &flips),
        flips,
        resamples: was.resamples,
        warnings,
    })
}

/// Pairs the rows of two evaluations by id, in the order of `before`.
fn pair<'a>(
    before: &'a [EvaluatedRow],
    after: &'a [EvaluatedRow],
) -> Result<Vec<(&'a EvaluatedRow, &'a EvaluatedRow)>> {
    let others: BTreeMap<&str, &EvaluatedRow> = after.iter().map(|row| (row.id.as_str(), row)).collect();
    let pairs: Vec<_> = before.iter().filter_map(|row| Some((row, *others.get(row.id.as_str())?))).collect();
    let lost = before.len() - pairs.len();
    let gained = after.len().saturating_sub(pairs.len());
    if lost + gained > 0 {
        return Err(Error::data(format!(
            "expected the same rows in both evaluations, found {} in both, {lost} only in the first and {gained} only in the \
             second",
            pairs.len()
        ))
        .with_hint("compare runs with the same evaluation data, the same `[split]` and the same seed"));
    }
    for (before, after) in &pairs {
        let what = if before.gold != after.gold {
            "gold label"
        } else if before.source != after.source {
            "source"
        } else if before.group != after.group {
            "group"
        } else {
            continue;
        };
        return Err(Error::data(format!("row `{}`: expected the same {what} in both evaluations", before.id)));
    }
    let differs = |(before, after): &&(&EvaluatedRow, &EvaluatedRow)| {
        before.request.as_ref().zip(after.request.as_ref()).is_some_and(|(before, after)| before != after)
    };
    if let Some((first, _)) = pairs.iter().find(differs) {
        return Err(Error::data(format!(
            "row `{}`: expected the same request in both evaluations, found another; so it is with {} of {} rows",
            first.id,
            pairs.iter().filter(differs).count(),
            pairs.len()
        ))
        .with_hint("compare runs over the same texts: ids and labels alone do not make two evaluations one"));
    }
    Ok(pairs)
}

/// Values that got worse beyond doubt, and values that fell to nothing while others may have risen.
fn warnings_about(metrics: &Table<Difference>, before: &Measured, after: &Measured) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, difference) in metrics.iter() {
        let value = |measured: &Measured| measured.metrics.get(name).and_then(|m| m.value);
        let (Some(was), Some(is)) = (value(before), value(after)) else { continue };
        if difference.better == Some(Better::Higher) && was > 0.0 && is == 0.0 {
            warnings.push(format!("`{name}` fell from {was:.3} to 0"));
        } else if difference.verdict() == Verdict::Worse {
            warnings.push(format!("`{name}` got worse, from {was:.3} to {is:.3}"));
        }
    }
    warnings
}
