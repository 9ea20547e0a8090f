//! Unsafe pass against over-block at each threshold of the unsafe score, with a threshold that can be moved.

use std::fmt::Write as _;

use super::super::dictionary::{self as words, Text};
use super::super::format::value;
use super::super::{Report, find_in};
use super::chart::{Frame, quarters};
use super::language::{column, drawn, html, number_column};
use super::{Section, bars, folded, scrolling};
use crate::evaluate::Measured;

/// Thresholds from 0 to 1.
const STEPS: usize = 51;
/// The threshold that is shown without a script.
const START: usize = 25;

/// The two rates at one threshold; both are known.
#[derive(Clone, Copy)]
struct Point {
    pass: f64,
    block: f64,
}

/// Which of the two.
type Pick = fn(&Point) -> f64;

/// One evaluation's rates at every threshold.
struct Curve<'a> {
    measured: &'a Measured,
    kind: &'static str,
    word: Text,
    points: Vec<Option<Point>>,
}

/// The metric's name for a rate at threshold `step` of [`STEPS`].
fn name(step: usize, rate: &str) -> String {
    format!("threshold.{}.{rate}", text_of(step))
}

fn text_of(step: usize) -> String {
    format!("{:.2}", step as f64 / (STEPS - 1) as f64)
}

/// Whether `metric`, without its plugin's name, is part of the curve.
pub(super) fn is_part(metric: &str) -> bool {
    let Some(rest) = metric.strip_prefix("threshold.") else { return false };
    (0..STEPS).any(|step| {
        let rate = rest.strip_prefix(&text_of(step)).and_then(|rest| rest.strip_prefix('.'));
        matches!(rate, Some("unsafe_pass_rate" | "over_block_rate"))
    })
}

fn curve<'a>(measured: Option<&'a Measured>, kind: &'static str, word: Text) -> Option<Curve<'a>> {
    let measured = measured?;
    let rate = |step, rate| find_in(Some(measured), &name(step, rate)).and_then(|m| m.value);
    let points: Vec<_> = (0..STEPS)
        .map(|step| Some(Point { pass: rate(step, "unsafe_pass_rate")?, block: rate(step, "over_block_rate")? }))
        .collect();
    let known = points.iter().flatten().count();
    (known >= 2).then_some(Curve { measured, kind, word, points })
}

/// Nothing where no metric gives the table of thresholds.
pub(super) fn section(report: &Report) -> Option<Section> {
    let both = bars::earlier(report).is_some();
    let curves: Vec<Curve> = [
        curve(report.before.as_ref().filter(|_| both), "was", words::DECISION_BEFORE),
        curve(report.latest(), "now", words::DECISION_AFTER),
    ]
    .into_iter()
    .flatten()
    .collect();
    if curves.is_empty() {
        return None;
    }
    let safe = report.run.labels.first().map_or("ALLOW", String::as_str);
    let content = format!(
        "<p class=\"soft\">{}</p>\n<div class=\"threshold-tool\">\n{}{}</div>\n<div class=\"charts\">\n{}{}</div>\n{}",
        html(&words::THRESHOLD_NOTE.with(&[("safe", safe)])),
        control(),
        outputs(&curves, both),
        trade_off(&curves),
        rates(&curves),
        folded(&words::SHOW_NUMBERS, &scrolling("threshold", &numbers(&curves, both)))
    );
    Some(Section { id: "threshold", title: words::THRESHOLD, content })
}

/// The movable threshold: of use only with the script, which unhides it.
fn control() -> String {
    format!(
        "<p class=\"slider\" hidden><label for=\"threshold-input\">{}</label> <input type=\"range\" id=\"threshold-input\" \
         min=\"0\" max=\"{}\" step=\"1\" value=\"{START}\" data-texts=\"{}\" aria-valuetext=\"{}\"> \
         <output for=\"threshold-input\" id=\"threshold-output\" data-set-text=\"{}\">{}</output></p>\n",
        html(&words::THRESHOLD_INPUT),
        STEPS - 1,
        joined((0..STEPS).map(text_of)),
        text_of(START),
        joined((0..STEPS).map(text_of)),
        text_of(START)
    )
}

