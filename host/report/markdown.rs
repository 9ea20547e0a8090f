//! `report.md`: the report for a pull request. No request's text is in it; what comes from outside stands as code, so that it can
//! be neither markup nor a mention.

use std::fmt::Write as _;

use super::Report;
use super::dictionary::{Language, Text};
use super::format::{count, delta, plain, value};
use super::headlines::{find_in, headlines};
use super::safety;
use super::terminal::p_value;
use super::verdict::{Outcome, measured, summary};
use crate::evaluate::{Change, Difference, Measurement, Verdict};

/// The most changed decisions that are listed.
const FLIPS: usize = 10;

/// The report as Markdown (CommonMark with GitHub's tables). Equal reports give equal bytes.
pub fn text(report: &Report) -> String {
    let report = &safety::with_escalations(report);
    let mut out = verdict(report);
    out.push_str(&headline_table(report));
    out.push_str(&classes(report));
    out.push_str(&flips(report));
    if !summary(report).is_claim {
        out.push_str(&warnings(report));
    }
    out.push_str(&repeat(report));
    out
}

fn verdict(report: &Report) -> String {
    let summary = summary(report);
    let mark = match summary.outcome {
        Outcome::Accepted => "✅",
        Outcome::Refused => "❌",
        Outcome::Better => "▲",
        Outcome::Worse => "▼",
        Outcome::Open => "●",
    };
    let english = |text: &Text| text.of(Language::English).to_owned();
    let mut out =
        format!("## {mark} {} — {}\n\n", english(&summary.lead).trim_end_matches('.'), code(&report.run.name));
    if let Some(what) = measured(report) {
        let _ = writeln!(out, "Measured: {}\n", prose(&what));
    }
    if summary.is_claim {
        out.push_str(&warnings(report));
    }
    let detail = english(&summary.detail);
    if !detail.is_empty() {
        let _ = writeln!(out, "{detail}\n");
    }
    if let Some(accept) = report.accept.as_ref().filter(|accept| !accept.rules.is_empty()) {
        out.push_str("| | Rule | Before | After | Δ | Reason |\n|---|---|--:|--:|--:|---|\n");
        for rule in &accept.rules {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                if rule.passed { "✅ met" } else { "❌ not met" },
                prose(&rule.rule),
                value(rule.before),
                value(rule.after),
                delta(rule.delta),
                prose(&rule.reason)
            );
        }
        out.push('\n');
    }
    out
}

/// The headline values: before, after, difference, intervals and rows; or value and interval.
fn headline_table(report: &Report) -> String {
    let Some(latest) = report.latest() else { return String::new() };
    let earlier = report.after.as_ref().and(report.before.as_ref());
    let mut names: Vec<(String, &str)> = headlines(&latest.metrics, false)
        .into_iter()
        .map(|(headline, name)| (headline.title.of(Language::English).to_owned(), name))
        .collect();
    let beside = report.headline.iter().filter(|own| names.iter().all(|(_, name)| name != own));
    names.extend(beside.map(|own| (code(own), own.as_str())).collect::<Vec<_>>());
    if names.is_empty() {
        names = latest.metrics.iter().take(8).map(|(name, _)| (code(name), name)).collect();
    }
    let mut out = String::from(match earlier {
        Some(_) => {
            "| | Before | After | 95 % interval | Δ | 95 % interval of Δ | | n |\n|---|--:|--:|:-:|--:|:-:|---|--:|\n"
        }
        None => "| | Value | 95 % interval | n |\n|---|--:|:-:|--:|\n",
    });
    for (title, name) in names {
        let Some(now) = latest.metrics.get(name) else { continue };
        let interval = range(now.low.zip(now.high).filter(|_| !now.few), value);
        let rows = count(now.n.into());
        let _ = match earlier {
            None => writeln!(out, "| {title} | {} | {interval} | {rows} |", figure(Some(now))),
            Some(earlier) => {
                let difference = report.comparison.as_ref().and_then(|c| c.metrics.get(name)).filter(|_| !now.few);
                writeln!(
                    out,
                    "| {title} | {} | **{}** | {interval} | {} | {} | {} | {rows} |",
                    figure(earlier.metrics.get(name)),
                    figure(Some(now)),
                    delta(difference.and_then(|d| d.delta)),
                    range(difference.and_then(|d| d.low.zip(d.high)), delta),
                    difference.map_or("", word)
                )
            }
        };
    }
    out.push_str(&failures(report));
    let mut methods: Vec<&str> = latest.metrics.iter().filter_map(|(_, m)| m.method.as_deref()).collect();
    methods.sort_unstable();
    methods.dedup();
    if !methods.is_empty() {
        let methods: Vec<String> = methods.into_iter().map(plain).collect();
        let _ = write!(out, "\nIntervals: {}.\n", methods.join(", "));
    }
    out.push('\n');
    out
}

/// A line for each metric that failed, in the place of its values.
fn failures(report: &Report) -> String {
    let failures = report.failures();
    let line = |failure: &super::Failure<'_>| {
        format!("- ❌ {}{} failed: {}\n", code(failure.metric), failure.place(), prose(failure.error))
    };
    let lines: String = failures.iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// F1, precision and recall of each class.
