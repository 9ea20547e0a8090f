//! `so8t plugin new`: what it writes, what it refuses, and whether what it writes builds and runs.

mod building;
mod examples;
mod exceptions;

use std::path::Path;

use so8t::plugin::PluginKind;
use so8t::scaffold::{Language, Project};

use crate::cli::{outcome, so8t};

const KINDS: [(&str, PluginKind); 3] =
    [("converter", PluginKind::Converter), ("label-mapper", PluginKind::LabelMapper), ("metric", PluginKind::Metric)];

/// The languages as the command line spells them.
const LANGUAGES: [(&str, Language); 4] =
    [("rust", Language::Rust), ("c", Language::C), ("js", Language::JavaScript), ("python", Language::Python)];

/// The files of a project of one kind in one language, but for those of the vendored SDK.
fn expected(kind: &str, language: &str) -> Vec<String> {
    let (wit, module, data) = match kind {
        "converter" => ("conversion", "conversion.py", "requests.tsv"),
        "label-mapper" => ("mapping", "mapping.py", "requests.jsonl"),
        _ => ("measurement", "measurement.py", "predictions.jsonl"),
    };
    let world = kind.replace('-', "_");
    let own: Vec<String> = match language {
        "rust" => [".cargo/config.toml", "Cargo.toml", "src/lib.rs"].map(String::from).to_vec(),
        "c" => {
            let bindings = [".c", ".h", "_component_type.o"].map(|end| format!("bindings/{world}{end}"));
            bindings.into_iter().chain(["json.h", "plugin.c", "so8t.h"].map(String::from)).collect()
        }
        "js" => ["package.json", "plugin.js", "plugin.test.js", "so8t.js"].map(String::from).to_vec(),
        _ => ["plugin.py", "requirements.txt", "so8t.py", "test_plugin.py", module].map(String::from).to_vec(),
    };
    let common =
        [".gitignore", "README.md", "build.sh", "sample/so8t.toml", "test.sh", "wit/types.wit"].map(String::from);
    let of_kind = [format!("sample/{data}"), format!("wit/{wit}.wit")];
    let mut all: Vec<String> = own.into_iter().chain(common).chain(of_kind).collect();
    all.sort();
    all
}

/// Every file below a folder, relative to it.
fn found(folder: &Path, below: &Path, all: &mut Vec<String>) {
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found(folder, &path, all),
            false => all.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()),
        }
    }
}

#[test]
fn every_kind_and_language_is_a_whole_project() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, _) in KINDS {
        for (language, _) in LANGUAGES {
            let name = format!("{kind}-in-{language}");
            let arguments = ["plugin", "new", kind, &name, "--lang", language, "--json"];
            let (stdout, stderr, code) = outcome(&so8t(folder.path(), &arguments));
            assert_eq!(code, 0, "{name}: {stderr}");

            let project = folder.path().join(&name);
            let mut files = Vec::new();
            found(&project, &project, &mut files);
            files.sort();
            let said: serde_json::Value = serde_json::from_str(&stdout).unwrap();
            assert_eq!(said["files"], serde_json::json!(files), "{name}");
            let own: Vec<String> = files.iter().filter(|file| !file.starts_with("vendor/")).cloned().collect();
            assert_eq!(own, expected(kind, language), "{name}");

            for file in &files {
                let bytes = std::fs::read(project.join(file)).unwrap();
                let Ok(text) = std::str::from_utf8(&bytes) else { continue };
                let word = |part: &&str| part.len() > 2 && part.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
                assert_eq!(
                    text.split('@').skip(1).find(word),
                    None,
                    "{name}: {file} has a place that nothing was put into"
                );
                if file.ends_with(".toml") {
                    text.parse::<toml::Table>().unwrap_or_else(|e| panic!("{name}: {file}: {e}"));
                }
                if file.ends_with(".json") {
                    serde_json::from_str::<serde_json::Value>(text).unwrap_or_else(|e| panic!("{name}: {file}: {e}"));
                }
            }
            #[cfg(unix)]
            for script in ["build.sh", "test.sh"] {
                use std::os::unix::fs::PermissionsExt;
                let mode = std::fs::metadata(project.join(script)).unwrap().permissions().mode();
                assert_eq!(mode & 0o100, 0o100, "{name}: {script} cannot be run");
            }
            let readme = std::fs::read_to_string(project.join("README.md")).unwrap();
            assert!(readme.lines().count() < 60, "{name}: the README is longer than a page");
        }
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 12, "{left:?}");
}

#[test]
fn the_interface_and_the_sdk_are_those_of_this_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = Project::new(PluginKind::Metric, Language::Rust, "mine").unwrap().files();
    let bytes = |path: &str| project.iter().find(|file| file.path == path).map(|file| file.bytes.clone());
    for name in ["types", "measurement"] {
        let own = std::fs::read(root.join(format!("wit/{name}.wit"))).unwrap();
        assert_eq!(bytes(&format!("wit/{name}.wit")), Some(own), "{name}");
    }
    let mut sources = Vec::new();
    let sdk = root.join("plugins/sdk");
    found(&sdk, &sdk.join("src"), &mut sources);
    for name in sources {
        let own = std::fs::read(sdk.join(&name)).unwrap();
        let vendored = bytes(&format!("vendor/so8t-plugin-sdk/{name}"));
        assert_eq!(vendored, Some(own), "plugins/sdk/{name} is not among the templates of host/scaffold/templates.rs");
    }
    let manifest = String::from_utf8(bytes("vendor/so8t-plugin-sdk/Cargo.toml").unwrap()).unwrap();
    assert!(!manifest.contains("workspace") && manifest.contains("wit-bindgen"), "{manifest}");
}

#[test]
fn a_name_that_cannot_be_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["Upper", "a_b", "-a", "a-", "a--b", "1a", "../a", "a/b", "ä", "a b", "", "self", "test"] {
        let error = Project::new(PluginKind::Metric, Language::C, name).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{name}` cannot name a plugin: ")), "{error}");
    }
    let long = "a".repeat(61);
    assert!(Project::new(PluginKind::Metric, Language::C, &long).is_err());
    let arguments = ["plugin", "new", "metric", "../a", "--lang", "c"];
    let (_, stderr, code) = outcome(&so8t(folder.path(), &arguments));
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_exists_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    crate::cli::write(folder.path(), "mine/notes.txt", "precious");
    let arguments = ["plugin", "new", "metric", "mine", "--lang", "python"];
    let (_, stderr, code) = outcome(&so8t(folder.path(), &arguments));
    assert_eq!(code, 1);
    assert!(stderr.contains("mine` exists: expected a name that is free"), "{stderr}");
    assert_eq!(std::fs::read_dir(folder.path().join("mine")).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
