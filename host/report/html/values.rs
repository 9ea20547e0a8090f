//! Any JSON as lists and tables: statistics, digests, and what training did. Its keys are names and stay as they are.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::super::format::{count, escape};

/// An object: what is single as a list of facts, what is an array of objects as a table, objects in objects with a heading.
/// Keys named `warnings` are left out: the page has them at its top.
pub(super) fn list(value: &Value) -> String {
    let Value::Object(object) = value else {
        return match inline(value) {
            text if text.is_empty() => text,
            text => format!("<p>{text}</p>\n"),
        };
    };
    let (mut facts, mut rest) = (String::new(), String::new());
    for (key, value) in object.iter().filter(|(key, _)| *key != "warnings") {
        let title = match value {
            Value::String(text) if is_digest(text) => format!("<code>{}</code>", escape(key)),
            _ => escape(&words(key)),
        };
        match value {
            Value::Array(rows) if !rows.is_empty() && rows.iter().all(Value::is_object) => {
                let _ = writeln!(
                    rest,
                    "<h3>{title}</h3>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">\n{}</div>",
                    escape(key),
                    table(rows)
                );
            }
            Value::Object(inner) if !is_counts(inner) && !inner.is_empty() => {
                let _ = writeln!(rest, "<h3>{title}</h3>\n{}", list(value));
            }
            _ => {
                let text = inline(value);
                if !text.is_empty() {
                    let _ = writeln!(facts, "<div><dt>{title}</dt><dd>{text}</dd></div>");
                }
            }
        }
    }
    if !facts.is_empty() {
        facts = format!("<dl class=\"facts\">\n{facts}</dl>\n");
    }
    facts + &rest
}

/// Rows of objects as a table; the columns are the keys of all rows, in order of appearance.
pub(super) fn table(rows: &[Value]) -> String {
    let mut columns: Vec<&String> = Vec::new();
    for key in rows.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if !columns.contains(&key) {
            columns.push(key);
        }
    }
    let mut out = String::from("<table class=\"listing\">\n<thead><tr>");
    for column in &columns {
        let is_number = rows.iter().filter_map(|row| row.get(column.as_str())).all(Value::is_number);
        let kind = if is_number { " class=\"number\"" } else { "" };
        let _ = write!(out, "<th scope=\"col\"{kind}>{}</th>", escape(&words(column)));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (index, column) in columns.iter().enumerate() {
            let value = row.get(column.as_str()).unwrap_or(&Value::Null);
            let text = inline(value);
            let _ = match index {
                0 => write!(out, "<th scope=\"row\">{text}</th>"),
                _ if value.is_number() => write!(out, "<td class=\"number\">{text}</td>"),
                _ => write!(out, "<td>{text}</td>"),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
    out
}

/// A small object of numbers, such as counts by class.
fn is_counts(object: &Map<String, Value>) -> bool {
    object.len() <= 12 && object.values().all(Value::is_number)
}

/// One value on one line, escaped.
fn inline(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => match number.as_u64() {
            Some(whole) => count(whole),
            None => number.as_f64().map_or_else(|| number.to_string(), significant),
        },
        Value::String(text) if is_digest(text) => format!("<code class=\"digest\">{}</code>", escape(text)),
        Value::String(text) => escape(text),
        Value::Array(items) => items.iter().map(inline).collect::<Vec<_>>().join(", "),
        Value::Object(object) => {
            let parts = object.iter().map(|(key, value)| {
                format!("<span class=\"part\"><span class=\"soft\">{}</span> {}</span>", escape(key), inline(value))
            });
            parts.collect::<Vec<_>>().join(" ")
        }
    }
}

/// Hexadecimal of at least 32 digits, perhaps after `sha256:`.
fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    digits.len() >= 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A number with about four digits that count.
fn significant(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        size if size < 1e-3 => format!("{number:.3e}"),
        size if size < 100.0 => format!("{number:.4}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        size if size < 1e4 => format!("{number:.1}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        size if size < 1e15 && number > 0.0 => count(number.round() as u64),
        _ => format!("{number:.3e}"),
    }
}

/// A key as words: `final_loss` → `Final loss`.
pub(super) fn words(key: &str) -> String {
    let text = key.replace('_', " ");
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if text != "so8t" && !text.contains('.') && !text.contains('/') => {
            first.to_uppercase().chain(characters).collect()
        }
        _ => text,
    }
}
