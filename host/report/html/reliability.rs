//! Whether the model's confidence can be believed: accuracy against confidence in bins, and what was fitted to mend it.

use std::fmt::Write as _;

use super::super::dictionary::{self as words, Text};
use super::super::format::{count, delta, escape, value};
use super::super::{Report, find_in};
use super::chart::{Frame, nice_step, quarters};
use super::language::{column, drawn, html, number_column};
use super::{Section, bars, folded, scrolling};
use crate::evaluate::{Calibration, Measured};

/// Equal-width bins of the confidence.
const BINS: usize = 15;
/// The calibration metrics that stand beside the diagram.
const SUMMARIES: [(&str, &str); 4] =
    [("ece", "ECE"), ("ece_adaptive", "ECE (adaptive)"), ("brier", "Brier"), ("log_loss", "Log loss")];

/// One bin of one evaluation.
#[derive(Clone, Copy)]
struct Bin {
    count: f64,
    /// Absent where the bin is empty.
    point: Option<(f64, f64)>,
}

struct Diagram {
    kind: &'static str,
    word: Text,
    bins: Vec<Bin>,
}

/// Whether `metric`, without its plugin's name, is part of the diagram.
pub(super) fn is_part(metric: &str) -> bool {
    let Some((bin, part)) = metric.strip_prefix("bin.").and_then(|rest| rest.split_once('.')) else { return false };
    bin.len() == 2
        && bin.parse::<usize>().is_ok_and(|bin| bin < BINS)
        && matches!(part, "count" | "confidence" | "accuracy")
}

fn diagram(measured: Option<&Measured>, kind: &'static str, word: Text) -> Option<Diagram> {
    let read = |bin: usize, part: &str| find_in(measured, &format!("bin.{bin:02}.{part}")).and_then(|m| m.value);
    let bins: Vec<Bin> = (0..BINS)
        .map(|bin| Bin {
            count: read(bin, "count").unwrap_or(0.0),
            point: read(bin, "confidence").zip(read(bin, "accuracy")),
        })
        .collect();
    bins.iter().any(|bin| bin.point.is_some()).then_some(Diagram { kind, word, bins })
}

