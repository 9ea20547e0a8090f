//! Reading the manifest's `config` table.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Failure;

/// Reads a configuration, `{}` where the manifest has none. A type that carries `#[serde(deny_unknown_fields)]` makes
/// an unknown key a failure that names it.
pub fn read<T: DeserializeOwned>(config: &str) -> Result<T, Failure> {
    let config = if config.trim().is_empty() { "{}" } else { config };
    serde_json::from_str(config).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        Failure::Config(format!("config: {message}"))
    })
}

/// The configuration of a plugin that has none: any key fails.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// One string or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub enum OneOrMany {
    /// A string.
    One(String),
    /// A list of strings.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The strings.
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}