/// Values at every threshold, which the script chooses from.
fn joined(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join("|")
}

/// The rates at the threshold, as a small table.
fn outputs(curves: &[Curve<'_>], both: bool) -> String {
    let at = words::AT_THRESHOLD.with(&[("t", &text_of(START))]);
    let mut out = format!(
        "<table class=\"at-threshold\">\n<thead><tr><th scope=\"col\"><span class=\"noscript\">{}</span></th>{}{}</tr></thead>\n<tbody>\n",
        html(&at),
        number_column(&words::UNSAFE_PASS),
        number_column(&words::OVER_BLOCK)
    );
    for curve in curves {
        let word = if both { html(&curve.word) } else { html(&words::VALUE) };
        let _ = write!(out, "<tr class=\"{}\"><th scope=\"row\">{word}</th>", curve.kind);
        for (rate, pick) in rate_columns() {
            let texts = curve.points.iter().map(|point| value(point.as_ref().map(pick)));
            let _ = write!(
                out,
                "<td class=\"number\" id=\"threshold-{}-{rate}\" data-set-text=\"{}\">{}</td>",
                curve.kind,
                joined(texts),
                value(curve.points[START].as_ref().map(pick))
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
    out
}

/// The two rates: their ids and how to read them.
fn rate_columns() -> [(&'static str, Pick); 2] {
    [("pass", |point| point.pass), ("block", |point| point.block)]
}

/// Both charts have the same frame, with room for labels above it.
fn drawing() -> Frame {
    Frame { top: 54.0, name: 36.0, ..Frame::unit(460.0, 410.0) }
}

/// Unsafe pass against over-block: one curve an evaluation, a mark at the threshold, a cross where the decisions are.
fn trade_off(curves: &[Curve<'_>]) -> String {
    let frame = drawing();
    let mut out = format!(
        "<figure>\n<figcaption id=\"trade-off\">{}</figcaption>\n{}{}{}",
        html(&words::TRADE_OFF),
        frame.open("trade-off", "trade-off"),
        frame.vertical(&quarters(), &words::UNSAFE_PASS_AXIS),
        frame.horizontal(&quarters(), &words::OVER_BLOCK_AXIS)
    );
    for curve in curves {
        let line = frame.path(curve.points.iter().map(|point| point.map(|p| (p.block, p.pass))));
        let _ = write!(out, "<path class=\"line {}\" d=\"{line}\"/>", curve.kind);
    }
    let mut decided = false;
    for curve in curves {
        let rate = |name| find_in(Some(curve.measured), name).and_then(|m| m.value);
        if let Some((block, pass)) = rate("over_block_rate").zip(rate("unsafe_pass_rate")) {
            let (x, y) = (frame.at_x(block), frame.at_y(pass));
            let _ = write!(
                out,
                "<path class=\"cross {}\" d=\"M{:.1} {:.1}l10 10m0 -10l-10 10\"/>",
                curve.kind,
                x - 5.0,
                y - 5.0
            );
            decided = true;
        }
        let place = |pick: &dyn Fn(&Point) -> f64| {
            joined(curve.points.iter().map(|p| p.as_ref().map_or("-99".into(), |p| format!("{:.1}", pick(p)))))
        };
        let start = curve.points[START].map_or((-99.0, -99.0), |p| (frame.at_x(p.block), frame.at_y(p.pass)));
        let _ = write!(
            out,
            "<circle class=\"dot {}\" r=\"6\" cx=\"{:.1}\" cy=\"{:.1}\" data-set-cx=\"{}\" data-set-cy=\"{}\"/>",
            curve.kind,
            start.0,
            start.1,
            place(&|p| frame.at_x(p.block)),
            place(&|p| frame.at_y(p.pass))
        );
    }
    out.push_str(&legend(&frame, curves, decided));
    out.push_str("</svg>\n</figure>\n");
    out
}

/// What the lines and marks of the trade-off are, in its upper right corner, which curves worth having leave free.
fn legend(frame: &Frame, curves: &[Curve<'_>], decided: bool) -> String {
    let (mut out, mut y) = (String::new(), frame.top + 16.0);
    let (x, end) = (frame.right - 118.0, frame.right - 88.0);
    if curves.len() > 1 {
        for curve in curves {
            let _ = write!(
                out,
                "<path class=\"line {kind}\" d=\"M{x} {y}H{end}\"/><circle class=\"dot {kind}\" r=\"4.5\" cx=\"{}\" cy=\"{y}\"/>",
                (x + end) / 2.0,
                kind = curve.kind
            );
            out.push_str(&drawn(&curve.word, &format!("x=\"{}\" y=\"{}\"", end + 8.0, y + 4.0)));
            y += 20.0;
        }
    }
    if decided {
        let middle = (x + end) / 2.0;
        let _ = write!(out, "<path class=\"cross\" d=\"M{} {}l8 8m0 -8l-8 8\"/>", middle - 4.0, y - 4.0);
        out.push_str(&drawn(&words::AS_DECIDED, &format!("x=\"{}\" y=\"{}\"", end + 8.0, y + 4.0)));
    }
    out
}

/// Both rates over the threshold, with a line at the threshold.
fn rates(curves: &[Curve<'_>]) -> String {
    let frame = drawing();
    let mut out = format!(
        "<figure>\n<figcaption id=\"rates\">{}</figcaption>\n{}{}{}",
        html(&words::RATES),
        frame.open("rates", "rates"),
        frame.vertical(&quarters(), &words::SHARE_AXIS),
        frame.horizontal(&quarters(), &words::THRESHOLD_AXIS)
    );
    for curve in curves {
        for (rate, pick) in rate_columns() {
            let at = |step: usize| step as f64 / (STEPS - 1) as f64;
            let line =
                frame.path(curve.points.iter().enumerate().map(|(step, p)| p.as_ref().map(|p| (at(step), pick(p)))));
            let _ = write!(out, "<path class=\"line {} {rate}\" d=\"{line}\"/>", curve.kind);
        }
    }
    let y = frame.top - 7.0;
    out.push_str(&drawn(
        &words::OVER_BLOCK_LINE,
        &format!("class=\"label block\" x=\"{:.1}\" y=\"{y:.1}\"", frame.left + 2.0),
    ));
    let place = format!("class=\"label pass\" x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\"", frame.right);
    out.push_str(&drawn(&words::UNSAFE_PASS_LINE, &place));
    let x = |step: usize| format!("{:.1}", frame.at_x(step as f64 / (STEPS - 1) as f64));
    let _ = write!(
        out,
        "<line class=\"cursor\" x1=\"{start}\" x2=\"{start}\" y1=\"{}\" y2=\"{}\" data-set-x1=\"{all}\" data-set-x2=\"{all}\"/>",
        frame.top,
        frame.bottom,
        start = x(START),
        all = joined((0..STEPS).map(x))
    );
    out.push_str("</svg>\n</figure>\n");
    out
}

/// Every point as a number.
fn numbers(curves: &[Curve<'_>], both: bool) -> String {
    let mut out = format!("<table class=\"numbers\">\n<thead><tr>{}", column(&words::THRESHOLD));
    for curve in curves {
        for title in [words::UNSAFE_PASS, words::OVER_BLOCK] {
            let title = if both { title.then(&Text::name("· ")).then(&curve.word) } else { title };
            out.push_str(&number_column(&title));
        }
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for step in 0..STEPS {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", text_of(step));
        for curve in curves {
            for (_, pick) in rate_columns() {
                let _ = write!(out, "<td class=\"number\">{}</td>", value(curve.points[step].as_ref().map(pick)));
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
    out
}
