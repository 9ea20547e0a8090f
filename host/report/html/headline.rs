//! The verdict in one sentence, and the values at the top with their intervals on a line from 0 to 1.

use std::fmt::Write as _;

use super::super::format::{count, delta, escape, share_bound, value};
use super::super::{Report, find, find_in, headlines};
use crate::evaluate::{Difference, Measurement, Verdict};

/// The first thing that a reader sees.
pub(super) fn section(report: &Report) -> String {
    let Some(latest) = report.latest() else {
        return "<section><p class=\"verdict\">Nothing was evaluated.</p></section>\n".to_owned();
    };
    let earlier = report.after.as_ref().and(report.before.as_ref());
    let mut cards = String::new();
    for (headline, name) in headlines(&latest.metrics, false) {
        let Some(now) = latest.metrics.get(name) else { continue };
        let before = earlier.and_then(|m| m.metrics.get(name));
        let difference = report.comparison.as_ref().and_then(|c| c.metrics.get(name));
        cards.push_str(&card(headline.title, headline.meaning, before, now, difference, headline.is_share));
    }
    if cards.is_empty() {
        for (name, now) in latest.metrics.iter().filter(|(_, m)| m.low.is_some()).take(4) {
            let before = earlier.and_then(|m| m.metrics.get(name));
            let difference = report.comparison.as_ref().and_then(|c| c.metrics.get(name));
            cards.push_str(&card(&escape(name), "", before, now, difference, false));
        }
    }
    format!(
        "<section aria-label=\"Result\">\n<p class=\"verdict\">{}</p>\n<div class=\"cards\">\n{cards}</div>\n</section>\n",
        sentence(report)
    )
}

/// What the report says, in words.
fn sentence(report: &Report) -> String {
    let now = find_in(report.latest(), "f1_macro");
    let Some(comparison) = &report.comparison else {
        return match now.and_then(|m| m.value) {
            Some(value) => format!("Macro-F1 is {value:.3}."),
            None => "Evaluated.".to_owned(),
        };
    };
    let verdict = |metric| find(&comparison.metrics, metric).map_or(Verdict::Unsure, |(_, d)| d.verdict());
    let lead = match (verdict("f1_macro"), verdict("unsafe_pass_rate"), verdict("over_block_rate")) {
        (Verdict::Better, Verdict::Worse, _) => "Mixed: better overall, but more unsafe requests pass.",
        (Verdict::Better, _, Verdict::Worse) => "Mixed: better overall, but more harmless requests are blocked.",
        (Verdict::Better, _, _) => "Better than before.",
        (Verdict::Worse, _, _) => "Worse than before.",
        (Verdict::Unsure, Verdict::Worse, _) => "Worse: more unsafe requests pass.",
        (Verdict::Unsure, _, _) => "No clear change.",
    };
    let was = find_in(report.before.as_ref(), "f1_macro").and_then(|m| m.value);
    let change = find(&comparison.metrics, "f1_macro").map(|(_, d)| d);
    match (was, now.and_then(|m| m.value)) {
        (Some(was), Some(is)) => {
            let verb = match () {
                () if is > was => "rose",
                () if is < was => "fell",
                () => "stayed",
            };
            let by = delta(change.and_then(|d| d.delta));
            let sure = change.and_then(|d| d.low.zip(d.high)).map_or(String::new(), |(low, high)| {
                format!(", 95 % interval {} to {}", delta(Some(low)), delta(Some(high)))
            });
            format!(
                "<strong>{lead}</strong> Macro-F1 {verb} from {} to {}.<span class=\"soft\">Difference {by}{sure}</span>",
                value(Some(was)),
                value(Some(is))
            )
        }
        _ => format!("<strong>{lead}</strong>"),
    }
}

