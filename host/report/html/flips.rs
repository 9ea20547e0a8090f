//! The rows whose decision changed, worsened ones first. Requests are shown behind a click and as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::Report;
use super::super::dictionary::{self as words, Text};
use super::super::format::{count, escape, escape_lines};
use super::super::terminal::p_value;
use super::language::{choice, column, html};
use super::{Section, flip_counts, scrolling};
use crate::data::Language;
use crate::evaluate::{Change, Flip};

/// The most rows that are listed; `report.json` holds all.
const SHOWN: usize = 500;
/// The most characters of a request that are shown.
const CHARACTERS: usize = 4000;

/// Nothing where nothing was compared.
pub(super) fn section(report: &Report) -> Option<Section> {
    let comparison = report.comparison.as_ref()?;
    let test = &comparison.mcnemar;
    let note = words::FLIPS_NOTE.with(&[
        ("right", &count(test.right_after_only)),
        ("wrong", &count(test.right_before_only)),
        ("p", &p_value(test.p_value)),
    ]);
    let mut content = format!("<p>{}</p>\n", html(&note.then(&words::MCNEMAR)));
    if comparison.flips.is_empty() {
        let _ = writeln!(content, "<p>{}</p>", html(&words::NO_FLIPS));
    } else {
        content.push_str(&totals(&comparison.flips));
        content.push_str(&flip_counts::tables(&comparison.flip_counts));
        content.push_str(&list(&comparison.flips, &report.texts));
    }
    Some(Section { id: "flips", title: words::FLIPS, content })
}

static CHANGES: [(Change, &str, &str, Text, Text); 3] = [
    (Change::Worsened, "worsened", "▼", words::WORSENED, words::WORSENED_MEANING),
    (Change::Sideways, "sideways", "●", words::SIDEWAYS, words::SIDEWAYS_MEANING),
    (Change::Improved, "improved", "▲", words::IMPROVED, words::IMPROVED_MEANING),
];

/// How many of each kind.
fn totals(flips: &[Flip]) -> String {
    let mut out = String::from("<ul class=\"totals\">\n");
    for (change, kind, mark, word, meaning) in &CHANGES {
        let n = flips.iter().filter(|flip| flip.change == *change).count();
        let _ = writeln!(
            out,
            "<li class=\"{kind}\"><b>{}</b> <span aria-hidden=\"true\">{mark}</span> {} <span class=\"soft\">{}</span></li>",
            count(n as u64),
            html(word),
            html(meaning)
        );
    }
    out.push_str("</ul>\n");
    out
}

/// The rows with their filters.
fn list(flips: &[Flip], texts: &BTreeMap<String, String>) -> String {
    let shown = &flips[..flips.len().min(SHOWN)];
    let has_texts = shown.iter().any(|flip| texts.contains_key(&flip.id));
    let mut table = String::from("<table class=\"flip-list\">\n<thead><tr>");
    for title in [words::CHANGE, words::GOLD, words::DECISION_BEFORE, words::DECISION_AFTER, words::SOURCE, words::ROW]
    {
        table.push_str(&column(&title));
    }
    if has_texts {
        table.push_str(&column(&words::REQUEST));
    }
    table.push_str("</tr></thead>\n<tbody id=\"flip-rows\">\n");
    for flip in shown {
        table.push_str(&row(flip, has_texts, texts.get(&flip.id)));
    }
    table.push_str("</tbody>\n</table>\n");
    let mut out = filters(shown);
    if has_texts {
        let _ = writeln!(out, "<p class=\"soft\">{}</p>", html(&words::HOSTILE));
    }
    let _ = writeln!(out, "<div class=\"long\">\n{}</div>", scrolling("flips", &table));
    if flips.len() > SHOWN {
        let more = words::MORE_FLIPS.with(&[("n", &count((flips.len() - SHOWN) as u64))]);
        let _ = writeln!(out, "<p class=\"soft\">{}</p>", html(&more));
    }
    out
}

