//! The training loss over the steps, and what training did.

use std::fmt::Write as _;

use super::super::Report;
use super::super::dictionary as words;
use super::super::format::count;
use super::chart::{Frame, nice_step};
use super::language::html;
use super::{Section, validation, values};

/// The most points that are drawn; more are averaged in equal runs.
const POINTS: usize = 600;

/// Nothing where nothing was trained.
pub(super) fn section(report: &Report) -> Option<Section> {
    let training = report.training.as_ref()?;
    let last = report.loss_curve.last().map(|(step, _)| *step);
    let validation = validation::figure(&report.validation, last);
    let content = format!("{}{validation}{}", plot(&report.loss_curve), values::list(training));
    Some(Section { id: "training", title: words::TRAINING, content })
}

/// The curve: each step thin, and the mean of the steps around it bold.
fn plot(curve: &[(u64, f64)]) -> String {
    let finite: Vec<(f64, f64)> = curve.iter().filter(|(_, l)| l.is_finite()).map(|&(s, l)| (s as f64, l)).collect();
    let ([first, .., last], true) = (finite.as_slice(), finite.len() >= 2) else { return String::new() };
    let smooth = smoothed(&finite);
    let (raw, smooth) = (thinned(&finite), thinned(&smooth));
    let highest = raw.iter().map(|p| p.1).fold(0.0, f64::max);
    let lowest = raw.iter().map(|p| p.1).fold(0.0, f64::min);
    let step = nice_step(highest - lowest, 5.0);
    let (bottom, top) = ((lowest / step).floor() * step, (highest / step).ceil().max(1.0) * step);
    let frame = Frame {
        width: 940.0,
        height: 330.0,
        left: 46.0,
        right: 900.0,
        top: 34.0,
        bottom: 280.0,
        name: 16.0,
        x: (first.0, last.0.max(first.0 + 1.0)),
        y: (bottom, top),
    };
    let digits = if step >= 1.0 { 0 } else { (-step.log10().floor()) as usize };
    let vertical: Vec<(f64, String)> = (0..=((top - bottom) / step).round() as u32)
        .map(|index| bottom + step * f64::from(index))
        .map(|tick| (tick, format!("{tick:.digits$}")))
        .collect();
    let mut horizontal = Vec::new();
    let step = nice_step(frame.x.1 - frame.x.0, 8.0).max(1.0);
    let mut tick = (first.0 / step).ceil() * step;
    while tick <= last.0 {
        horizontal.push((tick, count(tick as u64)));
        tick += step;
    }
    let title = words::LOSS_TITLE.with(&[
        ("first", &first.0.to_string()),
        ("last", &last.0.to_string()),
        ("start", &format!("{:.3}", first.1)),
        ("end", &format!("{:.3}", last.1)),
    ]);
    let mut out = format!(
        "<figure class=\"wide\">\n<figcaption class=\"soft\"><span id=\"loss\">{}</span> {}</figcaption>\n{}{}{}",
        html(&title.joined(&words::STOP)),
        html(&words::LOSS_KEY),
        frame.open("loss", "loss"),
        frame.vertical(&vertical, &words::LOSS_AXIS),
        frame.horizontal(&horizontal, &words::STEP_AXIS)
    );
    for (kind, points) in [("raw", &raw), ("smooth", &smooth)] {
        let _ = write!(out, "<path class=\"line {kind}\" d=\"{}\"/>", frame.path(points.iter().copied().map(Some)));
    }
    if let Some(&(step, loss)) = smooth.last() {
        let _ = write!(
            out,
            "<circle class=\"dot now\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/><text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">{:.2}</text>",
            frame.at_x(step),
            frame.at_y(loss),
            frame.at_x(step) + 8.0,
            frame.at_y(loss) + 4.0,
            loss
        );
    }
    out.push_str("</svg>\n</figure>\n");
    out
}

/// The mean of the steps around each step, at most a twentieth of all on each side; fewer towards the ends.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let most = (points.len() / 20).max(2);
    let around = |index: usize| {
        let reach = most.min(index).min(points.len() - 1 - index);
        let window = &points[index - reach..=index + reach];
        (points[index].0, window.iter().map(|p| p.1).sum::<f64>() / window.len() as f64)
    };
    (0..points.len()).map(around).collect()
}

/// At most [`POINTS`] points: the means of equal runs. The last point is kept.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= POINTS {
        return points.to_vec();
    }
    let mean = |run: &[(f64, f64)]| {
        let n = run.len() as f64;
        (run.iter().map(|p| p.0).sum::<f64>() / n, run.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(points.len().div_ceil(POINTS)).map(mean).chain(points.last().copied()).collect()
}
