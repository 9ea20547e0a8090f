#![doc = include_str!("README.md")]

mod adapter;
mod audit;
mod bundle;
mod compare;
mod data;
mod doctor;
mod evaluate;
mod export;
mod forecast;
mod init;
mod machine;
mod model;
mod plugin;
mod predict;
mod release;
mod schema;
mod search;
mod serve;
mod stages;
mod statistics;
mod track;
mod verify;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand};

use crate::kernels::gemm::instructions::{Instructions, VARIABLE};
use crate::manifest::{Environment, ManifestFile};
use crate::pipeline::{Measure, Settings};
use crate::plugin::{ChildCompiler, Compiler, Policy, compile_component};
use crate::report::{self, Report};
use crate::{Error, Result, plain};

/// Evaluate and retrain safety classifiers built on language models, with sandboxed plugins.
#[derive(Parser)]
#[command(name = "so8t", version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
    /// What this host allows, instead of `$SO8T_POLICY` or `~/.config/so8t/policy.toml`
    #[arg(long, global = true, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Let the manifest's paths use this environment variable, as `${NAME}`; may be given several times
    #[arg(long = "env", global = true, value_name = "NAME")]
    environment: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Write a whole commented manifest for data of one's own
    Init(init::Arguments),
    /// Say what this machine has and lacks, and how to mend it
    Doctor(doctor::Arguments),
    /// Do everything: convert, map, split, evaluate, train, evaluate again, compare, report
    Run {
        #[command(flatten)]
        stage: StageArguments,
        /// Do nothing: say what each stage would work on, and about how long and how much memory it takes
        #[arg(long)]
        dry_run: bool,
    },
    /// Evaluate what the manifest's run trained, the base model, or the base model with an adapter
    Eval {
        #[command(flatten)]
        stage: StageArguments,
        /// A folder with PEFT's adapter files
        #[arg(long, value_name = "DIR")]
        adapter: Option<PathBuf>,
        /// The base model, also where something was trained
        #[arg(long, conflicts_with = "adapter")]
        base: bool,
    },
    /// Convert, map and split the data, and write `dataset.jsonl` and `evaluation.jsonl`
    Prepare(StageArguments),
    /// Prepare the data and train an adapter or all weights, or predict what that takes
    Train {
        #[command(flatten)]
        stage: StageArguments,
        #[command(flatten)]
        plan: forecast::Arguments,
    },
    /// Decide on requests without labels, as a finished run decides
    Predict(predict::Arguments),
    /// Compare the predictions of two runs on the same examples
    Compare(compare::Arguments),
    /// Measure a predictions file, or one part of it, without a model
    Evaluate(evaluate::Arguments),
    /// Join the states of all parts of a predictions file into its report
    Merge(evaluate::MergeArguments),
    /// Check every digest and every number of a finished run
    Verify(verify::Arguments),
    /// Answer requests over HTTP as a finished run decides, with an entry in an audit log before each answer
    Serve(serve::Arguments),
    /// Write one signed file with all that serving a run takes
    Bundle(bundle::Arguments),
    /// Make a key for a server, and print it this once
    Key(serve::KeyArguments),
    /// Verify, prove, show, shred and export the entries of an audit log
    #[command(subcommand)]
    Audit(audit::Command),
    /// Search for the best setting under constraints, and judge it once on the evaluation part
    Search(search::Arguments),
    /// Show a run while another process makes it, or after it has ended
    Watch(watch::Arguments),
    /// Send finished runs to MLflow, or write them for TensorBoard
    Track(track::Arguments),
    /// Write a finished run in the files of another tool
    Export(export::Arguments),
    /// Sign what a run trained, with its evidence; or verify a release
    Release(release::Arguments),
    /// Make, sign and share plugins
    #[command(
        subcommand,
        after_help = "A plugin of your own: `new`, the project's build.sh, `check`, then `keygen`, `sign` and `push`.\n\
                      A plugin of others: `inspect`, `check` and `bench` take any component; `pull` fetches it."
    )]
    Plugin(plugin::Command),
    /// Merge an adapter into its base, or export both for llama.cpp
    #[command(subcommand)]
    Adapter(adapter::Command),
    /// Questions about a model
    #[command(subcommand)]
    Model(model::Command),
    /// Questions about data
    #[command(subcommand)]
    Data(data::Command),
    /// What a manifest may say, for editors and for people
    #[command(subcommand)]
    Schema(schema::Command),
    /// Compile a component from standard input to standard output; this program starts itself so
    #[command(hide = true)]
    CompileComponent {
        #[arg(long)]
        seconds: f64,
        #[arg(long)]
        memory_bytes: u64,
    },
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
    /// Resolve the tags of remote plugins again, and record what they name now
    #[arg(long, conflicts_with = "locked")]
    update: bool,
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
    fn open(&self, policy: Policy) -> Result<(ManifestFile, Settings)> {
        let settings = Settings {
            output: self.out.clone(),
            locked: self.locked,
            update: self.update,
            policy,
            resume: self.resume,
            fresh: self.fresh,
            quiet: self.quiet,
            stop: stop_on_interrupt()?,
            validated: None,
            trial_share: None,
        };
        Ok((manifest(&self.manifest)?, settings))
    }
}

