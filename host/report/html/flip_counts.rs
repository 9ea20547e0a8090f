//! How many decisions worsened and improved, by class, source, language, category and length.

use std::fmt::Write as _;

use super::super::dictionary::{self as words, Text};
use super::super::format::{count, escape};
use super::language::html;
use crate::evaluate::{Change, ChangeCounts, Comparison, Table};

/// The most rows of one table.
const SHOWN: usize = 12;

/// One small table a way of counting; where the comparison has no counts, those by class and source are taken from the flips.
pub(super) fn tables(comparison: &Comparison) -> String {
    let counted;
    let counts = match comparison.flip_counts.is_empty() {
        true => {
            counted = count_flips(comparison);
            &counted
        }
        false => &comparison.flip_counts,
    };
    let most = counts.iter().flat_map(|(_, by)| by.iter()).map(|(_, c)| c.worsened.max(c.improved)).max().unwrap_or(0);
    let known = [
        ("class", words::BY_CLASS),
        ("source", words::BY_SOURCE),
        ("language", words::BY_LANGUAGE),
        ("category", words::BY_CATEGORY),
        ("length", words::BY_LENGTH),
    ];
    let mut out = String::new();
    for (way, title) in &known {
        if let Some(by) = counts.get(way).filter(|by| !by.is_empty()) {
            out.push_str(&table(title, by, most));
        }
    }
    for (way, by) in counts.iter().filter(|(way, by)| !by.is_empty() && known.iter().all(|(own, _)| own != way)) {
        out.push_str(&table(&Text::name(way), by, most));
    }
    format!("<div class=\"counts\">\n{out}</div>\n")
}

fn count_flips(comparison: &Comparison) -> Table<Table<ChangeCounts>> {
    let mut counts: Table<Table<ChangeCounts>> = Table::default();
    for flip in &comparison.flips {
        for (way, key) in [("class", &flip.gold), ("source", &flip.source)] {
            let own = counts.entry(way).entry(key);
            match flip.change {
                Change::Worsened => own.worsened += 1,
                Change::Sideways => own.sideways += 1,
                Change::Improved => own.improved += 1,
            }
        }
    }
    counts
}

/// Worsened to the left of a line, improved to the right of it, all tables on one scale.
fn table(title: &Text, by: &Table<ChangeCounts>, most: usize) -> String {
    let mut out = format!(
        "<table class=\"change-counts\">\n<caption>{}</caption>\n<thead><tr><td></td><th scope=\"col\" class=\"number\">{}</th>\
         <td aria-hidden=\"true\"></td><th scope=\"col\">{}</th><th scope=\"col\" class=\"number\">{}</th></tr></thead>\n<tbody>\n",
        html(title),
        html(&words::WORSENED),
        html(&words::IMPROVED),
        html(&words::SIDEWAYS)
    );
    for (key, counts) in by.iter().take(SHOWN) {
        let length = |n: usize| 50.0 * n as f64 / most.max(1) as f64;
        let (left, right) = (length(counts.worsened), length(counts.improved));
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"drawing\"><svg viewBox=\"0 0 100 10\" \
             preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"worse\" x=\"{:.1}\" y=\"1\" width=\"{left:.1}\" \
             height=\"8\"/><rect class=\"improved\" x=\"50\" y=\"1\" width=\"{right:.1}\" height=\"8\"/><path class=\"axis\" \
             d=\"M50 0V10\"/></svg></td><td>{}</td><td class=\"number soft\">{}</td></tr>",
            escape(key),
            count(counts.worsened as u64),
            50.0 - left,
            count(counts.improved as u64),
            count(counts.sideways as u64)
        );
    }
    out.push_str("</tbody>\n</table>\n");
    out
}
