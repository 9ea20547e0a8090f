//! The committed components are those of the sources beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use so8t::files;

use super::{CONVERTERS, MAPPERS, METRICS, root};

const HINT: &str = "run plugins/build.sh, and commit what it writes";

/// `SOURCES.sha256`: digests by path, and the packages that the components were built with.
fn listed() -> (BTreeMap<String, String>, BTreeSet<(String, String)>) {
    let text = files::read_text(&root().join("plugins/prebuilt/SOURCES.sha256")).unwrap();
    let mut digests = BTreeMap::new();
    let mut crates = BTreeSet::new();
    for line in text.lines() {
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["crate", name, version] => drop(crates.insert(((*name).to_owned(), (*version).to_owned()))),
            [digest, path] => drop(digests.insert((*path).to_owned(), (*digest).to_owned())),
            _ => panic!("{line}"),
        }
    }
    (digests, crates)
}

/// The files that `plugins/build.sh` takes digests of.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if path != root().join("plugins/examples") {
                sources(&path, found);
            }
        } else if name == "build.sh" || [".wit", ".rs", ".json", ".toml", ".wasm"].iter().any(|end| name.ends_with(end))
        {
            found.push(path);
        }
    }
}

#[test]
fn the_components_were_built_from_these_sources() {
    let (digests, _) = listed();
    let mut found = Vec::new();
    for folder in ["wit", "plugins", "tests/guests"] {
        sources(&root().join(folder), &mut found);
    }
    let found: BTreeMap<String, String> = found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            (name, files::sha256_file(&path).unwrap())
        })
        .collect();
    let differ = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| -> Vec<String> {
        a.iter().filter(|&(path, digest)| b.get(path) != Some(digest)).map(|(path, _)| path.clone()).collect()
    };
    assert_eq!(
        differ(&found, &digests),
        Vec::<String>::new(),
        "changed or new since the components were built: {HINT}"
    );
    assert_eq!(differ(&digests, &found), Vec::<String>::new(), "gone since the components were built: {HINT}");
}

#[test]
fn the_components_were_built_with_the_locked_packages() {
    let lock: toml::Table = toml::from_str(&files::read_text(&root().join("Cargo.lock")).unwrap()).unwrap();
    let locked: BTreeSet<(String, String)> = lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let text = |key: &str| package[key].as_str().unwrap().to_owned();
            (text("name"), text("version"))
        })
        .collect();
    let (_, crates) = listed();
    assert!(crates.iter().any(|(name, _)| name == "wit-bindgen"));
    let gone: Vec<_> = crates.difference(&locked).collect();
    assert!(gone.is_empty(), "not in Cargo.lock: {gone:?}: {HINT}");
}

#[test]
fn every_plugin_is_there_and_small() {
    for name in CONVERTERS.iter().chain(&MAPPERS).chain(&METRICS) {
        let bytes = files::read(&super::component(name)).unwrap();
        assert!(bytes.len() < 400_000, "{name}: {} bytes", bytes.len());
        // No folder or user of the machine that built it.
        for trace in [&b"/home/"[..], b"/root/", b"/.cargo/"] {
            assert!(!bytes.windows(trace.len()).any(|window| window == trace), "{name} holds a path of its builder");
        }
    }
}
