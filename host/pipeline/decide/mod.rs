//! Requests without labels, decided on as a run decided: one after another from a file or standard input, with bounded memory.
//!
//! A decision depends on its own request alone, and not on those beside it: any part of a file, decided on anywhere by the same run, has
//! the same bits. So parts can be decided on apart and put together again.

mod asking;
mod decider;
mod explain;
mod opened;
mod output;
mod requests;

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

pub(crate) use asking::Asking;
pub use decider::{Decider, Decision};
pub(super) use opened::{Opened, hold_deciding, hold_model, trained_in};
pub use output::OutputFormat;
pub use requests::{Asked, InputFormat};

use super::progress::Narrator;
use super::settings::Settings;
use crate::data::input;
use crate::{Error, Result, files};
use output::Writer;
use requests::{Requests, Take};

/// Whose decisions are asked for, and how.
#[derive(Clone, Debug, Default)]
pub struct Deciding {
    /// The base model, also where something was trained.
    pub base: bool,
    /// Where the run's manifest lies, if it is no longer where it was.
    pub manifest: Option<PathBuf>,
    /// What its `[model] base` stands for, if that is no longer where it was.
    pub model: Option<PathBuf>,
    /// How requests are read.
    pub asked: Asked,
    /// Where the decisions go; standard output where absent.
    pub out: Option<PathBuf>,
    /// Their form; that of the file's ending where absent.
    pub format: Option<OutputFormat>,
}

/// What became of a file of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// How many requests were decided on.
    pub rows: u64,
    /// How many of them were cut to fit `max_length`.
    pub cut: u64,
    /// How many records could not be read.
    pub rejected: u64,
}

/// Decides on every request of `input` (`-` is standard input) as the run in a folder decides, or the run that a manifest makes.
///
/// # Errors
/// A run that is not whole or was changed, a model or an adapter that is another, requests that cannot be read.
pub fn predict(run: &Path, input: &Path, deciding: &Deciding, settings: &Settings) -> Result<Decided> {
    let narrator = Narrator::new(settings.quiet);
    let format = output_format(deciding)?;
    if let Some(out) = &deciding.out {
        check_output(run, input, out)?;
    }
    let mut decider = Decider::open(run, deciding, settings)?;
    let requests = Requests::new(input, &deciding.asked, decider.opened(), settings)?;
    narrator.say(format!("measured {}", decider.measured()));
    narrator.say(format!("reading  {}", requests.title()));
    decider.load()?;
    let mut failure = None;
    let mut decided = Decided::default();
    let labels = decider.labels().clone();
    let mut run_all = |file: &mut (dyn std::io::Write + Send)| -> Result<()> {
        let mut writer = Writer::new(format, &labels, file)?;
        decided = decide_all(&mut decider, &requests, &mut writer, settings)?;
        writer.finish()
    };
    match &deciding.out {
        Some(path) => {
            let written = files::write_with(path, |file| {
                run_all(file).map_err(|error| {
                    failure = Some(error);
                    std::io::Error::other("deciding failed")
                })
            });
            failure.map_or(written, Err)?;
        }
        None => run_all(&mut std::io::stdout())?,
    }
    Ok(decided)
}

/// The rendered prompt, its tokens, and the scores of every label of one request of `input`, by its id or the number of its record, counted from 1.
///
/// # Errors
/// As [`predict`]; a request that is not there.
pub fn explain(run: &Path, input: &Path, row: &str, deciding: &Deciding, settings: &Settings) -> Result<String> {
    let mut decider = Decider::open(run, deciding, settings)?;
    let requests = Requests::new(input, &deciding.asked, decider.opened(), settings)?;
    let mut found = None;
    requests.each(settings, &mut |take| {
        if let Take::Requests { asked, .. } = take {
            let own = asked.into_iter().find(|one| one.id == row || one.row.to_string() == row);
            found = found.take().or(own);
        }
        Ok(found.is_none())
    })?;
    let found = found.ok_or_else(|| {
        Error::data(format!("`{}`: expected a record with the id or the number `{row}`, found none", input.display()))
    })?;
    decider.load()?;
    explain::text(&mut decider, &found.id, &found.request)
}

/// Decides on all requests, piece by piece.
fn decide_all(
    decider: &mut Decider,
    requests: &Requests,
    writer: &mut Writer<'_>,
    settings: &Settings,
) -> Result<Decided> {
    let narrator = Narrator::new(settings.quiet);
    let bar = match requests.bytes() {
        Some(bytes) => narrator.bytes_bar(bytes, "predict"),
        None => narrator.spinner("predict"),
    };
    let mut decided = Decided::default();
    let mut first = Vec::new();
    let result = requests.each(settings, &mut |take| {
        match take {
            Take::Requests { asked, bytes } => {
                let texts: Vec<_> = asked.iter().map(|one| one.request.clone()).collect();
                let before = decided.rows;
                let decisions = decider.decide_with(&texts, |done| tell(&bar, before + done as u64))?;
                for (one, decision) in asked.iter().zip(&decisions) {
                    writer.add(&one.id, decision)?;
                    decided.cut += u64::from(decision.cut);
                }
                decided.rows += decisions.len() as u64;
                writer.flush()?;
                bar.inc(bytes);
            }
            Take::Rejected { line, reason } => {
                decided.rejected += 1;
                if first.len() < 3 {
                    first.push(format!("{}:{line}: {reason}", requests.path().display()));
                }
            }
        }
        Ok(true)
    });
    bar.finish_and_clear();
    result?;
    let seconds = bar.elapsed().as_secs_f64();
    let speed = decided.rows as f64 / seconds.max(1e-9);
    narrator.say(format!("predict  {} requests in {seconds:.1} s ({speed:.0} a second)", decided.rows));
    decider.warnings(&decided).iter().for_each(|text| narrator.warn(text));
    if decided.rejected > 0 {
        first.iter().for_each(|reason| narrator.warn(format!("no request: {reason}")));
        if decided.rows == 0 {
            return Err(Error::data(format!(
                "`{}`: none of {} records holds a request",
                requests.path().display(),
                decided.rejected
            ))
            .with_hint("`--text FIELD` names the field that holds the text"));
        }
    }
    Ok(decided)
}

fn tell(bar: &ProgressBar, rows: u64) {
    bar.set_message(format!("{rows} rows"));
}

fn output_format(deciding: &Deciding) -> Result<OutputFormat> {
    let format = match (&deciding.format, &deciding.out) {
        (Some(format), _) => *format,
        (None, None) => OutputFormat::Jsonl,
        (None, Some(path)) => OutputFormat::of_path(path)?,
    };
    if format == OutputFormat::Parquet && deciding.out.is_none() {
        return Err(Error::manifest("Parquet needs a file: expected `--out FILE`"));
    }
    Ok(format)
}

/// Refuses to write over what is read, or into the folder of a run, whose files are sealed.
fn check_output(run: &Path, input: &Path, out: &Path) -> Result<()> {
    let canonical = |path: &Path| std::fs::canonicalize(path).ok();
    if !input::is_standard_input(input) && canonical(out).is_some_and(|out| canonical(input) == Some(out)) {
        return Err(Error::manifest(format!("`{}` is what is read: expected another file as `--out`", out.display())));
    }
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = canonical(parent);
    let in_run = |folder: &Path| run.is_dir() && canonical(run).is_some_and(|run| folder.starts_with(run));
    match folder.is_some_and(|folder| in_run(&folder)) {
        true => Err(Error::manifest(format!(
            "`{}` lies in the run's folder, whose files are sealed: expected another place as `--out`",
            out.display()
        ))),
        false => Ok(()),
    }
}
