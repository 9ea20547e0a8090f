//! Where components become machine code: in this process, or in a child process under bounds of its own.
//!
//! A compiler that is fed by strangers can be made to run for hours and to fill all memory: one function of seven megabytes
//! is enough. No setting of the engine bounds that, so a program that loads components of others compiles them in a child
//! ([`Compiler::Child`]), whose time and memory the system limits and whose death costs nothing but that plugin.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use wasmtime::Engine;
use wasmtime::component::Component;

use super::cache::seal;
use super::engine::{Trust, configuration};
use super::load::MAX_COMPONENT_BYTES;
use super::log::printable;
use so8t_base::{Error, Result, files};

/// The first bytes of a child's answer; the number changes with the form.
const MAGIC: &[u8] = b"so8t compile-component 1\n";
/// The length of a SHA-256 in hexadecimal.
const DIGEST: usize = 64;
/// How much of a child's complaint is read, in bytes.
const COMPLAINT: u64 = 64 << 10;
/// How long a child that has answered may take to end.
const LAST_MOMENTS: Duration = Duration::from_secs(1);

/// Where components that this program does not carry are compiled.
///
/// A library compiles in its own process unless it is told otherwise, since it knows no program that it could start: an
/// embedder that loads components of strangers gives its [`Host`](super::Host) a [`Compiler::Child`]. The program `so8t` does.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Compiler {
    /// In this process, without bounds.
    #[default]
    InProcess,
    /// In a child process.
    Child(ChildCompiler),
}

static PROGRAM: OnceLock<Compiler> = OnceLock::new();

impl Compiler {
    /// Makes this the compiler of every [`Host`](super::Host) that is made from now on and is not told otherwise. Only the
    /// first call of a process counts: it is for a program's `main`.
    pub fn use_everywhere(self) {
        let _ = PROGRAM.set(self);
    }

    /// What [`Compiler::use_everywhere`] was told; otherwise [`Compiler::InProcess`].
    pub(super) fn of_program() -> Self {
        PROGRAM.get().cloned().unwrap_or_default()
    }
}

/// A program that compiles: it is started with `arguments`, two bounds as further arguments (`--seconds`, `--memory-bytes`), an empty
/// environment and a component on its standard input, and it calls [`compile_component`].
#[derive(Clone, Debug, PartialEq)]
pub struct ChildCompiler {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<OsString>,
    /// What one compilation may use.
    pub bounds: CompileBounds,
}

impl ChildCompiler {
    /// A build of `so8t`: `PROGRAM compile-component`, under the default bounds.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), arguments: vec!["compile-component".into()], bounds: CompileBounds::default() }
    }

    /// The running program itself, which must be a build of `so8t`.
    ///
    /// # Errors
    ///
    /// When the system does not tell where the program lies.
    pub fn this_program() -> Result<Self> {
        // This name leads to the running program even when its file was replaced meanwhile.
        let running = PathBuf::from("/proc/self/exe");
        if running.exists() {
            return Ok(Self::new(running));
        }
        let program = std::env::current_exe();
        Ok(Self::new(program.map_err(|e| Error::internal(format!("cannot tell where this program lies: {e}")))?))
    }
}

/// What one compilation in a child process may use.
#[derive(Clone, Debug, PartialEq)]
pub struct CompileBounds {
    /// Wall time. The CPU time of the child is bounded too, by this times the number of processors.
    pub seconds: f64,
    /// The child's address space, where the system bounds it (Linux and most other Unix systems; not macOS, not Windows).
    pub memory_bytes: u64,
    /// The machine code that comes out.
    pub code_bytes: u64,
}

impl Default for CompileBounds {
    /// Two minutes, 4 GiB, 512 MiB of code: a component of 18 MB with a whole Python in it takes a third of that at most.
    fn default() -> Self {
        Self { seconds: 120.0, memory_bytes: 4 << 30, code_bytes: 512 << 20 }
    }
}

