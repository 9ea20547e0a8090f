//! What validation found while training: the value of each adapter, which one is kept, and which broke a guard.

use std::fmt::Write as _;

use super::super::dictionary::{self as words, Text};
use super::super::format::{count, escape, value};
use super::chart::{Frame, nice_step};
use super::language::{column, html, number_column};
use super::{folded, scrolling};
use crate::train::Validated;

/// Nothing where nothing was validated. `last` is the last step of training, so that this drawing and that of the loss have one scale.
pub(super) fn figure(validated: &[Validated], last: Option<u64>) -> String {
    let Some(base) = validated.first() else { return String::new() };
    let table = folded(&words::SHOW_NUMBERS, &scrolling("validation", &table(validated)));
    let kept = validated.iter().rev().find(|own| own.best);
    let title = match kept {
        Some(kept) => words::VALIDATION_TITLE.with(&[
            ("metric", &base.metric),
            ("base", &value(base.value)),
            ("kept", &value(kept.value)),
            ("step", &count(kept.step as u64)),
        ]),
        None => words::VALIDATION_NONE.with(&[("metric", &base.metric)]),
    };
    let refused = validated.iter().filter(|own| own.step > 0 && !own.is_acceptable()).count();
    let key = match refused {
        0 => words::VALIDATION_KEY.clone(),
        _ => words::VALIDATION_KEY.then(&words::VALIDATION_REFUSED),
    };
    let caption = format!(
        "<figcaption class=\"soft\"><span id=\"validation\">{}</span> {}</figcaption>",
        html(&title.joined(&words::STOP)),
        html(&key)
    );
    let drawing = drawing(validated, kept.map(|kept| kept.step), last).unwrap_or_default();
    format!("<figure class=\"wide\">\n{caption}\n{drawing}</figure>\n{table}")
}

/// The values over the steps; `None` where fewer than two have one.
fn drawing(validated: &[Validated], kept: Option<usize>, last: Option<u64>) -> Option<String> {
    let points: Vec<(&Validated, f64, f64)> =
        validated.iter().filter_map(|own| Some((own, own.step as f64, own.value?))).collect();
    let (lowest, highest) = points
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &(_, _, value)| (low.min(value), high.max(value)));
    let end = points.last()?.1.max(last.unwrap_or(0) as f64);
    if points.len() < 2 || end <= 0.0 {
        return None;
    }
    let step = nice_step((highest - lowest).max(1e-3), 4.0);
    let (bottom, top) = ((lowest / step).floor() * step, ((highest / step).ceil() * step).max(lowest + step));
    let frame = Frame {
        width: 940.0,
        height: 260.0,
        left: 46.0,
        right: 900.0,
        top: 34.0,
        bottom: 210.0,
        name: 16.0,
        x: (0.0, end),
        y: (bottom, top),
    };
    let digits = if step >= 1.0 { 0 } else { (-step.log10().floor()) as usize };
    let vertical: Vec<(f64, String)> = (0..=((top - bottom) / step).round() as u32)
        .map(|index| bottom + step * f64::from(index))
        .map(|tick| (tick, format!("{tick:.digits$}")))
        .collect();
    let across = nice_step(end, 8.0).max(1.0);
    let horizontal: Vec<(f64, String)> =
        (0..=(end / across) as u64).map(|index| across * index as f64).map(|at| (at, count(at as u64))).collect();
    let name = Text::name(points[0].0.metric.clone());
    let mut out = frame.open("loss", "validation")
        + &frame.vertical(&vertical, &name)
        + &frame.horizontal(&horizontal, &words::STEP_AXIS);
    if let Some(base) = validated.first().and_then(|own| own.value) {
        let y = frame.at_y(base);
        let _ = write!(out, "<path class=\"line was\" d=\"M{:.1} {y:.1}H{:.1}\"/>", frame.left, frame.right);
    }
    let path = frame.path(points.iter().map(|&(_, step, value)| Some((step, value))));
    let _ = write!(out, "<path class=\"line\" d=\"{path}\"/>");
    for &(own, step, value) in &points {
        let (x, y) = (frame.at_x(step), frame.at_y(value));
        let _ = match own.step > 0 && !own.is_acceptable() {
            true => write!(
                out,
                "<path class=\"cross\" d=\"M{:.1} {:.1}l9 9m0 -9l-9 9\"><title>{}</title></path>",
                x - 4.5,
                y - 4.5,
                escape(&reason(own))
            ),
            false => {
                let (kind, size) = if kept == Some(own.step) { ("now", 6.0) } else { ("was", 4.0) };
                write!(out, "<circle class=\"dot {kind}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{size}\"/>")
            }
        };
        if kept == Some(own.step) {
            let (anchor, dx) = if x > frame.right - 60.0 { ("end", -9.0) } else { ("start", 9.0) };
            let _ = write!(
                out,
                "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{value:.3}</text>",
                x + dx,
                if y < frame.top + 24.0 { y + 20.0 } else { y - 9.0 }
            );
        }
    }
    Some(out + "</svg>\n")
}

/// Why an adapter may not be kept.
fn reason(own: &Validated) -> String {
    let broken = own.guards.iter().filter(|guard| !guard.holds);
    broken.map(|guard| format!("{}: {}", guard.guard, guard.reason)).collect::<Vec<_>>().join("; ")
}

/// Every validation with its guards.
fn table(validated: &[Validated]) -> String {
    let mut out = format!(
        "<table class=\"listing\">\n<thead><tr>{}{}{}",
        number_column(&words::STEP_AXIS),
        number_column(&Text::name(validated.first().map_or_else(String::new, |own| own.metric.clone()))),
        column(&words::VALIDATION_STATE)
    );
    for guard in validated.first().map_or(&[][..], |base| &base.guards) {
        out.push_str(&number_column(&Text::name(guard.guard.replace('`', ""))));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let kept = validated.iter().rev().find(|own| own.best).map(|own| own.step);
    for own in validated {
        let state = match own.step {
            0 => html(&words::VALIDATION_BASE),
            step if kept == Some(step) => html(&words::VALIDATION_KEPT),
            _ if !own.is_acceptable() => html(&words::VALIDATION_BROKEN),
            _ => String::new(),
        };
        let _ = write!(
            out,
            "<tr><th scope=\"row\" class=\"number\">{}</th><td class=\"number\">{}</td><td>{state}</td>",
            count(own.step as u64),
            value(own.value)
        );
        for guard in &own.guards {
            let mark = if guard.holds { "" } else { " ✗" };
            let _ = write!(out, "<td class=\"number\">{}{mark}</td>", value(guard.value));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
    out
}
