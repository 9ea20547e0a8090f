//! The report as one self-contained page: no script, no network, no font but the reader's own.
//!
//! It reads in light and dark, on a phone, on paper and with a keyboard, and says nothing by colour alone. All text
//! that comes from outside is escaped.

mod classes;
mod confusion;
mod flips;
mod headline;
mod loss;
mod tables;
mod values;

use std::fmt::Write as _;

use serde_json::Value;

use super::Report;
use super::format::escape;

/// The page. Equal reports give equal bytes.
pub fn page(report: &Report) -> String {
    let name = escape(&report.run.name);
    let mut body = header(report);
    body.push_str(&headline::section(report));
    body.push_str(&warnings(report));
    body.push_str(&classes::section(report));
    body.push_str(&confusion::section(report));
    body.push_str(&loss::section(report));
    body.push_str(&tables::sources(report));
    body.push_str(&flips::section(report));
    body.push_str(&tables::all_metrics(report));
    body.push_str(&values::section("data", "Data", &report.data));
    body.push_str(&values::section("digests", "Digests", &report.digests));
    body.push_str(&method(report));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{name} – so8t report</title>\n<style>\n{}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the results</a>\n{body}</main>\n</body>\n</html>\n",
        include_str!("style.css")
    )
}

/// The run's name and what ran; opens `main`.
fn header(report: &Report) -> String {
    let run = &report.run;
    let mut facts = vec![("Made", run.created.clone()), ("so8t", run.so8t.clone()), ("Seed", run.seed.to_string())];
    for (key, value) in &run.details {
        match value {
            Value::String(text) => facts.push((key, text.clone())),
            Value::Number(number) => facts.push((key, number.to_string())),
            Value::Bool(flag) => facts.push((key, flag.to_string())),
            _ => {}
        }
    }
    let mut out = format!(
        "<header>\n<p class=\"over\">so8t report · {}</p>\n<h1>{}</h1>\n<dl class=\"facts\">\n",
        escape(&run.command),
        escape(&run.name)
    );
    for (key, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escape(&values::words(key)), escape(value));
    }
    out.push_str("</dl>\n</header>\n<main id=\"main\">\n");
    out
}

/// The warnings, at the top where nobody misses them.
fn warnings(report: &Report) -> String {
    if report.warnings.is_empty() {
        return String::new();
    }
    let items = report.warnings.iter().fold(String::new(), |mut out, warning| {
        let _ = writeln!(out, "<li>{}</li>", escape(warning));
        out
    });
    format!(
        "<section class=\"warnings\" aria-labelledby=\"warnings\">\n<h2 id=\"warnings\">Warnings ({})</h2>\n<ul>\n{items}</ul>\n\
         </section>\n",
        report.warnings.len()
    )
}

/// How the numbers were made.
fn method(report: &Report) -> String {
    let resamples = match &report.comparison {
        Some(comparison) if comparison.resamples > 0 => {
            format!(" Differences pair the same {} resamples of both evaluations.", comparison.resamples)
        }
        _ => String::new(),
    };
    format!(
        "<footer>\n<h2>How to read this</h2>\n<p>Intervals are 95 % percentile intervals of a seeded bootstrap: examples are drawn \
         again with replacement, whole groups at a time.{resamples} There is no interval where it would mislead: where all \
         resamples gave one value, or where too many gave none. A dash (–) stands for a value that is not defined, never for \
         0. <em>n</em> is the number of rows that a value rests on. INVALID is an answer that is no label.</p>\n</footer>\n"
    )
}

/// A section with a heading.
fn titled(id: &str, title: &str, content: &str) -> String {
    format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n{content}</section>\n")
}

/// A table that may be wider than the page: it scrolls by itself, by keyboard as well. `label` is escaped already.
fn scrolling(label: &str, table: &str) -> String {
    format!("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{label}\">\n{table}</div>\n")
}