/// What a compiler gives.
pub(super) enum Compiled {
    /// A component that this process compiled.
    Here(Component),
    /// What [`Component::serialize`] would give, from a child of this process.
    Serialised(Vec<u8>),
}

/// Why a component was not compiled.
pub(super) struct Refusal {
    /// What goes on after the plugin's name.
    pub(super) text: String,
    /// The key of the policy's `[compile]` that bounds it, where a bound was met.
    pub(super) key: Option<&'static str>,
}

/// Compiles in this process.
pub(super) fn in_process(engine: &Engine, bytes: &[u8]) -> Result<Compiled, Refusal> {
    Component::from_binary(engine, bytes).map(Compiled::Here).map_err(|e| invalid(&format!("{e:#}")))
}

fn invalid(why: &str) -> Refusal {
    Refusal { text: format!("is not a valid component: {}", printable(why, 400)), key: None }
}

/// Compiles in a child process. What it answers is believed only if it ended well and its answer has the digest that it says,
/// over the component that it was given.
///
/// # Errors
///
/// `Ok(Err(refusal))` where it is the component's fault.
pub(super) fn in_child(child: &ChildCompiler, bytes: &[u8], digest: &str) -> Result<Result<Compiled, Refusal>> {
    let CompileBounds { seconds, memory_bytes, code_bytes } = child.bounds;
    let fault = |what: &str, e: &dyn std::fmt::Display| {
        Error::internal(format!("the compiler `{}` {what}: {e}", child.program.display()))
    };
    let start = Instant::now();
    let mut process = Command::new(&child.program)
        .args(&child.arguments)
        .args(["--seconds".into(), seconds.to_string(), "--memory-bytes".into(), memory_bytes.to_string()])
        .env_clear()
        // Each of the C library's arenas reserves addresses, which the bound counts.
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| fault("cannot be started", &e))?;
    let (stdin, stdout, stderr) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(Error::internal("a child process has no pipes"));
    };

    let at_most = (MAGIC.len() + DIGEST) as u64 + code_bytes;
    let deadline = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let ended = std::thread::scope(|scope| {
        let (sender, answered) = channel();
        // A child that ends early reads no more: that is told by its status.
        scope.spawn(move || drop(stdin.write_all(bytes)));
        let answer = scope.spawn(move || {
            let mut answer = Vec::new();
            let read = stdout.take(at_most + 1).read_to_end(&mut answer);
            let _ = sender.send(());
            read.map(|_| answer)
        });
        let complaint = scope.spawn(move || {
            let mut complaint = Vec::new();
            let _ = stderr.take(COMPLAINT).read_to_end(&mut complaint);
            String::from_utf8_lossy(&complaint).into_owned()
        });
        let in_time = answered.recv_timeout(deadline.saturating_sub(start.elapsed())).is_ok();
        let status = in_time.then(|| last_status(&mut process)).flatten();
        // Whatever it still does, it has had its time; with it the pipes end, and the threads above.
        let _ = process.kill();
        let _ = process.wait();
        let lost = |_| io::Error::other("a thread that reads panicked");
        let answer = answer.join().map_err(lost).flatten();
        (in_time, status, answer, complaint.join().unwrap_or_default())
    });
    let (in_time, status, answer, complaint) = ended;
    let answer = answer.map_err(|e| fault("cannot be read from", &e))?;

    let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
    let bound = |key: &'static str, what: String| {
        let text = format!("{what}, the most that the compilation of a plugin may");
        Ok(Err(Refusal { text, key: Some(key) }))
    };
    if answer.len() as u64 > at_most {
        return bound("code_mb", format!("compiles to more than {} of machine code", mebibytes(code_bytes)));
    }
    // The allocator's words, the system's, and those of a vector that could not grow.
    let out_of_memory =
        ["memory allocation of", "Cannot allocate memory"].iter().any(|words| complaint.contains(words))
            || complaint == "out of memory";
    match status {
        Some(status) if status.success() => {
            let sealed = answer.strip_prefix(MAGIC).and_then(|rest| rest.split_at_checked(DIGEST));
            match sealed {
                Some((own, content)) if seal(digest, content).as_bytes() == own => {
                    Ok(Ok(Compiled::Serialised(content.to_vec())))
                }
                _ => Err(fault("is no compiler of this version", &"its answer is not sealed")),
            }
        }
        _ if !in_time || is_out_of_time(status) => {
            bound("seconds", format!("takes longer than {seconds} seconds to compile"))
        }
        _ if out_of_memory => {
            bound("memory_mb", format!("takes more than {} of memory to compile", mebibytes(memory_bytes)))
        }
        Some(status) if status.code() == Some(REFUSED) => Ok(Err(invalid(complaint.trim()))),
        status => {
            let how = status.map_or_else(|| "does not end".to_owned(), |status| status.to_string());
            let words = printable(complaint.trim(), 400);
            let words = if words.is_empty() { words } else { format!(": {words}") };
            Ok(Err(Refusal { text: format!("ended its compiler ({how}){words}"), key: None }))
        }
    }
}

