//! What a file of settings may say: every field that is known, with what it does to a result.
//!
//! A setting that is not read may change what a model computes. So each document has a list of its fields, by what is known of them, and
//! whatever else it says, unless it is null, `false` or empty, is refused by name.

use serde_json::{Map, Value};

use so8t_base::{Error, Result};

/// What is known of fields.
#[derive(Clone, Copy, Debug)]
pub enum Says {
    /// They are read, and their values checked where that is done.
    Read,
    /// They change no result, whatever they say.
    Nothing,
    /// They change no result where they say one of these JSON texts.
    NothingAt(&'static [&'static str]),
}

/// Fields by what is known of them. One `*` in a name stands for any text.
pub type Known = &'static [(Says, &'static [&'static str])];

/// Holds every field of an object against what is known; `prefix` stands before a field's name in messages.
///
/// Errors: the first field, in the order of the file, that is not known or not at this value.
pub fn check(fields: &Map<String, Value>, prefix: &str, known: &[Known]) -> Result<()> {
    fields.iter().filter(|(_, value)| !is_nothing(value)).try_for_each(|(name, value)| {
        let found = short(value);
        match says(name, known) {
            Some(Says::Read | Says::Nothing) => Ok(()),
            Some(Says::NothingAt(texts)) if texts.contains(&value.to_string().as_str()) => Ok(()),
            Some(Says::NothingAt([])) => Err(Error::model(format!(
                "field `{prefix}{name}`: expected none (it changes the result, and is not implemented), found {found}"
            ))),
            Some(Says::NothingAt(texts)) => Err(Error::model(format!(
                "field `{prefix}{name}`: expected `{}` (nothing else is implemented), found {found}",
                texts.join("` or `")
            ))),
            None => Err(Error::model(format!(
                "field `{prefix}{name}`: expected a field that is known, since what it does to the result is not, found {found}"
            ))
            .with_hint("where it changes nothing, remove it from the file")),
        }
    })
}

/// The fields that [`check`] would refuse.
pub fn unknown<'a>(fields: &'a Map<String, Value>, known: &[Known]) -> Vec<&'a str> {
    let refused = |(name, value): &(&String, &Value)| match says(name, known) {
        _ if is_nothing(value) => false,
        None => true,
        Some(Says::NothingAt(texts)) => !texts.contains(&value.to_string().as_str()),
        Some(Says::Read | Says::Nothing) => false,
    };
    fields.iter().filter(refused).map(|(name, _)| name.as_str()).collect()
}

/// What is known of a field.
pub fn says(name: &str, known: &[Known]) -> Option<Says> {
    let is = |pattern: &&str| match pattern.split_once('*') {
        Some((start, end)) => name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => name == *pattern,
    };
    let entries = || known.iter().flat_map(|known| known.iter());
    // A name that stands there itself goes before a pattern.
    let exact = entries().find(|(_, names)| names.contains(&name));
    exact.or_else(|| entries().find(|(_, names)| names.iter().any(is))).map(|(says, _)| *says)
}

/// Null, `false`, and what is empty.
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// A value for a message.
pub fn short(value: &Value) -> String {
    let text = value.to_string();
    match value {
        _ if text.len() <= 60 => format!("`{text}`"),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        _ => "a longer value".into(),
    }
}
