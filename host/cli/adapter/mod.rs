//! `so8t adapter …`: what is done with a trained adapter, one file a subcommand.

mod export;
mod merge;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::Result;
use crate::cli::tell;
use crate::model::{self, ModelFiles};
use crate::train::merge::Merged;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Work an adapter into the weights of its base, and write a Hugging Face folder
    Merge(merge::Arguments),
    /// Work an adapter into the weights of its base, and write a GGUF file for llama.cpp
    Export(export::Arguments),
}

pub(super) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Merge(arguments) => merge::merge(arguments),
        Command::Export(arguments) => export::export(arguments),
    }
}

/// Which adapter of which base.
#[derive(Args)]
pub(in crate::cli) struct Pair {
    /// The base: a Hugging Face folder, a GGUF file, or `hf:org/name@revision`
    #[arg(long)]
    base: String,
    /// The adapter's folder
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
}

impl Pair {
    /// Opens the base; what the user should know of it goes to standard error.
    fn base(&self) -> Result<ModelFiles> {
        let base = model::open(&self.base, Path::new(""))?;
        base.warnings.iter().for_each(|warning| tell(format_args!("warning: {warning}")));
        Ok(base)
    }

    /// The base with the adapter; what the user should know of the adapter goes to standard error.
    fn merged<'a>(&self, base: &'a ModelFiles) -> Result<Merged<'a>> {
        let merged = Merged::open(base, &self.adapter)?;
        merged.warnings().iter().for_each(|warning| tell(format_args!("warning: {warning}")));
        Ok(merged)
    }
}
