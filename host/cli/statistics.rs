//! Prepared data as a table for a terminal.

use std::fmt::Write as _;

use crate::data::policy::PolicyAction;
use crate::data::{GateAction, LabelSet, Statistics};
use crate::report::width;

/// One line a source: records, rejections, duplicates, and the examples of each class (training + held out); what the policy found; the
/// quality gates.
pub(super) fn table(statistics: &Statistics, labels: &LabelSet) -> String {
    let mut rows = vec![["source", "records", "rejected", "excluded", "duplicates"].map(str::to_owned).to_vec()];
    rows[0].extend(labels.names.iter().map(|name| format!("{name} train+eval")));
    for source in &statistics.sources {
        let mut row = vec![source.name.clone()];
        row.extend([source.records, source.rejected, source.excluded, source.duplicates].map(|n| n.to_string()));
        row.extend(labels.names.iter().map(|name| format!("{}+{}", source.train[name], source.eval[name])));
        rows.push(row);
    }
    let mut total = vec!["all".to_owned(), String::new(), String::new(), String::new(), String::new()];
    for (index, cell) in total.iter_mut().enumerate().skip(1) {
        let sum: usize = rows[1..].iter().filter_map(|row| row[index].parse::<usize>().ok()).sum();
        *cell = sum.to_string();
    }
    total.extend(labels.names.iter().map(|name| format!("{}+{}", statistics.train[name], statistics.eval[name])));
    rows.push(total);

    let mut out = aligned(&rows, 1);
    let (train, eval) = statistics.groups;
    let _ = writeln!(
        out,
        "\n{} to train on ({train} groups), {} held out ({eval} groups)",
        statistics.train.values().sum::<usize>(),
        statistics.eval.values().sum::<usize>()
    );
    let calibration = statistics.calibration.values().sum::<usize>();
    if calibration > 0 {
        let _ = writeln!(out, "{calibration} to calibrate on");
    }
    let validation = statistics.validation.values().sum::<usize>();
    if validation > 0 {
        let _ = writeln!(out, "{validation} to validate on while training");
    }
    let contaminated = statistics.sources.iter().map(|source| source.contaminated).sum::<usize>();
    if contaminated > 0 {
        let _ = writeln!(out, "{contaminated} dropped from the evaluation, since training holds them too");
    }
    if let Some(rebalanced) = &statistics.rebalanced {
        let classes: Vec<String> = labels
            .names
            .iter()
            .filter(|name| rebalanced.before.get(*name).is_some_and(|n| *n > 0))
            .map(|name| match rebalanced.weights.get(name) {
                Some(weight) => format!("{name} ×{weight:.3}"),
                None => format!("{name} {} → {}", rebalanced.before[name], rebalanced.after[name]),
            })
            .collect();
        let _ = writeln!(out, "rebalanced: {}", classes.join(", "));
    }
    if let Some(withheld) = &statistics.withheld {
        let (own, repeated) = (withheld.own, withheld.repeated);
        let _ = writeln!(
            out,
            "detection only: {own} outputs withheld, and {repeated} of other sources that repeat such a text"
        );
    }
    out + &policy(statistics) + &quality(statistics)
}

/// What the policy found; nothing where there is none.
fn policy(statistics: &Statistics) -> String {
    let Some(policy) = &statistics.policy else { return String::new() };
    let mut rows = vec![["policy", "action", "found"].map(str::to_owned).to_vec()];
    for (kind, action) in policy.actions.iter().filter(|(_, action)| **action != PolicyAction::Keep) {
        let found = policy.found.get(kind).copied().unwrap_or(0);
        rows.push(vec![kind.clone(), format!("{action:?}").to_lowercase(), found.to_string()]);
    }
    let mut out = format!("\n{}", aligned(&rows, 2));
    let dropped = statistics.sources.iter().map(|source| source.dropped).sum::<usize>();
    let _ = writeln!(out, "{dropped} examples dropped, {} ids, groups or categories renamed", policy.renamed);
    out
}

/// The gates, each with what was measured and what was expected.
fn quality(statistics: &Statistics) -> String {
    let mut rows = vec![["quality", "outcome", "share", "count", "of", "expected"].map(str::to_owned).to_vec()];
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    for gate in &statistics.quality {
        let outcome = match (gate.passed, gate.action) {
            (true, _) => "ok",
            (false, GateAction::Fail) => "FAILED",
            (false, _) => "warning",
        };
        let bounds =
            [gate.min.map(|min| format!("≥ {}", percent(min))), gate.max.map(|max| format!("≤ {}", percent(max)))];
        rows.push(vec![
            gate.gate.clone(),
            outcome.to_owned(),
            gate.share.map_or_else(|| "–".to_owned(), percent),
            gate.count.to_string(),
            gate.of.to_string(),
            bounds.into_iter().flatten().collect::<Vec<_>>().join(", "),
        ]);
    }
    format!("\n{}", aligned(&rows, 2))
}

/// Rows in columns: the first `left` to the left, the others to the right.
fn aligned(rows: &[Vec<String>], left: usize) -> String {
    let widths: Vec<usize> =
        (0..rows[0].len()).map(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (index, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[index] - width(cell));
            let gap = if index == 0 { "" } else { "  " };
            let _ =
                if index < left { write!(line, "{gap}{cell}{padding}") } else { write!(line, "{gap}{padding}{cell}") };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
