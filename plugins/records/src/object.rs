//! One JSON object as raw fields, and paths into it. Fields that nobody asks for are checked, but never built.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{Deserialize, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::scan::{self, Field};

/// The fields of an object, in the order of the text.
#[derive(Debug)]
pub struct Object<'a>(Fields<'a>);

#[derive(Debug)]
enum Fields<'a> {
    /// In plain sight.
    Scanned(Vec<Field<'a>>),
    /// As serde_json reads them.
    Read(Vec<(Cow<'a, str>, &'a RawValue)>),
}

impl<'a> Object<'a> {
    /// Reads one object. The error says what was expected and what was found.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let mut fields = Vec::with_capacity(12);
        if scan::fields(text, &mut fields).is_some() && repeated(fields.iter().map(|field| field.key)).is_none() {
            return Ok(Self(Fields::Scanned(fields)));
        }
        match text.trim_ascii_start().as_bytes().first() {
            Some(b'{') => serde_json::from_str(text).map_err(|error| message(&error)),
            _ => match serde_json::from_str::<&RawValue>(text) {
                Ok(value) => Err(format!("expected a JSON object, found {}", kind(value.get()))),
                Err(error) => Err(message(&error)),
            },
        }
    }

    /// The fields, in the order of the text; `plain` is known of no field that serde_json read.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let (scanned, read) = match &self.0 {
            Fields::Scanned(fields) => (fields.as_slice(), [].as_slice()),
            Fields::Read(fields) => ([].as_slice(), fields.as_slice()),
        };
        let read = read.iter().map(|(key, value)| Field { key, value: value.get(), plain: false });
        scanned.iter().copied().chain(read)
    }

    /// The keys and values, the values as long as the text lives.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&str, &'a str)> {
        let (scanned, read) = match &self.0 {
            Fields::Scanned(fields) => (fields.as_slice(), [].as_slice()),
            Fields::Read(fields) => ([].as_slice(), fields.as_slice()),
        };
        let read = read.iter().map(|(key, value): &(Cow<'a, str>, &'a RawValue)| (key.as_ref(), value.get()));
        scanned.iter().map(|field| (field.key, field.value)).chain(read)
    }

    /// The fields, where they were in plain sight.
    pub(crate) fn scanned(&self) -> Option<&[Field<'a>]> {
        match &self.0 {
            Fields::Scanned(fields) => Some(fields),
            Fields::Read(_) => None,
        }
    }

    /// The value of the field of that name, `null` included, and whether it is known to be a string without escapes.
    fn field(&self, name: &str) -> Option<(&'a str, bool)> {
        match &self.0 {
            Fields::Scanned(fields) => {
                fields.iter().find(|field| field.key == name).map(|field| (field.value, field.plain))
            }
            Fields::Read(fields) => fields.iter().find(|(key, _)| *key == name).map(|(_, value)| (value.get(), false)),
        }
    }

    /// The value at `path`: a field of that name, or else a way through nested objects and arrays, whose steps are
    /// separated by dots and counted from 0, such as `utterances.0.text`. A `null` is no value.
    pub fn get(&self, path: &str) -> Option<&'a str> {
        self.found(path).map(|(value, _)| value)
    }

    /// As [`Object::get`], as text: see [`text`].
    pub fn text(&self, path: &str) -> Option<Result<Cow<'a, str>, String>> {
        self.found(path).map(|(value, plain)| text_of(value, plain))
    }

    /// As [`Object::get`], and whether the value is known to be a string without escapes.
    pub(crate) fn found(&self, path: &str) -> Option<(&'a str, bool)> {
        let found = match self.field(path) {
            Some(found) => found,
            None => {
                let (name, rest) = path.split_once('.')?;
                (step(self.field(name)?.0, rest)?, false)
            }
        };
        (found.0 != "null").then_some(found)
    }
}

/// The value at `path` within `value`.
fn step<'a>(value: &'a str, path: &str) -> Option<&'a str> {
    if value.starts_with('{') {
        return Object::parse(value).ok()?.get(path);
    }
    let (index, rest) = path.split_once('.').map_or((path, None), |(index, rest)| (index, Some(rest)));
    let element = array(value)?.get(index.parse::<usize>().ok()?)?.get();
    match rest {
        Some(rest) => step(element, rest),
        None => (element != "null").then_some(element),
    }
}

