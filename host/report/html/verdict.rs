//! The verdict, the rules with their reasons, and how many warnings there are.

use std::fmt::Write as _;

use super::super::Report;
use super::super::dictionary as words;
use super::super::format::{delta, prose, value};
use super::super::verdict::{Outcome, summary};
use super::language::{column, html, number_column};
use super::{metrics, scrolling};
use crate::evaluate::RuleOutcome;

/// The first thing that a reader sees.
pub(super) fn section(report: &Report) -> String {
    let verdict = summary(report);
    let (kind, mark) = match verdict.outcome {
        Outcome::Accepted => ("good", "✓"),
        Outcome::Refused => ("bad", "✕"),
        Outcome::Better => ("good", "▲"),
        Outcome::Worse => ("bad", "▼"),
        Outcome::Open => ("open", "●"),
    };
    let mut out = format!(
        "<section class=\"verdict {kind}\" aria-labelledby=\"verdict\">\n<h2 id=\"verdict\" tabindex=\"-1\">{}</h2>\n\
         <p class=\"lead\"><span class=\"mark\" aria-hidden=\"true\">{mark}</span> {}</p>\n",
        html(&words::VERDICT),
        html(&verdict.lead)
    );
    if verdict.is_claim {
        out.push_str(&beside(report));
    }
    let detail = html(&verdict.detail);
    if !detail.is_empty() {
        let _ = writeln!(out, "<p class=\"detail\">{detail}</p>");
    }
    if let Some(accept) = report.accept.as_ref().filter(|accept| !accept.rules.is_empty()) {
        out.push_str(&rules(&accept.rules));
    }
    out.push_str(&metrics::failures(report));
    if !report.warnings.is_empty() && !verdict.is_claim {
        let text = match report.warnings.len() {
            1 => words::SEE_WARNING,
            n => words::SEE_WARNINGS.with(&[("n", &n.to_string())]),
        };
        let _ = writeln!(
            out,
            "<p class=\"see\"><span aria-hidden=\"true\">⚠\u{FE0E}</span> <a href=\"#limits\">{}</a></p>",
            html(&text)
        );
    }
    out.push_str("</section>\n");
    out
}

/// The most warnings that stand beside a verdict.
const BESIDE: usize = 4;

/// The warnings beside a good verdict, as large as it.
fn beside(report: &Report) -> String {
    let mut out = String::new();
    let sign = "<span class=\"mark\" aria-hidden=\"true\">⚠\u{FE0E}</span>";
    for warning in report.warnings.iter().take(BESIDE) {
        let _ = writeln!(out, "<p class=\"lead caution\">{sign} {}</p>", prose(warning));
    }
    if report.warnings.len() > BESIDE {
        let more = words::MORE_WARNINGS.with(&[("n", &(report.warnings.len() - BESIDE).to_string())]);
        let _ = writeln!(out, "<p class=\"lead caution\">{sign} <a href=\"#limits\">{}</a></p>", html(&more));
    }
    out
}

/// Each rule with what was found.
fn rules(rules: &[RuleOutcome]) -> String {
    let [has_before, has_after, has_delta, has_interval] = [
        rules.iter().any(|rule| rule.before.is_some()),
        rules.iter().any(|rule| rule.after.is_some()),
        rules.iter().any(|rule| rule.delta.is_some()),
        rules.iter().any(|rule| rule.low.is_some()),
    ];
    let mut table = String::from("<table class=\"rules\">\n<thead><tr>");
    table.push_str(&column(&words::RULE));
    for (is_there, title) in [
        (has_before, words::DECISION_BEFORE),
        (has_after, words::DECISION_AFTER),
        (has_delta, words::DIFFERENCE_OF),
        (has_interval, words::JUDGED_INTERVAL),
    ] {
        if is_there {
            table.push_str(&number_column(&title));
        }
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for rule in rules {
        let (kind, mark, word) = match rule.passed {
            true => ("good", "✓", words::MET),
            false => ("bad", "✕", words::NOT_MET),
        };
        let _ = write!(
            table,
            "<tr><th scope=\"row\"><span class=\"badge {kind}\"><span aria-hidden=\"true\">{mark}</span> {}</span> \
             {}<span class=\"soft\">{}</span></th>",
            html(&word),
            prose(&rule.rule),
            prose(&rule.reason)
        );
        let interval = rule
            .low
            .zip(rule.high)
            .map_or_else(|| "–".to_owned(), |(low, high)| format!("{} … {}", value(Some(low)), value(Some(high))));
        for (is_there, title, cell) in [
            (has_before, words::DECISION_BEFORE, value(rule.before)),
            (has_after, words::DECISION_AFTER, value(rule.after)),
            (has_delta, words::DIFFERENCE_OF, delta(rule.delta)),
            (has_interval, words::JUDGED_INTERVAL, interval),
        ] {
            if is_there {
                let title = html(&title);
                let _ = write!(table, "<td class=\"number\"><span class=\"small-title\">{title}</span>{cell}</td>");
            }
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n");
    scrolling("verdict", &table)
}
