//! `search.json`, `search.md` and `search.html`: every trial, what mattered, and what the best setting is worth.

use std::fmt::Write as _;

use serde_json::Value;

use super::Found;
use crate::manifest::{Goal, SearchPlan};
use crate::report::escape;
use crate::{Result, files, plain};

pub(super) fn write(found: &Found, own: &SearchPlan) -> Result<()> {
    files::write(&found.folder.join("search.json"), &files::json(found)?)?;
    files::write(&found.folder.join("search.md"), plain::spelled(&markdown(found)).as_bytes())?;
    files::write(&found.folder.join("search.html"), plain::spelled(&page(found, own)).as_bytes())
}

fn number(value: &Value) -> String {
    value.as_f64().map_or_else(String::new, |value| format!("{value:.4}"))
}

/// What became of a trial, in a word.
fn outcome(trial: &Value) -> &str {
    match (trial["state"].as_str(), trial["feasible"].as_bool()) {
        (Some("complete"), Some(false)) => "not feasible",
        (Some(state), _) => state,
        _ => "",
    }
}

fn setting(trial: &Value) -> String {
    let all = trial["setting"].as_object().into_iter().flatten();
    let short = |value: &Value| {
        value.as_f64().filter(|_| value.is_f64()).map_or_else(|| value.to_string(), |value| format!("{value:.4e}"))
    };
    all.map(|(name, value)| format!("{} {}", name.trim_start_matches("train."), short(value)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The sentences above the trials.
fn headline(found: &Found) -> Vec<String> {
    let mut out = Vec::new();
    let count = |word: &str| found.trials.iter().filter(|trial| outcome(trial) == word).count();
    out.push(format!(
        "{} trials: {} complete and feasible, {} not feasible, {} ended early, {} failed.",
        found.trials.len(),
        count("complete"),
        count("not feasible"),
        count("ended early") + count("paused"),
        count("failed")
    ));
    match found.best.and_then(|best| found.trials.get(best)) {
        Some(best) => out.push(format!(
            "The best is trial {}: `{}` {} on the rows that trials are judged on, with {}.",
            best["number"],
            found.objective,
            number(&best["value"]),
            setting(best)
        )),
        None => out.push("No trial keeps to every constraint: nothing is chosen.".to_owned()),
    }
    let values: Vec<f64> = found.confirmed.iter().filter_map(|own| own.value).collect();
    if !values.is_empty() {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let (low, high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
        out.push(format!(
            "Trained on the whole training part with {}, its `{}` on the evaluation part, which no trial has read, is {mean:.4} ({low:.4} to {high:.4}).",
            if values.len() == 1 { "one seed".to_owned() } else { format!("{} seeds", values.len()) },
            found.objective
        ));
        let broken = found
            .confirmed
            .iter()
            .filter(|own| own.constraints.iter().any(|value| value.is_none_or(|value| value > 0.0)))
            .count();
        out.push(match broken {
            0 => "With every seed it keeps to every constraint there.".to_owned(),
            count => {
                format!("**With {count} of {} seeds it does not keep to a constraint there.**", found.confirmed.len())
            }
        });
    }
    if let Some(optimism) = found.optimism {
        out.push(if optimism > 0.0 {
            format!("The trial that was chosen looked better by {optimism:.4} than that: choosing among many flatters.")
        } else {
            format!("The trial that was chosen looked no better than that: its value less the mean is {optimism:.4}.")
        });
    }
    out
}

fn markdown(found: &Found) -> String {
    let mut out = format!("# Search for {}\n\n", found.objective);
    for line in headline(found) {
        let _ = writeln!(out, "- {line}");
    }
    if !found.importance.is_empty() {
        out.push_str("\n| parameter | share of what matters |\n|---|---|\n");
        for (name, share) in &found.importance {
            let _ = writeln!(out, "| `{name}` | {share:.3} |");
        }
    }
    out.push_str("\n| trial | outcome | value | constraints | setting |\n|---|---|---|---|---|\n");
    for trial in &found.trials {
        let constraints: Vec<String> = trial["constraints"].as_array().into_iter().flatten().map(number).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            trial["number"],
            outcome(trial),
            number(&trial["value"]),
            constraints.join(", "),
            setting(trial).replace('|', "\\|")
        );
    }
    out
}

/// One page without a script.
fn page(found: &Found, own: &SearchPlan) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" \
         content=\"light dark\">\n<title>Search for {0} – so8t</title>\n<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem \
         auto;padding:0 1rem}}table{{border-collapse:collapse;font-size:.9rem}}td,th{{padding:.2rem .6rem;text-align:left;border-bottom:1px solid \
         #8886}}svg{{width:100%;height:auto}}.axis{{stroke:#888}}text{{font-size:12px;fill:currentColor}}.t{{fill:none;stroke:#4477aa}}\
         .b{{fill:none;stroke:#cc3311;stroke-width:3}}.x{{fill:none;stroke:#888;stroke-dasharray:4 4}}circle.t{{fill:#4477aa}}\
         circle.x{{stroke-width:1.5;stroke-dasharray:none}}.best{{font-weight:bold}}</style>\n</head>\n\
         <body>\n<h1>Search for {0}</h1>\n<ul>\n",
        escape(&found.objective)
    );
    for line in headline(found) {
        let _ = writeln!(out, "<li>{}</li>", escape(&line.replace("**", "")));
    }
    out.push_str("</ul>\n<h2>Trials in order</h2>\n");
    out.push_str(&course(found, own));
    out.push_str("<h2>Settings</h2>\n<p>One line a trial; the best is thick, what is not feasible or was ended early is dashed.</p>\n");
    out.push_str(&parallel(found, own));
    if !found.importance.is_empty() {
        out.push_str("<h2>What matters</h2>\n<table>\n<tr><th>parameter</th><th>share</th></tr>\n");
        for (name, share) in &found.importance {
            let _ = writeln!(out, "<tr><td>{}</td><td>{share:.3}</td></tr>", escape(name));
        }
        out.push_str("</table>\n");
    }
    out.push_str("<h2>Safe and useful</h2>\n");
    out.push_str(&front(found));
    out.push_str("<h2>Every trial</h2>\n<table>\n<tr><th>trial</th><th>outcome</th><th>value</th><th>constraints</th><th>setting</th></tr>\n");
    for trial in &found.trials {
        let constraints: Vec<String> = trial["constraints"].as_array().into_iter().flatten().map(number).collect();
        let class = if trial["number"].as_u64() == found.best.map(|best| best as u64) { " class=\"best\"" } else { "" };
        let _ = writeln!(
            out,
            "<tr{class}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            trial["number"],
            escape(outcome(trial)),
            number(&trial["value"]),
            constraints.join(", "),
            escape(&setting(trial))
        );
    }
    out.push_str("</table>\n</body>\n</html>\n");
    out
}

/// The value of every trial, and the best so far.
fn course(found: &Found, own: &SearchPlan) -> String {
    let values: Vec<(usize, f64, bool)> = found
        .trials
        .iter()
        .enumerate()
        .filter_map(|(index, trial)| Some((index, trial["value"].as_f64()?, trial["feasible"] == true)))
        .collect();
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), own| (low.min(own.1), high.max(own.1)));
    if values.is_empty() {
        return String::new();
    }
    let (width, span) = (found.trials.len().max(2) as f64 - 1.0, (high - low).max(1e-9));
    let place = |index: usize, value: f64| (60.0 + 860.0 * index as f64 / width, 200.0 - 170.0 * (value - low) / span);
    let mut out = format!(
        "<svg viewBox=\"0 0 940 240\" role=\"img\" aria-label=\"value of each trial\"><path class=\"axis\" d=\"M60 200H920M60 30V200\"/><text x=\"4\" \
         y=\"34\">{high:.4}</text><text x=\"4\" y=\"204\">{low:.4}</text><text x=\"860\" y=\"226\">trial {}</text>",
        found.trials.len().saturating_sub(1)
    );
    let maximise = own.table.goal == Goal::Maximise;
    let (mut best, mut path) = (None::<f64>, String::new());
    for (index, value, feasible) in &values {
        let (x, y) = place(*index, *value);
        let _ = write!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" class=\"{}\"/>",
            if *feasible { "t" } else { "x" }
        );
        if *feasible && best.is_none_or(|best| if maximise { *value > best } else { *value < best }) {
            best = Some(*value);
        }
        if let Some(best) = best {
            let (x, y) = place(*index, best);
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
        }
    }
    let _ = writeln!(out, "<path class=\"b\" d=\"{path}\"/></svg>");
    out
}

