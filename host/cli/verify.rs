//! `so8t verify`.

use std::path::PathBuf;

use clap::Args;

use super::{print, print_json};
use crate::pipeline::{self, Narrator};
use crate::plugin::Policy;
use crate::{Error, Result};

#[derive(Args)]
pub(super) struct Arguments {
    /// The folder of a run
    run: PathBuf,
    /// Run the model again too, and compare the scores
    #[arg(long)]
    predictions: bool,
    /// Where the run's manifest lies, if it is no longer where it was
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The adapter that was evaluated, where it does not lie in the run's folder
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
    /// Say nothing but warnings and errors on standard error
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn verify(arguments: &Arguments, policy: &Policy) -> Result<()> {
    let narrator = Narrator::new(arguments.quiet);
    let found = pipeline::verify(
        &arguments.run,
        arguments.manifest.as_deref(),
        arguments.adapter.as_deref(),
        arguments.predictions,
        policy,
        narrator,
    )?;
    if arguments.json {
        print_json(&found)?;
    } else {
        let mut text = String::new();
        for line in &found.checked {
            text.push_str(&format!("ok     {line}\n"));
        }
        for fault in &found.faults {
            text.push_str(&format!("FAULT  {}: {}\n", fault.file, fault.what));
        }
        print(&text)?;
    }
    match found.faults.len() {
        0 => Ok(()),
        1 => Err(Error::data("the run is not as it was recorded: one fault")),
        count => Err(Error::data(format!("the run is not as it was recorded: {count} faults"))),
    }
}
