//! The verdict in words, which every form of the report has first.

use super::dictionary::{self as words, Text};
use super::format::{delta, value};
use super::{Report, find, find_in, safety};
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
    /// Neither, or every rule is met and something got worse that no rule is about.
    Open,
}

/// The verdict.
pub(crate) struct Summary {
    pub(crate) outcome: Outcome,
    /// One short sentence.
    pub(crate) lead: Text,
    /// What it rests on; may be empty.
    pub(crate) detail: Text,
    /// Whether it says that something is good: what must be known before that is believed stands beside it, as large.
    pub(crate) is_claim: bool,
}

/// The manifest's rules where it has any, else what the comparison shows, else the value. Safety is said before all else.
pub(crate) fn summary(report: &Report) -> Summary {
    if report.latest().is_none() {
        return Summary { outcome: Outcome::Open, lead: words::NOTHING, detail: Text::name(""), is_claim: false };
    }
    let detail = safety::sentences(report).then(&change(report));
    let Some(accept) = &report.accept else {
        let (outcome, lead) = by_comparison(report);
        return Summary { outcome, lead, detail, is_claim: outcome == Outcome::Better };
    };
    let failed = accept.rules.iter().filter(|rule| !rule.passed).count();
    let n = accept.rules.len();
    let (outcome, lead) = match accept.accepted {
        true => accepted(report),
        false => (Outcome::Refused, words::REFUSED),
    };
    let rules = match (failed, n) {
        (0, 1) => words::ONE_RULE,
        (0, _) => words::ALL_RULES.with(&[("n", &n.to_string())]),
        _ => words::SOME_RULES.with(&[("failed", &failed.to_string()), ("n", &n.to_string())]),
    };
    Summary { outcome, lead, detail: rules.then(&detail), is_claim: accept.accepted }
}

/// All rules are met: how many warnings there are, and what got worse that no rule is about.
fn accepted(report: &Report) -> (Outcome, Text) {
    let lead = match report.warnings.len() {
        0 => words::ACCEPTED,
        1 => words::ACCEPTED_WITH_ONE,
        n => words::ACCEPTED_WITH.with(&[("n", &n.to_string())]),
    };
    match worsening(report) {
        Some(worse) => (Outcome::Open, lead.then(&words::BY_THE_RULES).then(&worse)),
        None => (Outcome::Accepted, lead),
    }
}

/// What got worse, or perhaps did, from before to after; `None` where nothing did.
pub(crate) fn worsening(report: &Report) -> Option<Text> {
    let (outcome, lead) = by_comparison(report);
    let rose = safety::unsafe_rise(report).is_some_and(|rise| rise > 0.0);
    (outcome == Outcome::Worse || rose).then_some(lead)
}

/// What the differences of the headline values amount to. Where more unsafe requests passed, however few, it is never said that nothing changed.
fn by_comparison(report: &Report) -> (Outcome, Text) {
    let Some(comparison) = &report.comparison else { return (Outcome::Open, words::EVALUATED) };
    let rose = safety::unsafe_rise(report).is_some_and(|rise| rise > 0.0);
    let sides = [report.before.as_ref(), report.after.as_ref()];
    let is_few = |metric| sides.into_iter().any(|side| find_in(side, metric).is_some_and(|m| m.few));
    if is_few("f1_macro") || (rose && is_few("unsafe_pass_rate")) {
        return (Outcome::Open, if rose { words::FEW_PASS } else { words::FEW_VERDICT });
    }
    let verdict = |metric| match is_few(metric) {
        true => Verdict::Unsure,
        false => find(&comparison.metrics, metric).map_or(Verdict::Unsure, |(_, d)| d.verdict()),
    };
    match (verdict("f1_macro"), verdict("unsafe_pass_rate"), verdict("over_block_rate")) {
        (Verdict::Better, Verdict::Worse, _) => (Outcome::Worse, words::MIXED_PASS),
        (Verdict::Better, _, Verdict::Worse) => (Outcome::Worse, words::MIXED_BLOCK),
        (Verdict::Better, Verdict::Unsure, _) if rose => (Outcome::Open, words::MIXED_PERHAPS),
        (Verdict::Better, _, _) => (Outcome::Better, words::BETTER_THAN),
        (_, Verdict::Worse, _) => (Outcome::Worse, words::WORSE_PASS),
        (Verdict::Worse, _, _) => (Outcome::Worse, words::WORSE_THAN),
        (Verdict::Unsure, Verdict::Unsure, _) if rose => (Outcome::Worse, words::PERHAPS_PASS),
        (Verdict::Unsure, Verdict::Better, Verdict::Worse) => (Outcome::Open, words::MIXED_TRADE),
        (Verdict::Unsure, Verdict::Better, _) => (Outcome::Better, words::BETTER_PASS),
        (Verdict::Unsure, Verdict::Unsure, Verdict::Worse) => (Outcome::Worse, words::WORSE_BLOCK),
        (Verdict::Unsure, Verdict::Unsure, _) => (Outcome::Open, words::NO_CLEAR),
    }
}

/// What was measured, in a line: `run` and `eval` say it of their model, other commands of what they were given.
pub(crate) fn measured(report: &Report) -> Option<String> {
    let detail = |name: &str| report.run.details.get(name).and_then(|value| value.as_str());
    match (detail("measured"), detail("first"), detail("second")) {
        (Some(measured), _, _) => Some(match detail("note") {
            Some(note) => format!("{measured}. {note}"),
            None => measured.to_owned(),
        }),
        (None, Some(first), Some(second)) => Some(format!("`{second}` against `{first}`")),
        _ if report.run.command == "evaluate" => Some(format!("the predictions in `{}`", report.run.name)),
        _ => None,
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
