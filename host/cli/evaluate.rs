//! `so8t evaluate` and `so8t merge`.

use std::path::PathBuf;

use clap::Args;

use super::{print, print_report};
use crate::evaluate::{Shard, Table};
use crate::pipeline::{Choice, FolderLock};
use crate::plugin::Policy;
use crate::report::Report;
use crate::{Error, Result, pipeline};

#[derive(Args)]
pub(super) struct Arguments {
    /// A predictions file: Parquet, or JSON lines in a file named `….jsonl`
    predictions: PathBuf,
    /// A manifest whose metrics, seed and resamples are used
    #[arg(long, value_name = "FILE", conflicts_with = "metric")]
    manifest: Option<PathBuf>,
    /// A standard metric; may be given several times. Without it `classification`
    #[arg(long, value_name = "NAME")]
    metric: Vec<String>,
    /// The number of resamples behind each interval
    #[arg(long, value_name = "N")]
    resamples: Option<u32>,
    /// Measure part I of N of the rows alone, and write its state into `--out`
    #[arg(long, value_name = "I/N", requires = "out")]
    shard: Option<Shard>,
    /// How many threads measure; as many as there are processors where it is not said
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
    /// Write `report.json`, `report.html` and `report.md`, or the state of a part, into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct MergeArguments {
    /// The state files of all parts, in any order
    #[arg(required = true)]
    states: Vec<PathBuf>,
    /// The manifest that the parts were measured with, where its metrics are not built in
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Write `report.json`, `report.html` and `report.md` into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn evaluate(arguments: &Arguments, policy: Policy) -> Result<()> {
    let given = &arguments.predictions;
    if given.extension().is_some_and(|ending| ending == "toml") {
        return Err(Error::manifest(format!("`{}` is a manifest: expected a file of predictions", given.display()))
            .with_hint(format!(
                "`so8t eval {0}` measures a model; `so8t evaluate FILE --manifest {0}` a file with the manifest's metrics",
                given.display()
            )));
    }
    if given.is_dir() {
        return Err(Error::manifest(format!("`{}` is a folder: expected a file of predictions", given.display()))
            .with_hint("in the folder of a run it is `predictions_after.parquet` or `predictions_before.parquet`"));
    }
    let choice = Choice {
        manifest: arguments.manifest.as_deref().map(super::manifest).transpose()?,
        metrics: arguments.metric.clone(),
        resamples: arguments.resamples,
        threads: arguments.threads,
        policy,
    };
    match (arguments.shard, &arguments.out) {
        (Some(shard), Some(folder)) => {
            let (state, failed) = pipeline::evaluate_shard(&arguments.predictions, &choice, shard, folder)?;
            print(&format!("{}\n", state.display()))?;
            lacking(&failed).map_or(Ok(()), Err)
        }
        (_, out) => show(&pipeline::evaluate_file(&arguments.predictions, &choice)?, out, arguments.json),
    }
}

pub(super) fn merge(arguments: &MergeArguments, policy: &Policy) -> Result<()> {
    let manifest = arguments.manifest.as_deref().map(super::manifest).transpose()?;
    let report = pipeline::merge_shards(&arguments.states, manifest.as_ref(), policy)?;
    show(&report, &arguments.out, arguments.json)
}

/// The error with which a part is written that lacks the states of some metrics.
fn lacking(failed: &Table<String>) -> Option<Error> {
    let (_, first) = failed.iter().next()?;
    let names: Vec<&str> = failed.iter().map(|(name, _)| name).collect();
    let (plural, whose) = if names.len() == 1 { ("", "its") } else { ("s", "their") };
    let names = names.join("`, `");
    let text = format!("metric{plural} `{names}` failed, and the state holds none of {whose} values: {first}");
    Some(
        Error::plugin(text)
            .with_hint("the other metrics' states are whole: `so8t merge` gives their values, and names what failed"),
    )
}

fn show(report: &Report, out: &Option<PathBuf>, json: bool) -> Result<()> {
    if let Some(folder) = out {
        let _lock = FolderLock::take(folder)?;
        pipeline::check_report(folder)?;
        report.write(folder)?;
    }
    print_report(report, json)?;
    report.failure().map_or(Ok(()), Err)
}
