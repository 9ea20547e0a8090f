//! The headline values by source, and every value there is.

use std::fmt::Write as _;

use super::super::format::{count, delta, escape, value};
use super::super::{Report, headlines};
use super::headline::badge;
use super::{scrolling, titled};
use crate::evaluate::{Difference, Measurement};

/// The headline values of each source; nothing with a single source, whose values are the overall ones.
pub(super) fn sources(report: &Report) -> String {
    let Some(latest) = report.latest().filter(|latest| latest.sources.len() > 1) else { return String::new() };
    let earlier = report.after.as_ref().and(report.before.as_ref());
    let known: Vec<_> = headlines(&latest.metrics, true)
        .into_iter()
        .map(|(headline, name)| (headline.title.to_owned(), name))
        .collect();
    let columns = match known.is_empty() {
        true => latest.metrics.iter().take(4).map(|(name, _)| (escape(name), name)).collect(),
        false => known,
    };
    let mut table = String::from("<table class=\"sources\">\n<thead><tr><th scope=\"col\">Source</th>");
    for (title, _) in &columns {
        let _ = write!(table, "<th scope=\"col\">{title}</th>");
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for (source, values) in latest.sources.iter() {
        let _ = write!(table, "<tr><th scope=\"row\">{}</th>", escape(source));
        for (_, name) in &columns {
            let before = earlier.and_then(|m| m.sources.get(source)).and_then(|s| s.metrics.get(name));
            let difference = report.comparison.as_ref().and_then(|c| c.sources.get(source));
            let difference = difference.and_then(|s| s.metrics.get(name));
            table.push_str(&cell(before, values.metrics.get(name), difference));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n");
    titled("sources", "By source", &scrolling("Values by source", &table))
}

/// One value of one source: before → after, the difference, the interval, and how many rows.
fn cell(before: Option<&Measurement>, now: Option<&Measurement>, difference: Option<&Difference>) -> String {
    let Some(now) = now else { return "<td>–</td>".to_owned() };
    let was = before.map_or(String::new(), |m| format!("<span class=\"was\">{}</span> → ", value(m.value)));
    let mut out =
        format!("<td><span class=\"pair\">{was}<b>{}</b></span> {}", value(now.value), difference.map_or("", badge));
    if let Some(difference) = difference.filter(|d| d.delta.is_some()) {
        let _ = write!(out, "<span class=\"soft\">{}", delta(difference.delta));
        if let Some((low, high)) = difference.low.zip(difference.high) {
            let _ = write!(out, " ({} to {})", delta(Some(low)), delta(Some(high)));
        }
        out.push_str("</span>");
    } else if let Some((low, high)) = now.low.zip(now.high).filter(|_| before.is_none()) {
        let _ = write!(out, "<span class=\"soft\">{} to {}</span>", value(Some(low)), value(Some(high)));
    }
    let _ = write!(out, "<span class=\"soft\">n = {}</span></td>", count(u64::from(now.n)));
    out
}

/// Every value but the cells of the confusion matrices, folded away.
pub(super) fn all_metrics(report: &Report) -> String {
    let Some(latest) = report.latest() else { return String::new() };
    let earlier = report.after.as_ref().and(report.before.as_ref());
    let titles: &[&str] = match earlier {
        Some(_) => &["Metric", "n", "Before", "After", "Difference", "95 % interval of the difference"],
        None => &["Metric", "n", "Value", "95 % interval"],
    };
    let mut table = String::from("<table class=\"numbers\">\n<thead><tr>");
    for title in titles {
        let _ = write!(table, "<th scope=\"col\">{title}</th>");
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for (name, now) in latest.metrics.iter().filter(|(name, _)| !name.contains(".confusion.")) {
        let _ =
            write!(table, "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td>", escape(name), count(now.n.into()));
        let range = |low: Option<f64>, high: Option<f64>, show: fn(Option<f64>) -> String| {
            low.zip(high).map_or("–".to_owned(), |(low, high)| format!("{} to {}", show(Some(low)), show(Some(high))))
        };
        if let Some(earlier) = earlier {
            let was = earlier.metrics.get(name).and_then(|m| m.value);
            let difference = report.comparison.as_ref().and_then(|c| c.metrics.get(name));
            let _ = write!(
                table,
                "<td>{}</td><td>{}</td><td>{}</td><td>{} {}</td>",
                value(was),
                value(now.value),
                delta(difference.and_then(|d| d.delta)),
                range(difference.and_then(|d| d.low), difference.and_then(|d| d.high), delta),
                difference.map_or("", badge)
            );
        } else {
            let _ = write!(table, "<td>{}</td><td>{}</td>", value(now.value), range(now.low, now.high, value));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n");
    let folded =
        format!("<details>\n<summary>Show all values</summary>\n{}</details>\n", scrolling("All values", &table));
    titled("metrics", "All values", &folded)
}
