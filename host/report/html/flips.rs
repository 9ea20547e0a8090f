//! The rows whose decision changed: ids and labels, never the request's text.

use std::fmt::Write as _;

use super::super::Report;
use super::super::format::{count, escape};
use super::super::terminal::p_value;
use super::{scrolling, titled};
use crate::evaluate::{Change, Flip};

/// The most rows that one list shows; `report.json` holds all.
const SHOWN: usize = 100;

/// Nothing where nothing was compared.
pub(super) fn section(report: &Report) -> String {
    let Some(comparison) = &report.comparison else { return String::new() };
    let test = &comparison.mcnemar;
    let mut content = format!(
        "<p>{} of the decisions went from wrong to right and {} from right to wrong. If neither model were better, a split at \
         least as uneven would have probability p {} <span class=\"soft\">(McNemar’s exact test, rows taken as \
         independent)</span>.</p>\n",
        count(test.right_after_only),
        count(test.right_before_only),
        escape(&p_value(test.p_value))
    );
    let kinds = [
        (Change::Worsened, "worsened", "a graver mistake than before"),
        (Change::Sideways, "neither better nor worse", "another mistake, as grave"),
        (Change::Improved, "improved", "a lesser mistake than before, or none"),
    ];
    for (change, title, meaning) in kinds {
        let flips: Vec<&Flip> = comparison.flips.iter().filter(|flip| flip.change == change).collect();
        if flips.is_empty() {
            let _ = writeln!(content, "<p class=\"none\"><b>0</b> {title} <span class=\"soft\">{meaning}</span></p>");
            continue;
        }
        let open = if change == Change::Worsened && flips.len() <= 20 { " open" } else { "" };
        let _ = writeln!(
            content,
            "<details{open}>\n<summary><b>{}</b> {title} <span class=\"soft\">{meaning}</span></summary>\n{}</details>",
            count(flips.len() as u64),
            list(&flips, title)
        );
    }
    titled("flips", "Changed decisions", &content)
}

fn list(flips: &[&Flip], title: &str) -> String {
    let mut table = String::from(
        "<table class=\"flips\">\n<thead><tr><th scope=\"col\">Row</th><th scope=\"col\">Source</th><th scope=\"col\">Gold</th>\
         <th scope=\"col\">Before</th><th scope=\"col\">After</th></tr></thead>\n<tbody>\n",
    );
    for flip in flips.iter().take(SHOWN) {
        let mark = |label: &str| if label == flip.gold { " ✓" } else { "" };
        let _ = writeln!(
            table,
            "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{}</td><td>{}{}</td><td>{}{}</td></tr>",
            escape(&flip.id),
            escape(&flip.source),
            escape(&flip.gold),
            escape(&flip.before),
            mark(&flip.before),
            escape(&flip.after),
            mark(&flip.after)
        );
    }
    table.push_str("</tbody>\n</table>\n");
    if flips.len() > SHOWN {
        let rest = count((flips.len() - SHOWN) as u64);
        let _ = writeln!(table, "<p class=\"soft\">{rest} more in <code>report.json</code>.</p>");
    }
    scrolling(&format!("Decisions that {title}"), &table)
}
