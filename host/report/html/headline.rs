//! The values at the top, each on a line from 0 to 1 with its interval, and what changed.

use std::fmt::Write as _;

use super::super::dictionary::{self as words, Text};
use super::super::format::{count, delta, escape, share_bound, value};
use super::super::{Report, headlines};
use super::Section;
use super::language::html;
use crate::evaluate::{Difference, Measurement, Verdict};

/// Nothing where nothing was evaluated.
pub(super) fn section(report: &Report) -> Option<Section> {
    let latest = report.latest()?;
    let earlier = report.after.as_ref().and(report.before.as_ref());
    let mut cards = String::new();
    let mut add = |title: &Text, meaning: Option<&Text>, name: &str, is_share: bool| {
        let Some(now) = latest.metrics.get(name) else { return };
        let before = earlier.and_then(|m| m.metrics.get(name));
        let difference = report.comparison.as_ref().and_then(|c| c.metrics.get(name));
        cards.push_str(&card(name, (title, meaning), before, now, difference, is_share));
    };
    let known = headlines(&latest.metrics, false);
    for (headline, name) in &known {
        add(&headline.title, Some(&headline.meaning), name, headline.is_share);
    }
    for name in report.headline.iter().filter(|own| known.iter().all(|(_, name)| name != own)) {
        add(&Text::name(name.as_str()), None, name, false);
    }
    if known.is_empty() && report.headline.is_empty() {
        for (name, _) in latest.metrics.iter().filter(|(_, m)| m.low.is_some() && !m.few).take(4) {
            add(&Text::name(name), None, name, false);
        }
    }
    if cards.is_empty() {
        return None;
    }
    let content = format!("<div class=\"cards\">\n{cards}</div>\n");
    Some(Section { id: "values", title: words::HEADLINES, content })
}

/// One value with what it was, its interval and the method of that, and what changed.
fn card(
    name: &str,
    (title, meaning): (&Text, Option<&Text>),
    before: Option<&Measurement>,
    now: &Measurement,
    difference: Option<&Difference>,
    is_share: bool,
) -> String {
    let name = if meaning.is_some() { format!("<code>{}</code> ", escape(name)) } else { String::new() };
    let mut out = format!("<article class=\"card\">\n<h3>{name}{}</h3>\n", html(title));
    if now.few {
        let few = words::FEW_ROWS.with(&[("n", &count(now.n.into()))]);
        let _ = writeln!(
            out,
            "<p class=\"figure few\"><b>{}</b></p>\n<p class=\"soft\">{}</p>",
            html(&words::TOO_FEW),
            html(&few)
        );
    } else {
        out.push_str("<p class=\"figure\">");
        if let Some(before) = before {
            let was = if before.few { html(&words::TOO_FEW) } else { value(before.value) };
            let _ = write!(
                out,
                "<span class=\"sr\">{} </span><span class=\"was\">{was}</span><span class=\"arrow\" aria-hidden=\"true\"> → \
                 </span><span class=\"sr\"> {} </span>",
                html(&words::BEFORE),
                html(&words::AFTER)
            );
        }
        let _ = write!(out, "<b>{}</b></p>\n{}", value(now.value), track(before.filter(|m| !m.few), now));
        out.push_str(&sureness(now, is_share));
        if let Some(difference) = difference {
            let _ = writeln!(out, "<p class=\"change\">{}</p>", change(difference));
        }
    }
    if let Some(meaning) = meaning {
        let _ = writeln!(out, "<p class=\"soft meaning\">{}</p>", html(meaning));
    }
    out.push_str("</article>\n");
    out
}

/// The interval of the value now, or the bound of a share without one, with the rows and the method.
fn sureness(now: &Measurement, is_share: bool) -> String {
    let shown = |value_: f64| value(Some(value_));
    let rows = count(now.n.into());
    let bound = now.value.filter(|_| is_share && now.low.is_none()).and_then(|v| Some((v, share_bound(v, now.n)?)));
    let interval = match (now.low.zip(now.high), bound) {
        (Some((low, high)), _) => html(&words::VALUE_INTERVAL.with(&[("low", &shown(low)), ("high", &shown(high))])),
        (None, Some((0.0, bound))) => html(&words::SURE_AT_MOST.with(&[("bound", &shown(bound))])),
        (None, Some((_, bound))) => html(&words::SURE_AT_LEAST.with(&[("bound", &shown(bound))])),
        (None, None) => String::new(),
    };
    let basis = match method(now) {
        Some(method) => words::BY_METHOD.with(&[("n", &rows)]).with_texts(&[("method", &method)]),
        None => words::ROWS.with(&[("n", &rows)]),
    };
    let line = if interval.is_empty() { String::new() } else { format!("<span class=\"line\">{interval}</span>") };
    format!("<p class=\"soft\">{line}{}</p>\n", html(&basis))
}

/// The method of an interval, where there is an interval and its method is known.
pub(super) fn method(measurement: &Measurement) -> Option<Text> {
    measurement.low?;
    Some(match measurement.method.as_deref()? {
        "bootstrap" => words::BOOTSTRAP,
        "clustered bootstrap" => words::CLUSTERED,
        "Clopper-Pearson" => words::EXACT,
        other => Text::name(other),
    })
}

/// The difference with the verdict as a mark and a word, and its interval on a line of its own.
fn change(difference: &Difference) -> String {
    let mut out = format!(
        "<span class=\"sr\">{} </span><b>{}</b> {}",
        html(&words::DIFFERENCE_OF),
        delta(difference.delta),
        badge(difference)
    );
    if let Some((low, high)) = difference.low.zip(difference.high) {
        let text = words::INTERVAL_95.with(&[("low", &delta(Some(low))), ("high", &delta(Some(high)))]);
        let _ = write!(out, "<span class=\"soft line\">{}</span>", html(&text));
    }
    out
}

/// The verdict as a mark and a word; nothing where no verdict is possible.
pub(super) fn badge(difference: &Difference) -> String {
    if difference.low.is_none() || difference.better.is_none() {
        return String::new();
    }
    let (kind, mark, word) = match difference.verdict() {
        Verdict::Better => (" good", "▲", words::BETTER),
        Verdict::Worse => (" bad", "▼", words::WORSE),
        Verdict::Unsure => ("", "●", words::UNSURE),
    };
    format!("<span class=\"badge{kind}\"><span aria-hidden=\"true\">{mark}</span> {}</span>", html(&word))
}

/// Values between 0 and 1 on a line, before as a ring, now as a disc, each with its interval. Its text stands beside it.
fn track(before: Option<&Measurement>, now: &Measurement) -> String {
    let is_unit = |m: &Measurement| m.value.is_some_and(|v| (0.0..=1.0).contains(&v));
    if !is_unit(now) || before.is_some_and(|m| m.value.is_some() && !is_unit(m)) {
        return String::new();
    }
    let x = |v: f64| 7.0 + 226.0 * v.clamp(0.0, 1.0);
    let mut out = String::from(
        "<svg class=\"track\" viewBox=\"0 0 240 48\" aria-hidden=\"true\"><path class=\"axis\" d=\"M7 32H233M7 28V36M63.5 30V34\
         M120 28V36M176.5 30V34M233 28V36\"/><text x=\"7\" y=\"47\" text-anchor=\"middle\">0</text>\
         <text x=\"120\" y=\"47\" text-anchor=\"middle\">0.5</text><text x=\"233\" y=\"47\" text-anchor=\"middle\">1</text>",
    );
    for (measurement, kind, y) in [(before, "was", 7.0), (Some(now), "now", if before.is_some() { 20.0 } else { 14.0 })]
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