/// A report on standard output: as a table, or as JSON.
fn print_report(report: &Report, json: bool) -> Result<()> {
    match json {
        true => print_json(report),
        // What is within the table was made plain; the colours are its own.
        false => print_raw(&plain::spelled(&report::terminal::table(report, report::terminal::colour_allowed()))),
    }
}

/// What a command that did what it was asked to came to.
enum Outcome {
    /// Success.
    Done,
    /// The rules of `[accept]` are not all met.
    Refused,
    /// A run was whole, and what it was made from is not on this machine.
    Absent,
}

impl Outcome {
    /// That of a command that ends in a report.
    ///
    /// # Errors
    /// A metric that failed: the report is whole but for its values, and the command has not done all that it was asked to.
    fn of(report: &Report) -> Result<Self> {
        if let Some(failure) = report.failure() {
            return Err(failure);
        }
        let accepted = report.accept.as_ref().is_none_or(|acceptance| acceptance.accepted);
        Ok(if accepted { Self::Done } else { Self::Refused })
    }
}

/// Parses the arguments, runs the command, and turns its outcome into an exit code: 0 success, 1 the user's fault, 2 a
/// fault of this program, 3 a run that does not meet the manifest's rules, 4 a run whose inputs are not on this machine.
pub fn main() -> ExitCode {
    let arguments = match CommandLine::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // What a command line holds may be the name of a stranger's file.
            match error.use_stderr() {
                true => eprint!("{}", plain::lines(&error.render().to_string())),
                false => drop(error.print()),
            }
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    // What a fault says may hold what a file said.
    std::panic::set_hook(Box::new(|panic| eprintln!("{}", plain::line(panic))));
    if let Command::CompileComponent { seconds, memory_bytes } = arguments.command {
        return compile_component(seconds, memory_bytes);
    }
    // What strangers wrote is not compiled in a process that holds a model and a run.
    let found =
        Policy::find(arguments.policy.as_deref()).and_then(|policy| Ok((policy, ChildCompiler::this_program()?)));
    let (policy, child) = match found {
        Ok(found) => found,
        Err(error) => return failure(&error),
    };
    Environment::new(&policy, &arguments.environment).use_everywhere();
    Compiler::Child(ChildCompiler { bounds: policy.compile.clone(), ..child }).use_everywhere();
    if let Err(error) = choose_instructions() {
        return failure(&error);
    }
    // A panic is a fault of this program; the default hook has already said where.
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&arguments.command, policy)));
    match outcome {
        Ok(Ok(Outcome::Done)) => ExitCode::SUCCESS,
        Ok(Ok(Outcome::Refused)) => ExitCode::from(3),
        Ok(Ok(Outcome::Absent)) => ExitCode::from(4),
        Ok(Err(error)) => failure(&error),
        Err(_) => {
            eprintln!("error: a fault of so8t; please report it with the command that led to it");
            ExitCode::from(2)
        }
    }
}

/// Holds the kernels to the level that the environment names.
fn choose_instructions() -> Result<()> {
    let Some(level) = std::env::var_os(VARIABLE) else { return Ok(()) };
    Instructions::choose(&level.to_string_lossy()).map_err(Error::manifest)
}

