//! Prepared data as a table for a terminal.

use std::fmt::Write as _;

use crate::data::{LabelSet, Statistics};
use crate::report::width;

/// One line a source: records, rejections, duplicates, and the examples of each class (training + held out).
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

    let widths: Vec<usize> =
        (0..rows[0].len()).map(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for row in &rows {
        for (index, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[index] - width(cell));
            let _ = if index == 0 { write!(out, "{cell}{padding}") } else { write!(out, "  {padding}{cell}") };
        }
        out.push('\n');
    }
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
    let contaminated = statistics.sources.iter().map(|source| source.contaminated).sum::<usize>();
    if contaminated > 0 {
        let _ = writeln!(out, "{contaminated} dropped from the evaluation, since training holds them too");
    }
    out
}