/// Parallel coordinates: an axis a parameter, and the value at the right.
fn parallel(found: &Found, own: &SearchPlan) -> String {
    let parameters = own.space.parameters();
    let values: Vec<f64> = found.trials.iter().filter_map(|trial| trial["value"].as_f64()).collect();
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let x = |index: usize| 60.0 + 820.0 * index as f64 / parameters.len() as f64;
    let mut out =
        String::from("<svg viewBox=\"0 0 940 260\" role=\"img\" aria-label=\"settings and value of each trial\">");
    for (index, name) in parameters.iter().map(|own| own.name.trim_start_matches("train.")).chain(["value"]).enumerate()
    {
        let _ = write!(
            out,
            "<path class=\"axis\" d=\"M{0:.1} 20V220\"/><text x=\"{0:.1}\" y=\"244\" text-anchor=\"middle\">{1}</text>",
            x(index),
            escape(name)
        );
    }
    for trial in &found.trials {
        let Some(raw) = trial["setting"].as_object() else { continue };
        let mut assignment: so8t_search::Assignment =
            raw.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for (path, of) in &own.factors {
            if let (Some(product), Some(number)) =
                (raw.get(path).and_then(Value::as_f64), raw.get(of).and_then(Value::as_f64))
            {
                assignment.insert(path.clone(), (product / number).into());
            }
        }
        let Ok(genes) = own.space.encode(&assignment) else { continue };
        let last = trial["value"].as_f64().filter(|_| high > low).map(|value| (value - low) / (high - low));
        let points: Vec<(usize, f64)> = genes
            .iter()
            .copied()
            .chain(last)
            .enumerate()
            .filter(|(_, gene)| !gene.is_nan())
            .map(|(index, gene)| (index, 220.0 - 200.0 * gene))
            .collect();
        let path: Vec<String> = points
            .iter()
            .enumerate()
            .map(|(index, (axis, y))| format!("{}{:.1} {y:.1}", if index == 0 { "M" } else { "L" }, x(*axis)))
            .collect();
        let class = match () {
            () if trial["number"].as_u64() == found.best.map(|best| best as u64) => "b",
            () if trial["feasible"] == true => "t",
            () => "x",
        };
        let _ = write!(out, "<path class=\"{class}\" d=\"{}\"/>", path.concat());
    }
    out.push_str("</svg>\n");
    out
}

