//! The manifest's schema and reference: that they are those of the program, and that they hold for every manifest here.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use so8t::manifest;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_committed_files_are_what_the_program_writes() {
    let text = |name: &str| std::fs::read_to_string(root().join("host/manifest").join(name)).unwrap();
    let schema: Value = serde_json::from_str(&text("so8t.schema.json")).unwrap();
    assert_eq!(schema, manifest::schema(), "write it again: so8t schema manifest > host/manifest/so8t.schema.json");
    assert_eq!(text("KEYS.md"), manifest::reference(), "write it again: so8t schema reference > host/manifest/KEYS.md");
}

/// A manifest as JSON, dates as texts.
fn as_json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(as_json).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, as_json(value))).collect(),
    }
}

/// Every manifest below a folder.
fn manifests(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            if !matches!(name.as_str(), "target" | "runs" | ".git") {
                manifests(&path, out);
            }
        } else if name.ends_with(".toml") && std::fs::read_to_string(&path).is_ok_and(|text| text.contains("[run]\n")) {
            out.push(path);
        }
    }
}

#[test]
fn every_manifest_here_fits_the_schema() {
    let validator = jsonschema::validator_for(&manifest::schema()).unwrap();
    let mut paths = Vec::new();
    ["examples", "host/scaffold/templates"].iter().for_each(|folder| manifests(&root().join(folder), &mut paths));
    assert!(paths.len() >= 5, "{paths:?}");
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap().replace("@NAME@", "name");
        let manifest = as_json(toml::Value::Table(toml::from_str(&text).unwrap()));
        let errors: Vec<String> =
            validator.iter_errors(&manifest).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn manifests_in_the_manual_are_read() {
    let validator = jsonschema::validator_for(&manifest::schema()).unwrap();
    for name in ["README.md", "host/manifest/README.md"] {
        let text = std::fs::read_to_string(root().join(name)).unwrap();
        let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
        let manifests: Vec<&str> = blocks.map(|(block, _)| block).filter(|block| block.contains("[run]")).collect();
        assert!(!manifests.is_empty(), "{name}");
        for text in manifests {
            manifest::ManifestFile::parse(Path::new("so8t.toml"), text.to_owned())
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            let value = as_json(toml::Value::Table(toml::from_str(text).unwrap()));
            let errors: Vec<String> =
                validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(errors.is_empty(), "{name}: {errors:#?}");
        }
    }
}

#[test]
fn the_schema_refuses_what_the_program_refuses() {
    let validator = jsonschema::validator_for(&manifest::schema()).unwrap();
    let good = json!({ "run": { "name": "r" }, "train": { "recompute": "auto", "targets": "all-linear" } });
    assert!(validator.is_valid(&good));
    for bad in [
        json!({}),
        json!({ "run": { "name": "r", "sead": 1 } }),
        json!({ "run": { "name": "r" }, "train": { "recompute": "some" } }),
        json!({ "run": { "name": "r" }, "model": { "base": "x", "quantization": "int4" } }),
        json!({ "run": { "name": "r" }, "data": [{ "name": "d" }] }),
    ] {
        assert!(!validator.is_valid(&bad), "{bad}");
    }
}
