//! `so8t compare A B`.

use std::path::PathBuf;

use clap::Args;

use super::{Outcome, print_report};
use crate::manifest::ManifestFile;
use crate::plugin::Policy;
use crate::{Result, pipeline};

#[derive(Args)]
pub(super) struct Arguments {
    /// The folder of the run to compare with
    before: PathBuf,
    /// The folder of the run that is judged
    after: PathBuf,
    /// A manifest whose metrics and rules are used, instead of the builtin `classification` and no rules
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Where to write `report.json`, `report.html` and `report.md`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn compare(arguments: &Arguments, policy: &Policy) -> Result<Outcome> {
    let manifest = arguments.manifest.as_deref().map(ManifestFile::read).transpose()?;
    let Arguments { before, after, out, .. } = arguments;
    let report = pipeline::compare_runs(before, after, manifest.as_ref(), out.as_deref(), policy)?;
    print_report(&report, arguments.json)?;
    Outcome::of(&report)
}
