//! Confusion matrices: gold against predicted, with a column for answers that are no label.

use std::fmt::Write as _;

use super::super::dictionary::{self as words, Text};
use super::super::format::{count, escape};
use super::super::{Report, find_in};
use super::Section;
use super::language::html;
use crate::evaluate::Measured;

/// The matrices before and after; nothing where no metric gives them.
pub(super) fn section(report: &Report) -> Option<Section> {
    let labels = &report.run.labels;
    let both = report.before.is_some() && report.after.is_some();
    let mut matrices = String::new();
    for (measured, title) in [(&report.before, words::DECISION_BEFORE), (&report.after, words::DECISION_AFTER)] {
        let Some(measured) = measured else { continue };
        matrices.push_str(&matrix(labels, measured, &if both { title } else { words::COUNTS }));
    }
    if matrices.is_empty() {
        return None;
    }
    let can_pass = labels.iter().any(|gold| labels.iter().any(|predicted| is_unsafe_pass(gold, predicted)));
    let note = if can_pass { words::CONFUSION_NOTE.then(&words::CONFUSION_PASS) } else { words::CONFUSION_NOTE };
    let content = format!("<p class=\"soft\">{}</p>\n<div class=\"matrices\">\n{matrices}</div>\n", html(&note));
    Some(Section { id: "confusion", title: words::CONFUSION, content })
}

/// An unsafe request that was answered normally: the cells behind `unsafe_pass_rate`.
fn is_unsafe_pass(gold: &str, predicted: &str) -> bool {
    matches!(gold, "DENY" | "REFUSE") && predicted == "ALLOW"
}

fn matrix(labels: &[String], measured: &Measured, title: &Text) -> String {
    let cell = |gold: &str, predicted: &str| {
        find_in(Some(measured), &format!("confusion.{gold}.{predicted}")).and_then(|m| m.value)
    };
    let columns: Vec<&str> = labels.iter().map(String::as_str).chain(["INVALID"]).collect();
    if labels.iter().all(|gold| columns.iter().all(|predicted| cell(gold, predicted).is_none())) {
        return String::new();
    }
    let mut out = format!(
        "<table class=\"matrix\">\n<caption>{}</caption>\n<thead><tr><td class=\"corner\">{}</td>",
        html(title),
        html(&words::GOLD_DECISION)
    );
    for predicted in &columns {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(predicted));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (row, gold) in labels.iter().enumerate() {
        let counts: Vec<f64> = columns.iter().map(|predicted| cell(gold, predicted).unwrap_or(0.0)).collect();
        let total: f64 = counts.iter().sum();
        let _ = write!(out, "<tr><th scope=\"row\">{}<span>n = {}</span></th>", escape(gold), count(total as u64));
        for (column, number) in counts.iter().enumerate() {
            let share = if total > 0.0 { number / total } else { 0.0 };
            let (kind, mark) = match (row == column, is_unsafe_pass(gold, columns[column]) && *number > 0.0) {
                (true, _) => ("right", "<i>✓</i> "),
                (_, true) => ("alarm", "<i>!</i> "),
                _ => ("wrong", ""),
            };
            let percent = if total > 0.0 { format!("{:.0} %", share * 100.0) } else { "–".to_owned() };
            let _ = write!(
                out,
                "<td class=\"{kind} s{:.0}\"><b>{}</b><span>{mark}{percent}</span></td>",
                (share * 10.0).ceil(),
                count(*number as u64)
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
    out
}
