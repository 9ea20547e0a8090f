//! State files: the seal has no key, so that anybody can make one. No number in it is believed that nothing else in it backs.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::so8t;
use crate::cli::write;

const MAGIC: &[u8] = b"so8t evaluation state 2\n";

/// A state file, taken apart.
#[derive(Clone)]
struct State {
    header: Value,
    ids: Vec<u64>,
    groups: Vec<u64>,
    states: Vec<u8>,
}

impl State {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let mut rest = bytes.strip_prefix(MAGIC).unwrap();
        let number = |rest: &mut &[u8]| {
            let (own, left) = rest.split_at(8);
            *rest = left;
            u64::from_le_bytes(own.try_into().unwrap())
        };
        let length = number(&mut rest) as usize;
        let header = serde_json::from_slice(&rest[..length]).unwrap();
        rest = &rest[length..];
        let mut list = || (0..number(&mut rest)).map(|_| number(&mut rest)).collect::<Vec<_>>();
        let (ids, groups) = (list(), list());
        Self { header, ids, groups, states: rest[..rest.len() - 32].to_vec() }
    }

    fn write(&self, path: &Path) {
        let header = self.header.to_string();
        let mut bytes = MAGIC.to_vec();
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header.as_bytes());
        for list in [&self.ids, &self.groups] {
            bytes.extend((list.len() as u64).to_le_bytes());
            list.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        }
        bytes.extend(&self.states);
        let seal = Sha256::digest(&bytes);
        bytes.extend(seal);
        std::fs::write(path, bytes).unwrap();
    }
}

/// A folder with a sealed state of twenty rows in `s.state`.
fn place() -> (tempfile::TempDir, State) {
    let folder = tempfile::tempdir().unwrap();
    let row = |id: usize| {
        let (gold, predicted) = (["A", "B"][id % 2], ["A", "B"][id / 2 % 2]);
        format!(
            "{{\"id\":\"{id}\",\"source\":\"s{}\",\"gold\":\"{gold}\",\"predicted\":\"{predicted}\",\"scores\":{{\"A\":0.6,\"B\":0.4}}}}\n",
            id % 3
        )
    };
    write(folder.path(), "p.jsonl", &(0..20).map(row).collect::<String>());
    let shard = ["evaluate", "p.jsonl", "--resamples", "3", "--shard", "1/1", "--out", "states"];
    let (_, stderr, code) = so8t(folder.path(), &shard, &[]);
    assert_eq!(code, 0, "{stderr}");
    let state = State::read(&folder.path().join("states/shard_1_of_1.state"));
    (folder, state)
}

#[test]
fn a_state_that_was_written_out_again_merges() {
    let (folder, state) = place();
    state.write(&folder.path().join("x.state"));
    let (stdout, stderr, code) = so8t(folder.path(), &["merge", "x.state"], &[]);
    assert!(code == 0 && stdout.contains("accuracy"), "{stderr}");
}