fn classes(report: &Report) -> String {
    let latest = report.latest();
    let earlier = report.after.as_ref().and(report.before.as_ref());
    let name = |measure: &str, label: &str| format!("{measure}_{}", label.to_lowercase());
    let mut rows = String::new();
    for label in report.run.labels.iter().filter(|label| find_in(latest, &name("f1", label)).is_some()) {
        let _ = write!(rows, "| {}", code(label));
        for measure in ["f1", "precision", "recall"] {
            let metric = name(measure, label);
            let was = earlier.map_or_else(String::new, |m| format!("{} → ", figure(find_in(Some(m), &metric))));
            let _ = write!(rows, " | {was}{}", figure(find_in(latest, &metric)));
        }
        let support = find_in(latest, &name("support", label)).and_then(|m| m.value);
        let _ = writeln!(rows, " | {} |", support.map_or_else(|| "–".to_owned(), |n| count(n as u64)));
    }
    if rows.is_empty() {
        return rows;
    }
    format!("| Class | F1 | Precision | Recall | n |\n|---|--:|--:|--:|--:|\n{rows}\n")
}

/// How many decisions changed, and the gravest of those that worsened.
fn flips(report: &Report) -> String {
    let Some(comparison) = &report.comparison else { return String::new() };
    let of = |change: Change| comparison.flips.iter().filter(move |flip| flip.change == change);
    let test = &comparison.mcnemar;
    let mut out = format!(
        "**{} decisions changed**: {} worsened, {} sideways, {} improved. Wrong to right {}, right to wrong {} (McNemar, exact: p {}).\n\n",
        count(comparison.flips.len() as u64),
        count(of(Change::Worsened).count() as u64),
        count(of(Change::Sideways).count() as u64),
        count(of(Change::Improved).count() as u64),
        count(test.right_after_only),
        count(test.right_before_only),
        p_value(test.p_value).replace('<', "\\<")
    );
    let worsened: Vec<_> = of(Change::Worsened).take(FLIPS).collect();
    if !worsened.is_empty() {
        out.push_str("| Worst changes | Source | Gold | Before | After |\n|---|---|---|---|---|\n");
        for flip in worsened {
            let cells = [&flip.id, &flip.source, &flip.gold, &flip.before, &flip.after].map(|text| code(text));
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        out.push('\n');
    }
    out
}

fn warnings(report: &Report) -> String {
    if report.warnings.is_empty() {
        return String::new();
    }
    let items = report.warnings.iter().fold(String::new(), |out, warning| out + &format!("- {}\n", prose(warning)));
    format!("**Warnings**\n\n{items}\n")
}

fn repeat(report: &Report) -> String {
    let commands: Vec<String> = report.run.repeat.iter().map(|command| format!("    {}\n", plain(command))).collect();
    let mut out = String::new();
    if !commands.is_empty() {
        let _ = write!(out, "**Repeat**\n\n{}\n", commands.concat());
    }
    let _ = writeln!(
        out,
        "<sub>so8t {} · seed {} · {} · the whole story is in report.html</sub>",
        prose(&report.run.so8t),
        report.run.seed,
        prose(&report.run.created)
    );
    out
}

/// A value, or that it rests on too few rows.
fn figure(measurement: Option<&Measurement>) -> String {
    match measurement {
        Some(m) if m.few => format!("too few (n = {})", count(m.n.into())),
        m => value(m.and_then(|m| m.value)),
    }
}

fn range(range: Option<(f64, f64)>, show: impl Fn(Option<f64>) -> String) -> String {
    range.map_or_else(|| "–".to_owned(), |(low, high)| format!("{} … {}", show(Some(low)), show(Some(high))))
}

fn word(difference: &Difference) -> &'static str {
    match difference.verdict() {
        _ if difference.low.is_none() || difference.better.is_none() => "",
        Verdict::Better => "▲ better",
        Verdict::Worse => "▼ worse",
        Verdict::Unsure => "● unsure",
    }
}

/// Text from outside as a code span that is good in a table's cell.
fn code(text: &str) -> String {
    let text = plain(&text.replace(['\n', '\t'], " ")).replace('|', "\\|");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A sentence from outside: what is between backticks stays code, all other marks lose their meaning.
fn prose(text: &str) -> String {
    let text = plain(&text.replace(['\n', '\t'], " "));
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return code(&text);
    }
    let escaped = |part: &str| {
        part.chars().fold(String::new(), |mut out, c| {
            match c {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                // A mention or a reference would be one even when escaped: a word joiner parts it.
                '@' | '#' => out.extend([c, '\u{2060}']),
                '\\' | '*' | '_' | '[' | ']' | '!' | '~' | '|' => out.extend(['\\', c]),
                c => out.push(c),
            }
            out
        })
    };
    let parts = parts.iter().enumerate();
    parts.map(|(i, part)| if i % 2 == 0 { escaped(part) } else { code(part) }).collect()
}
