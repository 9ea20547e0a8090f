//! What a `tokenizer.json` may say: tokens must depend on the text alone, and what they are made of must not outgrow it.

use regex::Regex;
use serde_json::Value;

use super::allowed::short;
use so8t_base::{Error, Result};

/// How many times as long as a text its normalised form may be, at most; that of real tokenizers is 3.
const GROWTH: f64 = 256.0;

/// Looks through the document, before anything is built of it.
///
/// Errors name the field: a setting by which the same text gets other tokens at random, a field of the model that is not known, steps that together
/// make a text many times as long.
pub fn check(document: &Value) -> Result<()> {
    let model = &document["model"];
    let known: &[&str] = match model["type"].as_str() {
        Some("WordPiece") => &["unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"],
        Some("WordLevel") => &["vocab", "unk_token"],
        Some("Unigram") => &["unk_id", "vocab", "byte_fallback"],
        // Files of old versions do not name it.
        _ => &[
            "unk_token",
            "continuing_subword_prefix",
            "end_of_word_suffix",
            "fuse_unk",
            "byte_fallback",
            "ignore_merges",
            "vocab",
            "merges",
        ],
    };
    for (name, value) in model.as_object().into_iter().flatten() {
        let is_nothing = super::allowed::is_nothing(value) || value.as_f64() == Some(0.0);
        if name == "type" || is_nothing || known.contains(&name.as_str()) {
            continue;
        }
        let found = short(value);
        return Err(if name == "dropout" {
            Error::model(format!(
                "field `model.dropout`: expected none, since tokens would be left to chance, found {found}"
            ))
            .with_hint("it is for training alone: set it to null")
        } else {
            Error::model(format!(
                "field `model.{name}`: expected a field that is known, since what it does to tokens is not, found {found}"
            ))
        });
    }
    for field in ["normalizer", "pre_tokenizer", "decoder"] {
        let growth = growth(&document[field]);
        if growth > GROWTH {
            return Err(Error::model(format!(
                "field `{field}`: expected steps that make a text at most {GROWTH} times as long, found ones that make it up to {growth:.0} times"
            )));
        }
    }
    Ok(())
}

/// By how much a step, or those within it one after another, can make a text longer. Nesting is bounded by the reader of JSON.
fn growth(step: &Value) -> f64 {
    let nested =
        ["normalizers", "pretokenizers", "decoders"].iter().filter_map(|name| step[*name].as_array()).flatten();
    let nested: f64 = nested.map(growth).product();
    let length = |value: &Value| value.as_str().map_or(0, str::len) as f64;
    let own = match step["type"].as_str() {
        Some("Replace") => {
            let (matched, content) = (length(&step["pattern"]["String"]), length(&step["content"]));
            let expression = step["pattern"]["Regex"].as_str().unwrap_or_default();
            // An expression may match one byte, or nothing, before each character and at the end.
            let needs_a_byte = || Regex::new(expression).is_ok_and(|expression| !expression.is_match(""));
            match matched > 0.0 {
                true => (content / matched).max(1.0),
                false if needs_a_byte() => content.max(1.0),
                false => 1.0 + content,
            }
        }
        Some("Prepend") => 1.0 + length(&step["prepend"]),
        Some("Metaspace") => length(&step["replacement"]).max(1.0),
        _ => 1.0,
    };
    own * nested
}
