//! The report as a table for a terminal: aligned by display width, readable without colour.

use std::fmt::Write as _;
use std::io::IsTerminal;

use super::dictionary::{Language, TOO_FEW};
use super::format::{count, delta, plain, plain_lines, share_bound, value, width};
use super::verdict::{measured, summary, worsening};
use super::{Report, headlines, safety};
use crate::evaluate::{Difference, Measurement, Table, Verdict};

/// Whether colours may be used on standard output: it is a terminal, and `NO_COLOR` is unset or empty.
pub fn colour_allowed() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// One line of the table: cells with the verdict last, which alone is coloured.
struct Line {
    cells: Vec<String>,
    verdict: Option<Verdict>,
}

/// The headline values, overall and by source, and the verdict. With both evaluations: before, after, difference and its interval; with one: value and
/// interval. `colour` paints the verdicts, which also stand in words.
pub fn table(report: &Report, colour: bool) -> String {
    let report = &safety::with_escalations(report);
    let mut lines = vec![head(report)];
    let Some(latest) = report.latest() else {
        return format!("{}: nothing was evaluated\n", plain(&report.run.name));
    };
    let none = Table::default();
    let earlier = report.after.as_ref().and(report.before.as_ref());
    let differences = report.comparison.as_ref();
    section(
        &mut lines,
        "all".to_owned(),
        (false, &report.headline),
        earlier.map(|m| &m.metrics),
        &latest.metrics,
        differences.map_or(&none, |c| &c.metrics),
    );
    if latest.sources.len() > 1 {
        for (source, values) in latest.sources.iter() {
            section(
                &mut lines,
                plain(source),
                (true, &report.headline),
                earlier.and_then(|m| m.sources.get(source)).map(|s| &s.metrics),
                &values.metrics,
                differences.and_then(|c| c.sources.get(source)).map_or(&none, |s| &s.metrics),
            );
        }
    }
    let first = measured(report).map_or_else(String::new, |what| format!("measured: {}\n\n", plain(&what)));
    let mut out = first + &aligned(&lines, colour);
    for failure in report.failures() {
        let _ =
            writeln!(out, "{}{}: failed: {}", plain(failure.metric), failure.place(), plain_lines(failure.error, "  "));
    }
    out.push_str(&verdict(report));
    if let Some(comparison) = differences {
        let test = &comparison.mcnemar;
        let _ = writeln!(
            out,
            "{} decisions changed; wrong to right {}, right to wrong {} (McNemar, exact: p {})",
            count(comparison.flips.len() as u64),
            count(test.right_after_only),
            count(test.right_before_only),
            p_value(test.p_value)
        );
    }
    if !summary(report).is_claim {
        out.push_str(&warnings(report, ""));
    }
    out
}

fn warnings(report: &Report, indent: &str) -> String {
    report.warnings.iter().map(|warning| format!("{indent}warning: {}\n", plain(warning))).collect()
}

/// The verdict on one line, under it what it claims too lightly, and each rule that the manifest states.
fn verdict(report: &Report) -> String {
    let summary = summary(report);
    let english = |text: &super::Text| plain(text.of(Language::English));
    let beside = if summary.is_claim { warnings(report, "  ") } else { String::new() };
    let Some(acceptance) = &report.accept else {
        return format!("\nverdict: {}\n{beside}", english(&summary.lead.then(&summary.detail)));
    };
    let (met, all) = (acceptance.rules.iter().filter(|rule| rule.passed).count(), acceptance.rules.len());
    let word = if acceptance.accepted { "accepted" } else { "not accepted" };
    let counted = match report.warnings.len() {
        n if n == 0 || !acceptance.accepted => String::new(),
        1 => ", with one warning".to_owned(),
        n => format!(", with {n} warnings"),
    };
    let mut out = format!("\nverdict: {word}, {met} of {all} rules met{counted}\n");
    if let Some(worse) = worsening(report).filter(|_| acceptance.accepted) {
        let _ = writeln!(out, "  warning: the rules do not say it, but: {}", english(&worse));
    }
    out.push_str(&beside);
    let safety = safety::sentences(report);
    if !english(&safety).is_empty() {
        let _ = writeln!(out, "  {}", english(&safety));
    }
    for rule in &acceptance.rules {
        let mark = if rule.passed { "met    " } else { "not met" };
        let _ = writeln!(out, "  {mark}  {}: {}", plain(&rule.rule), plain_lines(&rule.reason, "           "));
    }
    out
}

