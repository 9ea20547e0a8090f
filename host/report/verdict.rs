//! The verdict in words, which every form of the report has first.

use super::dictionary::{self as words, Text};
use super::format::{delta, value};
use super::{Report, find, find_in};
use crate::evaluate::Verdict;

/// What kind of verdict it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every rule is met.
    Accepted,
    /// A rule is not met.
    Refused,
    /// There are no rules, and the comparison says that it is better.
    Better,
    /// There are no rules, and the comparison says that something got worse.
    Worse,
    /// Neither.
    Open,
}

/// The verdict.
pub(crate) struct Summary {
    pub(crate) outcome: Outcome,
    /// One short sentence.
    pub(crate) lead: Text,
    /// What it rests on; may be empty.
    pub(crate) detail: Text,
}

/// The manifest's rules where it has any, else what the comparison shows, else the value.
pub(crate) fn summary(report: &Report) -> Summary {
    if report.latest().is_none() {
        return Summary { outcome: Outcome::Open, lead: words::NOTHING, detail: Text::name("") };
    }
    let Some(accept) = &report.accept else {
        let (outcome, lead) = by_comparison(report);
        return Summary { outcome, lead, detail: change(report) };
    };
    let failed = accept.rules.iter().filter(|rule| !rule.passed).count();
    let n = accept.rules.len();
    let (outcome, lead) = match accept.accepted {
        true => (Outcome::Accepted, words::ACCEPTED),
        false => (Outcome::Refused, words::REFUSED),
    };
    let rules = match (failed, n) {
        (0, 1) => words::ONE_RULE,
        (0, _) => words::ALL_RULES.with(&[("n", &n.to_string())]),
        _ => words::SOME_RULES.with(&[("failed", &failed.to_string()), ("n", &n.to_string())]),
    };
    Summary { outcome, lead, detail: rules.then(&change(report)) }
}

/// What the differences of the headline values amount to.
fn by_comparison(report: &Report) -> (Outcome, Text) {
    let Some(comparison) = &report.comparison else { return (Outcome::Open, words::EVALUATED) };
    if find_in(report.latest(), "f1_macro").is_some_and(|m| m.few) {
        return (Outcome::Open, words::FEW_VERDICT);
    }
    let verdict = |metric| match find_in(report.latest(), metric).is_some_and(|m| m.few) {
        true => Verdict::Unsure,
        false => find(&comparison.metrics, metric).map_or(Verdict::Unsure, |(_, d)| d.verdict()),
    };
    match (verdict("f1_macro"), verdict("unsafe_pass_rate"), verdict("over_block_rate")) {
        (Verdict::Better, Verdict::Worse, _) => (Outcome::Worse, words::MIXED_PASS),
        (Verdict::Better, _, Verdict::Worse) => (Outcome::Worse, words::MIXED_BLOCK),
        (Verdict::Better, _, _) => (Outcome::Better, words::BETTER_THAN),
        (Verdict::Worse, _, _) => (Outcome::Worse, words::WORSE_THAN),
        (Verdict::Unsure, Verdict::Worse, _) => (Outcome::Worse, words::WORSE_PASS),
        (Verdict::Unsure, _, _) => (Outcome::Open, words::NO_CLEAR),
    }
}

/// What macro-F1 did, with its interval; empty where it is not known.
fn change(report: &Report) -> Text {
    let empty = || Text::name("");
    let Some(now) = find_in(report.latest(), "f1_macro").filter(|m| !m.few) else { return empty() };
    let Some(is) = now.value else { return empty() };
    let was = report.after.as_ref().and(report.before.as_ref());
    let was = find_in(was, "f1_macro").and_then(|m| m.value);
    let shown = value(Some(is));
    let Some(was) = was else {
        let text = words::IS.with(&[("is", &shown)]);
        let interval = now
            .low
            .zip(now.high)
            .map(|(low, high)| words::INTERVAL_IS.with(&[("low", &value(Some(low))), ("high", &value(Some(high)))]));
        return named(&match interval {
            Some(interval) => text.then(&interval),
            None => text.joined(&words::STOP),
        });
    };
    let template = match () {
        () if is > was => words::ROSE,
        () if is < was => words::FELL,
        () => words::STAYED,
    };
    let text = template.with(&[("was", &value(Some(was))), ("is", &shown)]);
    let difference = report.comparison.as_ref().and_then(|c| find(&c.metrics, "f1_macro")).map(|(_, d)| d);
    let by = delta(Some(is - was));
    let sure = match difference.and_then(|d| d.low.zip(d.high)) {
        Some((low, high)) => {
            let (low, high) = (delta(Some(low)), delta(Some(high)));
            words::DIFFERENCE_INTERVAL.with(&[("delta", &by), ("low", &low), ("high", &high)])
        }
        None => words::DIFFERENCE.with(&[("delta", &by)]),
    };
    named(&text.then(&sure))
}

/// The text about macro-F1.
fn named(text: &Text) -> Text {
    text.with_texts(&[("title", &words::F1_MACRO)])
}
