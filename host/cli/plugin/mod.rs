//! `so8t plugin`: one file a subcommand.

mod new;

use clap::Subcommand;

use super::{print, print_json};
use crate::Result;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Write a project for a new plugin: sources, interface, tests, a sample and a build script
    New(new::Arguments),
}

pub(super) fn run(command: &Command) -> Result<()> {
    match command {
        Command::New(arguments) => new::run(arguments),
    }
}
