//! `so8t compare A B…`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Outcome, print, print_json, print_report};
use crate::evaluate::Rule;
use crate::manifest::parse_rule;
use crate::plugin::Policy;
use crate::report::Report;
use crate::report::sweep;
use crate::{Error, Result, pipeline};

#[derive(Args)]
pub(super) struct Arguments {
    /// The folder of the run to compare with
    before: PathBuf,
    /// The folders of the runs that are judged, each against the first
    #[arg(required = true)]
    after: Vec<PathBuf>,
    /// A manifest whose metrics and rules are used, instead of the metrics of the judged run and no rules
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// A rule: `classification.unsafe_pass_rate max_rise=0`, perhaps with `source=NAME` or `significant`; may be given several times
    #[arg(long, value_name = "RULE", value_parser = parse_rule)]
    rule: Vec<Rule>,
    /// Where to write `report.json`, `report.html` and `report.md`; of several runs, a folder each in it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn compare(arguments: &Arguments, policy: &Policy) -> Result<Outcome> {
    let manifest = arguments.manifest.as_deref().map(super::manifest).transpose()?;
    let Arguments { before, after, out, rule, .. } = arguments;
    let compare =
        |run: &Path, out: Option<&Path>| pipeline::compare_runs(before, run, manifest.as_ref(), rule, out, policy);
    if let [after] = after.as_slice() {
        let report = compare(after, out.as_deref())?;
        print_report(&report, arguments.json)?;
        return Outcome::of(&report);
    }
    let names = distinct(after)?;
    let mut reports = Vec::new();
    for (run, name) in after.iter().zip(&names) {
        let folder = out.as_ref().map(|out| out.join(name));
        reports.push(compare(run, folder.as_deref())?);
    }
    let rows: Vec<(String, &Report)> = names.into_iter().zip(&reports).collect();
    match arguments.json {
        true => print_json(&serde_json::json!({
            "schema": "so8t.sweep/1",
            "first": before,
            "runs": rows.iter().map(|(name, report)| serde_json::json!({ "name": name, "report": report })).collect::<Vec<_>>(),
        }))?,
        false => print(&sweep::table(&before.display().to_string(), &rows))?,
    }
    let outcomes = reports.iter().map(Outcome::of).collect::<Result<Vec<_>>>()?;
    Ok(match outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)) {
        true => Outcome::Done,
        false => Outcome::Refused,
    })
}

/// The names of runs, by which they are told apart: their folders' names where these differ, else their whole paths.
fn distinct(runs: &[PathBuf]) -> Result<Vec<String>> {
    let short: Vec<String> =
        runs.iter().map(|run| run.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect();
    let mut sorted = short.clone();
    sorted.sort();
    sorted.dedup();
    match sorted.len() == runs.len() && !sorted.contains(&String::new()) {
        true => Ok(short),
        false => {
            let long: Vec<String> =
                runs.iter().map(|run| run.display().to_string().trim_matches('/').replace(['/', '\\'], "-")).collect();
            let mut sorted = long.clone();
            sorted.sort();
            sorted.dedup();
            match sorted.len() == runs.len() {
                true => Ok(long),
                false => Err(Error::manifest("expected each run once, found one twice")),
            }
        }
    }
}
