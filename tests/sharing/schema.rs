//! A manifest's `config` against the schema that the plugin declares, before anything runs.

use serde_json::{Value, json};
use so8t::plugin::schema::{MAX_SCHEMA_BYTES, Schema};

use super::{Place, first_line, prebuilt};

/// The plugin's table and the message: its place, and what was expected. Line 15 is the first of the table.
const CASES: &[(&str, &str, &str)] = &[
    (
        "unknown key",
        "[plugins.jsonl]\ncomponent = \"builtin:jsonl\"\nconfig = { instructoin = \"text\" }",
        "so8t.toml:17:12: `[plugins.jsonl] config`: `config` has no key `instructoin`: expected one of `id`, \
         `instruction`, `input`, `output`, `label`, `group`, `id_value`, `label_value`, `group_value`, `extra`, `max_record_bytes`",
    ),
    (
        "wrong type, in a table of its own",
        "[plugins.jsonl]\ncomponent = \"builtin:jsonl\"\n[plugins.jsonl.config]\nextra = \"no\"",
        "so8t.toml:18:9: `[plugins.jsonl] config`: `extra` is `\"no\"`: expected `true` or `false`",
    ),
    (
        "none of several schemas",
        "[plugins.jsonl]\ncomponent = \"builtin:jsonl\"\nconfig = { id = 3 }",
        "so8t.toml:17:17: `[plugins.jsonl] config`: `id` is `3`: expected a string or a list",
    ),
    (
        "the schema that was meant",
        "[plugins.jsonl]\ncomponent = \"builtin:jsonl\"\nconfig.id = [\"a\", 7]",
        "so8t.toml:17:19: `[plugins.jsonl] config`: `id[1]` is `7`: expected a string",
    ),
    (
        "one of some texts",
        "[plugins.four-class]\ncomponent = \"builtin:four-class\"\nconfig = { binary = true, unsafe = \"BLOCK\" }",
        "so8t.toml:17:36: `[plugins.four-class] config`: `unsafe` is `\"BLOCK\"`: expected one of `ALLOW`, `ESCALATION`, `DENY`, `REFUSE`",
    ),
    (
        "values of any key",
        "[plugins.four-class]\ncomponent = \"builtin:four-class\"\n[plugins.four-class.config.aliases]\nblock = \"REFUSE\"\npass = \"OK\"",
        "so8t.toml:19:8: `[plugins.four-class] config`: `aliases.pass` is `\"OK\"`: expected one of `ALLOW`, `ESCALATION`, `DENY`, `REFUSE`",
    ),
    (
        "a list of tables",
        "[plugins.table]\ncomponent = \"builtin:table\"\n[[plugins.table.config.rules]]\ncolumn = \"label\"\nlabel = \"DENY\"\n\
         [[plugins.table.config.rules]]\ncolumn = \"label\"\nequal = 1\n[evaluate]\nmetrics = [\"table\"]",
        "so8t.toml:22:1: `[plugins.table] config`: `rules[1]` has no key `equal`: expected one of `column`, `equals`, `prefix`, \
         `contains`, `min`, `max`, `missing`, `ignore_case`, `all`, `label`, `exclude`",
    ),
    (
        "a lacking key",
        "[plugins.table]\ncomponent = \"builtin:table\"\nconfig = { rules = [{ label = \"DENY\", all = [{ min = 1 }] }] }\n[evaluate]\nmetrics = [\"table\"]",
        "so8t.toml:17:46: `[plugins.table] config`: `rules[0].all[0]` lacks the key `column`",
    ),
    (
        "a number out of range",
        "[plugins.table]\ncomponent = \"builtin:table\"\nconfig = { labels = [\"a\", \"b\"], severity = [1, 300] }\n[evaluate]\nmetrics = [\"table\"]",
        "so8t.toml:17:48: `[plugins.table] config`: `severity[1]` is `300`: expected at most 255",
    ),
    (
        "no key at all",
        "[plugins.agreement]\ncomponent = \"builtin:agreement\"\nconfig = { bins = 10 }\n[evaluate]\nmetrics = [\"agreement\"]",
        "so8t.toml:17:12: `[plugins.agreement] config`: `config` has no key `bins`: expected no keys",
    ),
    (
        "a list of numbers",
        "[plugins.cost]\ncomponent = \"builtin:cost\"\nconfig = { matrix = [[0, \"1\"]] }\n[evaluate]\nmetrics = [\"cost\"]",
        "so8t.toml:17:26: `[plugins.cost] config`: `matrix[0][1]` is `\"1\"`: expected a number",
    ),
    (
        "too long",
        "[plugins.csv]\ncomponent = \"builtin:csv\"\nconfig = { delimiter = \"::\" }\n[[data]]\nname = \"more\"\npath = \"data.jsonl\"\n\
         converter = \"csv\"\nmapper = \"four-class\"",
        "so8t.toml:17:24: `[plugins.csv] config`: `delimiter` is `\"::\"`: expected at most 1 character",
    ),
];

