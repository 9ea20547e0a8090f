//! F1, precision and recall of each class as bars, before and after.

use std::fmt::Write as _;

use super::super::dictionary::{self as words, Text};
use super::super::format::{count, escape};
use super::super::{Report, find_in};
use super::language::{column, html};
use super::{Section, bars, scrolling};

static MEASURES: [(&str, Text, Text); 3] = [
    ("f1", words::F1, words::F1_MEANING),
    ("precision", words::PRECISION, words::PRECISION_MEANING),
    ("recall", words::RECALL, words::RECALL_MEANING),
];

/// Nothing where no metric gives values by class.
pub(super) fn section(report: &Report) -> Option<Section> {
    let latest = report.latest();
    let name = |measure: &str, label: &str| format!("{measure}_{}", label.to_lowercase());
    let is_known = |label: &&String| find_in(latest, &name("f1", label)).is_some();
    let labels: Vec<&String> = report.run.labels.iter().filter(is_known).collect();
    if labels.is_empty() {
        return None;
    }
    let earlier = bars::earlier(report);
    let mut table = format!("<table class=\"bars\">\n<thead><tr>{}", column(&words::CLASS));
    for (_, title, meaning) in &MEASURES {
        table.push_str(&bars::heading(title, meaning));
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for label in labels {
        let support = find_in(latest, &name("support", label)).and_then(|m| m.value).map(|n| count(n as u64));
        let examples = words::EXAMPLES.with(&[("n", support.as_deref().unwrap_or("–"))]);
        let _ = write!(
            table,
            "<tr><th scope=\"row\">{}<span class=\"soft\">{}</span></th>",
            escape(label),
            html(&examples)
        );
        for (measure, title, _) in &MEASURES {
            let metric = name(measure, label);
            let before = earlier.map(|earlier| find_in(Some(earlier), &metric));
            let _ = write!(
                table,
                "<td><span class=\"small-title\">{}</span>{}</td>",
                html(title),
                bars::pair(before, find_in(latest, &metric))
            );
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n");
    let content = format!("{}{}", bars::key(report), scrolling("classes", &table));
    Some(Section { id: "classes", title: words::BY_CLASS, content })
}
