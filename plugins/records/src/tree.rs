//! One JSON object whose leaves are requests: its fields hold lists of texts, or objects of texts, of such lists and of such objects.

use crate::object::{self, MAX_DEPTH, Object, write_string};

/// A leaf as a record of its own: `instruction` is its text, `category` the key that is nearest to it, and `key0`, `key1`, … are all of its
/// keys from the outermost on.
#[derive(Debug)]
pub struct Leaf {
    /// The line in which it starts, the object's first being 1.
    pub line: u32,
    /// The record, or why there is none.
    pub record: Result<String, String>,
}

/// The leaves of an object, in its order.
///
/// # Errors
/// What is no object; an object with a field that is neither a list nor an object, since that may be a record.
pub fn leaves(text: &str) -> Result<Vec<Leaf>, String> {
    let object = Object::parse(text)?;
    if let Some((key, value)) = object.values().find(|(_, value)| !value.starts_with(['[', '{'])) {
        let found = object::kind(value);
        return Err(format!("field `{key}`: expected a list of texts or an object of these, found {found}"));
    }
    let mut walk = Walk { text, at: 0, line: 1, leaves: Vec::new() };
    walk.object(text, &mut Vec::new())?;
    Ok(walk.leaves)
}

struct Walk<'a> {
    text: &'a str,
    /// How far lines have been counted.
    at: usize,
    line: u32,
    leaves: Vec<Leaf>,
}

impl<'a> Walk<'a> {
    fn object(&mut self, value: &'a str, keys: &mut Vec<String>) -> Result<(), String> {
        let object = Object::parse(value)?;
        // The object is read once: its values lie in the text.
        let fields: Vec<(String, &'a str)> = object.values().map(|(key, value)| (key.to_owned(), value)).collect();
        for (key, value) in fields {
            keys.push(key);
            match value.as_bytes().first() {
                Some(b'"') => self.leaf(value, keys),
                Some(b'{') if keys.len() < MAX_DEPTH => self.object(value, keys)?,
                Some(b'[') => {
                    for (index, element) in object::array(value).unwrap_or_default().into_iter().enumerate() {
                        match element.get().as_bytes().first() {
                            Some(b'"') => self.leaf(element.get(), keys),
                            _ => self.reject(element.get(), format!("`{}.{index}`: expected text", keys.join("."))),
                        }
                    }
                }
                _ => {
                    let place = keys.join(".");
                    self.reject(value, format!("`{place}`: expected text, a list of texts or an object of these"));
                }
            }
            keys.pop();
        }
        Ok(())
    }

    fn leaf(&mut self, value: &'a str, keys: &[String]) {
        let mut record = format!("{{\"instruction\":{value}");
        let mut field = |name: &str, key: &str| {
            record.push_str(&format!(",\"{name}\":"));
            write_string(&mut record, key);
        };
        if let Some(last) = keys.last() {
            field("category", last);
        }
        for (depth, key) in keys.iter().enumerate() {
            field(&format!("key{depth}"), key);
        }
        record.push('}');
        let line = self.line_of(value);
        self.leaves.push(Leaf { line, record: Ok(record) });
    }

    fn reject(&mut self, value: &'a str, reason: String) {
        let line = self.line_of(value);
        self.leaves.push(Leaf { line, record: Err(format!("{reason}, found {}", object::kind(value))) });
    }

    /// The line in which a value starts that lies in the text, behind those that were asked for before.
    fn line_of(&mut self, value: &'a str) -> u32 {
        let at = (value.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).clamp(self.at, self.text.len());
        let lines = memchr::memchr_iter(b'\n', &self.text.as_bytes()[self.at..at]).count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.at = at;
        self.line
    }
}
