//! The rules that the data were held against: provenance, policy, quality gates. Each is nothing where the statistics do not have it.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::super::dictionary as words;
use super::super::format::{count, escape};
use super::language::{column, html, number_column};
use super::scrolling;

type Object = Map<String, Value>;

/// All tables that there is something to say in.
pub(super) fn tables(sources: &[&Object], data: &Object) -> String {
    [provenance(sources), policy(sources, data), quality(data)].concat()
}

/// What the manifest states of each source; nothing where it states nothing at all.
fn provenance(sources: &[&Object]) -> String {
    let of = |source: &Object, key: &str| {
        let text = source.get("provenance").and_then(|own| own.get(key)).and_then(Value::as_str);
        text.map_or_else(|| html(&words::NOT_STATED), escape)
    };
    if sources.iter().all(|source| source.get("provenance").is_none()) {
        return String::new();
    }
    let titles = [words::SOURCE, words::LICENCE, words::ORIGIN, words::COLLECTED, words::TERMS];
    let mut out = head(&titles.map(|title| column(&title)).concat());
    for source in sources {
        let name = escape(source.get("name").and_then(Value::as_str).unwrap_or("–"));
        let cells = ["licence", "origin", "collected_at", "terms"].map(|key| format!("<td>{}</td>", of(source, key)));
        let _ = writeln!(out, "<tr><th scope=\"row\">{name}</th>{}</tr>", cells.concat());
    }
    block(&html(&words::DATA_PROVENANCE), "", "data-provenance", out)
}

/// What was found, by kind and by source.
fn policy(sources: &[&Object], data: &Object) -> String {
    let Some(Value::Object(policy)) = data.get("policy") else { return String::new() };
    let Some(Value::Object(actions)) = policy.get("actions") else { return String::new() };
    let found = |object: &Object, kind: &str| object.get("found").and_then(|own| own.get(kind)).and_then(Value::as_u64);
    let mut titles = column(&words::KIND) + &column(&words::ACTION) + &number_column(&words::FOUND);
    for source in sources {
        let name = escape(source.get("name").and_then(Value::as_str).unwrap_or("–"));
        let _ = write!(titles, "<th scope=\"col\" class=\"number\">{name}</th>");
    }
    let mut out = head(&titles);
    for (kind, action) in actions.iter().filter(|(_, action)| *action != "keep") {
        let action = escape(action.as_str().unwrap_or("–"));
        let _ = write!(out, "<tr><th scope=\"row\">{}</th><td>{action}</td>", escape(kind));
        for object in std::iter::once(policy).chain(sources.iter().copied()) {
            let _ = write!(out, "<td class=\"number\">{}</td>", count(found(object, kind).unwrap_or(0)));
        }
        out.push_str("</tr>\n");
    }
    let _ = write!(out, "<tr><th scope=\"row\">{}</th><td></td><td class=\"number\">", html(&words::DROPPED));
    let dropped: Vec<u64> = sources.iter().map(|s| s.get("dropped").and_then(Value::as_u64).unwrap_or(0)).collect();
    let _ = write!(out, "{}</td>", count(dropped.iter().sum()));
    for n in dropped {
        let _ = write!(out, "<td class=\"number\">{}</td>", count(n));
    }
    out.push_str("</tr>\n");
    let renamed = policy.get("renamed").and_then(Value::as_u64).unwrap_or(0);
    let note = html(&words::DATA_POLICY_NOTE.with(&[("n", &count(renamed))]));
    block(&html(&words::DATA_POLICY), &format!("<p class=\"soft\">{note}</p>\n"), "data-policy", out)
}

/// Each gate with its share, its bounds and its outcome.
fn quality(data: &Object) -> String {
    let gates: Vec<&Object> =
        data.get("quality").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object).collect();
    if gates.is_empty() {
        return String::new();
    }
    let mut out = head(
        &[
            column(&words::GATE),
            column(&words::OUTCOME),
            number_column(&words::MEASURED_SHARE),
            number_column(&words::COUNT),
            number_column(&words::EXPECTED),
        ]
        .concat(),
    );
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    for gate in gates {
        let number = |key: &str| gate.get(key).and_then(Value::as_f64);
        let whole = |key: &str| count(gate.get(key).and_then(Value::as_u64).unwrap_or(0));
        let outcome = match (gate.get("passed").and_then(Value::as_bool), gate.get("action").and_then(Value::as_str)) {
            (Some(true), _) => words::PASSED,
            (_, Some("fail")) => words::FAILED,
            _ => words::WARNED,
        };
        let bounds = [
            number("min").map(|min| format!("≥ {}", percent(min))),
            number("max").map(|max| format!("≤ {}", percent(max))),
        ];
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{} / {}</td><td class=\"number\">{}</td></tr>",
            escape(gate.get("gate").and_then(Value::as_str).unwrap_or("–")),
            html(&outcome),
            number("share").map_or_else(|| "–".to_owned(), percent),
            whole("count"),
            whole("of"),
            bounds.into_iter().flatten().collect::<Vec<_>>().join(", ")
        );
    }
    block(&html(&words::DATA_QUALITY), "", "data-quality", out)
}

fn head(titles: &str) -> String {
    format!("<table class=\"listing\">\n<thead><tr>{titles}</tr></thead>\n<tbody>\n")
}

fn block(title: &str, note: &str, name: &str, rows: String) -> String {
    format!("<h3 id=\"{name}\">{title}</h3>\n{note}{}", scrolling(name, &(rows + "</tbody>\n</table>\n")))
}