fn failure(error: &Error) -> ExitCode {
    // Who asks for JSON reads standard output: one object, which is the result where there is one.
    let is_silent = !PRINTED.load(Ordering::Relaxed);
    if is_silent && std::env::args_os().any(|argument| argument == "--json") {
        let hint = error.hint().map(|hint| hint.to_string());
        let told = serde_json::json!({
            "schema": "so8t.error/1", "error": error.to_string(), "hint": hint, "exit": error.exit_code(),
        });
        let _ = print_json(&told);
    }
    eprintln!("error: {}", plain::line(error));
    if let Some(hint) = error.hint() {
        eprintln!("hint: {}", plain::line(&hint));
    }
    ExitCode::from(error.exit_code())
}

fn run(command: &Command, policy: Policy) -> Result<Outcome> {
    match command {
        Command::Init(arguments) => init::init(arguments).map(|()| Outcome::Done),
        Command::Doctor(arguments) => doctor::doctor(arguments, &policy).map(|()| Outcome::Done),
        Command::Run { stage, dry_run: true } => stages::dry_run(stage, policy).map(|()| Outcome::Done),
        Command::Run { stage, .. } => stages::run(stage, policy),
        Command::Eval { stage, adapter, base } => {
            let measure = match adapter {
                Some(folder) => Measure::Adapter(folder.clone()),
                None if *base => Measure::Base,
                None => Measure::Latest,
            };
            stages::eval(stage, &measure, policy)
        }
        Command::Prepare(stage) => stages::prepare(stage, policy).map(|()| Outcome::Done),
        Command::Train { stage, plan } if plan.plan => {
            forecast::forecast(&stage.manifest, stage.json, plan).map(|()| Outcome::Done)
        }
        Command::Train { stage, .. } => stages::train(stage, policy).map(|()| Outcome::Done),
        Command::Predict(arguments) => predict::predict(arguments, policy).map(|()| Outcome::Done),
        Command::Compare(arguments) => compare::compare(arguments, &policy),
        Command::Evaluate(arguments) => evaluate::evaluate(arguments, policy).map(|()| Outcome::Done),
        Command::Merge(arguments) => evaluate::merge(arguments, &policy).map(|()| Outcome::Done),
        Command::Verify(arguments) => verify::verify(arguments, &policy),
        Command::Bundle(arguments) => bundle::bundle(arguments, &policy).map(|()| Outcome::Done),
        Command::Serve(arguments) => serve::serve(arguments, policy).map(|()| Outcome::Done),
        Command::Key(arguments) => serve::key(arguments).map(|()| Outcome::Done),
        Command::Audit(command) => audit::run(command).map(|()| Outcome::Done),
        Command::Search(arguments) => search::search(arguments, policy).map(|()| Outcome::Done),
        Command::Watch(arguments) => watch::watch(arguments).map(|()| Outcome::Done),
        Command::Track(arguments) => track::track(arguments).map(|()| Outcome::Done),
        Command::Export(arguments) => export::export(arguments).map(|()| Outcome::Done),
        Command::Release(arguments) => release::release(arguments).map(|()| Outcome::Done),
        Command::Plugin(command) => plugin::run(command, policy).map(|()| Outcome::Done),
        Command::Adapter(command) => adapter::run(command).map(|()| Outcome::Done),
        Command::Data(command) => data::run(command).map(|()| Outcome::Done),
        Command::CompileComponent { .. } => Err(Error::internal("compiling was done above")),
        Command::Model(command) => model::run(command).map(|()| Outcome::Done),
        Command::Schema(command) => schema::run(command).map(|()| Outcome::Done),
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

/// Prints text that is data, made plain.
fn print(text: &str) -> Result<()> {
    print_raw(&plain::lines(text))
}

/// Reads a manifest, and tells which of its keys have a new name.
fn manifest(path: &std::path::Path) -> Result<ManifestFile> {
    let file = ManifestFile::read(path)?;
    file.notes().iter().for_each(|note| tell(format!("note: {note}")));
    Ok(file)
}

/// One line on standard error, made plain.
fn tell(line: impl std::fmt::Display) {
    eprintln!("{}", plain::line(&line));
}

/// Whether anything was printed on standard output.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// Prints text as it is; a closed pipe is no error.
fn print_raw(text: &str) -> Result<()> {
    use std::io::Write as _;
    PRINTED.store(true, Ordering::Relaxed);
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("write", std::path::Path::new("standard output"), &e))
        }
        _ => Ok(()),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print_raw(&plain::json(&plain::spelled(&String::from_utf8_lossy(&crate::files::json(value)?))))
}
