//! `so8t model …`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{print, print_json};
use crate::Result;
use crate::model::{ModelConfig, parameters_report};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Count the parameters of a model, and those that an adapter would train
    Params {
        /// A model's `config.json`
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The adapter's rank
        #[arg(long)]
        rank: usize,
        /// The linear layers to adapt, by name, with commas
        #[arg(long, value_delimiter = ',', required = true)]
        targets: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: &Command) -> Result<()> {
    let Command::Params { config, rank, targets, json } = command;
    let report = parameters_report(&ModelConfig::from_file(config)?, *rank, targets)?;
    if *json {
        return print_json(&report);
    }
    let mut text = String::new();
    if let Some(fields) = report.as_object() {
        for (name, value) in fields {
            text.push_str(&format!("{:<22} {value}\n", name.replace('_', " ")));
        }
    }
    print(&text)
}
