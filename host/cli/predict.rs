//! `so8t predict`.

use std::path::PathBuf;

use clap::Args;

use super::bundle::Opening;
use super::{print, stop_on_interrupt, tell};
use crate::data::input::Encoding;
use crate::pipeline::Settings;
use crate::pipeline::decide::{self, Asked, Deciding, InputFormat, OutputFormat};
use crate::plugin::Policy;
use crate::{Error, Result};

#[derive(Args)]
pub(super) struct Arguments {
    /// The folder of a finished run, its manifest, or a bundle of it
    run: PathBuf,
    /// JSON lines, a JSON array, CSV, TSV or Parquet, compressed or not; `-` is standard input, as JSON lines
    #[arg(default_value = "-", hide_default_value = true)]
    input: PathBuf,
    /// Where the decisions go: `….jsonl`, `….csv` or `….parquet`; standard output where absent
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The form of the decisions: jsonl, csv or parquet
    #[arg(long, value_name = "FORM")]
    format: Option<OutputFormat>,
    /// The field of the text; without it what the run's converter finds, or the first of `text`, `instruction`, `prompt`, `input`
    #[arg(long, value_name = "FIELD")]
    text: Option<String>,
    /// The field of the id; without it `id`, or the number of the record
    #[arg(long, value_name = "FIELD")]
    id: Option<String>,
    /// The source of the manifest whose converter reads the file
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// What is read, where no name says it: jsonl, json, csv, tsv or parquet
    #[arg(long, value_name = "FORM")]
    read: Option<InputFormat>,
    /// The encoding of the text, where it is not UTF-8
    #[arg(long, value_name = "NAME")]
    encoding: Option<Encoding>,
    /// Show prompt, tokens and label scores of one request alone, by its id or the number of its record
    #[arg(long, value_name = "ROW", conflicts_with_all = ["out", "format"])]
    explain: Option<String>,
    /// The base model, also where something was trained
    #[arg(long)]
    base: bool,
    /// Where the run's manifest lies, if it is no longer where it was
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    opening: Opening,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn predict(arguments: &Arguments, policy: Policy) -> Result<()> {
    let settings = Settings { policy, quiet: arguments.quiet, stop: stop_on_interrupt()?, ..Settings::default() };
    let place = arguments.opening.place(&arguments.run, arguments.manifest.as_deref(), None, &settings.policy)?;
    let run = place.run;
    let deciding = Deciding {
        base: arguments.base,
        manifest: place.manifest,
        model: place.model,
        asked: Asked {
            text: arguments.text.clone(),
            id: arguments.id.clone(),
            source: arguments.source.clone(),
            format: arguments.read,
            encoding: arguments.encoding,
        },
        out: arguments.out.clone(),
        format: arguments.format,
    };
    if let Some(row) = &arguments.explain {
        return print(&decide::explain(&run, &arguments.input, row, &deciding, &settings)?);
    }
    let decided = decide::predict(&run, &arguments.input, &deciding, &settings)?;
    if let Some(out) = arguments.out.as_ref().filter(|_| !arguments.quiet) {
        tell(format_args!("decisions: {}", out.display()));
    }
    match decided.rejected {
        0 => Ok(()),
        n => Err(Error::data(format!(
            "{n} of {} records hold no request: the decisions on the other {} are written",
            decided.rows + n,
            decided.rows
        ))),
    }
}
