//! `licence`, `origin`, `collected_at` and `terms` of a `[[data]]`.

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::DataTable;
use super::places::At;
use crate::Result;
use crate::data::{Provenance, is_date};

/// A day: a TOML date, or a text of the same form.
#[derive(Clone, Debug)]
pub struct Day(Spanned<String>);

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a date such as 2025-01-31")]
        enum Form {
            Date(Datetime),
            Text(String),
        }
        let value = Spanned::<Form>::deserialize(deserializer)?;
        let span = value.span();
        let text = match value.into_inner() {
            Form::Date(date) => date.to_string(),
            Form::Text(text) => text,
        };
        Ok(Self(Spanned::new(span, text)))
    }
}

impl Day {
    /// The day as it is written, YYYY-MM-DD where it is one.
    pub fn text(&self) -> &str {
        self.0.get_ref()
    }

    pub(super) fn span(&self) -> std::ops::Range<usize> {
        self.0.span()
    }
}

impl serde::Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

/// Checks that nothing is said with an empty text, and that the day exists.
pub(super) fn resolve(table: &DataTable, at: At<'_>) -> Result<Provenance> {
    let text = |key: &str, value: &Option<Spanned<String>>| match value {
        Some(text) if text.get_ref().trim().is_empty() => {
            Err(at(text.span()).error(format!("`{key}` is empty: expected a statement, or no `{key}` at all")))
        }
        value => Ok(value.as_ref().map(|text| text.get_ref().trim().to_owned())),
    };
    if let Some(Day(day)) = &table.collected_at
        && !is_date(day.get_ref())
    {
        return Err(at(day.span())
            .error(format!("`collected_at` is `{}`: expected a day that exists, as YYYY-MM-DD", day.get_ref())));
    }
    Ok(Provenance {
        licence: text("licence", &table.licence)?,
        origin: text("origin", &table.origin)?,
        collected_at: table.collected_at.as_ref().map(|day| day.0.get_ref().clone()),
        terms: text("terms", &table.terms)?,
    })
}
