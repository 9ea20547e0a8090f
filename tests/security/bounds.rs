//! What data and metrics come to in all is bounded, by the host's policy.

use super::{place, so8t};
use crate::cli::write;

/// Rows of so many sources, two each.
fn rows(sources: usize) -> String {
    let row = |i: usize| {
        format!(
            "{{\"id\":\"i{i}\",\"source\":\"s{}\",\"gold\":\"{}\",\"predicted\":\"{}\",\"scores\":{{\"A\":0.5,\"B\":0.5}}}}\n",
            i / 2,
            ["A", "B"][i % 2],
            ["A", "B"][i / 2 % 2]
        )
    };
    (0..2 * sources).map(row).collect()
}

fn evaluate(folder: &std::path::Path, policy: &str, more: &[&str]) -> (String, String, i32) {
    write(folder, "policy.toml", policy);
    so8t(folder, &[&["evaluate", "p.jsonl", "--policy", "policy.toml"], more].concat(), &[])
}

#[test]
fn sources_numbers_and_states_are_bounded_by_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "p.jsonl", &rows(12));
    let bounded = |bounds: &str, more: &[&str]| evaluate(folder, &format!("[bounds]\n{bounds}\n"), more);
    let (_, stderr, code) = bounded("sources = 11", &["--resamples", "5"]);
    assert!(code == 1 && stderr.contains("at most 11 different sources") && stderr.contains("p.jsonl"), "{stderr}");
    assert!(stderr.contains("hint: ") && stderr.contains("`[bounds] sources`"), "{stderr}");
    assert_eq!(bounded("sources = 12", &["--resamples", "5"]).2, 0);
    let (_, stderr, code) = bounded("numbers = 200", &["--resamples", "5"]);
    assert!(code == 1 && stderr.contains("5 resamples") && stderr.contains("`[bounds] numbers`"), "{stderr}");
    assert_eq!(bounded("numbers = 200", &["--resamples", "0"]).2, 0);
    let shard = |bounds: &str, out: &str| bounded(bounds, &["--resamples", "20000", "--shard", "1/2", "--out", out]);
    let (_, stderr, code) = shard("states_mb = 1", "one");
    assert!(code == 1 && stderr.contains("metric `classification`") && stderr.contains("more than 1 MiB"), "{stderr}");
    // A file with more sources than the default lets by.
    write(folder, "p.jsonl", &rows(1001));
    let (_, stderr, code) = evaluate(folder, "", &["--resamples", "0"]);
    assert!(code == 1 && stderr.contains("at most 1000 different sources"), "{stderr}");
    for wrong in ["sources = 0", "states_mb = 18446744073709551615", "source = 1", "numbers = -1"] {
        let (_, stderr, code) = bounded(wrong, &["--resamples", "0"]);
        assert!(code == 1 && stderr.contains("policy.toml:2:"), "{wrong}: {stderr}");
    }
}

#[test]
fn records_and_text_of_a_run_are_bounded_by_the_policy() {
    let place = place("", "");
    let folder = place.path();
    let prepare = |bounds: &str| {
        write(folder, "policy.toml", &format!("[bounds]\n{bounds}\n"));
        so8t(folder, &["prepare", "so8t.toml", "--policy", "policy.toml", "--fresh"], &[])
    };
    let (_, stderr, code) = prepare("records = 19");
    assert!(code == 1 && stderr.contains("source `requests`: plugin `jsonl` gives more than 19 records"), "{stderr}");
    assert!(stderr.contains("`[bounds] records`"), "{stderr}");
    assert_eq!(prepare("records = 20").2, 0);
    let long = format!("{{\"instruction\":\"{}\",\"label\":\"ALLOW\"}}\n", "x".repeat(60_000)).repeat(20);
    write(folder, "data.jsonl", &format!("{}{long}", crate::cli::lines()));
    let (_, stderr, code) = prepare("text_mb = 1");
    assert!(code == 1 && stderr.contains("more than 1 MiB of text") && stderr.contains("`jsonl`"), "{stderr}");
    assert_eq!(prepare("text_mb = 2").2, 0);
}

#[test]
fn rejected_records_count_too() {
    let place = place("[split]", "[split]\nmax_rejected = 1.0");
    let folder = place.path();
    write(folder, "data.jsonl", &format!("{}{}", crate::cli::lines(), "nothing\n".repeat(100)));
    write(folder, "policy.toml", "[bounds]\nrecords = 119\n");
    let (_, stderr, code) = so8t(folder, &["prepare", "so8t.toml", "--policy", "policy.toml"], &[]);
    assert!(code == 1 && stderr.contains("more than 119 records"), "{stderr}");
}

#[test]
fn custom_sections_of_many_names_are_taken_apart() {
    // With a list that is looked through for each, this takes minutes.
    let place = place("", "");
    let mut bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/prebuilt/jsonl.wasm")).unwrap();
    for i in 0..200_000_u32 {
        let name = format!("c{i}");
        bytes.extend([0, name.len() as u8 + 1, name.len() as u8]);
        bytes.extend(name.as_bytes());
    }
    std::fs::write(place.path().join("many.wasm"), &bytes).unwrap();
    let anatomy = so8t::plugin::anatomy::Anatomy::read(&bytes).unwrap();
    assert!(anatomy.sections.len() > 200_000);
    assert_eq!(anatomy.sections.iter().map(|section| section.bytes).sum::<usize>(), bytes.len());
}

#[test]
fn tables_of_many_names_are_linear() {
    let table: so8t::evaluate::Table<usize> = (0..100_000).map(|i| (format!("name {i}"), i)).collect();
    assert_eq!((table.len(), table.get("name 99999"), table.get("name 100000")), (100_000, Some(&99_999), None));
    let mut again = table.clone();
    again.insert("name 7", 70);
    *again.entry("name 100000") = 1;
    assert_eq!((again.len(), again.get("name 7"), again.get("name 100000")), (100_001, Some(&70), Some(&1)));
    assert_ne!(again, table);
    let text = serde_json::to_string(&table).unwrap();
    assert_eq!(serde_json::from_str::<so8t::evaluate::Table<usize>>(&text).unwrap(), table);
}