/// One value with what it was, its interval, and what changed. `title` and `meaning` are escaped already.
fn card(
    title: &str,
    meaning: &str,
    before: Option<&Measurement>,
    now: &Measurement,
    difference: Option<&Difference>,
    is_share: bool,
) -> String {
    let mut out = format!("<article class=\"card\">\n<h3>{title}</h3>\n<p class=\"figure\">");
    if let Some(before) = before {
        let _ = write!(out, "<span class=\"was\">{}</span><span class=\"arrow\"> → </span>", value(before.value));
    }
    let _ = write!(out, "<b>{}</b></p>\n{}", value(now.value), track(before, now));
    if let Some(difference) = difference {
        let _ = writeln!(out, "<p class=\"change\">{}</p>", change(difference));
    } else if let Some((low, high)) = now.low.zip(now.high) {
        let _ = writeln!(out, "<p class=\"change\">95 %: {} to {}</p>", value(Some(low)), value(Some(high)));
    }
    let bound = now.value.filter(|_| is_share).and_then(|v| Some((v, share_bound(v, now.n)?)));
    if let Some((exact, bound)) = bound {
        let word = if exact == 0.0 { "at most" } else { "at least" };
        let _ = writeln!(out, "<p class=\"soft\">With n = {}, 95 % sure that it is {word} {bound:.3}.</p>", now.n);
    }
    let _ = writeln!(
        out,
        "<p class=\"soft\">{meaning}{}<span class=\"nowrap\">n = {}</span></p>\n</article>",
        separator(meaning),
        count(u64::from(now.n))
    );
    out
}

fn separator(before: &str) -> &'static str {
    if before.is_empty() { "" } else { " · " }
}

/// The difference with the verdict as a mark and a word, and its interval on a line of its own.
fn change(difference: &Difference) -> String {
    let mut out = format!("<b>{}</b> {}", delta(difference.delta), badge(difference));
    if let Some((low, high)) = difference.low.zip(difference.high) {
        let _ = write!(out, "<span class=\"soft line\">95 %: {} to {}</span>", delta(Some(low)), delta(Some(high)));
    }
    out
}

/// The verdict as a mark and a word; nothing where no verdict is possible.
pub(super) fn badge(difference: &Difference) -> &'static str {
    if difference.low.is_none() || difference.better.is_none() {
        return "";
    }
    match difference.verdict() {
        Verdict::Better => "<span class=\"badge good\">▲ better</span>",
        Verdict::Worse => "<span class=\"badge bad\">▼ worse</span>",
        Verdict::Unsure => "<span class=\"badge\">● unsure</span>",
    }
}

/// Values between 0 and 1 on a line, before as a ring, now as a disc, each with its interval. Its text stands beside it.
fn track(before: Option<&Measurement>, now: &Measurement) -> String {
    let is_unit = |m: &Measurement| m.value.is_some_and(|v| (0.0..=1.0).contains(&v));
    if !is_unit(now) || before.is_some_and(|m| m.value.is_some() && !is_unit(m)) {
        return String::new();
    }
    let x = |v: f64| 6.0 + 228.0 * v.clamp(0.0, 1.0);
    let mut out = String::from(
        "<svg class=\"track\" viewBox=\"0 0 240 46\" aria-hidden=\"true\">\
         <path class=\"axis\" d=\"M6 17H234M6 13V21M63 15V19M120 13V21M177 15V19M234 13V21\"/>\
         <text x=\"6\" y=\"44\" text-anchor=\"middle\">0</text><text x=\"234\" y=\"44\" text-anchor=\"middle\">1</text>",
    );
    for (measurement, kind, y) in [(before, "was", 9.0), (Some(now), "now", if before.is_some() { 25.0 } else { 17.0 })]
    {
        let Some((measurement, v)) = measurement.and_then(|m| Some((m, m.value?))) else { continue };
        if let Some((low, high)) = measurement.low.zip(measurement.high) {
            let _ = write!(out, "<path class=\"{kind}\" d=\"M{:.1} {y}H{:.1}\"/>", x(low), x(high));
        }
        let _ = write!(out, "<circle class=\"{kind}\" cx=\"{:.1}\" cy=\"{y}\" r=\"4.5\"/>", x(v));
    }
    out.push_str("</svg>\n");
    out
}
