//! The configuration of a plugin, held against the JSON Schema that the plugin declares, before anything runs.
//!
//! The schema comes from a guest and is not trusted: it is bounded in size, refers to nothing outside of itself, its patterns run on
//! an engine whose time is linear, and what building its validator ([`building`]) and a validation ([`bounds`]) may cost is counted beforehand.

mod bounds;
mod building;
mod words;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::log::printable;

/// The most bytes that a schema may have.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;
/// The most differences of a configuration that are told.
const MOST_MISMATCHES: usize = 50;
/// The drafts that a schema may name.
const DRAFTS: [(&str, Draft); 3] = [
    ("https://json-schema.org/draft/2020-12/schema", Draft::Draft202012),
    ("https://json-schema.org/draft/2019-09/schema", Draft::Draft201909),
    ("http://json-schema.org/draft-07/schema", Draft::Draft7),
];

/// A plugin's schema that is sound.
pub struct Schema {
    source: Value,
    validator: Validator,
}

/// Where a configuration is not what the schema asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The way to the value: keys, and numbers counted from 0.
    pub path: Vec<String>,
    /// The key of that table which should not be there, where the fault is one.
    pub key: Option<String>,
    /// What was found and what was expected.
    pub text: String,
    /// Known keys, where a key is unknown.
    pub known: Vec<String>,
}

impl Schema {
    /// Reads a schema: JSON Schema 2020-12, 2019-09 or draft 7, at most [`MAX_SCHEMA_BYTES`] long.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as the end of a sentence that names the plugin.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(format!("has {} bytes: expected at most {MAX_SCHEMA_BYTES}", text.len()));
        }
        let source: Value = serde_json::from_str(text).map_err(|e| format!("is not JSON: {e}"))?;
        if !source.is_object() {
            return Err("is not a schema: expected an object".to_owned());
        }
        bounds::check_references(&source)?;
        building::check(&source)?;
        let validator = jsonschema::options()
            .with_draft(draft(&source)?)
            .with_retriever(Nothing)
            .with_pattern_options(PatternOptions::regex().size_limit(building::pattern_bytes(&source)))
            .should_validate_formats(false)
            .build(&source)
            .map_err(|e| {
                let (path, text) = (e.instance_path().as_str(), printable(&e.to_string(), 300));
                let at = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
                format!("is not a valid schema: {at}{text}")
            })?;
        Ok(Self { source, validator })
    }

    /// Whether a configuration is what the schema asks for.
    ///
    /// # Errors
    ///
    /// As [`Schema::mismatches`].
    pub fn accepts(&self, config: &Value) -> Result<bool, String> {
        bounds::check_cost(&self.source, config)?;
        Ok(self.validator.is_valid(config))
    }

    /// Where a configuration differs from the schema; nothing where it does not.
    ///
    /// # Errors
    ///
    /// A schema with which the validation could take too long, as the end of a sentence that names the plugin.
    pub fn mismatches(&self, config: &Value) -> Result<Vec<Mismatch>, String> {
        bounds::check_cost(&self.source, config)?;
        Ok(self
            .validator
            .iter_errors(config)
            .take(MOST_MISMATCHES)
            .map(|error| words::mismatch(&self.source, &error))
            .collect())
    }
}

fn draft(schema: &Value) -> Result<Draft, String> {
    let Some(named) = schema.get("$schema") else { return Ok(Draft::Draft202012) };
    let found = named.as_str().map(|name| name.trim_end_matches('#')).unwrap_or_default();
    DRAFTS.iter().find(|(name, _)| *name == found).map(|(_, draft)| *draft).ok_or_else(|| {
        let known = DRAFTS.map(|(name, _)| name).join("`, `");
        format!(
            "names another language: `$schema` is `{}`, expected one of `{known}`",
            printable(&named.to_string(), 80)
        )
    })
}

/// Refuses every schema outside of the one at hand.
struct Nothing;

impl jsonschema::Retrieve for Nothing {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync + 'static>> {
        Err(format!("`{uri}` lies outside of the schema").into())
    }
}
