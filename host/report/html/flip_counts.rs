//! How many decisions worsened and improved, by class, source, language, category and length.

use std::fmt::Write as _;

use super::super::dictionary::{self as words, Text};
use super::super::format::{count, escape};
use super::language::html;
use crate::evaluate::{ChangeCounts, FlipCounts, Table};

/// The most rows of one table.
const SHOWN: usize = 12;

/// One small table a way of counting; nothing where nothing was counted.
pub(super) fn tables(counts: &FlipCounts) -> String {
    let ways = [
        (words::BY_CLASS, &counts.class),
        (words::BY_SOURCE, &counts.source),
        (words::BY_LANGUAGE, &counts.language),
        (words::BY_CATEGORY, &counts.category),
        (words::BY_LENGTH, &counts.length),
    ];
    let all = || ways.iter().flat_map(|(_, by)| by.iter());
    let most = |pick: fn(&ChangeCounts) -> u64| all().map(|(_, c)| pick(c)).max().unwrap_or(0);
    let most = (most(|c| c.worsened), most(|c| c.improved));
    let there = ways.iter().filter(|(_, by)| !by.is_empty());
    let out = there.fold(String::new(), |out, (title, by)| out + &table(title, by, most));
    format!("<div class=\"counts\">\n{out}</div>\n")
}

/// Worsened to the left of a line, improved to the right of it, all tables on one scale. `most` is the largest of each.
fn table(title: &Text, by: &Table<ChangeCounts>, most: (u64, u64)) -> String {
    let mut out = format!(
        "<table class=\"change-counts\">\n<caption>{}</caption>\n<thead><tr><td></td><th scope=\"col\" class=\"number\">{}</th>\
         <td aria-hidden=\"true\"></td><th scope=\"col\">{}</th><th scope=\"col\" class=\"number\">{}</th></tr></thead>\n<tbody>\n",
        html(title),
        html(&words::WORSENED),
        html(&words::IMPROVED),
        html(&words::SIDEWAYS)
    );
    for (key, counts) in by.iter().take(SHOWN) {
        let length = |n: u64| 100.0 * n as f64 / (most.0 + most.1).max(1) as f64;
        let zero = length(most.0);
        let (left, right) = (length(counts.worsened), length(counts.improved));
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"drawing\"><svg viewBox=\"0 0 100 10\" \
             preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"worse\" x=\"{:.1}\" y=\"1\" width=\"{left:.1}\" \
             height=\"8\"/><rect class=\"improved\" x=\"{zero:.1}\" y=\"1\" width=\"{right:.1}\" height=\"8\"/><path class=\"axis\" \
             d=\"M{zero:.1} 0V10\"/></svg></td><td>{}</td><td class=\"number soft\">{}</td></tr>",
            escape(key),
            count(counts.worsened),
            zero - left,
            count(counts.improved),
            count(counts.sideways)
        );
    }
    out.push_str("</tbody>\n</table>\n");
    out
}
