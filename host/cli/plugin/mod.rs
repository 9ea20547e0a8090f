//! `so8t plugin …`: what is done with plugins alone, one file a subcommand.

mod bench;
mod check;
mod inspect;
mod keygen;
mod list;
mod new;
mod pull;
mod push;
mod sample;
mod sign;
pub(super) use sign::secret_key;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{print, print_json};
use crate::plugin::{ComponentSource, Host, PluginSpec, Policy, default_cache_folder};
use crate::{Error, Result, files};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Write a project for a new plugin: sources, interface, tests, a sample and a build script
    New(new::Arguments),
    /// Try the laws of plugins on one, and show what breaks them
    Check(check::Arguments),
    /// Show what a component is made of, also where it would be refused
    Inspect(inspect::Arguments),
    /// List the standard plugins, or those of a manifest with their digests
    List(list::Arguments),
    /// Measure a plugin: start, speed and memory
    Bench(bench::Arguments),
    /// Make a pair of keys, to sign plugins with
    Keygen(keygen::Arguments),
    /// Sign a component: writes FILE.minisig beside it
    Sign(sign::Arguments),
    /// Push a component, and the signature beside it, to a registry
    Push(push::Arguments),
    /// Fetch a component from a registry
    Pull(pull::Arguments),
}

pub(super) fn run(command: &Command, policy: Policy) -> Result<()> {
    match command {
        Command::New(arguments) => new::run(arguments),
        Command::Check(arguments) => check::check(arguments),
        Command::Inspect(arguments) => inspect::inspect(arguments),
        Command::List(arguments) => list::list(arguments),
        Command::Bench(arguments) => bench::bench(arguments),
        Command::Keygen(arguments) => keygen::keygen(arguments),
        Command::Sign(arguments) => sign::sign(arguments),
        Command::Push(arguments) => push::push(arguments, policy),
        Command::Pull(arguments) => pull::pull(arguments, policy),
    }
}

/// Which plugin, and how it is configured.
#[derive(Args)]
pub(in crate::cli) struct PluginArguments {
    /// The component: a file, `builtin:NAME`, or `oci://REGISTRY/NAME:TAG`
    component: String,
    /// Its configuration, as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "config_file")]
    config: Option<String>,
    /// A file that holds its configuration: JSON, or TOML in a file named `….toml`
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
}

impl PluginArguments {
    /// As a manifest would say it, under the component's own name.
    fn spec(&self) -> Result<PluginSpec> {
        let source = source(&self.component)?;
        let name = match &source {
            ComponentSource::Builtin(name) => name.clone(),
            ComponentSource::Path(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            ComponentSource::Oci(reference) => {
                reference.repository.rsplit('/').next().unwrap_or(&reference.repository).to_owned()
            }
        };
        let mut spec = PluginSpec::new(name, source);
        spec.config = match (&self.config, &self.config_file) {
            (Some(text), _) => json("--config", text)?,
            (None, Some(path)) => {
                let text = files::read_text(path)?;
                let place = format!("`{}`", path.display());
                match path.extension().is_some_and(|extension| extension == "toml") {
                    true => toml::from_str(&text).map_err(|e| Error::manifest(format!("{place}: {e}")))?,
                    false => json(&place, &text)?,
                }
            }
            (None, None) => Value::Null,
        };
        Ok(spec)
    }
}

fn json(place: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|e| Error::manifest(format!("{place}: expected JSON: {e}")))
}

/// A component as it is given on the command line.
fn source(text: &str) -> Result<ComponentSource> {
    Ok(match text.strip_prefix("builtin:") {
        Some(name) => ComponentSource::Builtin(name.to_owned()),
        None if text.starts_with("oci://") => ComponentSource::Oci(text.parse().map_err(Error::manifest)?),
        None => ComponentSource::Path(PathBuf::from(text)),
    })
}

/// A host with the usual cache. What plugins log is dropped: hostile inputs would make them say much.
fn host() -> Result<Host> {
    Host::new(default_cache_folder().as_deref())
}

/// The plugins that a manifest uses, in order of their names.
fn of_manifest(path: &Path) -> Result<Vec<PluginSpec>> {
    Ok(super::manifest(path)?.resolve()?.plugins.into_values().collect())
}

/// The password of a secret key: `$SO8T_KEY_PASSWORD`, or `None`, where the terminal is asked.
fn password() -> Option<String> {
    std::env::var("SO8T_KEY_PASSWORD").ok()
}
