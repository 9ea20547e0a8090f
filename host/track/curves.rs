//! Learning curves in a terminal: one line a value, drawn in blocks.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value as Json;
use so8t_base::{Result, files};

use crate::finished::Step;

/// The heights that a character can have.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The logs of a run as far as they are written: steps and validations. A line that is only half there is left out.
///
/// # Errors
/// A log that cannot be read.
pub fn read(folder: &Path) -> Result<(Vec<Step>, Vec<Json>)> {
    fn lines<T: for<'de> serde::Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
        if !path.is_file() {
            return Ok(Vec::new());
        }
        let text = files::read_text_at_most(path, files::MOST_TEXT)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        Ok(whole.lines().map_while(|line| serde_json::from_str(line).ok()).collect())
    }
    Ok((lines(&folder.join("training.jsonl"))?, lines(&folder.join("validation.jsonl"))?))
}

/// The curves of a run, `width` characters wide at the most; empty where there is nothing yet.
pub fn drawn(steps: &[Step], validations: &[Json], width: usize) -> String {
    let mut out = String::new();
    let room = width.saturating_sub(48).clamp(8, 120);
    let names = [
        ("loss", "loss"),
        ("learning_rate", "learning rate"),
        ("gradient_norm", "gradient norm"),
        ("tokens_per_second", "tokens/s"),
    ];
    if let (Some(first), Some(last)) = (steps.first(), steps.last()) {
        let _ = writeln!(out, "steps {} to {}, epoch {:.2}, {} tokens", first.step, last.step, last.epoch, last.tokens);
    }
    for (key, name) in names {
        let points: Vec<f64> =
            steps.iter().filter_map(|step| Some(step.values().into_iter().find(|(own, _)| *own == key)?.1)).collect();
        line(&mut out, name, &points, room);
    }
    let Some(name) = validations.last().and_then(|own| own["metric"].as_str()) else { return out };
    let points: Vec<f64> = validations.iter().filter_map(|own| own["value"].as_f64()).collect();
    line(&mut out, name, &points, room);
    for validated in validations {
        let value = validated["value"].as_f64().map_or_else(|| "no value".to_owned(), |value| format!("{value:.4}"));
        let broken = validated["guards"].as_array().into_iter().flatten().find(|guard| guard["holds"] == false);
        let what = match broken {
            Some(guard) if validated["step"] != 0 => {
                format!("  not kept: {} does not hold", guard["guard"].as_str().unwrap_or_default())
            }
            _ if validated["best"] == true => "  the best so far".to_owned(),
            _ => String::new(),
        };
        let _ = writeln!(out, "  step {:>6}  {value}{what}", validated["step"].as_u64().unwrap_or_default());
    }
    out
}

/// A name, the curve, and its first, last, least and greatest value.
fn line(out: &mut String, name: &str, points: &[f64], room: usize) {
    let ([first, ..], [.., last]) = (points, points) else { return };
    let (low, high) = points
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let _ = writeln!(out, "{name:>24}  {}  {} → {}", curve(points, room, low, high), short(*first), short(*last));
}

/// Means of equal parts, each as high as its value is between the least and the greatest.
fn curve(points: &[f64], room: usize, low: f64, high: f64) -> String {
    let parts = points.len().min(room);
    let part = |index: usize| &points[index * points.len() / parts..(index + 1) * points.len() / parts];
    let height = |value: f64| match high > low {
        true => (((value - low) / (high - low)) * 7.0).round() as usize,
        false => 3,
    };
    (0..parts).map(part).map(|part| BLOCKS[height(part.iter().sum::<f64>() / part.len() as f64).min(7)]).collect()
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size != 0.0 && size < 1e-3 => format!("{value:.2e}"),
        size if size < 100.0 => format!("{value:.4}"),
        _ => format!("{value:.0}"),
    }
}