/// The status of a child whose output has ended.
fn last_status(process: &mut std::process::Child) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        match process.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if start.elapsed() < LAST_MOMENTS => std::thread::sleep(Duration::from_millis(1)),
            _ => return None,
        }
    }
}

/// Whether the system ended a child for the CPU time that it took.
#[cfg(unix)]
fn is_out_of_time(status: Option<ExitStatus>) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    /// SIGXCPU on Linux and on the BSDs.
    const CPU_TIME: i32 = 24;
    status.is_some_and(|status| status.signal() == Some(CPU_TIME))
}

#[cfg(not(unix))]
fn is_out_of_time(_: Option<ExitStatus>) -> bool {
    false
}

/// The exit code of a child that was given no valid component; why stands on its standard error.
const REFUSED: i32 = 65;

/// The child's side: bounds itself, reads a component from standard input, and writes its machine code, sealed, to standard
/// output. It is all that the program of a [`ChildCompiler`] has to do.
pub fn compile_component(seconds: f64, memory_bytes: u64) -> ExitCode {
    match compile_standard_input(seconds, memory_bytes) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(why)) => {
            eprint!("{why}");
            ExitCode::from(REFUSED as u8)
        }
        Err(e) => {
            eprint!("{e}");
            ExitCode::from(2)
        }
    }
}

fn compile_standard_input(seconds: f64, memory_bytes: u64) -> io::Result<std::result::Result<(), String>> {
    bound(seconds, memory_bytes)?;
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_COMPONENT_BYTES + 1).read_to_end(&mut bytes)?;
    let engine = Engine::new(&configuration(Trust::Foreign)).map_err(|e| io::Error::other(format!("{e:#}")))?;
    let content = match engine.precompile_component(&bytes) {
        Ok(content) => content,
        Err(e) => return Ok(Err(format!("{e:#}"))),
    };
    let mut out = io::stdout().lock();
    out.write_all(MAGIC)?;
    out.write_all(seal(&files::sha256(&bytes), &content).as_bytes())?;
    out.write_all(&content)?;
    out.flush()?;
    Ok(Ok(()))
}

/// Sets the bounds of this process: there is no way back.
#[cfg(unix)]
fn bound(seconds: f64, memory_bytes: u64) -> io::Result<()> {
    use rlimit::{Resource, getrlimit, setrlimit};
    // A limit that the user already has is never lifted.
    let lower = |resource: Resource, soft: u64, hard: u64| {
        let (_, most) = getrlimit(resource)?;
        setrlimit(resource, soft.min(most), hard.min(most))
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = (seconds.ceil() as u64).max(1).saturating_mul(processors as u64);
    lower(Resource::CPU, cpu, cpu.saturating_add(1))?;
    // No files, and no image of this process's memory.
    lower(Resource::FSIZE, 0, 0)?;
    lower(Resource::CORE, 0, 0)?;
    if cfg!(not(target_os = "macos")) {
        lower(Resource::AS, memory_bytes, memory_bytes)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn bound(_: f64, _: u64) -> io::Result<()> {
    Ok(())
}
