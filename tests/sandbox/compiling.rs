//! Compilation in a child process: the same component comes out, and what a hostile one costs is bounded.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use so8t::Kind;
use so8t::plugin::{ChildCompiler, CompileBounds, Compiler, ComponentSource, Host, PluginSpec};

use super::hostile::{around, module, nested_loops};
use super::{measure, spec, tight};

fn child(bounds: CompileBounds) -> Compiler {
    Compiler::Child(ChildCompiler { bounds, ..ChildCompiler::new(env!("CARGO_BIN_EXE_so8t")) })
}

/// Bounds that an honest component is far from, on a busy machine too.
fn bounds() -> CompileBounds {
    CompileBounds::default()
}

fn host(compiler: Compiler, cache: Option<&Path>) -> Host {
    Host::new(cache).unwrap().with_compiler(compiler)
}

#[test]
fn a_child_compiles_what_this_process_would() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec("evil-metric", "honest", "", tight());
    let plain = host(child(bounds()), None).load(&spec).unwrap();
    assert!(!plain.from_cache());
    measure(&plain).unwrap();
    // What the child made is kept, and a host that compiles by itself loads it: it is the same code.
    let first = host(child(bounds()), Some(folder.path())).load(&spec).unwrap();
    assert!(!first.from_cache());
    measure(&first).unwrap();
    let second = host(Compiler::InProcess, Some(folder.path())).load(&spec).unwrap();
    assert!(second.from_cache());
    measure(&second).unwrap();
}

#[test]
fn what_the_program_carries_needs_no_child() {
    let nowhere = Compiler::Child(ChildCompiler::new("/nowhere/so8t"));
    let builtin = PluginSpec::new("quality", ComponentSource::Builtin("classification".into()));
    if std::env::var_os("SO8T_COMPONENTS").is_none() {
        host(nowhere.clone(), None).load(&builtin).unwrap();
    }
    let error = host(nowhere, None).load(&spec("evil-metric", "honest", "", tight())).err().unwrap();
    assert_eq!(
        error.to_string(),
        "plugin `guest`: the compiler `/nowhere/so8t` cannot be started: No such file or directory (os error 2)"
    );
    assert_eq!(error.kind(), Kind::Internal);
}

