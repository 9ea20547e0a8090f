//! What the quick start's data promises.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::requests::{folder, rows};

const LABELS: [&str; 4] = ["ALLOW", "ESCALATION", "DENY", "REFUSE"];

#[test]
fn enough_of_every_class_in_both_languages() {
    let rows = rows();
    let distinct: BTreeSet<&str> = rows.iter().map(|row| row.request.as_str()).collect();
    assert!(distinct.len() >= 480, "{}", distinct.len());
    for label in LABELS {
        for japanese in [false, true] {
            let of_class = rows.iter().filter(|row| row.label == label && row.is_japanese() == japanese);
            let count = of_class.map(|row| &row.request).collect::<BTreeSet<_>>().len();
            assert!((80..=140).contains(&count), "{label}, Japanese {japanese}: {count}");
        }
    }
    assert!(rows.iter().all(|row| LABELS.contains(&row.label.as_str())));
}

#[test]
fn a_group_is_one_scenario_with_one_label_and_both_languages() {
    let rows = rows();
    let mut groups: BTreeMap<&str, Vec<&super::requests::Row>> = BTreeMap::new();
    rows.iter().for_each(|row| groups.entry(&row.group).or_default().push(row));
    assert!(groups.len() >= 100, "{}", groups.len());
    for (group, members) in groups {
        assert!(members.iter().all(|row| row.label == members[0].label), "{group} has two labels");
        assert!(members.iter().any(|row| row.is_japanese()) && members.iter().any(|row| !row.is_japanese()), "{group}");
        assert!(members.len() >= 6, "{group}");
        // Nothing tells the label of a held-out group but its requests.
        assert!(LABELS.iter().all(|label| !group.to_uppercase().contains(label)), "{group}");
    }
}

#[test]
fn a_request_stands_in_one_group_and_twice_only_where_one_thinks() {
    let mut seen: BTreeMap<String, (String, &str)> = BTreeMap::new();
    let mut twice = 0;
    for row in rows() {
        let folded = row.request.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((group, file)) = seen.insert(folded, (row.group.clone(), row.file)) {
            assert_eq!(group, row.group, "{}", row.request);
            assert_eq!((file, row.file), ("thinking_requests.jsonl", "four_class_requests.jsonl"), "{}", row.request);
            twice += 1;
        }
    }
    assert!(twice >= 16, "{twice} requests show that the thinking source wins");
}

#[test]
fn thinking_rows_hold_the_four_parts_and_four_class_rows_agree_with_themselves() {
    let read = |name: &str| std::fs::read_to_string(folder().join("data").join(name)).unwrap();
    for line in read("thinking_requests.jsonl").lines() {
        let output = serde_json::from_str::<Value>(line).unwrap()["output"].as_str().unwrap().to_owned();
        let mut rest = output.as_str();
        for tag in ["think-task", "think-safety", "think-policy", "final"] {
            rest = rest.strip_prefix(&format!("<{tag}>")).unwrap_or_else(|| panic!("{tag}: {line}"));
            let (part, after) = rest.split_once(&format!("</{tag}>")).unwrap_or_else(|| panic!("{tag}: {line}"));
            assert!(!part.trim().is_empty(), "{tag}: {line}");
            rest = after;
        }
        assert_eq!(rest, "", "{line}");
    }
    for line in read("four_class_requests.jsonl").lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["safety_label"], object["four_class_label"], "{line}");
        assert_eq!(
            LABELS[object["four_class_label_id"].as_u64().unwrap() as usize],
            object["four_class_label"],
            "{line}"
        );
    }
}