/// Nothing where no metric gives the bins and nothing was fitted.
pub(super) fn section(report: &Report) -> Option<Section> {
    let both = bars::earlier(report).is_some();
    let diagrams: Vec<Diagram> = [
        diagram(report.before.as_ref().filter(|_| both), "was", words::DECISION_BEFORE),
        diagram(report.latest(), "now", words::DECISION_AFTER),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut content = String::new();
    if !diagrams.is_empty() {
        let _ = write!(
            content,
            "<p class=\"soft\">{}</p>\n<div class=\"charts\">\n{}<div>\n{}{}</div>\n</div>\n{}",
            html(&if both { words::RELIABILITY_NOTE.then(&words::KEY_MARKS) } else { words::RELIABILITY_NOTE }),
            curve(&diagrams),
            summaries(report),
            report.calibration.as_ref().map_or_else(String::new, fitted),
            folded(&words::SHOW_NUMBERS, &scrolling("reliability", &numbers(&diagrams, both)))
        );
    } else if let Some(calibration) = &report.calibration {
        content.push_str(&fitted(calibration));
    }
    (!content.is_empty()).then_some(Section { id: "reliability", title: words::RELIABILITY, content })
}

/// Accuracy over confidence, and under it how many rows each bin holds.
fn curve(diagrams: &[Diagram]) -> String {
    let frame = Frame { bottom: 310.0, ..Frame::unit(460.0, 470.0) };
    let mut out = format!(
        "<figure>\n<figcaption id=\"reliability-curve\" class=\"sr\">{}</figcaption>\n{}{}{}<path class=\"ideal\" d=\"{}\"/>",
        html(&words::RELIABILITY),
        frame.open("reliability", "reliability-curve"),
        frame.vertical(&quarters(), &words::ACCURACY_AXIS),
        frame.horizontal(&quarters(), &words::CONFIDENCE_AXIS),
        frame.path([Some((0.0, 0.0)), Some((1.0, 1.0))])
    );
    let place = |x, y| format!("class=\"label soft\" x=\"{:.1}\" y=\"{:.1}\"", frame.at_x(x), frame.at_y(y));
    out.push_str(&drawn(&words::TOO_MODEST, &place(0.03, 0.92)));
    out.push_str(&drawn(&words::TOO_SURE, &format!("{} text-anchor=\"end\"", place(0.98, 0.05))));
    let most = diagrams.iter().flat_map(|d| &d.bins).map(|bin| bin.count).fold(1.0, f64::max);
    for diagram in diagrams {
        let line = frame.path(diagram.bins.iter().filter_map(|bin| bin.point).map(Some));
        let _ = write!(out, "<path class=\"line {}\" d=\"{line}\"/>", diagram.kind);
        for bin in &diagram.bins {
            let Some((confidence, accuracy)) = bin.point else { continue };
            let _ = write!(
                out,
                "<circle class=\"dot {}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{:.1}\"><title>n = {}</title></circle>",
                diagram.kind,
                frame.at_x(confidence),
                frame.at_y(accuracy),
                2.5 + 6.0 * (bin.count / most).sqrt(),
                count(bin.count as u64)
            );
        }
    }
    out.push_str(&histogram(diagrams, most));
    out.push_str("</svg>\n</figure>\n");
    out
}

/// Rows in each bin: before and after side by side.
fn histogram(diagrams: &[Diagram], most: f64) -> String {
    let step = nice_step(most, 2.0).max(1.0);
    let top = (most / step).ceil() * step;
    let frame = Frame { top: 385.0, bottom: 455.0, y: (0.0, top), ..Frame::unit(460.0, 470.0) };
    let ticks: Vec<(f64, String)> =
        (0..=(top / step).round() as u32).map(|i| (f64::from(i) * step, count((f64::from(i) * step) as u64))).collect();
    let mut out = frame.vertical(&ticks, &words::ROWS_AXIS);
    let width = (frame.right - frame.left) / BINS as f64;
    let each = (width - 4.0) / diagrams.len() as f64;
    for (place, diagram) in diagrams.iter().enumerate() {
        for (index, bin) in diagram.bins.iter().enumerate().filter(|(_, bin)| bin.count > 0.0) {
            let y = frame.at_y(bin.count);
            let _ = write!(
                out,
                "<rect class=\"column {}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                diagram.kind,
                frame.left + width * index as f64 + 2.0 + each * place as f64,
                each - 1.0,
                frame.bottom - y
            );
        }
    }
    let _ = write!(out, "<path class=\"axis\" d=\"M{} {}H{}\"/>", frame.left, frame.bottom, frame.right);
    out
}

/// The calibration metrics, before and after.
fn summaries(report: &Report) -> String {
    let earlier = bars::earlier(report);
    let mut rows = String::new();
    for (metric, title) in SUMMARIES {
        let Some(now) = find_in(report.latest(), metric) else { continue };
        let shown = |m: Option<&crate::evaluate::Measurement>| match m {
            Some(m) if m.few => html(&words::TOO_FEW),
            m => value(m.and_then(|m| m.value)),
        };
        let _ = write!(rows, "<tr><th scope=\"row\">{title}</th>");
        if earlier.is_some() {
            let _ = write!(rows, "<td class=\"number was\">{}</td>", shown(find_in(earlier, metric)));
        }
        let interval = now.low.zip(now.high).filter(|_| !now.few);
        let interval = interval.map(|(low, high)| format!("{} … {}", value(Some(low)), value(Some(high))));
        let _ = writeln!(
            rows,
            "<td class=\"number\"><b>{}</b></td><td class=\"number soft\">{}</td></tr>",
            shown(Some(now)),
            interval.unwrap_or_default()
        );
    }
    if rows.is_empty() {
        return rows;
    }
    let before = if earlier.is_some() { number_column(&words::DECISION_BEFORE) } else { String::new() };
    let after = if earlier.is_some() { words::DECISION_AFTER } else { words::VALUE };
    format!(
        "<table>\n<thead><tr>{}{before}{}{}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n",
        column(&words::METRIC),
        number_column(&after),
        number_column(&words::INTERVAL)
    )
}

/// The temperature and the thresholds.
fn fitted(calibration: &Calibration) -> String {
    let text = words::FITTED.with(&[
        ("n", &count(calibration.n as u64)),
        ("t", &value(Some(calibration.temperature))),
        ("was", &value(Some(calibration.log_loss_before))),
        ("is", &value(Some(calibration.log_loss_after))),
    ]);
    let mut out = format!("<p class=\"fitted\">{}</p>\n", html(&text));
    if !calibration.thresholds.is_empty() {
        let _ = writeln!(out, "<h3>{}</h3>\n<dl class=\"facts\">", html(&words::FITTED_THRESHOLDS));
        for (label, threshold) in calibration.thresholds.iter() {
            let _ = writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escape(label), delta(Some(*threshold)));
        }
        out.push_str("</dl>\n");
    }
    out
}

/// Every bin as numbers.
fn numbers(diagrams: &[Diagram], both: bool) -> String {
    let mut out = format!("<table class=\"numbers\">\n<thead><tr>{}", column(&words::BIN));
    for diagram in diagrams {
        for title in [words::COUNT, words::CONFIDENCE, words::ACCURACY] {
            let title = if both { title.then(&Text::name("· ")).then(&diagram.word) } else { title };
            out.push_str(&number_column(&title));
        }
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for index in 0..BINS {
        let edge = |i: usize| format!("{:.2}", i as f64 / BINS as f64);
        let _ = write!(out, "<tr><th scope=\"row\">{} – {}</th>", edge(index), edge(index + 1));
        for diagram in diagrams {
            let bin = diagram.bins[index];
            let _ = write!(
                out,
                "<td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>",
                count(bin.count as u64),
                value(bin.point.map(|p| p.0)),
                value(bin.point.map(|p| p.1))
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
    out
}