/// `= 0.041`, or `< 0.001`.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("= {p:.3}") }
}

fn head(report: &Report) -> Line {
    let titles: &[&str] = match report.after.is_some() && report.before.is_some() {
        true => &["", "n", "before", "after", "Δ", "95 % interval of Δ", ""],
        false => &["", "n", "value", "95 % interval", ""],
    };
    Line { cells: titles.iter().map(|&title| title.to_owned()).collect(), verdict: None }
}

/// The lines of one block: the source's name, then its headline values, or all its values where no headline is among them.
fn section(
    lines: &mut Vec<Line>,
    title: String,
    (of_source, own): (bool, &[String]),
    before: Option<&Table<Measurement>>,
    latest: &Table<Measurement>,
    differences: &Table<Difference>,
) {
    lines.push(Line { cells: vec![title], verdict: None });
    let mut names: Vec<(&str, Option<bool>)> =
        headlines(latest, of_source).into_iter().map(|(headline, name)| (name, Some(headline.is_share))).collect();
    if names.is_empty() && own.is_empty() {
        names = latest.iter().map(|(name, _)| (name, None)).collect();
    }
    let beside = own.iter().map(String::as_str).filter(|own| names.iter().all(|(name, _)| name != own));
    names.extend(beside.map(|own| (own, None)).collect::<Vec<_>>());
    for (name, is_share) in names {
        let Some(now) = latest.get(name) else { continue };
        let mut cells = vec![format!("  {}", plain(name)), count(u64::from(now.n))];
        let mut verdict = None;
        if let Some(before) = before {
            cells.push(figure(before.get(name)));
            cells.push(figure(Some(now)));
            let difference = differences.get(name).filter(|_| !now.few);
            cells.push(delta(difference.and_then(|d| d.delta)));
            cells.push(range(difference.and_then(|d| d.low.zip(d.high)), delta));
            let sure = difference.filter(|d| d.low.is_some() && d.better.is_some());
            verdict = sure.map(Difference::verdict);
            cells.push(verdict.map_or("", word).to_owned());
        } else {
            cells.push(figure(Some(now)));
            cells.push(range(now.low.zip(now.high).filter(|_| !now.few), value));
            let bound = now
                .value
                .filter(|_| is_share == Some(true) && now.low.is_none() && !now.few)
                .and_then(|v| Some((v, share_bound(v, now.n)?)));
            cells.push(bound.map_or_else(String::new, |(v, bound)| {
                let sign = if v == 0.0 { "≤" } else { "≥" };
                format!("95 % sure {sign} {bound:.3}")
            }));
        }
        lines.push(Line { cells, verdict });
    }
}

/// A value, or that it rests on too few rows.
fn figure(measurement: Option<&Measurement>) -> String {
    match measurement {
        Some(m) if m.few => TOO_FEW.of(Language::English).to_owned(),
        m => value(m.and_then(|m| m.value)),
    }
}

fn range(range: Option<(f64, f64)>, show: impl Fn(Option<f64>) -> String) -> String {
    range.map_or_else(|| "–".to_owned(), |(low, high)| format!("{} … {}", show(Some(low)), show(Some(high))))
}

/// A verdict in words.
pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Unsure => "unsure",
    }
}

/// The lines with their cells in columns: the first and the last left, the numbers between them right.
fn aligned(lines: &[Line], colour: bool) -> String {
    let columns = lines.iter().map(|line| line.cells.len()).max().unwrap_or(0);
    let widest: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = lines.iter().filter(|line| line.cells.len() > 1).filter_map(|line| line.cells.get(column));
            cells.map(|cell| width(cell)).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (column, cell) in line.cells.iter().enumerate() {
            let padding = " ".repeat(widest[column].saturating_sub(width(cell)));
            let gap = if column == 0 { "" } else { "  " };
            let cell = match line.verdict {
                Some(verdict) if colour && column + 1 == columns => painted(cell, verdict),
                _ => cell.clone(),
            };
            let _ = match column == 0 || column + 1 == columns {
                true => write!(text, "{gap}{cell}{padding}"),
                false => write!(text, "{gap}{padding}{cell}"),
            };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

fn painted(text: &str, verdict: Verdict) -> String {
    match verdict {
        Verdict::Better => format!("\u{1b}[32m{text}\u{1b}[0m"),
        Verdict::Worse => format!("\u{1b}[1;31m{text}\u{1b}[0m"),
        Verdict::Unsure => format!("\u{1b}[2m{text}\u{1b}[0m"),
    }
}
