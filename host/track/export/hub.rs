//! `.eval_results/*.yaml`, which a model's page on the Hugging Face Hub shows.

use std::fmt::Write as _;

use so8t_base::{Error, Result};

use super::{About, File, created, headline};
use crate::finished::FinishedRun;

pub(super) fn files(run: &FinishedRun, about: &About) -> Result<(Vec<File>, Vec<String>)> {
    let Some(dataset) = about.dataset.as_deref() else {
        return Err(Error::manifest(
            "`hf-eval-results` asks for the benchmark's id on the hub: expected `--dataset ORGANISATION/NAME`",
        )
        .with_hint("and `--task ID` where the benchmark has several"));
    };
    if dataset.split('/').count() != 2 || dataset.split('/').any(str::is_empty) {
        return Err(Error::manifest(format!(
            "`{dataset}` is no id of a dataset on the hub: expected `ORGANISATION/NAME`"
        )));
    }
    let value = headline(run, about)?;
    let interval = value.interval.map_or_else(String::new, |(low, high)| {
        format!("; 95 % interval {low:.4} to {high:.4} ({})", value.method.as_deref().unwrap_or("unknown"))
    });
    let notes = format!("{} over {} rows{interval}; so8t run {}", value.metric, value.n, run.digest);
    let mut text = String::new();
    // JSON's strings are YAML's.
    let _ = writeln!(
        text,
        "- dataset:\n    id: {}\n    task_id: {}",
        quoted(dataset),
        quoted(about.task.as_deref().unwrap_or("default"))
    );
    let _ = writeln!(text, "  value: {}\n  date: {}\n  notes: {}", value.value, quoted(created(run)), quoted(&notes));
    let name = dataset.rsplit('/').next().unwrap_or_default();
    Ok((vec![(format!(".eval_results/{name}.yaml"), text.into_bytes())], Vec::new()))
}

pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