#[test]
fn a_configuration_is_held_against_the_schema_before_anything_runs() {
    // One place, so that each component is compiled once.
    let place = Place::new("");
    for (what, tables, expected) in CASES {
        place.manifest(tables);
        let stderr = place.refused(&["prepare", "so8t.toml"]);
        assert_eq!(first_line(&stderr), format!("error: {expected}"), "{what}");
        assert!(!place.file("runs").exists(), "{what}: something ran");
    }
}

#[test]
fn a_slip_is_answered_with_the_key_that_was_meant() {
    let place = Place::new("[plugins.jsonl]\ncomponent = \"builtin:jsonl\"\nconfig = { instructoin = \"text\" }");
    assert!(place.refused(&["prepare", "so8t.toml"]).contains("hint: did you mean `instruction`?"));
}

#[test]
fn the_examples_of_the_handbook_are_what_the_schemas_allow() {
    let check = |name: &str, config: Value| {
        let host = so8t::plugin::Host::new(None).unwrap();
        let source = so8t::plugin::ComponentSource::Path(prebuilt(name));
        let mut spec = so8t::plugin::PluginSpec::new(name, source);
        spec.config = config;
        assert_eq!(host.load(&spec).unwrap().check_config().unwrap(), [], "{name}");
    };
    check("jsonl", json!({"instruction": "utterances.0.text", "output": ["a", "b"], "label_value": "ALLOW"}));
    check("four-class", json!({"binary": true, "unsafe": "REFUSE"}));
    check("csv", json!({"header": false, "trim": true, "label_value": "REFUSE", "group_value": "crimes-{row}"}));
    let numbers = json!([[0, 1, 2, 3, 3], [2, 0, 1, 2, 2], [4, 2, 0, 1, 4], [6, 4, 2, 0, 6]]);
    check("cost", json!({ "matrix": numbers }));
    check("table", json!({"otherwise": {"label": "ALLOW"}}));
    // As large as a configuration can reasonably be.
    check("cost", json!({ "matrix": vec![vec![1.5; 201]; 200] }));
    let rule = json!({"column": ["extra.a", "extra.b"], "equals": [1, 2, "x"], "label": "DENY"});
    check("table", json!({ "rules": vec![rule; 1000] }));
}

/// What is wrong with a schema, and the message.
fn refused(schema: &str, expected: &str) {
    let error = Schema::parse(schema).err().unwrap_or_else(|| panic!("accepted: {schema}"));
    assert!(error.contains(expected), "expected `{expected}` in `{error}`");
}

