//! From the text of an answer to a decision.

use crate::data::{INVALID, LabelSet, thinking};

/// The label that an answer decides for, or [`INVALID`]; never a default.
///
/// Where the answer thinks aloud, its final part decides: there must be exactly one. Elsewhere the whole answer decides. The
/// deciding text must hold exactly one label's name as a whole word in the label's own spelling, or hold none so and begin with
/// one in other letters' case, behind marks such as `*` or quotes.
///
/// ```
/// use so8t::data::{INVALID, LabelSet};
/// let labels = LabelSet::four_decisions();
/// assert_eq!(so8t::predict::decide("<think>Harmless.</think><final>ALLOW</final>", &labels), 0);
/// assert_eq!(so8t::predict::decide("**Deny**: I cannot help with that.", &labels), 2);
/// assert_eq!(so8t::predict::decide("ALLOW or REFUSE, who knows", &labels), INVALID);
/// assert_eq!(so8t::predict::decide("<think>ALLOW", &labels), INVALID);
/// ```
pub fn decide(answer: &str, labels: &LabelSet) -> u8 {
    let text = match thinking::parse(answer) {
        Some(parts) => match parts.final_part() {
            Some(text) => text,
            None => return INVALID,
        },
        None => answer,
    };
    let mentioned: Vec<u8> = (0..labels.len() as u8).filter(|&id| has_word(text, labels.name(id))).collect();
    if let [id] = mentioned[..] {
        return id;
    }
    if !mentioned.is_empty() {
        return INVALID;
    }
    let start = text.trim_start_matches(is_mark);
    let begins = |id: &u8| {
        let name = labels.name(*id);
        start.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name))
            && !start[name.len()..].starts_with(is_part_of_word)
    };
    (0..labels.len() as u8).find(begins).unwrap_or(INVALID)
}

/// Whether `word` stands in `text` with no letter, digit or underscore on either side.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_part_of_word) && !text[at + word.len()..].starts_with(is_part_of_word))
}

// Ideographs and kana do not join a name: Japanese is written without spaces.
fn is_part_of_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric() || (c.is_alphabetic() && (c as u32) < 0x2E80)
}

/// What may stand before a decision.
fn is_mark(c: char) -> bool {
    c.is_whitespace() || "*_`\"'「『【([<|:#-".contains(c)
}
