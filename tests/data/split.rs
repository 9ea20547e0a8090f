use std::collections::{BTreeMap, BTreeSet};

use so8t::data::{Candidate, Example, Usage, split};

use super::candidate;

/// 4 classes x `groups` groups of `size`.
fn grouped(groups: usize, size: usize) -> Vec<Candidate> {
    let mut out = Vec::new();
    for label in 0..4u8 {
        for group in 0..groups {
            for row in 0..size {
                let name = format!("class {label} group {group}");
                out.push(candidate(&format!("{name} row {row}"), label, &name, Usage::Both));
            }
        }
    }
    out
}

fn groups(examples: &[Example]) -> BTreeSet<&str> {
    examples.iter().map(|e| e.group.as_str()).collect()
}

#[test]
fn no_group_straddles_and_every_class_keeps_its_share() {
    for seed in 0..20 {
        let parts = split(grouped(20, 3), 0.25, seed);
        assert!(groups(&parts.train).is_disjoint(&groups(&parts.eval)), "seed {seed}");
        assert_eq!(parts.train.len() + parts.eval.len(), 240);
        let mut classes = BTreeMap::new();
        for example in &parts.eval {
            *classes.entry(example.label).or_insert(0) += 1;
        }
        assert_eq!(classes, BTreeMap::from([(0, 15), (1, 15), (2, 15), (3, 15)]), "seed {seed}");
    }
}

#[test]
fn the_seed_and_nothing_else_decides() {
    let parts = split(grouped(10, 2), 0.3, 7);
    let mut shuffled = grouped(10, 2);
    shuffled.reverse();
    let other = split(shuffled, 0.3, 7);
    assert_eq!(groups(&parts.eval), groups(&other.eval));
    assert_ne!(groups(&parts.eval), groups(&split(grouped(10, 2), 0.3, 8).eval));
}

#[test]
fn a_class_of_two_groups_is_on_both_sides() {
    for share in [0.01, 0.5, 0.99] {
        let parts = split(grouped(2, 5), share, 3);
        for part in [&parts.train, &parts.eval] {
            let classes: BTreeSet<u8> = part.iter().map(|e| e.label).collect();
            assert_eq!(classes.len(), 4, "share {share}");
        }
    }
}

#[test]
fn sources_keep_to_their_part_and_groups_follow_the_evaluation() {
    let rows = vec![
        candidate("a", 0, "g1", Usage::Eval),
        candidate("b", 0, "g1", Usage::Both),
        candidate("c", 0, "g1", Usage::Train),
        candidate("d", 1, "g2", Usage::Train),
        candidate("e", 1, "g2", Usage::Both),
    ];
    let parts = split(rows, 0.5, 0);
    let names = |examples: &[Example]| examples.iter().map(|e| e.request.instruction.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&parts.eval), ["a", "b"]);
    assert_eq!(names(&parts.straddling), ["c"]);
    assert_eq!(names(&parts.train), ["d", "e"]);
}

/// Twelve groups over two sources, some in both, and eight rows without a group.
fn small() -> Vec<Candidate> {
    let mut rows = Vec::new();
    for index in 0..40_u8 {
        let group = if index % 5 == 4 { String::new() } else { format!("group {}", index % 12) };
        let mut row = candidate(&format!("request {index}"), index % 12 % 4, &group, Usage::Both);
        row.example.id = index.to_string().into();
        row.example.source = if index % 7 < 4 { "en" } else { "日本語" }.into();
        rows.push(row);
    }
    rows
}

/// Stored values of `tests/golden/split.py`: what these rows are parted into must be the same on every machine, in every version,
/// whatever the order of the rows.
#[test]
fn the_assignment_is_frozen() {
    let ids = |examples: &[Example]| examples.iter().map(|e| e.id.parse().unwrap()).collect::<BTreeSet<u8>>();
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden/split.json")).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let seed = case["seed"].as_u64().unwrap();
        let listed = |name: &str| case[name].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u8).collect();
        let (eval, calibration): (BTreeSet<u8>, BTreeSet<u8>) = (listed("eval"), listed("calibration"));
        assert!(!eval.is_empty() && !calibration.is_empty() && eval.is_disjoint(&calibration));
        let mut rows = small();
        for turn in 0..6 {
            let mut parts = split(rows.clone(), 0.3, seed);
            assert_eq!(ids(&parts.eval), eval, "seed {seed}, turn {turn}");
            parts.hold_out_calibration(0.3, seed);
            assert_eq!(ids(&parts.calibration), calibration, "seed {seed}, turn {turn}");
            if turn % 2 == 0 { rows.reverse() } else { rows.rotate_left(11) }
        }
    }
}

#[test]
fn a_calibration_takes_whole_groups_of_every_class_from_training_alone() {
    for seed in 0..10 {
        let mut parts = split(grouped(20, 3), 0.25, seed);
        let (train, eval) = (parts.train.clone(), parts.eval.clone());
        parts.hold_out_calibration(0.2, seed);
        assert_eq!(parts.eval, eval);
        assert!(groups(&parts.train).is_disjoint(&groups(&parts.calibration)), "seed {seed}");
        assert_eq!(parts.train.len() + parts.calibration.len(), train.len());
        assert!(parts.calibration.iter().all(|example| train.contains(example)));
        for label in 0..4 {
            assert_eq!(parts.calibration.iter().filter(|e| e.label == label).count(), 9, "seed {seed}, class {label}");
        }
    }
}
