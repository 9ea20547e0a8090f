//! `so8t run | eval | prepare | train`.

use std::path::Path;

use serde_json::json;

use super::{Outcome, StageArguments, print, print_json, print_report, statistics, tell, track};
use crate::plugin::Policy;
use crate::report::Report;
use crate::{Result, pipeline};

pub(super) fn run(arguments: &StageArguments, policy: Policy) -> Result<Outcome> {
    let (manifest, settings) = arguments.open(policy)?;
    let _follower = track::follow(&manifest, &settings)?;
    let (folder, report) = pipeline::run(&manifest, &settings)?;
    show(arguments, &folder, &report)
}

pub(super) fn eval(arguments: &StageArguments, adapter: Option<&Path>, policy: Policy) -> Result<Outcome> {
    let (manifest, settings) = arguments.open(policy)?;
    let (folder, report) = pipeline::evaluate_only(&manifest, &settings, adapter)?;
    show(arguments, &folder, &report)
}

pub(super) fn prepare(arguments: &StageArguments, policy: Policy) -> Result<()> {
    let (manifest, settings) = arguments.open(policy)?;
    let (folder, prepared) = pipeline::prepare_only(&manifest, &settings)?;
    if arguments.json {
        return print_json(&json!({
            "schema": "so8t.prepared/1", "folder": folder, "labels": prepared.labels, "statistics": prepared.statistics,
        }));
    }
    print(&statistics::table(&prepared.statistics, &prepared.labels))?;
    tell(format_args!("written to {}", folder.display()));
    Ok(())
}

pub(super) fn train(arguments: &StageArguments, policy: Policy) -> Result<()> {
    let (manifest, settings) = arguments.open(policy)?;
    let (folder, trained, summary) = pipeline::train_only(&manifest, &settings)?;
    if arguments.json {
        return print_json(
            &json!({"schema": "so8t.training/1", "folder": folder, "trained": trained, "training": summary}),
        );
    }
    print(&format!("{}\n", trained.display()))
}

fn show(arguments: &StageArguments, folder: &Path, report: &Report) -> Result<Outcome> {
    print_report(report, arguments.json)?;
    if !arguments.json {
        tell(format_args!("report: {}", folder.join("report.html").display()));
    }
    Outcome::of(report)
}
