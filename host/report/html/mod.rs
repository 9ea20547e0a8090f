//! The report as one self-contained page: no network, no font but the reader's own.
//!
//! It reads in English and Japanese, in light and dark, on a phone, on paper and with a keyboard, and says nothing by colour
//! alone. It is complete without its script, which only switches the language, moves the threshold and filters rows. All text
//! that comes from outside is escaped, and the policy in its head lets nothing but its own style sheet and script through.

mod bars;
mod chart;
mod classes;
mod confusion;
mod contamination;
mod data;
mod data_rules;
mod flip_counts;
mod flips;
mod headline;
mod language;
mod limits;
mod loss;
mod metrics;
mod prompt;
mod reliability;
mod repeat;
mod security;
mod sources;
mod threshold;
mod validation;
mod values;
mod verdict;

use std::fmt::Write as _;

use serde_json::Value;

use super::dictionary::{self as words, Text};
use super::format::escape;
use super::{Report, safety};
use language::html;

/// A part of the page under its own heading.
struct Section {
    /// The heading's id, to which links lead.
    id: &'static str,
    title: Text,
    content: String,
}

/// The page. Equal reports give equal bytes.
pub fn page(report: &Report) -> String {
    let report = &safety::with_escalations(report);
    let parts = [
        headline::section(report),
        confusion::section(report),
        classes::section(report),
        sources::section(report),
        threshold::section(report),
        reliability::section(report),
        flips::section(report),
        loss::section(report),
        data::section(report),
        contamination::section(report),
        metrics::section(report),
        prompt::section(report),
        Some(limits::section(report)),
        repeat::section(report),
    ];
    let sections: Vec<Section> = parts.into_iter().flatten().collect();
    let (style, script) = (include_str!("style.css"), include_str!("script.js"));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} – so8t</title>\n<style>{style}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#verdict\">{}</a>\n",
        security::policy(style, script),
        escape(&report.run.name),
        html(&words::SKIP),
    );
    out.push_str(&header(report));
    out.push_str("<div class=\"frame\">\n");
    out.push_str(&navigation(&sections));
    out.push_str("<main id=\"main\">\n");
    out.push_str(&verdict::section(report));
    for section in &sections {
        let _ = write!(
            out,
            "<section aria-labelledby=\"{id}\" class=\"{id}\">\n<h2 id=\"{id}\">{}</h2>\n{}</section>\n",
            html(&section.title),
            section.content,
            id = section.id
        );
    }
    let _ = write!(out, "</main>\n</div>\n<script>{script}</script>\n</body>\n</html>\n");
    out
}

/// The run's name, what ran, and the language switch.
fn header(report: &Report) -> String {
    let run = &report.run;
    let mut facts = vec![
        (words::MADE, run.created.clone()),
        (Text::name("so8t"), run.so8t.clone()),
        (words::SEED, run.seed.to_string()),
    ];
    for (key, value) in run.details.iter().filter(|(key, _)| !["measured", "note"].contains(&key.as_str())) {
        let key = Text::name(values::words(key));
        match value {
            Value::String(text) => facts.push((key, text.clone())),
            Value::Number(number) => facts.push((key, number.to_string())),
            Value::Bool(flag) => facts.push((key, flag.to_string())),
            _ => {}
        }
    }
    let mut out = format!(
        "<header>\n<div class=\"languages\" role=\"group\" aria-label=\"Language / 言語\" hidden>\
         <button type=\"button\" data-language=\"en\" aria-pressed=\"true\">English</button>\
         <button type=\"button\" data-language=\"ja\" aria-pressed=\"false\">日本語</button></div>\n\
         <p class=\"over\">{}</p>\n<h1>{}</h1>\n",
        html(&words::REPORT_OF.with(&[("command", &run.command)])),
        escape(&run.name)
    );
    if let Some(what) = super::verdict::measured(report) {
        let _ = writeln!(
            out,
            "<p class=\"measured\"><b>{}</b> {}</p>",
            html(&words::MEASURED),
            super::format::prose(&what)
        );
    }
    out.push_str("<dl class=\"facts\">\n");
    for (key, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", html(key), escape(value));
    }
    out.push_str("</dl>\n</header>\n");
    out
}

/// Links to the sections that there are.
fn navigation(sections: &[Section]) -> String {
    let mut out = format!(
        "<nav aria-labelledby=\"contents\">\n<p id=\"contents\">{}</p>\n<ul>\n<li><a href=\"#verdict\">{}</a></li>\n",
        html(&words::SECTIONS),
        html(&words::VERDICT)
    );
    for section in sections {
        let _ = writeln!(out, "<li><a href=\"#{}\">{}</a></li>", section.id, html(&section.title));
    }
    out.push_str("</ul>\n</nav>\n");
    out
}

/// A table that may be wider than the page: it scrolls by itself, by keyboard as well. It is named by the element with the id
/// `label`.
fn scrolling(label: &str, table: &str) -> String {
    format!("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-labelledby=\"{label}\">\n{table}</div>\n")
}

/// Content behind a click.
fn folded(summary: &Text, content: &str) -> String {
    format!("<details>\n<summary>{}</summary>\n{content}</details>\n", html(summary))
}
