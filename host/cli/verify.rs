//! `so8t verify`.

use std::path::PathBuf;

use clap::Args;

use super::{Outcome, print, print_json, tell};
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
    #[arg(long, value_name = "FILE", conflicts_with = "inputs")]
    manifest: Option<PathBuf>,
    /// The folder in which the run's inputs lie here, where its manifest lay before
    #[arg(long, value_name = "DIR")]
    inputs: Option<PathBuf>,
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

pub(super) fn verify(arguments: &Arguments, policy: &Policy) -> Result<Outcome> {
    let narrator = Narrator::new(arguments.quiet);
    let of_inputs = arguments.inputs.as_ref().map(|folder| folder.join("so8t.toml"));
    let found = pipeline::verify(
        &arguments.run,
        arguments.manifest.as_deref().or(of_inputs.as_deref()),
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
        for lacking in &found.missing {
            text.push_str(&format!("absent {} {}\n", lacking.file, lacking.what));
        }
        print(&text)?;
    }
    match found.faults.len() {
        0 if !found.missing.is_empty() => {
            tell(
                "error: the run's files are as they were recorded, and its inputs are not here: nothing was computed again",
            );
            tell("hint: `--inputs DIR` or `--manifest FILE` says where they lie");
            Ok(Outcome::Absent)
        }
        0 => Ok(Outcome::Done),
        1 => Err(Error::data("the run is not as it was recorded: one fault")),
        count => Err(Error::data(format!("the run is not as it was recorded: {count} faults"))),
    }
}
