//! The training loss over the steps, and what training did.

use std::fmt::Write as _;

use super::super::Report;
use super::super::format::count;
use super::{titled, values};

/// The drawing's measures, in its own units.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 246.0;
/// The most points that are drawn; more are averaged in equal runs.
const POINTS: usize = 600;

/// Nothing where nothing was trained.
pub(super) fn section(report: &Report) -> String {
    let Some(training) = &report.training else { return String::new() };
    let facts = values::list(training);
    titled("training", "Training", &format!("{}{facts}", plot(&report.loss_curve)))
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
    let span = (last.0 - first.0).max(1.0);
    let x = |s: f64| LEFT + (RIGHT - LEFT) * (s - first.0) / span;
    let y = |l: f64| BOTTOM - (BOTTOM - TOP) * (l - bottom) / (top - bottom);

    let mut out = format!(
        "<figure>\n<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"loss-title\">\
         <title id=\"loss-title\">Training loss from step {} to step {}: it starts at {:.3} and ends at {:.3}</title>",
        first.0, last.0, first.1, last.1
    );
    let digits = if step >= 1.0 { 0 } else { (-step.log10().floor()) as usize };
    for index in 0..=((top - bottom) / step).round() as u32 {
        let tick = bottom + step * f64::from(index);
        let height = y(tick);
        let _ = write!(
            out,
            "<path class=\"grid\" d=\"M{LEFT} {height:.1}H{RIGHT}\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\">{tick:.digits$}</text>",
            LEFT - 8.0,
            height + 5.0
        );
    }
    let step = nice_step(span, 6.0).max(1.0);
    let mut tick = (first.0 / step).ceil() * step;
    while tick <= last.0 {
        let place = x(tick);
        let _ = write!(
            out,
            "<path class=\"axis\" d=\"M{place:.1} {BOTTOM}v5\"/><text x=\"{place:.1}\" y=\"{}\" \
             text-anchor=\"middle\">{}</text>",
            BOTTOM + 24.0,
            count(tick as u64)
        );
        tick += step;
    }
    let _ = write!(
        out,
        "<path class=\"axis\" d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">step</text>",
        (LEFT + RIGHT) / 2.0,
        HEIGHT - 6.0
    );
    for (kind, points) in [("raw", &raw), ("smooth", &smooth)] {
        let line = points.iter().fold(String::new(), |mut line, &(s, l)| {
            let _ = write!(line, "{}{:.1},{:.1}", if line.is_empty() { "" } else { " " }, x(s), y(l));
            line
        });
        let _ = write!(out, "<polyline class=\"{kind}\" points=\"{line}\"/>");
    }
    out.push_str(
        "</svg>\n<figcaption class=\"soft\">Loss in nats for each completion token. Thin: each step. Bold: the mean of \
         the steps around it.</figcaption>\n</figure>\n",
    );
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

/// 1, 2 or 5 times a power of ten, such that `range` has about `parts` steps.
fn nice_step(range: f64, parts: f64) -> f64 {
    let rough = if range > 0.0 { range / parts } else { 1.0 };
    let mut unit = 1.0_f64;
    while unit > rough {
        unit /= 10.0;
    }
    while unit * 10.0 <= rough {
        unit *= 10.0;
    }
    match rough / unit {
        r if r <= 1.0 => unit,
        r if r <= 2.0 => 2.0 * unit,
        r if r <= 5.0 => 5.0 * unit,
        _ => 10.0 * unit,
    }
}
