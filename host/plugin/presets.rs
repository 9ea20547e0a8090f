//! Named configurations of the standard plugins: what a manifest need not write for a public data set.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// A named configuration for one data set.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// What it reads, and what it makes of it.
    pub about: String,
    /// Where the set comes from.
    #[serde(default)]
    pub source: Option<String>,
    /// How the set's files are read.
    #[serde(default)]
    pub converter: Option<Configured>,
    /// What its labels mean.
    #[serde(default)]
    pub mapper: Option<Configured>,
}

/// A standard plugin with its configuration.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Configured {
    /// The name of the standard plugin.
    pub component: String,
    /// Its configuration.
    #[serde(default = "empty")]
    pub config: serde_json::Value,
}

fn empty() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

/// What a preset is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `converter = "NAME"`.
    Converter,
    /// `mapper = "NAME"`.
    Mapper,
}

/// All presets by name.
pub fn all() -> &'static BTreeMap<String, Preset> {
    static ALL: OnceLock<BTreeMap<String, Preset>> = OnceLock::new();
    // The file is part of the program, and a test reads it.
    ALL.get_or_init(|| toml::from_str(include_str!("presets.toml")).unwrap_or_default())
}

/// The configuration of that name for that role.
pub fn find(name: &str, role: Role) -> Option<&'static Configured> {
    let preset = all().get(name)?;
    match role {
        Role::Converter => preset.converter.as_ref(),
        Role::Mapper => preset.mapper.as_ref(),
    }
}
