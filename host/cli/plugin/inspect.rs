//! `so8t plugin inspect`.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{PluginArguments, host};
use crate::cli::{print, print_json};
use crate::plugin::anatomy::Anatomy;
use crate::plugin::{Limits, PluginSpec, component_bytes};
use crate::{Result, files};

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// The component: a file, or `builtin:NAME`
    component: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is known of a component.
#[derive(Serialize)]
struct Inspected {
    component: String,
    bytes: usize,
    sha256: String,
    /// Why this host refuses it, where it does.
    refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    #[serde(flatten)]
    anatomy: Option<Anatomy>,
}

/// What the plugin says about itself.
#[derive(Serialize)]
struct Metadata {
    name: String,
    version: String,
    licence: String,
    config_schema: Value,
}

pub(super) fn inspect(arguments: &Arguments) -> Result<()> {
    let plugin = PluginArguments { component: arguments.component.clone(), config: None, config_file: None };
    // `describe` needs little, whoever wrote it.
    let limits = Limits { fuel: 1_000_000_000, seconds: 5.0, ..Limits::default() };
    let spec = PluginSpec { limits, ..plugin.spec()? };
    let bytes = component_bytes(&spec)?;
    let (anatomy, mut refused) = match Anatomy::read(&bytes) {
        Ok(anatomy) => (Some(anatomy.clone()), anatomy.refused),
        Err(text) => (None, Some(text)),
    };
    let mut metadata = None;
    if refused.is_none() {
        match host()?.load(&spec) {
            Ok(plugin) => {
                let said = plugin.metadata().clone();
                metadata = Some(Metadata {
                    config_schema: serde_json::from_str(&said.config_schema)
                        .unwrap_or(Value::String(said.config_schema)),
                    name: said.name,
                    version: said.version,
                    licence: said.licence,
                });
            }
            Err(error) => refused = Some(error.to_string()),
        }
    }
    let inspected = Inspected {
        component: spec.component.to_string(),
        bytes: bytes.len(),
        sha256: files::sha256(&bytes),
        refused,
        metadata,
        anatomy,
    };
    match arguments.json {
        true => print_json(&inspected),
        false => print(&table(&inspected)),
    }
}

fn table(found: &Inspected) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: &str| {
        for (at, line) in value.lines().enumerate() {
            out.push_str(&format!("{:<10}  {line}\n", if at == 0 { name } else { "" }));
        }
    };
    row("component", &found.component);
    if let Some(Metadata { name, version, licence, .. }) = &found.metadata {
        row("plugin", &format!("{name} {version}, {licence}"));
    }
    if let Some(refused) = &found.refused {
        row("REFUSED", refused);
    }
    row("sha256", &found.sha256);
    row("size", &format!("{} bytes", found.bytes));
    if let Some(anatomy) = &found.anatomy {
        row("kind", anatomy.kind.as_deref().unwrap_or("none"));
        let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join("\n") };
        row("imports", &list(&anatomy.imports));
        row("exports", &list(&anatomy.exports));
        let names = if anatomy.has_names { "with names" } else { "without names" };
        row("code", &format!("{} functions in {} modules, {names}", anatomy.functions, anatomy.modules));
        let sections = anatomy.sections.iter().map(|section| format!("{:>9}  {}", section.bytes, section.name));
        row("bytes of", &sections.collect::<Vec<_>>().join("\n"));
    }
    if let Some(metadata) = &found.metadata {
        row("config", &serde_json::to_string_pretty(&metadata.config_schema).unwrap_or_default());
    }
    out
}
