//! Every value that a metric plugin gave, whether or not the page knows it.

use std::fmt::Write as _;

use super::super::Report;
use super::super::dictionary as words;
use super::super::format::{count, delta, escape, value};
use super::headline::{badge, method};
use super::language::{column, html, number_column};
use super::{Section, bars, folded, reliability, scrolling, threshold};
use crate::evaluate::Measurement;

/// Nothing where nothing was evaluated.
pub(super) fn section(report: &Report) -> Option<Section> {
    let latest = report.latest()?;
    let earlier = bars::earlier(report);
    let has_method = latest.metrics.iter().any(|(_, m)| m.method.is_some());
    let mut head = column(&words::METRIC) + &number_column(&words::COUNT_N);
    for title in match earlier {
        Some(_) => {
            vec![words::DECISION_BEFORE, words::DECISION_AFTER, words::DIFFERENCE_OF, words::INTERVAL_OF_DIFFERENCE]
        }
        None => vec![words::VALUE, words::INTERVAL],
    } {
        head.push_str(&number_column(&title));
    }
    if has_method {
        head.push_str(&column(&words::METHOD));
    }
    let mut table = format!("<table class=\"numbers\">\n<thead><tr>{head}</tr></thead>\n<tbody>\n");
    let (listed, drawn): (Vec<_>, Vec<_>) =
        latest.metrics.iter().partition(|(name, _)| !stands_elsewhere(report, name));
    for &(name, now) in &listed {
        let _ = write!(
            table,
            "<tr><th scope=\"row\"><code>{}</code></th><td class=\"number\">{}</td>",
            escape(name),
            count(now.n.into())
        );
        let range = |range: Option<(f64, f64)>, show: fn(Option<f64>) -> String| {
            range.map_or("–".to_owned(), |(low, high)| format!("{} … {}", show(Some(low)), show(Some(high))))
        };
        if let Some(earlier) = earlier {
            let difference = report.comparison.as_ref().and_then(|c| c.metrics.get(name));
            let _ = write!(
                table,
                "<td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{} {}</td>",
                figure(earlier.metrics.get(name)),
                figure(Some(now)),
                delta(difference.and_then(|d| d.delta)),
                difference.map_or_else(String::new, badge),
                range(difference.and_then(|d| d.low.zip(d.high)), delta)
            );
        } else {
            let interval = range(now.low.zip(now.high), value);
            let _ =
                write!(table, "<td class=\"number\">{}</td><td class=\"number\">{interval}</td>", figure(Some(now)));
        }
        if has_method {
            let _ = write!(table, "<td>{}</td>", method(now).map_or_else(|| "–".to_owned(), |text| html(&text)));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n");
    let failures = failures(report);
    let note = words::ALL_VALUES_NOTE.with(&[("n", &count(drawn.len() as u64))]);
    let summary = words::SHOW_ALL.with(&[("n", &count(listed.len() as u64))]);
    let content =
        format!("<p class=\"soft\">{}</p>\n{failures}{}", html(&note), folded(&summary, &scrolling("metrics", &table)));
    Some(Section { id: "metrics", title: words::ALL_VALUES, content })
}

/// A line for each metric that failed, in the place of its values.
pub(super) fn failures(report: &Report) -> String {
    let lines: String = report
        .failures()
        .iter()
        .map(|failure| {
            let text = words::METRIC_FAILED.with(&[("metric", failure.metric), ("place", &failure.place())]);
            let error = failure.error.lines().map(escape).collect::<Vec<_>>().join("<br>");
            format!("<li>{} <code>{error}</code></li>\n", html(&text))
        })
        .collect();
    if lines.is_empty() { lines } else { format!("<ul class=\"warnings\">\n{lines}</ul>\n") }
}

/// A value, marked where it rests on too few rows.
fn figure(measurement: Option<&Measurement>) -> String {
    let number = measurement.and_then(|m| m.value);
    let shown = match number {
        // Counts, not rates that happen to be 1.
        Some(whole) if whole >= 2.0 && whole.fract() == 0.0 && whole < 1e15 => count(whole as u64),
        number => value(number),
    };
    match measurement {
        Some(m) if m.few => format!("<span class=\"soft\">{}</span> {shown}", html(&words::TOO_FEW)),
        _ => shown,
    }
}

/// Cells of the confusion matrices and points of the charts, which have their own tables.
fn stands_elsewhere(report: &Report, name: &str) -> bool {
    let Some((_, metric)) = name.split_once('.') else { return false };
    let is_cell = || {
        metric.strip_prefix("confusion.").is_some_and(|rest| {
            let labels = || report.run.labels.iter().map(String::as_str);
            let is_predicted = |text: &str| labels().chain(["INVALID"]).any(|label| label == text);
            labels()
                .any(|gold| rest.strip_prefix(gold).and_then(|rest| rest.strip_prefix('.')).is_some_and(is_predicted))
        })
    };
    is_cell() || threshold::is_part(metric) || reliability::is_part(metric)
}
