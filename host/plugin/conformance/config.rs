//! Laws of the configuration: what the schema says, and what the plugin does.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::kit::Kit;
use super::law::{ACCEPTED, CONFIG_HOSTILE, REFUSED, SCHEMA};
use super::shrink::{Broke, Kept, Smaller};
use crate::schema::{Mismatch, Schema};
use crate::{Plugin, PluginKind};
use so8t_base::{Fault, Result};

/// A configuration.
#[derive(Clone, Debug)]
struct Config(Map<String, Value>);

impl Smaller for Config {
    fn smaller(&self) -> Box<dyn Iterator<Item = Self> + '_> {
        Box::new(self.0.keys().map(|key| {
            let mut less = self.0.clone();
            less.shift_remove(key);
            Self(less)
        }))
    }
}

fn show(config: &Config) -> (String, Value) {
    let value = Value::Object(config.0.clone());
    let text = value.to_string();
    let cut = text.char_indices().nth(300).map(|(at, _)| at);
    let shown = cut.map_or(text.clone(), |at| format!("{}… ({} bytes)", &text[..at], text.len()));
    (format!("config `{shown}`"), if text.len() < 10_000 { value } else { Value::String(shown) })
}

/// Tries the laws, and says whether the plugin opens at all.
pub(super) fn laws(kit: &mut Kit<'_>, loaded: &Plugin, labels: &[String]) -> bool {
    let schema: Value = serde_json::from_str(&loaded.metadata().config_schema).unwrap_or_default();
    let open = |config: &Config| -> Result<()> {
        let plugin = loaded.with_configuration(&Value::Object(config.0.clone()));
        match plugin.kind() {
            PluginKind::Converter => plugin.open_converter().map(drop),
            PluginKind::LabelMapper => plugin.open_mapper().map(drop),
            PluginKind::Metric => plugin.open_metric(labels).map(drop),
        }
    };
    let given = Config(serde_json::from_str(loaded.configuration()).unwrap_or_default());

    // Under the bounds under which a host reads it.
    let validator = match Schema::parse(&loaded.metadata().config_schema) {
        Ok(validator) => {
            kit.hold_once(SCHEMA, Ok(()));
            Some(Arc::new(validator))
        }
        Err(error) => {
            let broke = Broke(format!("the schema {error}"));
            kit.hold_once(SCHEMA, Err((broke, "the schema itself".to_owned(), schema.clone())));
            None
        }
    };

    let accepted = |config: &Config| -> Kept {
        open(config)?;
        match validator.as_ref().map(|validator| validator.mismatches(&json!(config.0))) {
            Some(Ok(found)) if !found.is_empty() => {
                Err(Broke(format!("it opens, and its schema refuses it: {}", said(&found))))
            }
            Some(Err(what)) => Err(Broke(format!("it opens, and its schema {what}"))),
            Some(Ok(_)) | None => Ok(()),
        }
    };
    let opens = open(&given).is_ok();
    // What is given is not made smaller: another configuration may need what this one has.
    let kept = accepted(&given).map_err(|broke| {
        let (input, value) = show(&given);
        (broke, input, value)
    });
    kit.hold_once(ACCEPTED, kept);

    match &validator {
        None => kit.skip(REFUSED, "the schema is none"),
        Some(validator) => {
            // A manifest, which is TOML, cannot spell null.
            let refused: Vec<Config> = wrong(&given, &schema)
                .filter(|config| refuses(validator, config) && !json!(config.0).to_string().contains("null"))
                .collect();
            match refused.is_empty() {
                true => kit.skip(REFUSED, "its schema refuses nothing that was tried, not even an unknown key"),
                false => kit.hold(REFUSED, refused, show, |config| match open(config) {
                    // A smaller configuration may be one that the schema allows.
                    _ if !refuses(validator, config) => Ok(()),
                    Err(error) if error.fault() == Some(Fault::Config) => Ok(()),
                    Err(error) => Err(Broke(format!("expected a failure `config`: {}", Broke::from(error).0))),
                    Ok(()) => {
                        let says = validator.mismatches(&json!(config.0)).unwrap_or_default();
                        Err(Broke(format!("it opens, though its schema says: {}", said(&says))))
                    }
                }),
            }
        }
    }
    let hostile = wrong(&given, &schema).chain(extreme(&given, &schema));
    kit.hold(CONFIG_HOSTILE, hostile, show, |config| match open(config) {
        Err(error) if !matches!(error.fault(), Some(Fault::Config | Fault::Input | Fault::Internal)) => {
            Err(error.into())
        }
        _ => Ok(()),
    });
    opens
}

/// Whether a schema refuses a configuration; one that takes too long to hold against it refuses nothing here.
fn refuses(validator: &Schema, config: &Config) -> bool {
    validator.accepts(&json!(config.0)).is_ok_and(|accepts| !accepts)
}

fn said(found: &[Mismatch]) -> String {
    found.iter().take(3).map(|mismatch| mismatch.text.as_str()).collect::<Vec<_>>().join("; ")
}

/// The keys that a schema names, and those of the configuration given.
fn keys(given: &Config, schema: &Value) -> Vec<String> {
    let named = schema["properties"].as_object().into_iter().flat_map(Map::keys);
    let mut keys: Vec<String> = named.chain(given.0.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    keys
}

/// The configuration given with a key more, a key less, or a value of each type in the place of each key.
fn wrong<'a>(given: &'a Config, schema: &Value) -> impl Iterator<Item = Config> + use<'a> {
    let with = |key: &str, value: Value| {
        let mut more = given.0.clone();
        more.insert(key.to_owned(), value);
        Config(more)
    };
    let mut all: Vec<Config> =
        ["so8t-no-such-key", "", "constructor", "__proto__"].map(|key| with(key, json!(1))).into();
    for key in keys(given, schema) {
        let values = [
            Value::Null,
            json!(true),
            json!(-1),
            json!(0.5),
            json!(1e300),
            json!("so8t-no-such-word"),
            json!(""),
            json!([]),
            json!([null]),
            json!([[[[]]]]),
            json!({}),
            json!({ "so8t-no-such-key": [1, "a", null] }),
        ];
        all.extend(values.into_iter().map(|value| with(&key, value)));
    }
    all.into_iter().chain(given.smaller())
}

/// Values that are deep, long or many.
fn extreme(given: &Config, schema: &Value) -> impl Iterator<Item = Config> {
    let deep = (0..100).fold(json!([]), |inner, _| json!([inner]));
    let long = json!("\u{1F6AB}\0\"\\".repeat(50_000));
    let many = Value::Array((0..20_000).map(|i| json!(i)).collect());
    let mut keys = keys(given, schema);
    keys.push("so8t-no-such-key".into());
    let mut all = Vec::new();
    for key in keys {
        for value in [&deep, &long, &many] {
            let mut more = given.0.clone();
            more.insert(key.clone(), value.clone());
            all.push(Config(more));
        }
    }
    all.into_iter()
}
