//! Precision, recall and F1 of each class as bars, before and after.

use std::fmt::Write as _;

use super::super::format::{count, escape, value};
use super::super::{Report, find_in};
use super::{scrolling, titled};

const MEASURES: [(&str, &str, &str); 3] = [
    ("f1", "F1", "harmonic mean of the two"),
    ("precision", "Precision", "share of these decisions that are right"),
    ("recall", "Recall", "share of this class that is found"),
];

/// Nothing where no metric gives values by class.
pub(super) fn section(report: &Report) -> String {
    let latest = report.latest();
    let name = |measure: &str, label: &str| format!("{measure}_{}", label.to_lowercase());
    let is_known = |label: &&String| find_in(latest, &name("f1", label)).is_some();
    let labels: Vec<&String> = report.run.labels.iter().filter(is_known).collect();
    if labels.is_empty() {
        return String::new();
    }
    let earlier = report.after.as_ref().and(report.before.as_ref());
    let mut table = String::from("<table class=\"classes\">\n<thead><tr><th scope=\"col\">Class</th>");
    for (_, title, meaning) in MEASURES {
        let _ = write!(table, "<th scope=\"col\">{title}<span class=\"soft\">{meaning}</span></th>");
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for label in labels {
        let support = find_in(latest, &name("support", label)).and_then(|m| m.value).map(|n| count(n as u64));
        let _ = write!(
            table,
            "<tr><th scope=\"row\">{}<span class=\"soft\">{} examples</span></th>",
            escape(label),
            support.as_deref().unwrap_or("–")
        );
        for (measure, title, _) in MEASURES {
            let metric = name(measure, label);
            let now = find_in(latest, &metric);
            let _ = write!(table, "<td data-title=\"{title}\">");
            if earlier.is_some() {
                let was = find_in(earlier, &metric).and_then(|m| m.value);
                table.push_str(&bar("before", "was", was, None));
            }
            let word = if earlier.is_some() { "after" } else { "" };
            let range = now.and_then(|m| m.low.zip(m.high));
            table.push_str(&bar(word, "now", now.and_then(|m| m.value), range));
            table.push_str("</td>");
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n");
    let key = match earlier {
        Some(_) => "<p class=\"soft\">Hatched: before. Solid: after, with its 95 % interval as a thin line.</p>\n",
        None => "<p class=\"soft\">The thin line is the 95 % interval.</p>\n",
    };
    titled("classes", "By class", &format!("{key}{}", scrolling("Values by class", &table)))
}

/// One bar from 0 to 1 with its number; the number carries the meaning, the drawing is decoration.
fn bar(word: &str, kind: &str, number: Option<f64>, range: Option<(f64, f64)>) -> String {
    let length = number.unwrap_or(0.0).clamp(0.0, 1.0) * 100.0;
    let mut drawing = format!(
        "<rect class=\"rail\" width=\"100\" height=\"10\"/><rect class=\"{kind}\" width=\"{length:.1}\" height=\"10\"/>"
    );
    if kind == "was" {
        // Hatching: told from solid without colour.
        let strokes = (0..50).map(|i| 1.0 + 2.0 * f64::from(i)).take_while(|x| *x < length);
        let path = strokes.fold(String::new(), |mut path, x| {
            let _ = write!(path, "M{x:.0} 0V10");
            path
        });
        let _ = write!(drawing, "<path class=\"hatch\" d=\"{path}\"/>");
    }
    if let Some((low, high)) = range {
        let line = format!("M{:.1} 5H{:.1}", low * 100.0, high * 100.0);
        let _ = write!(drawing, "<path class=\"halo\" d=\"{line}\"/><path class=\"whisker\" d=\"{line}\"/>");
    }
    let hidden = if word.is_empty() { String::new() } else { format!("<span class=\"sr\">{word} </span>") };
    format!(
        "<div class=\"bar\"><svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{drawing}</svg>\
         <span class=\"number {kind}\">{hidden}{}</span></div>",
        value(number)
    )
}
