//! `plugins/examples`: the same metric in every language gives the same bits.
//!
//! The small components are committed. `SO8T_EXAMPLES=DIR` adds those of another folder, such as Python's of 19 MB, which
//! `plugins/examples/build.sh --out DIR python` builds.

use std::path::{Path, PathBuf};

use serde_json::json;
use so8t::data::INVALID;
use so8t::evaluate::{Measure, MetricBatch};
use so8t::plugin::{ComponentSource, Host, Measurement, Plugin, PluginSpec};

/// Every example, by language.
fn components() -> Vec<(String, PathBuf)> {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/examples/prebuilt");
    let folders = [Some(committed), std::env::var_os("SO8T_EXAMPLES").map(PathBuf::from)];
    let mut found = Vec::new();
    for folder in folders.into_iter().flatten() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "wasm") {
                found.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), path));
            }
        }
    }
    found.sort();
    found
}

fn load(language: &str, path: &Path, config: &serde_json::Value) -> Plugin {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache");
    let mut spec = PluginSpec::new(language, ComponentSource::Path(path.to_owned()));
    spec.config = config.clone();
    spec.limits.seconds = 120.0;
    Host::new(Some(&cache)).unwrap().load(&spec).unwrap()
}

fn labels() -> Vec<String> {
    ["ALLOW", "ESCALATION", "DENY", "REFUSE"].map(String::from).to_vec()
}

/// Rows of all labels, INVALID and weights from 0, in nine groups.
fn rows(count: u32, seed: u32) -> MetricBatch {
    let mut state = seed;
    let mut below = |bound: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % bound
    };
    let mut batch = MetricBatch::default();
    for _ in 0..count {
        batch.gold.push(below(4) as u8);
        batch.predicted.push([0, 1, 2, 3, INVALID][below(5) as usize]);
        batch.weights.push(below(4) * (1 + 999_999 * below(2)));
        batch.groups.push([below(7), u32::MAX - below(2)][(below(9) == 0) as usize]);
    }
    batch
}

/// The state, and names, bits and supports of the values.
type Answer = (Vec<u8>, Vec<(String, Option<u64>, u32)>);

fn answer(measurement: &mut Measurement) -> Answer {
    let values = measurement.finalize().unwrap().into_iter();
    let values = values.map(|value| (value.name, value.value.map(f64::to_bits), value.support)).collect();
    (measurement.state().unwrap(), values)
}

#[test]
fn every_language_gives_the_same_bits() {
    let components = components();
    let languages: Vec<&str> = components.iter().map(|(language, _)| language.as_str()).collect();
    for language in ["c", "js", "rust"] {
        assert!(languages.contains(&language), "{languages:?}");
    }
    let costs = [[0, 1, 2, 3, 3], [2, 0, 1, 2, 2], [4, 2, 0, 1, 4], [6, 4, 2, 0, 999_983]];
    for config in
        [json!({}), json!({ "groups": 0 }), json!({ "groups": 64, "costs": costs }), json!({ "costs": costs })]
    {
        let mut first = None;
        for (language, path) in &components {
            let plugin = load(language, path, &config);
            assert_eq!((plugin.metadata().name.as_str(), plugin.version()), ("weighted-error", "0.1.0"));
            let open = || plugin.open_metric(&labels()).unwrap();
            let (mut whole, mut empty) = (open(), answer(&mut open()));
            for (count, seed) in [(1000, 1), (1, 2), (700, 3)] {
                whole.update(&rows(count, seed)).unwrap();
            }
            let heavy = |weight| MetricBatch { weights: vec![weight], ..rows(1, 4) };
            whole.update(&heavy(u32::MAX)).unwrap();
            let mut answers = vec![answer(&mut whole)];
            answers.push(std::mem::take(&mut empty));

            // In parts, the last of which come first.
            let mut merged = open();
            merged.update(&heavy(u32::MAX)).unwrap();
            for (count, seed) in [(700, 3), (1, 2), (1000, 1)] {
                let mut part = open();
                part.update(&rows(count, seed)).unwrap();
                merged.merge(&part.state().unwrap()).unwrap();
            }
            assert_eq!(answer(&mut merged), answers[0], "{language}: parts differ from the whole");

            // What another language took in.
            if let Some((other, expected)) = &first {
                assert_eq!(&answers, expected, "{language} differs from {other} with {config}");
            } else {
                first = Some((language.clone(), answers));
            }
        }
    }
}

#[test]
fn every_language_refuses_the_same() {
    for (language, path) in &components() {
        let wrong = [
            (json!({ "groups": 65 }), "config: `groups`: expected 0 to 64"),
            (json!({ "costs": [[0, 1], [1, 0]] }), "config: `costs`: expected 4 rows of 5 numbers"),
            (json!({ "cost": 1 }), "`cost`"),
        ];
        for (config, expected) in wrong {
            let error = load(language, path, &config).open_metric(&labels()).err().unwrap().to_string();
            assert!(error.contains("`open`: refuses its configuration: config: "), "{language}: {error}");
            assert!(error.contains(expected), "{language}: {error}");
        }
        let plugin = load(language, path, &json!({}));
        let mut measurement = plugin.open_metric(&labels()).unwrap();
        let error = measurement.merge(&[0; 7]).unwrap_err().to_string();
        assert!(error.ends_with("refuses its input: state: expected 80 bytes, found 7"), "{language}: {error}");

        // Sums that not every language could count exactly.
        let mut measurement = plugin.open_metric(&labels()).unwrap();
        let huge = u64::MAX.to_le_bytes().repeat(10);
        let error = measurement.merge(&huge).unwrap_err().to_string();
        assert!(error.ends_with("the costs or weights sum up to more than 4503599627370496"), "{language}: {error}");
    }
}
