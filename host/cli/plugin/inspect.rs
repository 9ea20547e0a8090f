//! `so8t plugin inspect`.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{PluginArguments, host};
use crate::cli::{print, print_json};
use crate::data::LabelSet;
use crate::evaluate::{Direction, Measure as _, MetricInfo};
use crate::plugin::anatomy::Anatomy;
use crate::plugin::{Limits, Plugin, PluginKind, PluginSpec, component_bytes};
use crate::{Error, Result, files};

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    plugin: PluginArguments,
    /// The labels that a metric is opened with, with commas; the four decisions unless said
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    labels: Vec<String>,
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
    opened: Option<Said>,
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

/// What a plugin says once it is open.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// A metric's columns and values.
    Metric {
        /// The labels that it was opened with.
        labels: Vec<String>,
        /// The columns that it reads besides `gold` and `predicted`: of `scores`, `weights`, `groups`, `texts`.
        wants: Vec<&'static str>,
        values: Vec<MetricInfo>,
    },
    /// The labels that a mapper maps into.
    LabelMapper(LabelSet),
    /// Why it was not opened: most often a configuration that it needs.
    NotOpened(String),
}

pub(super) fn inspect(arguments: &Arguments) -> Result<()> {
    // What it is asked here needs little, whoever wrote it.
    let limits = Limits { fuel: 1_000_000_000, seconds: 5.0, ..Limits::default() };
    let spec = PluginSpec { limits, ..arguments.plugin.spec()? };
    let bytes = component_bytes(&spec)?;
    let (anatomy, mut refused) = match Anatomy::read(&bytes) {
        Ok(anatomy) => (Some(anatomy.clone()), anatomy.refused),
        Err(text) => (None, Some(text)),
    };
    let (mut metadata, mut opened) = (None, None);
    if refused.is_none() {
        match host()?.load(&spec) {
            Ok(plugin) => {
                opened = open(&plugin, &arguments.labels);
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
        opened,
        anatomy,
    };
    match arguments.json {
        true => print_json(&inspected),
        false => print(&table(&inspected)),
    }
}

/// Opens a metric or a label mapper, and asks what it takes and gives.
fn open(plugin: &Plugin, labels: &[String]) -> Option<Said> {
    let found = || -> Result<Option<Said>> {
        if let Some(mismatch) = plugin.check_config()?.into_iter().next() {
            return Err(Error::plugin(mismatch.text));
        }
        Ok(match plugin.kind() {
            PluginKind::Converter => None,
            PluginKind::LabelMapper => Some(Said::LabelMapper(plugin.open_mapper()?.labels().clone())),
            PluginKind::Metric => {
                let labels = if labels.is_empty() { LabelSet::four_decisions().names } else { labels.to_vec() };
                let metric = plugin.open_metric(&labels)?;
                let (wants, values) = (metric.wants().names(), metric.metrics().to_vec());
                Some(Said::Metric { labels, wants, values })
            }
        })
    };
    found().unwrap_or_else(|error| Some(Said::NotOpened(error.to_string())))
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
    match &found.opened {
        Some(Said::Metric { labels, wants, values }) => {
            row("reads", &["gold", "predicted"].iter().chain(wants).copied().collect::<Vec<_>>().join(", "));
            row("labels", &labels.join(", "));
            let width = values.iter().map(|info| info.name.chars().count()).max().unwrap_or_default();
            let line = |info: &MetricInfo| format!("{:<width$}  {}", info.name, described(info));
            row("values", &values.iter().map(line).collect::<Vec<_>>().join("\n"));
        }
        Some(Said::LabelMapper(LabelSet { names, severity })) => {
            let line = |(name, severity): (&String, &u8)| format!("{name}, severity {severity}");
            row("labels", &names.iter().zip(severity).map(line).collect::<Vec<_>>().join("\n"));
        }
        Some(Said::NotOpened(why)) => {
            row("not opened", &format!("{why}\ngive what it needs with `--config` or `--config-file`"));
        }
        None => {}
    }
    if let Some(metadata) = &found.metadata {
        row("config", &serde_json::to_string_pretty(&metadata.config_schema).unwrap_or_default());
    }
    out
}

/// A value's direction and range.
fn described(info: &MetricInfo) -> String {
    let direction = match info.direction {
        Direction::Higher => "higher is better",
        Direction::Lower => "lower is better",
        Direction::Neither => "neither is better",
    };
    match (info.low, info.high) {
        (Some(low), Some(high)) => format!("{direction}, {low} to {high}"),
        (Some(low), None) => format!("{direction}, at least {low}"),
        (None, Some(high)) => format!("{direction}, at most {high}"),
        (None, None) => direction.to_owned(),
    }
}
