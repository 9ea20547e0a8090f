//! Evaluation requests that stand in the training data.

use std::fmt::Write as _;

use super::super::Report;
use super::super::dictionary::{self as words, Text};
use super::super::format::{count, escape, value};
use super::language::{column, html, number_column};
use super::{Section, folded, scrolling};
use crate::data::{Contamination, ContaminationKind, ContaminationPolicy};

/// Nothing where nobody looked.
pub(super) fn section(report: &Report) -> Option<Section> {
    let found = report.contamination.as_ref()?;
    let total = found.exact + found.normalised + found.near;
    let mut text = match total {
        0 => words::CLEAN,
        n => words::OVERLAPS.with(&[("n", &count(n as u64))]),
    };
    if total > 0 {
        text = text.then(&match found.policy {
            ContaminationPolicy::Warn => words::POLICY_WARN,
            ContaminationPolicy::Drop => words::POLICY_DROP,
            ContaminationPolicy::Fail => words::POLICY_FAIL,
        });
    }
    let mut content = format!("<p>{}</p>\n", html(&text));
    if !found.sources.is_empty() {
        content.push_str(&scrolling("contamination", &by_source(found)));
    }
    if !found.pairs.is_empty() {
        let summary = words::PAIRS.with(&[("n", &count(found.pairs.len() as u64))]);
        content.push_str(&folded(&summary, &scrolling("contamination", &pairs(found))));
    }
    Some(Section { id: "contamination", title: words::CONTAMINATION, content })
}

fn by_source(found: &Contamination) -> String {
    let mut out = format!("<table class=\"numbers\">\n<thead><tr>{}", column(&words::SOURCE));
    for title in [words::EXACTLY, words::NORMALISED, words::NEARLY] {
        out.push_str(&number_column(&title));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let row = |name: String, [exact, normalised, near]: [usize; 3]| {
        format!(
            "<tr><th scope=\"row\">{name}</th><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
            count(exact as u64),
            count(normalised as u64),
            count(near as u64)
        )
    };
    for (name, own) in &found.sources {
        out.push_str(&row(escape(name), [own.exact, own.normalised, own.near]));
    }
    let all = row(html(&words::TOTAL), [found.exact, found.normalised, found.near]);
    let _ = write!(out, "</tbody>\n<tfoot>\n{all}</tfoot>\n</table>\n");
    out
}

fn kind(kind: ContaminationKind) -> Text {
    match kind {
        ContaminationKind::Exact => words::EXACTLY,
        ContaminationKind::Normalised => words::NORMALISED,
        ContaminationKind::Near => words::NEARLY,
    }
}

fn pairs(found: &Contamination) -> String {
    let mut out = format!(
        "<table>\n<thead><tr>{}{}{}{}</tr></thead>\n<tbody>\n",
        column(&words::EVAL_ROW),
        column(&words::TRAIN_ROW),
        column(&words::KIND),
        number_column(&words::SIMILARITY)
    );
    for pair in &found.pairs {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\"><code>{}</code></th><td><code>{}</code></td><td>{}</td><td class=\"number\">{}</td></tr>",
            escape(&pair.eval),
            escape(&pair.train),
            html(&kind(pair.kind)),
            value(Some(pair.similarity))
        );
    }
    out.push_str("</tbody>\n</table>\n");
    out
}