#[test]
fn every_number_of_a_header_is_held_against_the_others() {
    let (folder, state) = place();
    let set = |path: &str, value: Value| {
        let mut own = state.clone();
        *own.header.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        own
    };
    let huge = json!(u64::MAX);
    let mut cases = vec![
        ("count of parts", set("/shard/count", json!(1_000_000_000_000_000_000_u64))),
        ("parts beyond", set("/shard", json!({ "index": 2, "count": 1 }))),
        ("part none", set("/shard", json!({ "index": 0, "count": 1 }))),
        ("count that is too large to list", set("/shard/count", json!(1_000_000))),
        ("rows", set("/survey/rows", json!(1_000_000_000_000_000_u64))),
        ("rows, all of them", set("/survey/rows", huge.clone())),
        ("a source's rows", set("/survey/sources/s0", json!(1_000_000))),
        ("a source's rows that wrap", set("/survey/sources/s0", huge.clone())),
        ("a source without rows", set("/survey/sources/s0", json!(0))),
        ("resamples", set("/common/resamples", json!(u32::MAX))),
        ("labels that are none", set("/survey/golds", json!([0, 7]))),
        ("predictions that are none", set("/survey/predictions", json!([200]))),
        ("no labels", set("/common/labels", json!([]))),
        ("too many labels", set("/common/labels", (0..201).map(|i| format!("L{i}")).collect())),
        ("one label twice", set("/common/labels", json!(["A", "A"]))),
        ("metrics that are none", set("/measured", json!([0, 1]))),
        ("no metric", set("/measured", json!([]))),
        ("resampled and not measured", set("/resampled", json!([1]))),
        ("an error of a metric that has states", set("/failed", json!({ "classification": "x" }))),
        ("an error of no metric", set("/failed", json!({ "other": "x" }))),
    ];
    let mut both = set("/survey/rows", json!(40));
    *both.header.pointer_mut("/survey/sources/s0").unwrap() = json!(27);
    cases.push(("rows and a source, together", both));
    let mut ids = state.clone();
    ids.ids.pop();
    cases.push(("an id less", ids));
    let mut groups = state.clone();
    groups.groups = vec![1; 50];
    cases.push(("more groups than rows", groups));
    let mut cut = state.clone();
    cut.states.truncate(cut.states.len() / 2);
    cases.push(("half of the states", cut));
    let mut long = state.clone();
    long.states[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    cases.push(("a state without an end", long));
    for (what, state) in cases {
        state.write(&folder.path().join("x.state"));
        let (stdout, stderr, code) = so8t(folder.path(), &["merge", "x.state"], &[]);
        assert!(code == 1 && stdout.is_empty(), "{what}: {code} {stdout}{stderr}");
        assert!(stderr.contains("x.state") || stderr.contains("every shard"), "{what}: {stderr}");
    }
}

#[test]
fn lists_that_promise_more_than_the_file_holds_are_refused() {
    let (folder, state) = place();
    let path = folder.path().join("x.state");
    state.write(&path);
    let bytes = std::fs::read(&path).unwrap();
    let header = state.header.to_string().len();
    for place in [MAGIC.len(), MAGIC.len() + 8 + header, MAGIC.len() + 8 + header + 8 + 8 * state.ids.len()] {
        for count in [u64::MAX, u64::MAX / 8, 1 << 40, 1 << 30] {
            let mut own = bytes[..bytes.len() - 32].to_vec();
            own[place..place + 8].copy_from_slice(&count.to_le_bytes());
            let seal = Sha256::digest(&own);
            own.extend(seal);
            std::fs::write(&path, own).unwrap();
            let (_, stderr, code) = so8t(folder.path(), &["merge", "x.state"], &[]);
            assert!(code == 1 && stderr.contains("x.state"), "{place} {count}: {stderr}");
        }
    }
}

#[test]
fn values_rest_on_no_more_rows_than_there_are() {
    let (folder, state) = place();
    // The classification's state is a table of counts; every byte of it set is a count beyond all rows.
    let mut own = state.clone();
    let length = u64::from_le_bytes(own.states[..8].try_into().unwrap()) as usize;
    let first = &state.states[8..8 + length];
    for place in (0..length).step_by(5) {
        own.states[8..8 + length].copy_from_slice(first);
        own.states[8 + place] = 0xff;
        own.write(&folder.path().join("x.state"));
        let (stdout, stderr, code) = so8t(folder.path(), &["merge", "x.state", "--json"], &[]);
        if code != 0 {
            assert!(code == 1 && stderr.contains("x.state") || stderr.contains("metric"), "{place}: {code} {stderr}");
            continue;
        }
        let report: Value = serde_json::from_str(&stdout).unwrap();
        for (name, value) in report["before"]["metrics"].as_object().unwrap() {
            assert!(value["n"].as_u64().unwrap() <= 20, "{place}: {name}: {value}");
        }
    }
}

#[test]
fn a_part_of_too_many_is_no_part() {
    let (folder, _) = place();
    let shard = ["evaluate", "p.jsonl", "--shard", "1/18446744073709551615", "--out", "many"];
    let (_, stderr, code) = so8t(folder.path(), &shard, &[]);
    assert!(code == 1 && stderr.contains("1048576"), "{stderr}");
    assert!(!folder.path().join("many").exists());
}
