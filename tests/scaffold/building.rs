//! Projects are built with their own script and run on their own sample, as far as the tools are here. All twelve are built by
//! `plugins/examples/build-all.sh`.

use std::path::Path;
use std::process::Command;

use super::KINDS;
use crate::cli::{outcome, so8t, write};

/// Whether a program can be found.
fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Makes, builds and runs a project; the standard output of the run on its sample.
fn run(folder: &Path, kind: &str, language: &str) -> String {
    let arguments = ["plugin", "new", kind, "mine", "--lang", language];
    let (_, stderr, code) = outcome(&so8t(folder, &arguments));
    assert_eq!(code, 0, "{stderr}");
    let project = folder.join("mine");
    let built = Command::new("./build.sh").current_dir(&project).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    run_sample(&project, kind)
}

fn run_sample(project: &Path, kind: &str) -> String {
    let arguments: &[&str] = match kind {
        "metric" => &["evaluate", "sample/predictions.jsonl", "--manifest", "sample/so8t.toml"],
        _ => &["prepare", "sample/so8t.toml"],
    };
    let (stdout, stderr, code) = outcome(&so8t(project, arguments));
    assert_eq!(code, 0, "{stderr}");
    stdout
}

/// Checks what the plugin of the template made of the sample.
fn check_sample(project: &Path, kind: &str, stdout: &str) {
    let lines = |name: &str| {
        let text = std::fs::read_to_string(project.join("sample/runs/sample").join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect::<Vec<_>>()
    };
    if kind == "metric" {
        assert!(stdout.contains("mine.right  11  0.727"), "{stdout}");
        return;
    }
    let (examples, rejected) = (lines("evaluation.jsonl"), lines("rejected.jsonl"));
    let labels: Vec<&str> = examples.iter().map(|example| example["label"].as_str().unwrap()).collect();
    match kind {
        "converter" => {
            assert_eq!(labels, ["ALLOW", "ALLOW", "ESCALATION", "DENY", "REFUSE", "DENY", "ALLOW"]);
            assert_eq!(examples[1]["instruction"], "トイレはどこですか");
            assert_eq!([&rejected[0]["line"], &rejected[1]["line"]], [6, 7]);
            assert_eq!(rejected[1]["reason"], "the instruction is empty");
        }
        _ => {
            assert_eq!(labels, ["ALLOW", "ALLOW", "ESCALATION", "DENY", "REFUSE"]);
            assert_eq!(rejected[0]["reason"], "there is no label");
        }
    }
    assert_eq!(rejected.len(), 2);
}

#[test]
fn those_in_c_build_and_run() {
    if !(has("clang-19") && has("wasm-ld-19")) {
        eprintln!(
            "skipped: there is no clang-19 with wasm-ld-19 (apt-get install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32)"
        );
        return;
    }
    for (kind, _) in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let stdout = run(folder.path(), kind, "c");
        check_sample(&folder.path().join("mine"), kind, &stdout);
    }
}

#[test]
fn a_trap_names_the_functions_that_led_to_it() {
    if !(has("clang-19") && has("wasm-ld-19")) {
        eprintln!("skipped: there is no clang-19 with wasm-ld-19");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["plugin", "new", "metric", "mine", "--lang", "c"];
    assert_eq!(outcome(&so8t(folder.path(), &arguments)).2, 0);
    let source = std::fs::read_to_string(folder.path().join("mine/plugin.c")).unwrap();
    let helper =
        "__attribute__((noinline)) static void count_rows(size_t rows) { if (rows > 0) __builtin_trap(); }\n\nvoid";
    let faulty =
        source.replacen("void", helper, 1).replace("(void)err; // the host", "count_rows(rows->gold.len); // the host");
    write(folder.path(), "mine/plugin.c", &faulty);
    let project = folder.path().join("mine");
    let built = Command::new("./build.sh").current_dir(&project).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let arguments = ["evaluate", "sample/predictions.jsonl", "--manifest", "sample/so8t.toml"];
    let (_, stderr, code) = outcome(&so8t(&project, &arguments));
    assert_eq!(code, 1);
    assert!(
        stderr.contains(
            "plugin `mine` 0.1.0: `update`, batch 1: trapped: wasm `unreachable` instruction executed\n  at count_rows\n  at \
             exports_so8t_plugin_measurement_method_accumulator_update\n"
        ),
        "{stderr}"
    );
}
