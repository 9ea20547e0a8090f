//! What a hostile schema could do to its reader, ruled out before it is used: references out of the schema, references in a
//! circle, and validations that multiply.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::super::log::printable;

/// The most steps that the validation of one configuration may take.
const MAX_STEPS: u64 = 400_000;
/// How many values are copied in the time of a step, about.
const COPIED: u64 = 4;
/// How deep schemas may apply one another.
const MAX_DEPTH: u32 = 128;

/// Keywords whose value is a schema that applies to the same value, a list or a table of such.
const HERE: [&str; 9] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"];
/// Keywords whose value applies to each item of a list, or to some of them.
const ITEMS: [&str; 5] = ["items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"];
/// Keywords whose value applies to each value of a table, or to some of them.
const VALUES: [&str; 3] = ["patternProperties", "additionalProperties", "unevaluatedProperties"];

/// Keywords whose value is a table of schemas.
const TABLES: [&str; 3] = ["dependentSchemas", "dependencies", "patternProperties"];
/// What stands for a key where a schema applies to keys.
static KEY: Value = Value::Null;

/// References must be `#` or `#/…`, and nothing may change what they are relative to.
pub(super) fn check_references(schema: &Value) -> Result<(), String> {
    let mut left = vec![(schema, true)];
    while let Some((value, is_root)) = left.pop() {
        match value {
            Value::Object(table) => {
                for (key, value) in table {
                    match (key.as_str(), value) {
                        ("$ref", Value::String(target)) if target != "#" && !target.starts_with("#/") => {
                            return Err(format!(
                                "refers to `{}`: expected references within the schema, such as `#/$defs/name`",
                                printable(target, 100)
                            ));
                        }
                        ("$ref", Value::String(target)) if resolve(schema, target).is_none() => {
                            return Err(format!("refers to `{}`, which it does not hold", printable(target, 100)));
                        }
                        ("$id" | "$anchor", Value::String(_)) if !is_root => {
                            return Err(format!("has `{key}` below its root, which is not supported"));
                        }
                        ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                            return Err(format!("has `{key}`, which is not supported: expected `$ref`"));
                        }
                        _ => left.push((value, false)),
                    }
                }
            }
            Value::Array(items) => left.extend(items.iter().map(|item| (item, false))),
            _ => {}
        }
    }
    Ok(())
}

/// An upper bound of what validating `config` takes must be small enough; schemas that apply themselves to the same value have
/// none.
pub(super) fn check_cost(schema: &Value, config: &Value) -> Result<(), String> {
    let mut counter = Counter { root: schema, known: HashMap::new() };
    counter.count(schema, config, 0).map(drop)
}

pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    if reference.contains('%') {
        return None;
    }
    root.pointer(reference.strip_prefix('#')?)
}

/// Steps and depth of a schema applied to a value.
#[derive(Clone, Copy)]
struct Cost {
    steps: u64,
    depth: u32,
}

struct Counter<'a> {
    root: &'a Value,
    /// By the places of schema and value; `None` while they are being counted.
    known: HashMap<(*const Value, *const Value), Option<Cost>>,
}

impl<'a> Counter<'a> {
    fn count(&mut self, schema: &'a Value, value: &'a Value, level: u32) -> Result<Cost, String> {
        let key = (std::ptr::from_ref(schema), std::ptr::from_ref(value));
        let cost = match self.known.get(&key) {
            Some(Some(cost)) => *cost,
            Some(None) => return Err("refers to itself in a circle: nothing would ever be decided".to_owned()),
            None => {
                if level >= MAX_DEPTH {
                    return Err(too_deep());
                }
                self.known.insert(key, None);
                let cost = self.apply(schema, value, level + 1)?;
                self.known.insert(key, Some(cost));
                cost
            }
        };
        if level + cost.depth > MAX_DEPTH {
            return Err(too_deep());
        }
        if cost.steps > MAX_STEPS {
            return Err(format!("is too costly: expected at most {MAX_STEPS} steps for this configuration"));
        }
        Ok(cost)
    }