/// The elements of an array; `None` where the value is none.
pub fn array(value: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value).ok()
}

/// As [`text`], of a value that may be known to be a string without escapes.
pub(crate) fn text_of(value: &str, plain: bool) -> Result<Cow<'_, str>, String> {
    match plain {
        true => Ok(Cow::Borrowed(&value[1..value.len() - 1])),
        false => text(value),
    }
}

/// A string, number or truth value as text; a string is unescaped. The error says what was found instead.
pub fn text(value: &str) -> Result<Cow<'_, str>, String> {
    match value.as_bytes().first() {
        Some(b'"') => {
            let plain = &value[1..value.len().saturating_sub(1)];
            if memchr::memchr(b'\\', plain.as_bytes()).is_none() {
                return Ok(Cow::Borrowed(plain));
            }
            serde_json::from_str::<String>(value).map(Cow::Owned).map_err(|error| message(&error))
        }
        Some(b'{' | b'[') | None => Err(format!("expected text, found {}", kind(value))),
        Some(_) => Ok(Cow::Borrowed(value)),
    }
}

/// A JSON text that is one string, unescaped.
pub fn string(text: &str) -> Result<String, String> {
    serde_json::from_str(text).map_err(|error| message(&error))
}

/// What sort of value a JSON text is.
pub fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a truth value",
        Some(b'n') => "null",
        Some(_) => "a number",
        None => "nothing",
    }
}

/// Appends a string as JSON.
pub fn write_string(out: &mut String, text: &str) {
    if scan::special(text.as_bytes(), 0) == text.len() {
        out.push('"');
        out.push_str(text);
        out.push('"');
        return;
    }
    match serde_json::to_string(text) {
        Ok(json) => out.push_str(&json),
        Err(_) => out.push_str("\"\""),
    }
}

/// The greatest number of levels that a field may be nested: what reads it again has its limits.
pub const MAX_DEPTH: usize = 100;

/// Checks what parsing left unread: that numbers are in range, that escapes are characters, and the nesting. `value`
/// is otherwise valid JSON.
pub fn check(value: &str) -> Result<(), String> {
    let suspect = match value.as_bytes().first() {
        Some(b'{' | b'[') => true,
        Some(b'"') => memchr::memmem::find(value.as_bytes(), b"\\u").is_some(),
        _ => value.len() > 300 || memchr::memchr2(b'e', b'E', value.as_bytes()).is_some(),
    };
    if !suspect {
        return Ok(());
    }
    if depth(value) > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH} levels"));
    }
    serde_json::from_str::<serde_json::Value>(value).map(drop).map_err(|error| message(&error))
}

/// How deep a value, which is valid JSON, is nested.
fn depth(value: &str) -> usize {
    let (mut depth, mut deepest, mut within, mut escaped) = (0_usize, 0, false, false);
    for byte in value.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => within = !within,
            b'{' | b'[' if !within => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !within => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// An error of serde_json without its line, which is counted within the record; the column stays.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    match (error.line(), error.column()) {
        (0, _) => format!("not JSON: {text}"),
        (1, column) => format!("not JSON: {text} at column {column}"),
        (line, column) => format!("not JSON: {text} at line {line} of the record, column {column}"),
    }
}

/// A key, borrowed where it holds no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(8);
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    fields.push((key, value));
                }
                match repeated(fields.iter().map(|(key, _)| key.as_ref())) {
                    Some(key) => Err(serde::de::Error::custom(format!("the field `{key}` occurs twice"))),
                    None => Ok(Object(Fields::Read(fields))),
                }
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// A key that occurs twice: which of the two values counts would be a guess.
fn repeated<'a>(keys: impl ExactSizeIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    if keys.len() <= 16 {
        return keys
            .clone()
            .enumerate()
            .find(|(index, key)| keys.clone().take(*index).any(|other| other == *key))
            .map(|(_, key)| key);
    }
    let mut seen = HashSet::with_capacity(keys.len());
    keys.clone().find(|key| !seen.insert(*key))
}
