//! `so8t search`.

use std::path::PathBuf;

use clap::Args;

use super::{print, print_json, stop_on_interrupt, tell};
use crate::pipeline::{self, Settings};
use crate::plugin::Policy;
use crate::{Error, Result};

#[derive(Args)]
pub(super) struct Arguments {
    /// The manifest, with `[search]`
    manifest: PathBuf,
    /// The search's folder, instead of one beside the run's; several processes that name the same one share the work
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many trials, instead of the manifest's number
    #[arg(long, value_name = "N")]
    trials: Option<usize>,
    /// Make every proposal again from the seed and the journal, and train nothing
    #[arg(long)]
    verify: bool,
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn search(arguments: &Arguments, policy: Policy) -> Result<()> {
    let settings = Settings {
        output: arguments.out.clone(),
        policy,
        quiet: arguments.quiet,
        stop: stop_on_interrupt()?,
        ..Settings::default()
    };
    let manifest = super::manifest(&arguments.manifest)?;
    if arguments.verify {
        let count = pipeline::verify_search(&manifest, &settings)?;
        return print(&format!("ok     {count} proposals follow from the seed and the journal\n"));
    }
    let found = pipeline::search(&manifest, &settings, arguments.trials)?;
    if arguments.json {
        print_json(&found)?;
    }
    if !found.done {
        return Err(Error::interrupted(format!("the search was stopped after {} trials", found.trials.len()))
            .with_hint("the same command goes on where it stopped"));
    }
    if !arguments.json {
        let text = crate::files::read_text(&found.folder.join("search.md"))?;
        print(&text)?;
        tell(format_args!("report: {}", found.folder.join("search.html").display()));
    }
    Ok(())
}
