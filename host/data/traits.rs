//! What a request is like: its language.

use serde::{Deserialize, Serialize};

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
}
