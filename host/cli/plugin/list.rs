//! `so8t plugin list`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{host, of_manifest};
use crate::Result;
use crate::cli::{print, print_json};
use crate::plugin::lock::{EntryKind, Lock};
use crate::plugin::{ComponentSource, PluginSpec, builtin};

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// A manifest; without it the standard plugins are listed
    manifest: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One plugin of the list.
#[derive(Serialize)]
struct Listed {
    /// Its name in the manifest.
    name: String,
    /// `converter`, `label mapper` or `metric`; absent where it cannot be loaded.
    kind: Option<String>,
    version: Option<String>,
    component: String,
    sha256: Option<String>,
    /// Whether it is the one of the lock file: `locked`, `changed`, `not locked`; absent without a manifest.
    lock: Option<&'static str>,
    /// Why it cannot be loaded.
    refused: Option<String>,
}

pub(super) fn list(arguments: &Arguments) -> Result<()> {
    let (specs, lock) = match &arguments.manifest {
        Some(path) => {
            let file = path.with_extension("lock");
            let lock = if file.is_file() { Lock::read(&file)? } else { Lock::default() };
            (of_manifest(path)?, Some(lock))
        }
        None => {
            let builtin = |name: &&str| PluginSpec::new(*name, ComponentSource::Builtin((*name).to_owned()));
            (builtin::NAMES.iter().map(builtin).collect(), None)
        }
    };
    let host = host()?;
    let listed = |spec: &PluginSpec| match host.load(spec) {
        Ok(plugin) => Listed {
            name: spec.name.clone(),
            kind: Some(plugin.kind().to_string()),
            version: Some(plugin.version().to_owned()),
            component: spec.component.to_string(),
            sha256: Some(plugin.digest().to_owned()),
            lock: lock.as_ref().map(|lock| status(lock, &spec.name, plugin.digest())),
            refused: None,
        },
        Err(error) => Listed {
            name: spec.name.clone(),
            kind: None,
            version: None,
            component: spec.component.to_string(),
            sha256: None,
            lock: None,
            refused: Some(error.to_string()),
        },
    };
    let all: Vec<Listed> = specs.iter().map(listed).collect();
    match arguments.json {
        true => print_json(&all),
        false => print(&table(&all)),
    }
}

fn status(lock: &Lock, name: &str, digest: &str) -> &'static str {
    let mut entries = lock.entries.iter().filter(|entry| entry.kind == EntryKind::Component && entry.name == name);
    match entries.next() {
        None => "not locked",
        Some(entry) if entry.sha256 == digest => "locked",
        Some(_) => "changed",
    }
}

fn table(all: &[Listed]) -> String {
    let cells = |listed: &Listed| {
        [
            listed.name.clone(),
            listed.kind.clone().unwrap_or_else(|| "REFUSED".into()),
            listed.version.clone().unwrap_or_default(),
            listed.sha256.clone().unwrap_or_default().chars().take(12).collect(),
            listed.lock.unwrap_or_default().to_owned(),
            listed.refused.clone().unwrap_or_else(|| listed.component.clone()),
        ]
    };
    let rows: Vec<[String; 6]> = all.iter().map(cells).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut out = String::new();
    for row in &rows {
        let filled = row.iter().zip(widths).filter(|(_, width)| *width > 0);
        let line: Vec<String> = filled.map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}
