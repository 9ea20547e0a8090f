//! `so8t compare A B`.

use std::path::PathBuf;

use clap::Args;

use super::{print, print_json};
use crate::{Result, pipeline, report};

#[derive(Args)]
pub(super) struct Arguments {
    /// The folder of the run to compare with
    before: PathBuf,
    /// The folder of the run that is judged
    after: PathBuf,
    /// Where to write `report.json` and `report.html`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn compare(arguments: &Arguments) -> Result<()> {
    let report = pipeline::compare_runs(&arguments.before, &arguments.after, arguments.out.as_deref())?;
    if arguments.json {
        return print_json(&report);
    }
    print(&report::terminal::report(&report))
}
