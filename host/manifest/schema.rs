//! The manifest's JSON Schema, and the reference of its keys, both from the types that it is read into.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Manifest;

/// The JSON Schema (draft 2020-12) of a manifest, for editors: `so8t schema manifest`.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Manifest>().to_value();
    schema["title"] = "so8t.toml".into();
    schema
}

/// Every key of a manifest as a table in Markdown, a section a TOML table.
pub fn reference() -> String {
    let root = schema();
    let mut out = String::from(
        "# Every key of the manifest\n\nMade by `so8t schema reference` from the types that the manifest is read into. What the keys are for, with an example of\n\
         each: [README.md](README.md).\n",
    );
    section(&root, &root, "", &mut out);
    out
}

/// Writes the keys of one table, and then those of the tables in it.
fn section(root: &Value, table: &Value, path: &str, out: &mut String) {
    let Some(keys) = table["properties"].as_object() else { return };
    let required: Vec<&str> = table["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (tables, values): (Vec<_>, Vec<_>) = keys.iter().partition(|(_, own)| inner(root, own).is_some());
    if !path.is_empty() && !values.is_empty() {
        let _ = writeln!(out, "\n## `{path}`\n\n| key | type | default | what it is |\n|---|---|---|---|");
        for (key, own) in values {
            let default = match own.get("default") {
                _ if required.contains(&key.as_str()) => "required".to_owned(),
                None | Some(Value::Null) => String::new(),
                Some(Value::Number(number)) => format!("`{}`", short(number)),
                Some(value) => format!("`{value}`"),
            };
            let text = description(root, own).replace('\n', " ").replace('|', "\\|");
            let _ = writeln!(out, "| `{key}` | {} | {default} | {text} |", kind(root, own));
        }
    }
    for (key, own) in tables {
        let Some((form, found)) = inner(root, own) else { continue };
        let inside = path.trim_matches(['[', ']']);
        let name = if inside.is_empty() { key.clone() } else { format!("{inside}.{key}") };
        let name = match form {
            Form::One => format!("[{name}]"),
            Form::List => format!("[[{name}]]"),
            Form::Named => format!("[{name}.NAME]"),
        };
        section(root, found, &name, out);
    }
}

/// How often a table may stand.
enum Form {
    One,
    List,
    Named,
}

/// The table that a key holds, where it holds one, several in a list, or several by name.
fn inner<'a>(root: &'a Value, own: &'a Value) -> Option<(Form, &'a Value)> {
    let own = resolved(root, own);
    if own["properties"].is_object() {
        return Some((Form::One, own));
    }
    let items = resolved(root, &own["items"]);
    if items["properties"].is_object() {
        return Some((Form::List, items));
    }
    let named = resolved(root, &own["additionalProperties"]);
    named["properties"].is_object().then_some((Form::Named, named))
}

/// Follows a reference, and takes what may be absent for what it is where it is there.
fn resolved<'a>(root: &'a Value, own: &'a Value) -> &'a Value {
    if let Some(name) = own["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return resolved(root, &root["$defs"][name]);
    }
    let not_null = |choice: &&Value| choice["type"] != "null";
    match own["anyOf"].as_array().map(|all| all.iter().filter(not_null).collect::<Vec<_>>()).as_deref() {
        Some([only]) => resolved(root, only),
        _ => own,
    }
}

fn description(root: &Value, own: &Value) -> String {
    let text = own["description"].as_str().or_else(|| resolved(root, own)["description"].as_str());
    text.unwrap_or_default().to_owned()
}

/// A value's type in words.
fn kind(root: &Value, own: &Value) -> String {
    let own = resolved(root, own);
    let choices: Vec<String> = ["oneOf", "anyOf"]
        .iter()
        .filter_map(|key| own[*key].as_array())
        .flatten()
        .filter(|choice| choice["type"] != "null")
        .map(|choice| kind(root, choice))
        .collect();
    if !choices.is_empty() {
        return choices.join(" or ");
    }
    if let Some(word) = own.get("const") {
        return format!("`{word}`");
    }
    if let Some(words) = own["enum"].as_array() {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
    }
    let names: Vec<&str> = match &own["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
        _ => Vec::new(),
    };
    match names.first() {
        Some(&"string") => "text".to_owned(),
        Some(&"integer") => "whole number".to_owned(),
        Some(&"number") => "number".to_owned(),
        Some(&"boolean") => "`true` or `false`".to_owned(),
        Some(&"array") => format!("list of {}", kind(root, &own["items"])),
        Some(&"object") => match own["additionalProperties"] {
            Value::Object(_) => format!("table of {}", kind(root, &own["additionalProperties"])),
            _ => "table".to_owned(),
        },
        _ => "any value".to_owned(),
    }
}

/// A number as a manifest would write it: f32 values are not shown with the digits of an f64.
fn short(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if !number.is_u64() && !number.is_i64() => {
            let single = format!("{}", value as f32);
            if single.parse::<f64>().is_ok_and(|near| (near - value).abs() < 1e-6 * value.abs()) {
                single
            } else {
                value.to_string()
            }
        }
        _ => number.to_string(),
    }
}
