//! `so8t schema`: what so8t reads, for editors and for people.

use clap::Subcommand;

use super::print;
use crate::{Result, files, manifest};

/// What is described.
#[derive(Subcommand)]
pub(super) enum Command {
    /// The JSON Schema of `so8t.toml`; an editor completes keys where a manifest begins with `#:schema FILE`
    Manifest,
    /// Every key of `so8t.toml` with its type, default and meaning, as Markdown
    Reference,
}

pub(super) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Manifest => print(&String::from_utf8_lossy(&files::json(&manifest::schema())?)),
        Command::Reference => print(&manifest::reference()),
    }
}
