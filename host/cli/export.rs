//! `so8t export`.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use so8t_track::export::{About, Form, export as export_run};
use so8t_track::{FinishedRun, Row};

use super::{print, print_json, tell};
use crate::data::{INVALID, INVALID_NAME, LabelSet, read_examples};
use crate::evaluate::{Calibrations, predictions};
use crate::{Error, Result, files};

#[derive(Args)]
pub(super) struct Arguments {
    /// The folder of a run
    run: PathBuf,
    /// The form
    #[arg(long, value_enum)]
    to: To,
    /// The folder that the files are written into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write the texts of requests too
    #[arg(long)]
    with_texts: bool,
    #[command(flatten)]
    about: Described,
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// What a run does not know of itself.
#[derive(Args)]
pub(super) struct Described {
    /// The model's name, as `ORGANISATION/NAME`
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The benchmark's id on the hub, as `ORGANISATION/NAME`
    #[arg(long, value_name = "ID")]
    dataset: Option<String>,
    /// The task within the benchmark
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// The value that stands for the run, as `plugin.metric`
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// The licence of what was trained
    #[arg(long, value_name = "SPDX")]
    licence: Option<String>,
}

impl Described {
    pub(super) fn about(&self) -> About {
        let Self { model, dataset, task, metric, licence } = self;
        About {
            model: model.clone(),
            dataset: dataset.clone(),
            task: task.clone(),
            metric: metric.clone(),
            licence: licence.clone(),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum To {
    /// Every Eval Ever
    Eee,
    /// `.eval_results/*.yaml` of a model's repository on the hub
    HfEvalResults,
    /// A model card with `model-index`
    ModelCard,
    /// A log of Inspect
    Inspect,
    /// An ML-BOM
    Cyclonedx,
    /// The files of lm-evaluation-harness
    LmEval,
}

pub(super) fn export(arguments: &Arguments) -> Result<()> {
    let form = match arguments.to {
        To::Eee => Form::EveryEvalEver,
        To::HfEvalResults => Form::HubResults,
        To::ModelCard => Form::ModelCard,
        To::Inspect => Form::Inspect,
        To::Cyclonedx => Form::CycloneDx,
        To::LmEval => Form::LmEval,
    };
    let run = FinishedRun::read(&arguments.run)?;
    let rows = rows(&run, arguments.with_texts)?;
    let (made, notes) = export_run(&run, &rows, form, &arguments.about.about())?;
    notes.iter().for_each(|note| tell(format_args!("warning: {note}")));
    let mut written = Vec::new();
    for (name, bytes) in made {
        // A name of the run is a part of it.
        if !Path::new(&name).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Error::data(format!("`{name}` is no path within a folder")));
        }
        let path = arguments.out.join(name);
        files::write(&path, &bytes)?;
        written.push(path);
    }
    match arguments.json {
        true => print_json(&json!({ "schema": "so8t.export/1", "files": written })),
        false => written.iter().try_for_each(|path| print(&format!("{}\n", path.display()))),
    }
}

/// The predictions that count, as they were measured: calibrated where the run calibrates.
fn rows(run: &FinishedRun, texts: bool) -> Result<Vec<Row>> {
    let name = if run.latest() == "after" { predictions::AFTER } else { predictions::BEFORE };
    if !run.files.contains_key(name) {
        return Ok(Vec::new());
    }
    // Held against its digest before it is read.
    drop(run.file(name)?);
    let names = run.labels();
    LabelSet::check_names(&names).map_err(|what| Error::data(format!("`report.json`: {what}")))?;
    // Severity is of training, and nothing here asks for it.
    let labels = LabelSet { severity: (0..names.len() as u8).collect(), names };
    let path = run.folder.join(name);
    let rows = Calibrations::apply_beside(&path, &labels, predictions::read(&path, &labels)?)?;
    let mut asked: HashMap<String, String> = HashMap::new();
    if texts {
        drop(run.file("evaluation.jsonl")?);
        for example in read_examples(&run.folder.join("evaluation.jsonl"), &labels)? {
            let request = &example.request;
            let text = [request.instruction.as_str(), request.input.as_str()]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("\n");
            asked.insert(example.id.as_str().to_owned(), text);
        }
    }
    let shown = |label: u8| if label == INVALID { INVALID_NAME.to_owned() } else { labels.name(label).to_owned() };
    let row = |row: crate::evaluate::EvaluatedRow| Row {
        text: asked.remove(&row.id),
        gold: shown(row.gold),
        decision: shown(row.prediction.label),
        scores: row.prediction.scores,
        id: row.id,
        source: row.source,
        latency_ms: row.latency_ms,
        request: row.request,
    };
    Ok(rows.into_iter().map(row).collect())
}
