//! Texts in both languages side by side. The style sheet shows the one that the root's `lang` names: English without a script.

use super::super::dictionary::{Language, Text};
use super::super::format::escape;

/// Escaped, with a span a language; a text that is the same in both stands alone.
pub(super) fn html(text: &Text) -> String {
    let [english, japanese] = both(text);
    match english == japanese {
        true => english,
        false => format!("<span lang=\"en\">{english}</span><span lang=\"ja\">{japanese}</span>"),
    }
}

/// As a drawing's text elements. `attributes` is markup.
pub(super) fn drawn(text: &Text, attributes: &str) -> String {
    let [english, japanese] = both(text);
    match english == japanese {
        true => format!("<text {attributes}>{english}</text>"),
        false => {
            format!("<text lang=\"en\" {attributes}>{english}</text><text lang=\"ja\" {attributes}>{japanese}</text>")
        }
    }
}

/// An option of a list, whose content can be no markup: the script puts the Japanese text in.
pub(super) fn choice(value: &str, text: &Text) -> String {
    let [english, japanese] = both(text);
    let other = if english == japanese { String::new() } else { format!(" data-ja=\"{japanese}\"") };
    format!("<option value=\"{}\"{other}>{english}</option>", escape(value))
}

/// A column's heading.
pub(super) fn column(text: &Text) -> String {
    format!("<th scope=\"col\">{}</th>", html(text))
}

/// A column's heading over numbers, which stand to the right.
pub(super) fn number_column(text: &Text) -> String {
    format!("<th scope=\"col\" class=\"number\">{}</th>", html(text))
}

fn both(text: &Text) -> [String; 2] {
    [Language::English, Language::Japanese].map(|language| escape(text.of(language)))
}
