//! The command line, driven as a user drives it.

mod adapter;
mod answers;
mod compare;
mod contamination;
mod data;
mod data_rules;
mod digests;
mod evaluate;
mod failing_metric;
mod full;
mod interruption;
mod killed;
mod lengths;
mod locking;
mod manifest;
mod messages;
mod model;
mod one_class;
mod planning;
mod predict;
mod schema;
mod searching;
mod snapshots;
mod target;
mod templates;
mod validating;
mod verdict;

use std::path::Path;
use std::process::{Command, Output};

/// Runs `so8t` in a folder.
pub fn so8t(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_so8t"))
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        // Not the policy of whoever runs the tests.
        .env("XDG_CONFIG_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-configuration"))
        .env_remove("SO8T_POLICY")
        .env_remove("SO8T_TEST_UNSET")
        .output()
        .expect("so8t starts")
}

/// Standard output, standard error and exit code.
pub fn outcome(output: &Output) -> (String, String, i32) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1))
}

/// Writes a file below a folder, and the folders above it.
pub fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

/// A manifest of one source in `data.jsonl` without training, with `old` replaced by `new`.
pub fn manifest(old: &str, new: &str) -> String {
    let text = r#"
[run]
name = "test"
seed = 1

[model]
base = "model"

[[data]]
name = "requests"
path = "data.jsonl"
converter = "jsonl"
mapper = "four-class"

[split]
eval = 0.5
"#;
    assert!(old.is_empty() || text.contains(old), "`{old}` is not in the manifest");
    if old.is_empty() { text.to_owned() } else { text.replace(old, new) }
}

/// Twenty good lines, five a class.
pub fn lines() -> String {
    let mut out = String::new();
    for index in 0..20 {
        let label = ["ALLOW", "ESCALATION", "DENY", "REFUSE"][index % 4];
        out.push_str(&format!("{{\"instruction\":\"request {index}\",\"label\":\"{label}\"}}\n"));
    }
    out
}
