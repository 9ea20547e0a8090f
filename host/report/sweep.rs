//! Several runs beside one: a line a run, each against the first.

use super::Report;
use super::dictionary::Language;
use super::format::{delta, plain, value, width};
use super::headlines;
use super::safety;
use super::terminal::word;
use super::verdict::summary;

/// A table of runs: the headline values of each, how they differ from the first run's and how sure that is, and whether the rules are met.
pub fn table(first: &str, runs: &[(String, &Report)]) -> String {
    let reports: Vec<Report> = runs.iter().map(|(_, report)| safety::with_escalations(report)).collect();
    let Some(latest) = reports.first().and_then(|report| report.before.as_ref()) else { return String::new() };
    let names: Vec<String> = headlines(&latest.metrics, false).into_iter().map(|(_, name)| name.to_owned()).collect();
    let names: Vec<String> =
        if names.is_empty() { latest.metrics.iter().map(|(name, _)| name.to_owned()).collect() } else { names };
    let short = |name: &String| name.rsplit_once('.').map_or(name.clone(), |(_, short)| short.to_owned());
    let mut lines =
        vec![[vec!["run".to_owned()], names.iter().map(short).collect(), vec!["verdict".to_owned()]].concat()];
    let figure = |own: Option<&crate::evaluate::Measurement>| match own {
        Some(own) if own.few => "too few".to_owned(),
        own => value(own.and_then(|own| own.value)),
    };
    let own = names.iter().map(|name| figure(latest.metrics.get(name))).collect();
    lines.push([vec![plain(first)], own, vec!["the first".to_owned()]].concat());
    for ((name, _), report) in runs.iter().zip(&reports) {
        let mut cells = vec![plain(name)];
        for metric in &names {
            let now = report.after.as_ref().and_then(|after| after.metrics.get(metric));
            let change = report.comparison.as_ref().and_then(|all| all.metrics.get(metric));
            let change = change.filter(|_| now.is_some_and(|now| !now.few));
            let mut cell = figure(now);
            if let Some(change) = change {
                cell.push_str(&format!(" ({})", delta(change.delta)));
                if change.low.is_some() && change.better.is_some() {
                    cell.push_str(&format!(" {}", word(change.verdict())));
                }
            }
            cells.push(cell);
        }
        let lead = summary(report).lead;
        cells.push(plain(lead.of(Language::English)));
        lines.push(cells);
    }
    let widest: Vec<usize> =
        (0..lines[0].len()).map(|column| lines.iter().map(|line| width(&line[column])).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for line in &lines {
        let padded: Vec<String> = line
            .iter()
            .zip(&widest)
            .map(|(cell, widest)| format!("{cell}{}", " ".repeat(widest - width(cell))))
            .collect();
        out.push_str(padded.join("  ").trim_end());
        out.push('\n');
    }
    for ((name, _), report) in runs.iter().zip(&reports) {
        for rule in report.accept.iter().flat_map(|accept| &accept.rules).filter(|rule| !rule.passed) {
            out.push_str(&format!("{}: not met: {}: {}\n", plain(name), plain(&rule.rule), plain(&rule.reason)));
        }
        for warning in &report.warnings {
            out.push_str(&format!("{}: warning: {}\n", plain(name), plain(warning)));
        }
    }
    out
}
