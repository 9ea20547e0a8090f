//! The command line: one file a subcommand. Standard output is data, standard error is narration.

mod compare;
mod evaluate;
mod model;
mod plugin;
mod stages;
mod statistics;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand};

use crate::manifest::ManifestFile;
use crate::pipeline::Settings;
use crate::report::{self, Report};
use crate::{Error, Result};

/// Evaluate and retrain safety classifiers built on language models, with sandboxed plugins.
#[derive(Parser)]
#[command(name = "so8t", version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Do everything: convert, map, split, evaluate, train, evaluate again, compare, report
    Run(StageArguments),
    /// Evaluate the base model, or the base model with an adapter
    Eval {
        #[command(flatten)]
        stage: StageArguments,
        /// A folder with PEFT's adapter files
        #[arg(long, value_name = "DIR")]
        adapter: Option<PathBuf>,
    },
    /// Convert, map and split the data, and write `dataset.jsonl` and `evaluation.jsonl`
    Prepare(StageArguments),
    /// Prepare the data and train an adapter
    Train(StageArguments),
    /// Compare the predictions of two runs on the same examples
    Compare(compare::Arguments),
    /// Measure a predictions file, or one part of it, without a model
    Evaluate(evaluate::Arguments),
    /// Join the states of all parts of a predictions file into its report
    Merge(evaluate::MergeArguments),
    /// Check every digest and every number of a finished run
    Verify(verify::Arguments),
    /// Questions about a model
    #[command(subcommand)]
    Model(model::Command),
    /// Write plugins
    #[command(subcommand)]
    Plugin(plugin::Command),
}

/// What every command that does stages takes.
#[derive(Args)]
struct StageArguments {
    /// The manifest
    manifest: PathBuf,
    /// The run's folder, instead of the manifest's
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
    /// Refuse components, models and data whose digests are not those of `so8t.lock`
    #[arg(long)]
    locked: bool,
    /// Go on from the last checkpoint, and fail where there is none
    #[arg(long)]
    resume: bool,
    /// Do every stage again
    #[arg(long, conflicts_with = "resume")]
    fresh: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
}

impl StageArguments {
    fn open(&self) -> Result<(ManifestFile, Settings)> {
        let settings = Settings {
            output: self.out.clone(),
            locked: self.locked,
            resume: self.resume,
            fresh: self.fresh,
            quiet: self.quiet,
            stop: stop_on_interrupt()?,
        };
        Ok((ManifestFile::read(&self.manifest)?, settings))
    }
}

/// A report on standard output: as a table, or as JSON.
fn print_report(report: &Report, json: bool) -> Result<()> {
    match json {
        true => print_json(report),
        false => print(&report::terminal::table(report, report::terminal::colour_allowed())),
    }
}

/// What a command that did what it was asked to came to.
enum Outcome {
    /// Success.
    Done,
    /// The rules of `[accept]` are not all met.
    Refused,
}

impl Outcome {
    /// That of a command that ends in a report.
    fn of(report: &Report) -> Self {
        if report.accept.as_ref().is_none_or(|acceptance| acceptance.accepted) { Self::Done } else { Self::Refused }
    }
}

/// Parses the arguments, runs the command, and turns its outcome into an exit code: 0 success, 1 the user's fault, 2 a
/// fault of this program, 3 a run that does not meet the manifest's rules.
pub fn main() -> ExitCode {
    let arguments = match CommandLine::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    // A panic is a fault of this program; the default hook has already said where.
    let outcome = std::panic::catch_unwind(|| match &arguments.command {
        Command::Run(stage) => stages::run(stage),
        Command::Eval { stage, adapter } => stages::eval(stage, adapter.as_deref()),
        Command::Prepare(stage) => stages::prepare(stage).map(|()| Outcome::Done),
        Command::Train(stage) => stages::train(stage).map(|()| Outcome::Done),
        Command::Compare(arguments) => compare::compare(arguments),
        Command::Evaluate(arguments) => evaluate::evaluate(arguments).map(|()| Outcome::Done),
        Command::Merge(arguments) => evaluate::merge(arguments).map(|()| Outcome::Done),
        Command::Verify(arguments) => verify::verify(arguments).map(|()| Outcome::Done),
        Command::Model(command) => model::run(command).map(|()| Outcome::Done),
        Command::Plugin(command) => plugin::run(command).map(|()| Outcome::Done),
    });
    match outcome {
        Ok(Ok(Outcome::Done)) => ExitCode::SUCCESS,
        Ok(Ok(Outcome::Refused)) => ExitCode::from(3),
        Ok(Err(error)) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(error.exit_code())
        }
        Err(_) => {
            eprintln!("error: a fault of so8t; please report it with the command that led to it");
            ExitCode::from(2)
        }
    }
}

/// A flag that Ctrl-C and SIGTERM set. A second signal ends the process at once.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(1);
        }
        eprintln!("\nstopping after this step; once more to stop at once");
    })
    .map_err(|e| Error::internal(format!("cannot listen for Ctrl-C: {e}")))?;
    Ok(stop)
}

/// Prints text that is data; a closed pipe is no error.
fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("write", std::path::Path::new("standard output"), &e))
        }
        _ => Ok(()),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(&String::from_utf8_lossy(&crate::files::json(value)?))
}
