//! What must be known before the numbers are believed: the run's warnings, and what the numbers cannot say.

use std::fmt::Write as _;

use super::super::Report;
use super::super::dictionary as words;
use super::super::format::{count, prose};
use super::Section;
use super::language::html;

/// Always there.
pub(super) fn section(report: &Report) -> Section {
    let mut content = String::new();
    if report.warnings.is_empty() {
        let _ = writeln!(content, "<p>{}</p>", html(&words::NO_WARNINGS));
    } else {
        content.push_str("<ul class=\"warnings\">\n");
        for warning in &report.warnings {
            let _ = writeln!(content, "<li>{}</li>", prose(warning));
        }
        content.push_str("</ul>\n");
    }
    let mut interval = words::LIMIT_INTERVAL;
    if let Some(comparison) = report.comparison.as_ref().filter(|comparison| comparison.resamples > 0) {
        interval = interval.then(&words::LIMIT_PAIRED.with(&[("n", &count(comparison.resamples.into()))]));
    }
    content.push_str("<ul class=\"limits\">\n");
    for limit in
        [words::LIMIT_GOLD, interval, words::LIMIT_MANY, words::LIMIT_NONE, words::LIMIT_FEW, words::LIMIT_INVALID]
    {
        let _ = writeln!(content, "<li>{}</li>", html(&limit));
    }
    content.push_str("</ul>\n");
    Section { id: "limits", title: words::LIMITS, content }
}
