//! The headline values of each source as bars, with what changed.

use std::fmt::Write as _;

use super::super::dictionary::{self as words, Text};
use super::super::format::{count, delta, escape};
use super::super::{Report, headlines};
use super::headline::badge;
use super::language::{column, html};
use super::{Section, bars, scrolling};
use crate::evaluate::{Difference, Measurement};

/// Nothing with a single source, whose values are the overall ones.
pub(super) fn section(report: &Report) -> Option<Section> {
    let latest = report.latest().filter(|latest| latest.sources.len() > 1)?;
    let earlier = bars::earlier(report);
    let mut columns: Vec<(Text, Text, &str)> = headlines(&latest.metrics, true)
        .into_iter()
        .map(|(headline, name)| (headline.title.clone(), headline.meaning.clone(), name))
        .collect();
    if columns.is_empty() {
        let some = latest.metrics.iter().take(4);
        columns = some.map(|(name, _)| (Text::name(name), Text::name(""), name)).collect();
    }
    let mut table = format!("<table class=\"bars\">\n<thead><tr>{}", column(&words::SOURCE));
    for (title, meaning, _) in &columns {
        table.push_str(&bars::heading(title, meaning));
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for (source, values) in latest.sources.iter() {
        let _ = write!(table, "<tr><th scope=\"row\">{}</th>", escape(source));
        for (title, _, name) in &columns {
            let before = earlier.map(|m| m.sources.get(source).and_then(|s| s.metrics.get(name)));
            let difference = report.comparison.as_ref().and_then(|c| c.sources.get(source));
            let difference = difference.and_then(|s| s.metrics.get(name));
            let _ = write!(
                table,
                "<td><span class=\"small-title\">{}</span>{}</td>",
                html(title),
                cell(before, values.metrics.get(name), difference)
            );
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n");
    let content = format!("{}{}", bars::key(report), scrolling("sources", &table));
    Some(Section { id: "sources", title: words::BY_SOURCE, content })
}

/// One value of one source: the bars, the difference with its interval, and how many rows.
fn cell(before: Option<Option<&Measurement>>, now: Option<&Measurement>, difference: Option<&Difference>) -> String {
    let mut out = bars::pair(before, now);
    let Some(now) = now.filter(|now| !now.few) else { return out };
    if now.value.is_none() {
        return out;
    }
    if let Some(difference) = difference.filter(|d| d.delta.is_some()) {
        let interval = difference.low.zip(difference.high);
        let interval = interval.map(|(low, high)| format!(" ({} … {})", delta(Some(low)), delta(Some(high))));
        let _ = write!(
            out,
            "<span class=\"soft below\">{}{}</span>",
            delta(difference.delta),
            interval.unwrap_or_default()
        );
    }
    let badge = difference.map_or_else(String::new, badge);
    let _ = write!(out, "<span class=\"below\">{badge} <span class=\"soft\">n = {}</span></span>", count(now.n.into()));
    out
}
