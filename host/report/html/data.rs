//! What the prepared data hold: each source's records and classes.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::super::Report;
use super::super::dictionary as words;
use super::super::format::{count, escape};
use super::language::{column, html, number_column};
use super::{Section, data_rules, scrolling, values};

/// The keys that the tables show; what else the statistics hold follows as a list.
const SHOWN: [&str; 6] = ["sources", "train", "eval", "warnings", "policy", "quality"];

/// Nothing where there are no statistics.
pub(super) fn section(report: &Report) -> Option<Section> {
    let Value::Object(data) = &report.data else {
        let content = values::list(&report.data);
        return (!content.is_empty()).then_some(Section { id: "data", title: words::DATA, content });
    };
    let sources: Vec<&Map<String, Value>> =
        data.get("sources").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object).collect();
    if sources.is_empty() {
        let content = values::list(&report.data);
        return (!content.is_empty()).then_some(Section { id: "data", title: words::DATA, content });
    }
    let rest: Map<String, Value> =
        data.iter().filter(|(key, _)| !SHOWN.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect();
    let details: Vec<Value> = sources.iter().map(|source| Value::Object((*source).clone())).collect();
    let content = format!(
        "<p class=\"soft\">{}</p>\n{}{}{}{}{}",
        html(&words::DATA_NOTE),
        swatches(&report.run.labels),
        scrolling("data", &table(&report.run.labels, &sources, data)),
        data_rules::tables(&sources, data),
        values::list(&Value::Object(rest)),
        super::folded(&words::SHOW_NUMBERS, &scrolling("data", &values::table(&details)))
    );
    Some(Section { id: "data", title: words::DATA, content })
}

/// Which shade is which class.
fn swatches(labels: &[String]) -> String {
    let mut out = String::from("<ul class=\"swatches\">\n");
    for (index, label) in labels.iter().enumerate() {
        let _ = writeln!(
            out,
            "<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"shade-{}\" width=\"10\" height=\"10\"/></svg> {}</li>",
            index.min(7),
            escape(label)
        );
    }
    out.push_str("</ul>\n");
    out
}

/// One row a source, and one for all.
fn table(labels: &[String], sources: &[&Map<String, Value>], all: &Map<String, Value>) -> String {
    let columns = [
        ("records", words::RECORDS),
        ("accepted", words::ACCEPTED_COUNT),
        ("rejected", words::REJECTED),
        ("excluded", words::EXCLUDED),
        ("duplicates", words::DUPLICATES),
        ("straddling", words::STRADDLING),
    ];
    let mut out = format!("<table class=\"data-table\">\n<thead><tr>{}{}", column(&words::SOURCE), column(&words::USE));
    for (_, title) in &columns {
        out.push_str(&number_column(title));
    }
    let _ = write!(out, "{}{}</tr></thead>\n<tbody>\n", column(&words::TRAIN_PART), column(&words::EVAL_PART));
    let most =
        sources.iter().flat_map(|source| ["train", "eval"].map(|part| total(source.get(part)))).max().unwrap_or(0);
    for source in sources {
        let text = |key| escape(source.get(key).and_then(Value::as_str).unwrap_or("–"));
        let only = match source.get("detection_only").and_then(Value::as_bool) {
            Some(true) => format!(" · {}", html(&words::DETECTION_ONLY)),
            _ => String::new(),
        };
        let _ = write!(out, "<tr><th scope=\"row\">{}</th><td>{}{only}</td>", text("name"), text("use"));
        for (key, _) in &columns {
            let number = source.get(*key).and_then(Value::as_u64);
            let _ = write!(out, "<td class=\"number\">{}</td>", number.map_or_else(|| "–".to_owned(), count));
        }
        for part in ["train", "eval"] {
            let _ = write!(out, "<td>{}</td>", stack(labels, source.get(part), most));
        }
        out.push_str("</tr>\n");
    }
    let _ = write!(out, "</tbody>\n<tfoot><tr><th scope=\"row\">{}</th><td></td>", html(&words::TOTAL));
    for (key, _) in &columns {
        let sum: u64 = sources.iter().filter_map(|source| source.get(*key).and_then(Value::as_u64)).sum();
        let _ = write!(out, "<td class=\"number\">{}</td>", count(sum));
    }
    for part in ["train", "eval"] {
        let _ = write!(out, "<td>{}</td>", stack(labels, all.get(part), total(all.get(part))));
    }
    out.push_str("</tr></tfoot>\n</table>\n");
    out
}

fn total(classes: Option<&Value>) -> u64 {
    classes.and_then(Value::as_object).into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum()
}

/// The classes of one part end to end; a full line is `most` examples. The numbers stand in the drawing's title and below.
fn stack(labels: &[String], classes: Option<&Value>, most: u64) -> String {
    let sum = total(classes);
    let of = |label: &String| classes.and_then(|c| c.get(label)).and_then(Value::as_u64).unwrap_or(0);
    let mut out = format!(
        "<div class=\"stack\"><b>{}</b><svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
        count(sum)
    );
    let mut x = 0.0;
    for (index, label) in labels.iter().enumerate() {
        let width = 100.0 * of(label) as f64 / most.max(1) as f64;
        if width > 0.0 {
            let _ = write!(
                out,
                "<rect class=\"shade-{}\" x=\"{x:.2}\" y=\"1\" width=\"{width:.2}\" height=\"8\"><title>{} {}</title></rect>",
                index.min(7),
                escape(label),
                count(of(label))
            );
        }
        x += width;
    }
    out.push_str("</svg></div>");
    out
}
