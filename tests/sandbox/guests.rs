//! Every behaviour of every hostile guest has a case here; a new one without a test fails.

use std::collections::BTreeSet;

use super::{Case, converters, mappers, metrics};

const COMMON: &str = include_str!("../guests/common.rs");

/// The behaviours that a guest's source tells apart: the words of its match arms and comparisons.
fn behaviours(source: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for line in source.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let part = match (line.split_once(" => "), line.split_once("behaviour == ")) {
            (Some((patterns, _)), _) if patterns.trim_start().starts_with('"') => patterns,
            (_, Some((_, word))) => word,
            _ => continue,
        };
        found.extend(part.split('"').skip(1).step_by(2));
    }
    found
}

fn tested(cases: &[Case]) -> BTreeSet<&str> {
    cases.iter().map(|case| case.behaviour).filter(|behaviour| *behaviour != "honest").collect()
}

#[test]
fn every_behaviour_is_tested() {
    let common = behaviours(COMMON);
    assert!(common.contains("loop") && common.contains("log-escape"), "{common:?}");
    for (guest, source, cases) in [
        ("evil-converter", include_str!("../guests/evil-converter/src/lib.rs"), converters::CASES),
        ("evil-mapper", include_str!("../guests/evil-mapper/src/lib.rs"), mappers::CASES),
        ("evil-metric", include_str!("../guests/evil-metric/src/lib.rs"), metrics::CASES),
    ] {
        let all: BTreeSet<&str> = behaviours(source).union(&common).copied().collect();
        assert_eq!(tested(cases), all, "{guest}");
    }
}

#[test]
fn every_guest_is_tested() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    let mut guests: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        // Those that break laws of plugins, and nothing of the sandbox, are tried in `tests/conformance`.
        .filter(|name| !name.starts_with("lawless-"))
        .collect();
    guests.sort();
    // The three above, `evil-describe` in `refused.rs`, the one that `frozen.rs` keeps, and `reads-text` in `sharing/texts.rs`.
    // `lawless-…` are those of the laws.
    guests.retain(|guest| !guest.starts_with("lawless-"));
    assert_eq!(guests, ["every-column", "evil-converter", "evil-describe", "evil-mapper", "evil-metric", "reads-text"]);
}