    fn apply(&mut self, schema: &'a Value, value: &'a Value, level: u32) -> Result<Cost, String> {
        let Value::Object(keywords) = schema else { return Ok(Cost { steps: 1, depth: 1 }) };
        let (mut steps, mut depth) = (1 + own(schema, value), 0);
        let mut add = |steps: &mut u64, cost: Cost| {
            *steps = steps.saturating_add(cost.steps);
            depth = depth.max(cost.depth);
        };
        if let Some(target) = keywords.get("$ref").and_then(Value::as_str).and_then(|to| resolve(self.root, to)) {
            let cost = self.count(target, value, level)?;
            add(&mut steps, cost);
        }
        // Where all of several schemas fail, what each found is kept, with a copy of the value.
        let kept =
            ["anyOf", "oneOf"].iter().filter_map(|key| keywords.get(*key)?.as_array()).map(Vec::len).sum::<usize>();
        if kept > 0 {
            steps = steps.saturating_add(size(value).saturating_mul(kept as u64) / COPIED);
        }
        for inner in held(keywords, &HERE) {
            let cost = self.count(inner, value, level)?;
            add(&mut steps, cost);
        }
        match value {
            Value::Array(items) => {
                for inner in held(keywords, &ITEMS) {
                    for item in items {
                        let cost = self.count(inner, item, level)?;
                        add(&mut steps, cost);
                    }
                }
            }
            Value::Object(table) => {
                let named = keywords.get("properties").and_then(Value::as_object);
                for (key, item) in table {
                    if let Some(inner) = named.and_then(|named| named.get(key)) {
                        let cost = self.count(inner, item, level)?;
                        add(&mut steps, cost);
                    }
                    for inner in held(keywords, &VALUES) {
                        let cost = self.count(inner, item, level)?;
                        add(&mut steps, cost);
                    }
                    if let Some(inner) = keywords.get("propertyNames") {
                        let cost = self.count(inner, &KEY, level)?;
                        add(&mut steps, cost);
                    }
                }
            }
            _ => {}
        }
        // Whether a value was evaluated is asked of all schemas beside, once for each value.
        let again = match value {
            Value::Array(items) if keywords.contains_key("unevaluatedItems") => items.len() as u64 + 1,
            Value::Object(table) if keywords.contains_key("unevaluatedProperties") => table.len() as u64 + 1,
            _ => 1,
        };
        Ok(Cost { steps: steps.saturating_mul(again), depth: depth + 1 })
    }
}

fn too_deep() -> String {
    format!("applies its parts to one another too deep: expected at most {MAX_DEPTH} levels")
}

/// The schemas that some keywords hold.
fn held<'a>(schema: &'a Map<String, Value>, keywords: &'static [&str]) -> impl Iterator<Item = &'a Value> {
    let of_keyword = move |keyword: &&'static str| Some((*keyword, schema.get(*keyword)?));
    keywords.iter().filter_map(of_keyword).flat_map(|(keyword, value)| match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(table) if TABLES.contains(&keyword) => table.values().collect(),
        other => vec![other],
    })
}

/// What the keywords without schemas take.
fn own(schema: &Value, value: &Value) -> u64 {
    let listed = |keyword: &str| schema.get(keyword).map_or(0, size);
    let unique = match (schema.get("uniqueItems"), value) {
        (Some(_), Value::Array(items)) => (items.len() as u64).saturating_pow(2),
        _ => 0,
    };
    let text = match value {
        Value::String(text) => text.len() as u64 / 16,
        Value::Object(table) => {
            let patterns = schema.get("patternProperties").and_then(Value::as_object).map_or(0, |table| table.len());
            (table.len() * patterns) as u64
        }
        _ => 0,
    };
    let required = schema.get("required").and_then(Value::as_array).map_or(0, |keys| keys.len() as u64);
    listed("enum").saturating_add(listed("const")).saturating_add(unique).saturating_add(text).saturating_add(required)
}

/// How many values a value holds, itself counted.
fn size(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<u64>(),
        Value::Object(table) => 1 + table.values().map(size).sum::<u64>(),
        _ => 1,
    }
}
