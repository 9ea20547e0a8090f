//! `so8t run | eval | prepare | train`.

use std::path::Path;

use serde_json::json;

use super::machine::{available_memory, gigabytes};
use super::{Outcome, StageArguments, print, print_json, print_report, statistics, tell, track};
use crate::pipeline::Measure;
use crate::plugin::Policy;
use crate::report::Report;
use crate::{Result, pipeline};

pub(super) fn run(arguments: &StageArguments, policy: Policy) -> Result<Outcome> {
    let (manifest, settings) = arguments.open(policy)?;
    let _follower = track::follow(&manifest, &settings)?;
    let (folder, report) = pipeline::run(&manifest, &settings)?;
    show(arguments, &folder, &report)
}

/// What `run` would do.
pub(super) fn dry_run(arguments: &StageArguments, policy: Policy) -> Result<()> {
    let (manifest, settings) = arguments.open(policy)?;
    let foreseen = pipeline::dry_run(&manifest, &settings)?;
    if arguments.json {
        return print_json(&json!({ "schema": "so8t.dry-run/1", "foreseen": foreseen }));
    }
    let mut out = format!("{:<20}{:>10}{:>14}{:>14}\n", "stage", "rows", "tokens", "about");
    for stage in &foreseen.stages {
        let tokens = stage.tokens.map_or_else(|| "–".to_owned(), |tokens| tokens.to_string());
        out.push_str(&format!("{:<20}{:>10}{tokens:>14}{:>14}\n", stage.stage, stage.rows, duration(stage.seconds)));
    }
    let all: f64 = foreseen.stages.iter().filter_map(|stage| stage.seconds).sum();
    out.push_str(&format!("{:<44}{:>14}\n\n", "in all", duration(Some(all))));
    if let Some(bytes) = foreseen.memory_bytes {
        out.push_str(&format!("memory   about {} at the most", gigabytes(bytes)));
        out.push_str(&available_memory().map_or_else(
            || "\n".to_owned(),
            |free| {
                let word = if free < bytes { ": more than is free" } else { "" };
                format!("; {} are free{word}\n", gigabytes(free))
            },
        ));
    }
    out.push_str(&format!(
        "disk     {:.1} MB of prepared data, besides what is trained\nfolder   {}\n",
        foreseen.data_bytes as f64 / 1e6,
        foreseen.folder.display()
    ));
    foreseen.warnings.iter().for_each(|warning| out.push_str(&format!("warning: {warning}\n")));
    print(&out)
}

/// Seconds as people read them.
fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 90.0 => format!("{seconds:.0} s"),
        Some(seconds) if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        Some(seconds) => format!("{:.1} h", seconds / 3600.0),
    }
}

pub(super) fn eval(arguments: &StageArguments, measure: &Measure, policy: Policy) -> Result<Outcome> {
    let (manifest, settings) = arguments.open(policy)?;
    let (folder, report) = pipeline::evaluate_only(&manifest, &settings, measure)?;
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
