//! What the two safety rates mean for people, and the rate of escalations that pass, which the confusion matrix holds.

use super::dictionary::{self as words, Text};
use super::format::share_bound;
use super::{Report, find, find_in};
use crate::evaluate::{Better, Difference, Measured, Measurement, Table, clopper_pearson, method};

/// The name of the rate of escalations that pass, within its plugin.
pub(crate) const ESCALATION_PASS: &str = "escalation_pass_rate";

/// The report with the rate of requests for a person that were answered normally, wherever the confusion matrix over the four decisions tells it.
/// Its interval is exact (Clopper–Pearson); there is none where rows belong together.
pub(crate) fn with_escalations(report: &Report) -> Report {
    let mut report = report.clone();
    let [was, is] = [&mut report.before, &mut report.after].map(|measured| measured.as_mut().map(derive));
    let Some(comparison) = &mut report.comparison else { return report };
    let delta = |was: &Measurement, is: &Measurement| {
        let delta = was.value.zip(is.value).map(|(was, is)| is - was);
        Difference { delta, low: None, high: None, better: Some(Better::Lower) }
    };
    if let (Some(Some((name, was))), Some(Some((_, is)))) = (was, is) {
        comparison.metrics.insert(name, delta(&was, &is));
    }
    for (source, own) in report.before.iter().flat_map(|measured| measured.sources.iter()) {
        let other = report.after.as_ref().and_then(|after| after.sources.get(source));
        let (Some((name, was)), Some((_, is))) =
            (find(&own.metrics, ESCALATION_PASS), other.and_then(|other| find(&other.metrics, ESCALATION_PASS)))
        else {
            continue;
        };
        comparison.sources.entry(source).metrics.insert(name, delta(was, is));
    }
    report
}

/// Adds the rate to an evaluation and its sources; its name and value over all rows.
fn derive(measured: &mut Measured) -> Option<(String, Measurement)> {
    let sources: Vec<String> = measured.sources.iter().map(|(source, _)| source.to_owned()).collect();
    for source in sources {
        let own = &mut measured.sources.entry(&source).metrics;
        if let Some((name, rate)) = rate(own) {
            own.insert(name, rate);
        }
    }
    let (name, rate) = rate(&measured.metrics)?;
    measured.metrics.insert(name.clone(), rate.clone());
    Some((name, rate))
}

/// The share of ESCALATION that was answered with ALLOW.
fn rate(metrics: &Table<Measurement>) -> Option<(String, Measurement)> {
    let (cell, passed) = find(metrics, "confusion.ESCALATION.ALLOW")?;
    let (plugin, _) = cell.split_once('.')?;
    let name = format!("{plugin}.{ESCALATION_PASS}");
    let whole = |value: Option<f64>| value.filter(|value| value.fract() == 0.0 && (0.0..4e9).contains(value));
    let (hits, rows) = (whole(passed.value)?, whole(find(metrics, "support_escalation")?.1.value)?);
    if metrics.get(&name).is_some() || rows == 0.0 || hits > rows {
        return None;
    }
    // Rows of one group are not independent, which the exact interval takes them to be.
    let is_clustered = metrics.iter().any(|(_, own)| own.method.as_deref() == Some(method::CLUSTERED_BOOTSTRAP));
    let range = clopper_pearson(hits as u64, rows as u64).filter(|_| !is_clustered);
    // A count is never marked as resting on too few rows; its neighbour, a rate, says what too few are.
    let few = find(metrics, "recall_escalation").is_some_and(|(_, recall)| recall.few);
    let rate = Measurement {
        value: Some(hits / rows),
        n: rows as u32,
        low: range.map(|range| range.0),
        high: range.map(|range| range.1),
        method: range.map(|_| method::CLOPPER_PEARSON.to_owned()),
        few,
    };
    Some((name, rate))
}

/// What would pass of a hundred unsafe requests, and of a hundred that are for a person; a sentence each, empty where it is not known.
pub(crate) fn sentences(report: &Report) -> Text {
    let empty = Text::name("");
    let Some(latest) = report.latest() else { return empty };
    let earlier = report.after.as_ref().and(report.before.as_ref());
    let mut out = empty;
    for (metric, forms) in [
        ("unsafe_pass_rate", [words::OF_UNSAFE, words::OF_UNSAFE_BOUND, words::OF_UNSAFE_PLAIN, words::FEW_UNSAFE]),
        (
            ESCALATION_PASS,
            [words::OF_ESCALATED, words::OF_ESCALATED_BOUND, words::OF_ESCALATED_PLAIN, words::FEW_ESCALATED],
        ),
    ] {
        let Some(now) = find_in(Some(latest), metric) else { continue };
        if let Some(text) = sentence(now, find_in(earlier, metric), &forms) {
            out = out.then(&text);
        }
    }
    out
}

/// One sentence, with an interval, a bound, neither, or the bare counts where there are too few rows for more.
fn sentence(
    now: &Measurement,
    before: Option<&Measurement>,
    [ranged, bounded, plain, few]: &[Text; 4],
) -> Option<Text> {
    let value = now.value?;
    let hundred = |share: f64| format!("{:.0}", 100.0 * share);
    let passed = format!("{:.0}", value * f64::from(now.n));
    if now.few {
        return Some(few.with(&[("passed", &passed), ("n", &now.n.to_string())]));
    }
    let text = match now.low.zip(now.high) {
        Some((low, high)) => {
            ranged.with(&[("about", &hundred(value)), ("low", &hundred(low)), ("high", &hundred(high))])
        }
        None => match share_bound(value, now.n).filter(|_| value == 0.0) {
            Some(high) => {
                bounded.with(&[("about", &hundred(value)), ("high", &format!("{:.0}", (100.0 * high).ceil()))])
            }
            None => plain.with(&[("about", &hundred(value))]),
        },
    };
    let was = before.filter(|was| !was.few).and_then(|was| was.value);
    Some(match was {
        Some(was) => text.joined(&words::WAS_ABOUT.with(&[("was", &hundred(was))])),
        None => text.joined(&words::STOP),
    })
}

/// How the share of unsafe requests that pass changed from before to after, few rows or many; `None` where it is not known.
pub(crate) fn unsafe_rise(report: &Report) -> Option<f64> {
    let value = |measured| find_in(measured, "unsafe_pass_rate").and_then(|rate| rate.value);
    Some(value(report.after.as_ref())? - value(report.before.as_ref())?)
}
