//! A value between 0 and 1 as a bar with its number: hollow before, solid after.

use std::fmt::Write as _;

use super::super::Report;
use super::super::dictionary::{self as words, Text};
use super::super::format::{count, value};
use super::language::html;
use crate::evaluate::{Measured, Measurement};

/// The evaluation to compare with, where there are two.
pub(super) fn earlier(report: &Report) -> Option<&Measured> {
    report.after.as_ref().and(report.before.as_ref())
}

/// What the bars mean.
pub(super) fn key(report: &Report) -> String {
    let text = if earlier(report).is_some() { words::KEY_BOTH } else { words::KEY_ONE };
    format!("<p class=\"soft\">{}</p>\n", html(&text))
}

/// A heading over bars, with a scale under it.
pub(super) fn heading(title: &Text, meaning: &Text) -> String {
    format!(
        "<th scope=\"col\">{}<span class=\"soft\">{}</span><span class=\"scale\" aria-hidden=\"true\"><i>0</i><i>0.5</i><i>1</i>\
         </span></th>",
        html(title),
        html(meaning)
    )
}

/// The value before, where `before` says that there are two evaluations, and the value now.
pub(super) fn pair(before: Option<Option<&Measurement>>, now: Option<&Measurement>) -> String {
    let mut out = String::new();
    if let Some(before) = before {
        out.push_str(&bar(Some(&words::BEFORE), "was", before));
    }
    out.push_str(&bar(before.is_some().then_some(&words::AFTER), "now", now));
    out
}

/// One bar; the number carries the meaning, the drawing is decoration. Too few rows get no bar.
fn bar(word: Option<&Text>, kind: &str, measurement: Option<&Measurement>) -> String {
    let few = measurement.filter(|m| m.few);
    let shown = measurement.filter(|m| !m.few);
    let number = shown.and_then(|m| m.value);
    let mut drawing = String::from("<path class=\"rail\" d=\"M0 10H100M0 4V10M50 6V10M100 4V10\"/>");
    if let Some(number) = number {
        let length = number.clamp(0.0, 1.0) * 100.0;
        let _ = write!(drawing, "<rect class=\"{kind}\" y=\"1\" width=\"{length:.1}\" height=\"8\"/>");
    }
    if let Some((low, high)) = shown.filter(|_| kind == "now").and_then(|m| m.low.zip(m.high)) {
        let line = format!("M{:.1} 5H{:.1}", low.clamp(0.0, 1.0) * 100.0, high.clamp(0.0, 1.0) * 100.0);
        let _ = write!(drawing, "<path class=\"halo\" d=\"{line}\"/><path class=\"whisker\" d=\"{line}\"/>");
    }
    let hidden = word.map_or_else(String::new, |word| format!("<span class=\"sr\">{} </span>", html(word)));
    let text = match few {
        Some(few) => format!(
            "<span class=\"few\">{} <span class=\"soft\">n = {}</span></span>",
            html(&words::TOO_FEW),
            count(few.n.into())
        ),
        None => value(number),
    };
    format!(
        "<div class=\"bar\"><svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{drawing}</svg>\
         <span class=\"figure-{kind}\">{hidden}{text}</span></div>"
    )
}
