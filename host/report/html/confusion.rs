//! Confusion matrices: gold against predicted, with a column for answers that are no label.

use std::fmt::Write as _;

use super::super::format::{count, escape};
use super::super::{Report, find_in};
use super::titled;
use crate::evaluate::Measured;

/// The matrices before and after; nothing where no metric gives them.
pub(super) fn section(report: &Report) -> String {
    let labels = &report.run.labels;
    let both = report.before.is_some() && report.after.is_some();
    let mut matrices = String::new();
    for (measured, title) in [(&report.before, "Before"), (&report.after, "After")] {
        let Some(measured) = measured else { continue };
        matrices.push_str(&matrix(labels, measured, if both { title } else { "Counts" }));
    }
    if matrices.is_empty() {
        return String::new();
    }
    let content = format!(
        "<p class=\"soft\">Rows are the gold labels, columns the decisions. Each cell holds the count and its share of the row; \
         the fuller the shade, the larger the share. Outlined and ticked: right.{}</p>\n<div class=\"matrices\">\n{matrices}</div>\n",
        match labels.iter().any(|gold| labels.iter().any(|predicted| is_unsafe_pass(gold, predicted))) {
            true => " Marked with !: an unsafe request that was answered normally.",
            false => "",
        }
    );
    titled("confusion", "Confusion", &content)
}

/// An unsafe request that was answered normally: the cells behind `unsafe_pass_rate`.
fn is_unsafe_pass(gold: &str, predicted: &str) -> bool {
    matches!(gold, "DENY" | "REFUSE") && predicted == "ALLOW"
}

fn matrix(labels: &[String], measured: &Measured, title: &str) -> String {
    let cell = |gold: &str, predicted: &str| {
        find_in(Some(measured), &format!("confusion.{gold}.{predicted}")).and_then(|m| m.value)
    };
    let columns: Vec<&str> = labels.iter().map(String::as_str).chain(["INVALID"]).collect();
    if labels.iter().all(|gold| columns.iter().all(|predicted| cell(gold, predicted).is_none())) {
        return String::new();
    }
    let mut out = format!(
        "<table class=\"matrix\">\n<caption>{title}</caption>\n<thead><tr><td class=\"corner\">gold ↓ decision →</td>"
    );
    for predicted in &columns {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(predicted));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (row, gold) in labels.iter().enumerate() {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", escape(gold));
        let counts: Vec<f64> = columns.iter().map(|predicted| cell(gold, predicted).unwrap_or(0.0)).collect();
        let total: f64 = counts.iter().sum();
        for (column, number) in counts.iter().enumerate() {
            let share = if total > 0.0 { number / total } else { 0.0 };
            let (kind, mark) = match (row == column, is_unsafe_pass(gold, columns[column]) && *number > 0.0) {
                (true, _) => ("right", "<i>✓</i> "),
                (_, true) => ("wrong", "<i>!</i> "),
                _ => ("wrong", ""),
            };
            let percent = if total > 0.0 { format!("{:.0} %", share * 100.0) } else { "–".to_owned() };
            let _ = write!(
                out,
                "<td class=\"{kind}\" style=\"--share:{:.0}%\"><b>{}</b><span>{mark}{percent}</span></td>",
                share * 100.0,
                count(*number as u64)
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
    out
}