#[test]
fn a_schema_that_is_not_sound_is_refused() {
    refused("{", "is not JSON");
    refused("[]", "is not a schema: expected an object");
    refused(r#"{"type": "objekt"}"#, "is not a valid schema: `/type`");
    refused(r#"{"properties": []}"#, "is not a valid schema: `/properties`");
    refused(r#"{"$schema": "https://example.org/mine"}"#, "names another language");
    refused(&format!(r#"{{"title": "{}"}}"#, "x".repeat(MAX_SCHEMA_BYTES)), "expected at most 65536");
    refused(r#"{"$ref": "https://json-schema.org/draft/2020-12/schema"}"#, "expected references within the schema");
    refused(r#"{"$ref": "file:///etc/passwd"}"#, "expected references within the schema");
    refused(r#"{"properties": {"a": {"$ref": "other.json#/a"}}}"#, "refers to `other.json#/a`");
    refused(r##"{"$ref": "#/$defs/none"}"##, "refers to `#/$defs/none`, which it does not hold");
    refused(r#"{"properties": {"a": {"$id": "https://example.org/a"}}}"#, "has `$id` below its root");
    refused(r##"{"$dynamicRef": "#a"}"##, "has `$dynamicRef`");
    // Only an engine that goes back in the text could do this.
    refused(r#"{"pattern": "(a+)\\1"}"#, "is not a valid schema");
    refused(r#"{"pattern": "((a{1000}){1000}){1000}"}"#, "is not a valid schema");
    // Nested beyond what the reader of JSON takes.
    refused(&format!("{}{}", r#"{"not":"#.repeat(5000), "}".repeat(5000)), "is not JSON: recursion limit");
}

#[test]
fn a_schema_that_would_take_forever_is_refused() {
    let check = |schema: Value, config: &Value, expected: &str| {
        let error = match Schema::parse(&schema.to_string()) {
            Ok(schema) => schema.mismatches(config).expect_err(expected),
            Err(error) => error,
        };
        assert!(error.contains(expected), "expected `{expected}` in `{error}`");
    };
    check(json!({"$ref": "#"}), &json!({}), "refers to itself in a circle");
    check(json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}), &json!({}), "refers to itself in a circle");
    // Two to the 40 applications of one schema.
    let mut definitions = serde_json::Map::new();
    for level in 0..40 {
        let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
        definitions.insert(format!("l{level}"), json!({"allOf": [next, next]}));
    }
    definitions.insert("l40".to_owned(), json!({"type": "object"}));
    check(json!({"$ref": "#/$defs/l0", "$defs": definitions}), &json!({}), "is too costly");
    // Two to the depth of the configuration.
    let twice = json!({"properties": {"a": {"$ref": "#"}}});
    let mut deep = json!({});
    for _ in 0..30 {
        deep = json!({ "a": deep });
    }
    check(json!({"allOf": [twice, {"properties": {"a": {"$ref": "#"}}}]}), &deep, "is too costly");
    // A long chain of references, which would take the stack.
    let mut chain = serde_json::Map::new();
    for link in 0..1000 {
        chain.insert(format!("l{link}"), json!({"$ref": format!("#/$defs/l{}", link + 1)}));
    }
    chain.insert("l1000".to_owned(), json!(true));
    check(json!({"$ref": "#/$defs/l0", "$defs": chain}), &json!({}), "too deep");
}

#[test]
fn slow_patterns_and_long_texts_are_answered_soon() {
    let schema = Schema::parse(r#"{"properties": {"a": {"pattern": "^(a+)+$"}}}"#).unwrap();
    let text = format!("{}!", "a".repeat(100_000));
    let found = schema.mismatches(&json!({ "a": text })).unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].text.ends_with("expected a text that matches `^(a+)+$`"), "{}", found[0].text);
}

#[test]
fn recursion_along_the_configuration_is_allowed() {
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "properties": {"children": {"type": "array", "items": {"$ref": "#"}}, "name": {"type": "string"}},
    });
    let schema = Schema::parse(&schema.to_string()).unwrap();
    assert_eq!(schema.mismatches(&json!({"children": [{"name": "a", "children": []}]})).unwrap(), []);
    let found = schema.mismatches(&json!({"children": [{"name": 1}]})).unwrap();
    assert_eq!(found[0].text, "`children[0].name` is `1`: expected a string");
}

#[test]
fn a_plugin_with_a_broken_schema_is_named() {
    // The schema of the hostile metric, and one of the same length that is none.
    let bytes = std::fs::read(crate::sandbox::guest("evil-metric")).unwrap();
    let (good, bad) = (br#"{"type":"object"}"#, br#"{"type":"objekt"}"#);
    let at = bytes.windows(good.len()).position(|part| part == good).expect("the schema");
    let place = Place::new("[plugins.bad]\ncomponent = \"bad.wasm\"\n[evaluate]\nmetrics = [\"bad\"]");
    std::fs::write(place.file("bad.wasm"), [&bytes[..at], bad, &bytes[at + good.len()..]].concat()).unwrap();
    let stderr = place.refused(&["prepare", "so8t.toml"]);
    let expected = "error: so8t.toml:16:13: plugin `bad` 0.1.0: its config schema is not a valid schema: `/type`: ";
    assert!(first_line(&stderr).starts_with(expected), "{stderr}");
}