/// The error with which a component is refused under bounds; afterwards the same host loads another.
fn refusal(bytes: &[u8], bounds: CompileBounds) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    std::fs::write(&path, bytes).unwrap();
    let host = host(child(bounds), None);
    let error = host.load(&PluginSpec::new("bomb", ComponentSource::Path(path))).err().unwrap().to_string();
    // Components of another folder are held to the same bounds as the bomb.
    if std::env::var_os("SO8T_COMPONENTS").is_none() {
        let honest = PluginSpec::new("quality", ComponentSource::Builtin("classification".into()));
        host.load(&honest).unwrap();
    }
    error.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn a_compile_bomb_is_ended_by_time() {
    // A million functions; and one function of seven megabytes.
    let many = module(900_000, &[0, 0x41, 0, 0x1a, 0x0b]);
    let mut large = vec![0];
    large.extend([0x41, 0x05, 0x1a].repeat(2_500_000));
    large.push(0x0b);
    let large = module(8, &large);
    for bomb in [many, large] {
        let error = refusal(&around(&bomb), CompileBounds { seconds: 0.5, ..bounds() });
        assert_eq!(
            error,
            "plugin `bomb`: `guest.wasm` takes longer than 0.5 seconds to compile, the most that the compilation of a plugin may"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_compile_bomb_is_ended_by_memory() {
    let bomb = module(1, &nested_loops(20_000, 40_000));
    assert!(bomb.len() < 400_000, "{} bytes", bomb.len());
    let error = refusal(&around(&bomb), CompileBounds { memory_bytes: 768 << 20, ..bounds() });
    assert_eq!(
        error,
        "plugin `bomb`: `guest.wasm` takes more than 768 MiB of memory to compile, the most that the compilation of a plugin may"
    );
}

#[test]
fn more_code_than_is_allowed_is_not_taken() {
    let path = super::guest("evil-metric");
    let bytes = std::fs::read(path).unwrap();
    let error = refusal(&bytes, CompileBounds { code_bytes: 1 << 16, ..bounds() });
    assert_eq!(
        error,
        "plugin `bomb`: `guest.wasm` compiles to more than 0 MiB of machine code, the most that the compilation of a plugin may"
    );
}

#[test]
fn a_component_that_is_not_valid_is_told_as_ever() {
    let broken = around(b"\0asm\x01\0\0\0\x01\x03\x01\x99\x99");
    let error = refusal(&broken, bounds());
    assert!(error.starts_with("plugin `bomb`: `guest.wasm` is not a valid component: "), "{error}");
}

/// A compiler that is a shell's script.
#[cfg(unix)]
fn script(text: &str) -> Compiler {
    let arguments = ["-c", text].map(OsString::from).to_vec();
    Compiler::Child(ChildCompiler {
        arguments,
        bounds: CompileBounds { seconds: 2.0, ..bounds() },
        ..ChildCompiler::new("/bin/sh")
    })
}

#[cfg(unix)]
#[test]
fn an_answer_that_is_not_sealed_is_not_believed() {
    let spec = spec("evil-metric", "honest", "", tight());
    let error = |text: &str| host(script(text), None).load(&spec).err().unwrap().to_string();
    let unsealed = "plugin `guest`: the compiler `/bin/sh` is no compiler of this version: its answer is not sealed";
    assert_eq!(error("exec cat"), unsealed);
    assert_eq!(error("exec cat >/dev/null"), unsealed);
    let zeros = "0".repeat(64);
    assert_eq!(error(&format!("echo so8t compile-component 1; printf {zeros}; exec cat")), unsealed);
    assert_eq!(
        error("exec sleep 100"),
        format!(
            "plugin `guest`: `{}` takes longer than 2 seconds to compile, the most that the compilation of a plugin may",
            spec.component
        )
    );
    let ended = error("echo out of luck >&2; exit 9");
    assert!(ended.ends_with(" ended its compiler (exit status: 9): out of luck"), "{ended}");
    let killed = error("kill -11 $$");
    assert!(killed.contains(" ended its compiler (signal: 11 (SIGSEGV)"), "{killed}");
}

/// `so8t compile-component` with these bytes on its standard input.
fn compile(arguments: &[&str], bytes: &[u8]) -> std::process::Output {
    let mut process = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_so8t")))
        .arg("compile-component")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(bytes).unwrap();
    process.wait_with_output().unwrap()
}

#[test]
fn the_command_seals_its_answer_and_is_not_advertised() {
    let arguments = ["--seconds", "60", "--memory-bytes", "4294967296"];
    let bytes = std::fs::read(super::guest("evil-mapper")).unwrap();
    let output = compile(&arguments, &bytes);
    assert!(output.status.success() && output.stdout.starts_with(b"so8t compile-component 1\n"));
    assert_eq!(compile(&arguments, &bytes).stdout, output.stdout, "the same bytes give the same code");
    let output = compile(&arguments, b"no component");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(65), 0));
    let help = Command::new(env!("CARGO_BIN_EXE_so8t")).arg("--help").output().unwrap();
    assert!(!String::from_utf8_lossy(&help.stdout).contains("compile-component"));
}

#[test]
#[ignore = "measures; asserts nothing"]
fn what_a_child_costs() {
    let spec = spec("evil-metric", "honest", "", tight());
    for (name, compiler) in [("in process", Compiler::InProcess), ("in a child", child(bounds()))] {
        let mut times: Vec<Duration> = (0..9)
            .map(|_| {
                let host = host(compiler.clone(), None);
                let start = Instant::now();
                host.load(&spec).unwrap();
                start.elapsed()
            })
            .collect();
        times.sort();
        println!(
            "{name}: {:?} to load a component of {} bytes",
            times[4],
            std::fs::metadata(super::guest("evil-metric")).unwrap().len()
        );
    }
}
