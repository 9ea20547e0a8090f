//! Hostile input: what a stranger's manifest, data, component, registry, state or folder must not be able to do.
//! The threat model is `host/SECURITY.md`; every line of it names a test here or elsewhere.

mod bounds;
mod component_files;
mod damaged_run;
mod environment;
mod folders;
mod interrupted;
mod plain_text;
mod registries;
mod schemas;
mod states;

use std::path::Path;
use std::process::Command;

use crate::cli::{lines, manifest, outcome, write};

/// A folder with twenty good lines and a manifest without a model, in which `old` is replaced by `new`.
fn place(old: &str, new: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.jsonl", &lines());
    write(folder.path(), "so8t.toml", &manifest("[model]\nbase = \"model\"\n", "").replace(old, new));
    folder
}

/// Runs `so8t` in a folder with variables of the environment: standard output, standard error and exit code.
fn so8t(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_so8t"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1").env_remove("SO8T_POLICY");
    command.env("XDG_CONFIG_HOME", folder.join("no-configuration"));
    outcome(&command.envs(variables.iter().copied()).output().expect("so8t starts"))
}

/// All that lies below a folder, by its path, with what plain files hold.
fn contents(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).unwrap().flatten() {
            let path = entry.path();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => left.push(path),
                kind if kind.is_file() => {
                    let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                    all.insert(name, std::fs::read(&path).unwrap());
                }
                _ => {}
            }
        }
    }
    all
}
