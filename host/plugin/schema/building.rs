//! What building a validator of a hostile schema could take, counted before one is built.
//!
//! The validator is made by a library, which goes down every keyword that leads into another schema, through references too. Where a schema says
//! what becomes of values that nothing else evaluated (`unevaluatedProperties`, `unevaluatedItems`), it goes down all of it once more for each
//! of these, within each of those: a few references multiply into more steps than any machine makes. So the way that it goes is counted here
//! first, as if nothing were ever remembered.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::bounds::resolve;

/// The most steps that building a validator may take.
const MAX_STEPS: u64 = 200_000;
/// How deep schemas may lead into one another, through keywords and references.
const MAX_DEPTH: u32 = 200;
/// The memory that all patterns of a schema may take once they are compiled, in bytes.
const PATTERNS_BYTES: usize = 32 << 20;
/// The memory that one compiled pattern may take, in bytes.
const PATTERN_BYTES: usize = 256 << 10;

/// Keywords whose value is one schema.
const ONE: [&str; 13] = [
    "not",
    "if",
    "then",
    "else",
    "items",
    "additionalItems",
    "contains",
    "unevaluatedItems",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "contentSchema",
    "extends",
];
/// Keywords whose value is a list of schemas; `items` may be one too.
const LISTS: [&str; 5] = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
/// Keywords whose value is a table of schemas.
const TABLES: [&str; 4] = ["properties", "patternProperties", "dependentSchemas", "dependencies"];
/// Tables of schemas that apply to nothing until they are referred to.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// Refuses a schema whose validator would take too long to build, or too much of the stack.
///
/// # Errors
/// The bound, as the end of a sentence that names the plugin.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let mut counter = Counter { root: schema, known: HashMap::new(), rises: holds_unevaluated(schema) };
    counter.count(schema, 0)?;
    // What no reference leads to is built as well, or not at all.
    let mut left = vec![schema];
    while let Some(value) = left.pop() {
        for inner in definitions(value) {
            counter.count(inner, 0)?;
            left.push(inner);
        }
    }
    Ok(())
}

/// The memory that each pattern of a schema may take once it is compiled: many share what there is.
pub(super) fn pattern_bytes(schema: &Value) -> usize {
    PATTERN_BYTES.min(PATTERNS_BYTES / patterns(schema).max(1))
}

/// How many patterns a schema holds at the most.
fn patterns(value: &Value) -> usize {
    match value {
        Value::Object(table) => table
            .iter()
            .map(|(key, value)| {
                let own = match (key.as_str(), value) {
                    ("pattern", Value::String(_)) => 1,
                    ("patternProperties", Value::Object(table)) => table.len(),
                    _ => 0,
                };
                own + patterns(value)
            })
            .sum(),
        Value::Array(items) => items.iter().map(patterns).sum(),
        _ => 0,
    }
}

fn definitions(value: &Value) -> impl Iterator<Item = &Value> {
    let tables = DEFINITIONS.iter().filter_map(move |key| value.get(*key)?.as_object());
    tables.flat_map(Map::values)
}

/// Whether some schema says what becomes of values that nothing evaluated: only then are parts built again and again.
fn holds_unevaluated(value: &Value) -> bool {
    match value {
        Value::Object(table) => {
            table.keys().any(|key| key.starts_with("unevaluated")) || table.values().any(holds_unevaluated)
        }
        Value::Array(items) => items.iter().any(holds_unevaluated),
        _ => false,
    }
}

/// Steps and depth of building a schema.
#[derive(Clone, Copy)]
struct Cost {
    steps: u64,
    depth: u32,
}

struct Counter<'a> {
    root: &'a Value,
    /// By the places of schemas; `None` while they are being counted.
    known: HashMap<*const Value, Option<Cost>>,
    /// Whether steps are held against their bound; without it each schema is built once.
    rises: bool,
}

impl<'a> Counter<'a> {
    fn count(&mut self, schema: &'a Value, level: u32) -> Result<Cost, String> {
        let key = std::ptr::from_ref(schema);
        let cost = match self.known.get(&key) {
            Some(Some(cost)) => *cost,
            // A circle ends there: what is referred to is being built.
            Some(None) => return Ok(Cost { steps: 1, depth: 0 }),
            None => {
                if level >= MAX_DEPTH {
                    return Err(too_deep());
                }
                self.known.insert(key, None);
                let cost = self.apply(schema, level + 1)?;
                self.known.insert(key, Some(cost));
                cost
            }
        };
        if level + cost.depth > MAX_DEPTH {
            return Err(too_deep());
        }
        match self.rises && cost.steps > MAX_STEPS {
            true => Err(format!("is too costly to read: expected at most {MAX_STEPS} steps")),
            false => Ok(cost),
        }
    }

    fn apply(&mut self, schema: &'a Value, level: u32) -> Result<Cost, String> {
        let Value::Object(keywords) = schema else { return Ok(Cost { steps: 1, depth: 1 }) };
        let (mut steps, mut depth) = (1_u64, 0);
        for inner in self.inner(keywords) {
            let cost = self.count(inner, level)?;
            steps = steps.saturating_add(cost.steps);
            depth = depth.max(cost.depth);
        }
        let times = 1 + keywords.keys().filter(|key| key.starts_with("unevaluated")).count() as u64;
        Ok(Cost { steps: steps.saturating_mul(times), depth: depth + 1 })
    }

    /// The schemas that the keywords of one lead into.
    fn inner(&self, keywords: &'a Map<String, Value>) -> Vec<&'a Value> {
        let mut inner = Vec::new();
        let reference = keywords.get("$ref").and_then(Value::as_str);
        inner.extend(reference.and_then(|target| resolve(self.root, target)));
        inner.extend(ONE.iter().filter_map(|key| keywords.get(*key)).filter(|value| !value.is_array()));
        let lists = LISTS.iter().filter_map(|key| keywords.get(*key)?.as_array());
        inner.extend(lists.flatten());
        let tables = TABLES.iter().filter_map(|key| keywords.get(*key)?.as_object());
        inner.extend(tables.flat_map(Map::values));
        inner
    }
}

fn too_deep() -> String {
    format!("leads into itself too deep: expected at most {MAX_DEPTH} levels")
}
