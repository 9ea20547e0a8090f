//! Schemas of guests: building a validator and validating take bounded time and memory, whatever keywords are put together.

use serde_json::{Map, Value, json};
use so8t::plugin::schema::Schema;

/// Keywords that lead into schemas, each with two references to `next`.
fn doubled(next: &str) -> Vec<(&'static str, Value)> {
    let to = || json!({ "$ref": format!("#/$defs/{next}") });
    let mut all = vec![];
    for key in ["allOf", "anyOf", "oneOf", "prefixItems"] {
        all.push((key, json!([to(), to()])));
    }
    for key in ["properties", "patternProperties", "dependentSchemas"] {
        all.push((key, json!({ "a": to(), "b": to() })));
    }
    for key in ["not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames"] {
        all.push((key, json!({ "allOf": [to(), to()] })));
    }
    all
}

/// A chain of `length` definitions, each of which leads into the next one twice, by one keyword.
fn chain(keyword: usize, more: &Value, length: usize) -> String {
    let mut definitions = Map::new();
    for level in 0..length {
        let mut own = more.as_object().cloned().unwrap_or_default();
        let (key, value) = doubled(&format!("d{}", level + 1)).swap_remove(keyword);
        own.insert(key.to_owned(), value);
        definitions.insert(format!("d{level}"), Value::Object(own));
    }
    definitions.insert(format!("d{length}"), json!({ "type": "object" }));
    json!({ "$ref": "#/$defs/d0", "$defs": definitions }).to_string()
}

#[test]
fn no_two_keywords_multiply() {
    // Without a bound each of these takes longer than anybody waits: the test ends because they are counted.
    let unevaluated = [
        json!({}),
        json!({ "unevaluatedProperties": false }),
        json!({ "unevaluatedItems": false }),
        json!({ "unevaluatedProperties": false, "unevaluatedItems": false }),
        json!({ "unevaluatedProperties": { "unevaluatedProperties": false } }),
    ];
    let configs = [json!({}), json!({ "a": [1, { "b": 2 }] })];
    for keyword in 0..doubled("x").len() {
        for more in &unevaluated {
            let text = chain(keyword, more, 40);
            let Ok(schema) = Schema::parse(&text) else { continue };
            for config in &configs {
                let _ = schema.mismatches(config);
            }
        }
    }
}

#[test]
fn deep_chains_of_references_and_nesting_are_refused() {
    let link = |level: usize| json!({ "$ref": format!("#/$defs/d{}", level + 1) });
    let mut definitions: Map<String, Value> = (0..1500).map(|level| (format!("d{level}"), link(level))).collect();
    definitions.insert("d1500".into(), json!(true));
    let text = json!({ "$ref": "#/$defs/d0", "$defs": definitions }).to_string();
    let error = Schema::parse(&text).err().unwrap();
    assert!(error.contains("too deep"), "{error}");
    // Written out, each level builds the levels below it once more.
    let nested = (0..50).fold(
        json!({ "type": "string" }),
        |inner, _| json!({ "unevaluatedProperties": false, "properties": { "a": inner } }),
    );
    let error = Schema::parse(&nested.to_string()).err().unwrap();
    assert!(error.contains("too costly to read"), "{error}");
}

#[test]
fn many_patterns_share_the_memory_of_few() {
    let pattern = |i: usize| (format!("p{i}"), json!({ "pattern": format!("^(\\p{{L}}|{i}){{40}}$") }));
    let schema = |count: usize| json!({ "properties": (0..count).map(pattern).collect::<Map<_, _>>() }).to_string();
    assert!(Schema::parse(&schema(1400)).is_err());
    let one = json!({ "pattern": "^[a-z0-9_]{1,40}$" });
    let plain: Map<String, Value> = (0..200).map(|i| (format!("p{i}"), one.clone())).collect();
    assert!(Schema::parse(&json!({ "properties": plain }).to_string()).is_ok());
}

#[test]
fn what_plugins_declare_is_read() {
    let object =
        |inner: Value| json!({ "type": "object", "properties": { "a": inner }, "unevaluatedProperties": false });
    let schema = (0..5).fold(json!({ "type": "string" }), |inner, _| object(inner));
    let schema = Schema::parse(&schema.to_string()).unwrap();
    let config = (0..5).fold(json!("x"), |inner, _| json!({ "a": inner }));
    assert_eq!(schema.mismatches(&config), Ok(vec![]));
    assert!(!schema.mismatches(&json!({ "b": 1 })).unwrap().is_empty());
    // A tree that holds itself.
    let tree = json!({ "type": "object", "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" } } });
    let tree = Schema::parse(&tree.to_string()).unwrap();
    assert_eq!(tree.mismatches(&json!({ "left": { "right": {} } })), Ok(vec![]));
}
