//! `so8t doctor`: what this machine has and lacks, and what to do about it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::machine::{available_memory, gigabytes, limit, total_memory};
use super::{print, print_json};
use crate::kernels::gemm::instructions::Instructions;
use crate::model::device::{Device, DeviceChoice};
use crate::plugin::{ComponentSource, Host, PluginSpec, Policy, default_cache_folder};
use crate::{Error, Result};

#[derive(Args)]
pub(super) struct Arguments {
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// How one thing is.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It is there and works.
    Good,
    /// It is lacking, and most work goes on without it.
    Lacking,
    /// Nothing can be done without it.
    Broken,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    found: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

fn finding(what: &'static str, state: State, found: impl Into<String>, mend: Option<&str>) -> Finding {
    Finding { what, state, found: found.into(), mend: mend.map(str::to_owned) }
}

/// Looks at the machine.
///
/// # Errors
/// Something without which nothing can be done.
pub(super) fn doctor(arguments: &Arguments, policy: &Policy) -> Result<()> {
    let mut all = vec![
        finding("so8t", State::Good, env!("CARGO_PKG_VERSION"), None),
        processor(),
        memory(),
        gpu(),
        sandbox(),
        cache(),
        hub(),
        finding("policy", State::Good, format!("{} is in force", policy.title()), None),
    ];
    all.extend(toolchains());
    if arguments.json {
        print_json(&serde_json::json!({ "schema": "so8t.doctor/1", "findings": all }))?;
    } else {
        let mut out = String::new();
        for own in &all {
            let mark = match own.state {
                State::Good => "ok     ",
                State::Lacking => "lacks  ",
                State::Broken => "BROKEN ",
            };
            out.push_str(&format!("{mark}{:<18}{}\n", own.what, own.found));
            if let Some(mend) = &own.mend {
                out.push_str(&format!("{:25}to mend: {mend}\n", ""));
            }
        }
        print(&out)?;
    }
    match all.iter().find(|own| own.state == State::Broken) {
        None => Ok(()),
        Some(own) => Err(Error::manifest(format!("so8t cannot work here: {}: {}", own.what, own.found))),
    }
}

fn processor() -> Finding {
    let (level, best) = (Instructions::current(), Instructions::best());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let found = format!("{cores} cores, kernels for {}", level.name());
    match level == best {
        true if level.name().contains("avx512") || level.name().contains("AVX-512") => {
            finding("processor", State::Good, found, None)
        }
        true => finding("processor", State::Good, format!("{found}; AVX-512 would be faster"), None),
        false => finding(
            "processor",
            State::Lacking,
            format!("{found}, held below {}", best.name()),
            Some("unset the environment variable that names a level"),
        ),
    }
}

fn memory() -> Finding {
    let (Some(total), Some(free)) = (total_memory(), available_memory()) else {
        return finding("memory", State::Good, "the system does not say", None);
    };
    let held = limit().filter(|limit| *limit < total);
    let held = held.map_or(String::new(), |limit| format!(", a limit of {} for this process", gigabytes(limit)));
    let found = format!("{}, {} free{held}", gigabytes(total), gigabytes(free));
    match free < 2_000_000_000 {
        true => finding(
            "memory",
            State::Lacking,
            found,
            Some(
                "models of more than about 500 million parameters need more: end other programs, or use `quantization = \"nf4\"`",
            ),
        ),
        false => finding("memory", State::Good, found, None),
    }
}

fn gpu() -> Finding {
    match Device::open(DeviceChoice::Cuda) {
        Ok(_) => finding("GPU", State::Good, "an NVIDIA GPU with its libraries", None),
        Err(error) => {
            let hint = error.hint().map(|hint| hint.to_string());
            finding("GPU", State::Lacking, format!("none is used: {error}"), hint.as_deref())
        }
    }
}

/// Compiles a component as every stranger's is compiled, in a process of its own.
fn sandbox() -> Finding {
    let started = Instant::now();
    let spec = PluginSpec::new("classification", ComponentSource::Builtin("classification".to_owned()));
    // Without a cache, so that it is compiled now.
    let compiled = Host::new(None).and_then(|host| host.load(&spec).map(|_| ()));
    match compiled {
        Ok(()) => {
            let found = format!("a component was compiled in {:.1} s", started.elapsed().as_secs_f64());
            finding("compile sandbox", State::Good, found, None)
        }
        Err(error) => {
            let hint = error.hint().map(|hint| hint.to_string());
            finding("compile sandbox", State::Broken, error.to_string(), hint.as_deref())
        }
    }
}

fn cache() -> Finding {
    let Some(folder) = default_cache_folder() else {
        return finding(
            "cache",
            State::Lacking,
            "there is no folder for it: plugins are compiled and models hashed anew each time",
            Some("set `XDG_CACHE_HOME` or `HOME`"),
        );
    };
    let shown = folder.display().to_string();
    match std::fs::create_dir_all(&folder).and_then(|()| probe(&folder)) {
        Ok(()) => finding("cache", State::Good, shown, None),
        Err(error) => finding(
            "cache",
            State::Lacking,
            format!("{shown}: {error}"),
            Some("make the folder writable, or set `XDG_CACHE_HOME`"),
        ),
    }
}

/// Writes a file into a folder, and removes it.
fn probe(folder: &Path) -> std::io::Result<()> {
    let path = crate::files::temporary_beside(&folder.join("doctor"));
    std::fs::write(&path, b"")?;
    std::fs::remove_file(&path)
}

/// Where models of the hub lie.
fn hub() -> Finding {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(std::path::PathBuf::from);
    let home = variable("HF_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache/huggingface")));
    let token = home.as_ref().is_some_and(|home| home.join("token").is_file()) || variable("HF_TOKEN").is_some();
    let said = if token { "a token is there" } else { "no token: public models alone" };
    let shown = home.map_or_else(|| "no folder".to_owned(), |home| home.join("hub").display().to_string());
    finding("models of the hub", State::Good, format!("{shown}; {said}"), None)
}

/// What plugins of one's own are built with.
fn toolchains() -> Vec<Finding> {
    let tools = [
        ("plugins in Rust", "rustc", "install Rust, and `rustup target add wasm32-unknown-unknown`"),
        ("plugins in C", "clang-19", "install `clang-19`, `lld-19`, `wasi-libc` and `libclang-rt-19-dev-wasm32`"),
        ("plugins in JS", "node", "install Node 20 or later, with npm"),
        ("plugins in Python", "python3", "install Python 3.11 or later, with venv"),
    ];
    let look = |(what, program, mend): (&'static str, &str, &str)| match version(program) {
        Some(version) => finding(what, State::Good, version, None),
        None => finding(
            what,
            State::Lacking,
            format!("no `{program}` on the path: only needed to write such plugins"),
            Some(mend),
        ),
    };
    tools.map(look).into()
}

/// The first line of what a program says of its version.
fn version(program: &str) -> Option<String> {
    let said = Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&said.stdout).lines().next()?.trim().to_owned();
    (said.status.success() && !text.is_empty()).then(|| format!("{program}: {text}"))
}
