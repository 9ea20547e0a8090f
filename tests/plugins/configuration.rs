//! Every plugin says what it is, and reads exactly the configuration that its schema describes.

use serde_json::{Value, json};
use so8t::plugin::PluginKind;

use super::{CONVERTERS, MAPPERS, METRICS, plugin};

/// Opens a plugin with a configuration, and gives the message of the failure.
fn open(name: &str, config: &Value) -> Result<(), String> {
    let plugin = plugin(name, config).map_err(|error| error.to_string())?;
    let labels = ["ALLOW", "ESCALATION", "DENY", "REFUSE"].map(String::from);
    let opened = match plugin.kind() {
        PluginKind::Converter => plugin.open_converter().map(drop),
        PluginKind::LabelMapper => plugin.open_mapper().map(drop),
        PluginKind::Metric => plugin.open_metric(&labels).map(drop),
    };
    opened.map_err(|error| error.to_string())
}

#[test]
fn every_plugin_says_what_it_is() {
    let kinds = [
        (CONVERTERS.as_slice(), PluginKind::Converter),
        (MAPPERS.as_slice(), PluginKind::LabelMapper),
        (METRICS.as_slice(), PluginKind::Metric),
    ];
    for (names, kind) in kinds {
        for name in names {
            let plugin = plugin(name, &json!({})).unwrap();
            let metadata = plugin.metadata();
            assert_eq!((plugin.kind(), metadata.name.as_str()), (kind, *name));
            // A component that was built before the version changed is stale.
            assert_eq!(metadata.version, env!("CARGO_PKG_VERSION"), "{name}");
            assert_eq!(metadata.licence, env!("CARGO_PKG_LICENSE"), "{name}");
        }
    }
}

/// A value that the schema of one key allows, as far as the standard plugins' schemas go.
fn example(schema: &Value, root: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/$defs/").unwrap();
        return example(&root["$defs"][name], root);
    }
    if let Some(one) = schema["oneOf"].as_array() {
        return example(&one[0], root);
    }
    if let Some(values) = schema["enum"].as_array() {
        return values[values.len() - 1].clone();
    }
    let kind = schema["type"].as_array().map_or(&schema["type"], |kinds| &kinds[0]);
    match kind.as_str().unwrap() {
        "string" if schema["maxLength"] == 1 => json!(";"),
        "string" => json!("label"),
        "boolean" => json!(true),
        "integer" => json!(3),
        "array" if schema["items"]["type"] == "string" => json!(["label"]),
        "array" => json!([]),
        "object" => json!({}),
        other => panic!("{other}"),
    }
}

#[test]
fn the_schema_lists_the_keys_that_are_read() {
    for name in CONVERTERS.iter().chain(&MAPPERS).chain(&METRICS) {
        let schema: Value = serde_json::from_str(&plugin(name, &json!({})).unwrap().metadata().config_schema).unwrap();
        assert_eq!(schema["additionalProperties"], false, "{name}");
        let unknown = open(name, &json!({"surprise": 1})).unwrap_err();
        assert!(unknown.contains("unknown field `surprise`"), "{name}: {unknown}");
        let listed = match unknown.ends_with("there are no fields") {
            true => String::new(),
            false => unknown.split("expected ").nth(1).unwrap().to_owned(),
        };
        for (key, property) in schema["properties"].as_object().unwrap() {
            assert!(listed.contains(&format!("`{key}`")), "{name}: `{key}` is not read: {listed}");
            // Of the right type, whatever else the plugin then misses.
            let message = open(name, &json!({key: example(property, &schema)})).err().unwrap_or_default();
            assert!(
                !message.contains("invalid type") && !message.contains("unknown field"),
                "{name}: {key}: {message}"
            );
            let wrong = open(name, &json!({key: [[7]]})).unwrap_err();
            assert!(wrong.contains("config: "), "{name}: {key}: {wrong}");
        }
        assert_eq!(
            listed.matches('`').count() / 2,
            schema["properties"].as_object().unwrap().len(),
            "{name}: {listed}"
        );
    }
}

#[test]
fn a_wrong_configuration_says_what_was_expected() {
    let check = |name: &str, config: Value, part: &str| {
        let message = open(name, &config).expect_err(part);
        assert!(message.contains(part), "{name}: {message}");
    };
    for name in ["jsonl", "json-array", "alpaca"] {
        check(name, json!({"instruction": []}), "`instruction`: expected the name of a field");
        check(name, json!({"label": "a", "label_value": "b"}), "`label` and `label_value` exclude each other");
        check(name, json!({"instruction": 3}), "expected a string or a list of strings");
        check(name, json!({"max_record_bytes": -1}), "invalid value");
    }
    check("chat", json!({"user": []}), "`user`: expected a name");
    check("chat", json!({"instruction": "a"}), "unknown field `instruction`");
    check(
        "hh-rlhf",
        json!({"chosen_label": "ALLOW"}),
        "`chosen_label` and `rejected_label` need `examples = \"answers\"`",
    );
    check("hh-rlhf", json!({"label": "a", "label_value": "b"}), "`label` and `label_value` exclude each other");
    check("hh-rlhf", json!({"chosen": []}), "`chosen`: expected the name of a field, found an empty one");
    check("quadruple-thinking", json!({"output": []}), "`output`: expected the name of a field");
    check("csv", json!({"columns": ["a"]}), "`columns` names the columns where `header = false`");
    check("csv", json!({"delimiter": "ab"}), "expected a character");
    check("csv", json!({"delimiter": "\""}), "`delimiter`: expected an ASCII character");
    check("csv", json!({"header": false, "instruction": "goal"}), "there is no column `goal`");
    check("csv", json!({"header": false, "columns": ["a"], "instruction": 1}), "there is no column number 1");
    check("csv", json!({"instruction": []}), "`instruction`: expected a column, found an empty list");
    check("csv", json!({"group": "a", "group_value": "b"}), "`group` and `group_value` exclude each other");
    for name in ["calibration", "agreement"] {
        check(name, json!({"bins": 10}), "unknown field `bins`");
    }
    check("curves", json!({"safe": "OK"}), "`OK` is not a label: expected one of `ALLOW`");
    check("curves", json!({"unsafe": ["ALLOW"]}), "`ALLOW` is both safe and unsafe");
    check("cost", json!({"matrix": [[0]]}), "config: `matrix`: expected 4 rows, one a gold label, found 1");
    let row = [0, 1, 2, 3, 3];
    check(
        "cost",
        json!({"matrix": [row, row, [0, 1], row]}),
        "`matrix`, row of `DENY`: expected 5 numbers, the last for INVALID, found 2",
    );
    check("cost", json!({"matrix": [row, row, row, [0, 0, 0, 0, -1e13]]}), "expected numbers from -1e12 to 1e12");
    check("csv", json!({"header": false, "columns": ["a", "b"]}), "there is no column `instruction`");
}
