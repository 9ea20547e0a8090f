//! What a request is like: its language, its length, its category. By these a change between two evaluations is counted.

use serde::{Deserialize, Serialize};

use super::{Example, Request};

/// The language of a request, told by its scripts alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Japanese: at least one kana, or at least one letter in five is a CJK ideograph. A Chinese text counts as Japanese.
    Ja,
    /// English: not the above, and at least nine letters in ten are ASCII. Another language that is written in plain Latin
    /// letters counts as English.
    En,
    /// Anything else, a text without letters among it.
    Other,
}

impl Language {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ja => "ja",
            Self::En => "en",
            Self::Other => "other",
        }
    }

    /// The language of a text.
    pub fn of(text: &str) -> Self {
        Self::of_parts([text])
    }

    /// The language of a text in parts.
    fn of_parts<const N: usize>(parts: [&str; N]) -> Self {
        if parts.iter().all(|part| part.is_ascii()) {
            let has_letters = parts.iter().any(|part| part.bytes().any(|byte| byte.is_ascii_alphabetic()));
            return if has_letters { Self::En } else { Self::Other };
        }
        let (mut letters, mut ideographs, mut ascii) = (0_usize, 0_usize, 0_usize);
        for letter in parts.into_iter().flat_map(str::chars) {
            if is_kana(letter) {
                return Self::Ja;
            }
            // Of the unified ideographs it is known without a search in tables.
            if !matches!(letter, '\u{4E00}'..='\u{9FFF}') && !letter.is_alphabetic() {
                continue;
            }
            letters += 1;
            ideographs += usize::from(is_ideograph(letter));
            ascii += usize::from(letter.is_ascii());
        }
        match letters {
            0 => Self::Other,
            _ if ideographs * 5 >= letters => Self::Ja,
            _ if ascii * 10 >= letters * 9 => Self::En,
            _ => Self::Other,
        }
    }
}

/// Hiragana, katakana, their phonetic extensions and half-width forms; not the marks that other scripts share.
fn is_kana(letter: char) -> bool {
    matches!(letter, '\u{3041}'..='\u{3096}' | '\u{309D}'..='\u{309F}' | '\u{30A1}'..='\u{30FA}' | '\u{30FD}'..='\u{30FF}'
        | '\u{31F0}'..='\u{31FF}' | '\u{FF66}'..='\u{FF6F}' | '\u{FF71}'..='\u{FF9D}')
}

/// CJK unified ideographs with their extensions and compatibility forms.
fn is_ideograph(letter: char) -> bool {
    matches!(letter, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// What one request is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traits {
    /// The language of instruction and input together.
    pub language: Language,
    /// The characters (Unicode scalar values) of instruction and input together.
    pub length: usize,
    /// The example's category, where its source names one.
    pub category: Option<String>,
}

impl Traits {
    /// The traits of an example.
    pub fn of(example: &Example) -> Self {
        let Request { instruction, input } = &example.request;
        Self {
            language: Language::of_parts([instruction, input]),
            length: characters(instruction) + characters(input),
            category: (!example.category.is_empty()).then(|| example.category.as_str().to_owned()),
        }
    }
}

/// The characters (Unicode scalar values) of a text.
pub(super) fn characters(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// The names of the spans of lengths by which requests are counted, in order.
pub const LENGTH_SPANS: [&str; 4] = ["under 50", "50 to 199", "200 to 999", "1000 and more"];

/// The span that a length in characters lies in.
pub fn length_span(length: usize) -> &'static str {
    LENGTH_SPANS[[50, 200, 1000].iter().filter(|&&bound| length >= bound).count()]
}