/// The trials that no other beats in both macro-F1 and over-blocking.
fn front(found: &Found) -> String {
    let value = |trial: &Value, name: &str| trial["notes"][name]["value"].as_f64();
    let points: Vec<(&Value, f64, f64)> = found
        .trials
        .iter()
        .filter(|trial| trial["feasible"] == true)
        .filter_map(|trial| {
            Some((trial, value(trial, "classification.f1_macro")?, value(trial, "classification.over_block_rate")?))
        })
        .collect();
    let beaten = |own: &(&Value, f64, f64)| {
        points.iter().any(|other| (other.1 >= own.1 && other.2 < own.2) || (other.1 > own.1 && other.2 <= own.2))
    };
    let mut best: Vec<&(&Value, f64, f64)> = points.iter().filter(|own| !beaten(own)).collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1));
    if best.is_empty() {
        return "<p>Nothing is known of macro-F1 and over-blocking together.</p>\n".to_owned();
    }
    let mut out = String::from(
        "<p>Feasible trials that no other beats in both.</p>\n<table>\n<tr><th>trial</th><th>macro-F1</th><th>requests blocked that need not be</th></tr>\n",
    );
    for (trial, f1, over) in best {
        let _ = writeln!(out, "<tr><td>{}</td><td>{f1:.4}</td><td>{over:.4}</td></tr>", trial["number"]);
    }
    out.push_str("</table>\n");
    out
}