fn row(flip: &Flip, has_texts: bool, text: Option<&String>) -> String {
    let known = CHANGES.iter().find(|(change, ..)| *change == flip.change);
    let (kind, mark, word) =
        known.map_or(("", "", words::SIDEWAYS), |(_, kind, mark, word, _)| (*kind, *mark, word.clone()));
    let tick = |label: &str| if label == flip.gold { " ✓" } else { "" };
    let mut out = format!(
        "<tr data-change=\"{kind}\" data-source=\"{source}\" data-gold=\"{gold}\" data-language=\"{}\"><td class=\"change {kind}\">\
         <span aria-hidden=\"true\">{mark}</span> {}</td><td>{gold}</td><td>{}{}</td><td>{}{}</td><td>{source}</td>\
         <th scope=\"row\"><code>{}</code></th>",
        language(flip),
        html(&word),
        escape(&flip.before),
        tick(&flip.before),
        escape(&flip.after),
        tick(&flip.after),
        escape(&flip.id),
        source = escape(&flip.source),
        gold = escape(&flip.gold),
    );
    if has_texts {
        let cell = text.map_or_else(|| "–".to_owned(), |text| request(flip, text));
        let _ = write!(out, "<td>{cell}</td>");
    }
    out.push_str("</tr>\n");
    out
}

/// The request's language; empty where it is not known.
fn language(flip: &Flip) -> &str {
    flip.language.map_or("", Language::name)
}

/// The request behind a click.
fn request(flip: &Flip, text: &str) -> String {
    let (cut, more) = match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => (&text[..end], text[end..].chars().count()),
        None => (text, 0),
    };
    let mut facts = String::new();
    if let Some(length) = flip.length {
        let text = words::CHARACTERS.with(&[("language", language(flip)), ("n", &count(length as u64))]);
        facts = format!("<p class=\"soft\">{}</p>", html(&text));
    }
    if more > 0 {
        let text = words::CUT.with(&[("n", &count(more as u64))]);
        let _ = write!(facts, "<p class=\"soft\">{}</p>", html(&text));
    }
    format!(
        "<details class=\"request\"><summary>{}</summary><div class=\"text\" dir=\"auto\">{}</div>{facts}</details>",
        html(&words::SHOW_REQUEST),
        escape_lines(cut)
    )
}

/// The choices by which rows are shown; of use only with the script, which unhides them.
fn filters(shown: &[Flip]) -> String {
    let mut out = String::from("<form class=\"filters\" id=\"flip-filters\" hidden>\n");
    let distinct = |pick: fn(&Flip) -> &str| {
        let mut all: Vec<&str> = Vec::new();
        for value in shown.iter().map(pick).filter(|value| !value.is_empty()) {
            if !all.contains(&value) {
                all.push(value);
            }
        }
        all
    };
    let names = |values: Vec<&str>| -> Vec<(String, Text)> {
        values.into_iter().map(|value| (value.to_owned(), Text::name(value))).collect()
    };
    let is_there = |change: Change| shown.iter().any(|flip| flip.change == change);
    let changes = CHANGES.iter().filter(|(change, ..)| is_there(*change));
    let changes = changes.map(|(_, kind, _, word, _)| ((*kind).to_owned(), word.clone())).collect();
    for (field, title, choices) in [
        ("change", words::CHANGE, changes),
        ("source", words::SOURCE, names(distinct(|flip| &flip.source))),
        ("gold", words::GOLD, names(distinct(|flip| &flip.gold))),
        ("language", words::LANGUAGE, names(distinct(language))),
    ] {
        if choices.len() < 2 {
            continue;
        }
        let _ = write!(
            out,
            "<label for=\"filter-{field}\">{}</label> <select id=\"filter-{field}\" name=\"{field}\">{}",
            html(&title),
            choice("", &words::ALL)
        );
        for (value, text) in &choices {
            out.push_str(&choice(value, text));
        }
        out.push_str("</select>\n");
    }
    let n = count(shown.len() as u64);
    let text = words::SHOWN_OF.with(&[("n", &n)]);
    let number = format!("<span class=\"shown\">{n}</span>");
    // The number stands in its place in both languages; the script changes it.
    let _ = writeln!(out, "<output id=\"flip-shown\">{}</output>\n</form>", html(&text).replace("{shown}", &number));
    out
}
