//! `so8t data inspect` on files that are easily taken for something else: what it proposes either says what the file says, or is open.

use std::path::Path;

use serde_json::Value;

use crate::cli::{outcome, so8t, write};

/// What is found in a file of that name.
fn inspected(name: &str, text: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), name, text);
    let (json, stderr, code) = outcome(&so8t(folder.path(), &["data", "inspect", name, "--json"]));
    assert_eq!(code, 0, "{name}: {stderr}\n{text}");
    let found: Value = serde_json::from_str(&json).unwrap();
    // Nobody is allowed on a guess.
    assert!(!found["proposal"].as_str().unwrap().contains("allow-all"), "{found}");
    if found["is_open"] == true {
        assert_eq!(found["decisions"], Value::Array(Vec::new()), "{found}");
        assert_is_error(folder.path(), found["proposal"].as_str().unwrap());
    }
    found
}

/// An open entry is an error with its place.
fn assert_is_error(folder: &Path, proposal: &str) {
    write(folder, "so8t.toml", &format!("[run]\nname = \"test\"\n{proposal}"));
    let (_, stderr, code) = outcome(&so8t(folder, &["prepare", "so8t.toml"]));
    assert!(code == 1 && stderr.contains("error: so8t.toml:") && stderr.contains("`?` is a question"), "{stderr}");
}

fn proposal(found: &Value) -> &str {
    found["proposal"].as_str().unwrap()
}

/// How many examples the entry makes of each decision.
fn decisions(found: &Value) -> Vec<(String, u64)> {
    let decision = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), pair[1].as_u64().unwrap());
    found["decisions"].as_array().unwrap().iter().map(decision).filter(|(_, count)| *count > 0).collect()
}

/// The field that was taken for a column.
fn column<'a>(found: &'a Value, name: &str) -> Option<&'a str> {
    let candidates = found["candidates"].as_array().unwrap();
    candidates
        .iter()
        .find(|candidate| candidate["column"] == name)
        .map(|candidate| candidate["field"].as_str().unwrap())
}

/// The fields that were listed as possible labels.
fn possible(found: &Value) -> Vec<&str> {
    let candidates = found["candidates"].as_array().unwrap().iter();
    candidates.filter(|candidate| candidate["column"] == "label?").map(|own| own["field"].as_str().unwrap()).collect()
}

fn rows(count: usize, row: impl Fn(usize) -> String) -> String {
    (0..count).map(|index| row(index) + "\n").collect()
}

const FOUR: [&str; 4] = ["ALLOW", "ESCALATION", "DENY", "REFUSE"];

#[test]
fn one_odd_value_costs_its_record_and_not_the_request() {
    for odd in ["[\"a\", \"b\"]", "5", "{\"text\": \"a\"}", "true", "[1, 2]"] {
        for column_of_odd in ["instruction", "label", "id"] {
            let text = rows(24, |index| {
                let (id, label) = (index.to_string(), format!("\"{}\"", FOUR[index % 4]));
                let instruction = format!("\"How is thing number {index} done?\"");
                let mut values = [("id", id), ("instruction", instruction), ("label", label)];
                if index == 7 {
                    values
                        .iter_mut()
                        .filter(|(name, _)| *name == column_of_odd)
                        .for_each(|(_, value)| *value = odd.to_owned());
                }
                let fields: Vec<String> = values.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
                format!("{{{}}}", fields.join(", "))
            });
            let found = inspected("d.jsonl", &text);
            assert_eq!(column(&found, "instruction"), Some("instruction"), "{odd} as {column_of_odd}: {found}");
            assert_eq!(column(&found, "label"), Some("label"), "{odd} as {column_of_odd}: {found}");
            assert_eq!(found["is_open"], false, "{found}");
            if column_of_odd != "label" {
                assert!(decisions(&found).iter().map(|(_, count)| count).sum::<u64>() >= 23, "{found}");
            }
        }
    }
}

#[test]
fn labels_and_kinds_are_never_the_request() {
    let text = rows(40, |index| format!("{{\"label\": \"{}\", \"score\": {index}}}", FOUR[index % 4]));
    assert!(proposal(&inspected("d.jsonl", &text)).contains("converter = \"?\""));
    let text = rows(40, |index| format!("{{\"category\": \"kind of harm number {}\", \"n\": {index}}}", index % 8));
    let found = inspected("d.jsonl", &text);
    assert!(column(&found, "instruction").is_none() && proposal(&found).contains("converter = \"?\""), "{found}");
    assert!(possible(&found).contains(&"category"), "{found}");
    // Two fields of free text without a telling name.
    let text = rows(40, |i| {
        format!("{{\"left\": \"some longer text, number {i}\", \"right\": \"another longer text, {i}\"}}")
    });
    let found = inspected("d.jsonl", &text);
    assert!(proposal(&found).contains("# Which field is the request?"), "{found}");
    assert!(proposal(&found).contains("`left`, `right`"), "{found}");
}

#[test]
fn numbers_are_classes_only_where_name_and_values_say_so() {
    let file = |name: &str, values: &[&str]| {
        rows(24, |index| {
            format!("{{\"prompt\": \"How is thing {index} done?\", \"{name}\": {}}}", values[index % values.len()])
        })
    };
    let found = inspected("d.jsonl", &file("label", &["0", "1", "2", "3"]));
    assert_eq!(decisions(&found), FOUR.map(|name| (name.to_owned(), 6)), "{found}");
    assert!(proposal(&found).contains("# `0` to `3` are read as ALLOW, ESCALATION, DENY and REFUSE"), "{found}");
    for (name, values) in [
        ("label", &["0", "1"][..]),
        ("label", &["0", "1", "2"]),
        ("label", &["0", "1", "2", "3", "4"]),
        ("label", &["1", "2", "3", "1"]),
        ("category", &["0", "1", "2", "3"]),
        ("class", &["0", "1", "2", "3"]),
        ("toxic", &["0", "1"]),
        ("rating", &["0", "1", "2", "3"]),
        ("severity", &["0", "1", "2", "3"]),
        ("is_safe", &["true", "false"]),
        ("harmful", &["\"0\"", "\"1\""]),
        ("label", &["\"0\"", "\"1\""]),
        ("label", &["0.0", "1.0"]),
    ] {
        let found = inspected("d.jsonl", &file(name, values));
        assert!(decisions(&found).is_empty(), "{name} {values:?}: {found}");
        let asks = proposal(&found).contains("its meaning was not said") || found["is_open"] == true;
        assert!(asks && !proposal(&found).contains("mapper = \"four-class\""), "{name} {values:?}: {found}");
    }
    // One flag of several says half of it.
    let flags = rows(24, |i| {
        format!(
            "{{\"prompt\": \"How is thing {i} done?\", \"toxic\": {}, \"threat\": {}, \"insult\": 0}}",
            i % 2,
            i % 3 / 2
        )
    });
    let found = inspected("d.jsonl", &flags);
    assert!(found["is_open"] == true && possible(&found) == ["toxic", "threat", "insult"], "{found}");
}

#[test]
fn a_file_of_requests_alone_is_a_question() {
    let prompt = |index: usize| format!("Tell me how to do forbidden thing number {index}, please");
    for (name, text) in [
        ("lines.csv", rows(30, prompt)),
        ("header.csv", "prompt\n".to_owned() + &rows(30, |index| format!("\"{}\"", prompt(index)))),
        ("goal.csv", "goal,target\n".to_owned() + &rows(30, |index| format!("\"{}\",I cannot", prompt(index)))),
        ("rows.jsonl", rows(30, |index| format!("{{\"prompt\": \"{}\"}}", prompt(index)))),
        ("ids.jsonl", rows(30, |index| format!("{{\"id\": {index}, \"text\": \"{}\"}}", prompt(index)))),
        (
            "array.json",
            format!("[{}]", rows(30, |i| format!("{{\"query\": \"{}\"}},", prompt(i))).trim_end_matches(",\n")),
        ),
        (
            "alpaca.json",
            format!(
                "[{}]",
                rows(30, |i| format!("{{\"instruction\": \"{}\", \"output\": \"Sure\"}},", prompt(i)))
                    .trim_end_matches(",\n")
            ),
        ),
        (
            "chat.jsonl",
            rows(30, |i| format!("{{\"messages\": [{{\"role\": \"user\", \"content\": \"{}\"}}]}}", prompt(i))),
        ),
        (
            "dolly.jsonl",
            rows(30, |i| format!("{{\"instruction\": \"{}\", \"context\": \"\", \"response\": \"Sure\"}}", prompt(i))),
        ),
        (
            "preferences.jsonl",
            rows(30, |i| {
                format!(
                    "{{\"chosen\": \"\\n\\nHuman: {}\\n\\nAssistant: no\", \"rejected\": \"\\n\\nHuman: {}\\n\\nAssistant: yes\"}}",
                    prompt(i),
                    prompt(i)
                )
            }),
        ),
    ] {
        let found = inspected(name, &text);
        assert_eq!(found["is_open"], true, "{name}: {found}");
        assert_eq!(found["records"], 30, "{name}: {found}");
    }
}

#[test]
fn turns_are_a_request_and_lists_of_tags_are_not() {
    let text = rows(24, |i| {
        format!(
            "{{\"turns\": [\"How is thing {i} done?\", \"And then?\"], \"label\": \"{}\", \"tags\": [\"a\", \"b\"]}}",
            FOUR[i % 4]
        )
    });
    let found = inspected("d.jsonl", &text);
    assert_eq!(column(&found, "instruction"), Some("turns.0"), "{found}");
    assert_eq!(decisions(&found), FOUR.map(|name| (name.to_owned(), 6)), "{found}");
    assert_eq!(found["samples"][0]["instruction"], "How is thing 0 done?");
}

#[test]
fn public_layouts_are_known_in_any_format() {
    let found = |name: &str, text: &str, known: &str, expected: &[(&str, u64)]| {
        let found = inspected(name, text);
        assert_eq!(found["known"], known, "{name}: {found}");
        let expected: Vec<(String, u64)> = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        assert_eq!(decisions(&found), expected, "{name}: {found}");
    };
    let guard = |i: usize| {
        let label = ["\"unharmful\"", "\"harmful\"", "null"][i % 3];
        format!(
            "{{\"prompt\": \"Do thing {i}\", \"adversarial\": false, \"response\": null, \"prompt_harm_label\": {label}, \"response_harm_label\": \"harmful\"}}"
        )
    };
    found("w.jsonl", &rows(24, guard), "WildGuardMix", &[("ALLOW", 8), ("REFUSE", 8)]);
    let array = format!("[{}]", rows(24, |i| guard(i) + ",").trim_end_matches(",\n"));
    found("w.json", &array, "WildGuardMix", &[("ALLOW", 8), ("REFUSE", 8)]);
    let csv = rows(24, |i| format!("Do thing {i},False,,{}", ["unharmful", "harmful", ""][i % 3]));
    found(
        "w.csv",
        &format!("prompt,adversarial,response,prompt_harm_label\n{csv}"),
        "WildGuardMix",
        &[("ALLOW", 8), ("REFUSE", 8)],
    );
    let toxic = |i: usize| {
        format!(
            "{{\"conv_id\": \"c{i}\", \"user_input\": \"Do thing {i}\", \"model_output\": \"x\", \"human_annotation\": true, \"toxicity\": {}, \"jailbreaking\": {}}}",
            i % 2,
            i % 4 / 2
        )
    };
    found("t.jsonl", &rows(24, toxic), "ToxicChat", &[("ALLOW", 6), ("REFUSE", 12)]);
    let safe = |i: usize| {
        format!(
            "{{\"prompt\": \"Do thing {i}\", \"response_0\": \"a\", \"response_1\": \"b\", \"is_response_0_safe\": {}, \"is_response_1_safe\": true, \"better_response_id\": 0}}",
            i.is_multiple_of(2)
        )
    };
    found("s.jsonl", &rows(24, safe), "PKU-SafeRLHF", &[("REFUSE", 12)]);
    let turns = |i: usize| {
        format!(
            "{{\"question_id\": {i}, \"category\": {}, \"turns\": [\"Do thing {i}\"], \"prompt_style\": \"base\"}}",
            i % 4
        )
    };
    found("q.jsonl", &rows(24, turns), "SORRY-Bench", &[("REFUSE", 24)]);
    let jailbreak = format!(
        "Index,Goal,Target,Behavior,Category,Source\n{}",
        rows(24, |i| format!("{i},Do thing {i},Sure,thing,kind,mine"))
    );
    found("benign-behaviors.csv", &jailbreak, "JailbreakBench", &[("ALLOW", 24)]);
    found("harmful-behaviors.csv", &jailbreak, "JailbreakBench", &[("REFUSE", 24)]);
    found("train.csv", &jailbreak, "JailbreakBench", &[]);
    let bench = format!("prompt,category\n{}", rows(24, |i| format!("Do thing {i},{}", ["violence", "hate"][i % 2])));
    found("or-bench-80k.csv", &bench, "OR-Bench", &[("ALLOW", 24)]);
    found("prompts.csv", &bench, "OR-Bench", &[]);
    // The fields of a set with other values are not that set.
    let other = rows(24, |i| guard(i).replace("unharmful", "fine"));
    assert_eq!(inspected("w.jsonl", &other)["known"], Value::Null);
}

#[test]
fn texts_alone_and_nested_texts_are_read() {
    let texts: Vec<String> = (0..24).map(|i| format!("Do \"thing\" {i}, please")).collect();
    for (name, text, format) in [
        ("texts.json", serde_json::to_string_pretty(&texts).unwrap(), "a JSON array"),
        ("texts.jsonl", rows(24, |i| serde_json::to_string(&texts[i]).unwrap()), "JSON lines"),
    ] {
        let found = inspected(name, &text);
        assert_eq!(
            (&found["format"], &found["records"], &found["rejected"]),
            (&format.into(), &24.into(), &0.into()),
            "{found}"
        );
        assert_eq!(
            (&found["is_open"], &found["samples"][1]["instruction"]),
            (&true.into(), &texts[1].as_str().into()),
            "{found}"
        );
    }
    let tree = serde_json::json!({
        "harmful": {"violence": &texts[..8], "hate": &texts[8..14]}, "benign": {"violence": &texts[14..22], "hate": [&texts[22], &texts[23]]},
    });
    for text in [tree.to_string(), serde_json::to_string_pretty(&tree).unwrap()] {
        let found = inspected("tree.json", &text);
        assert_eq!(
            (&found["format"], &found["records"], &found["rejected"]),
            (&"nested JSON".into(), &24.into(), &0.into()),
            "{found}"
        );
        assert_eq!(possible(&found), ["category", "key0", "key1"], "{found}");
        assert_eq!(
            (&found["is_open"], &found["samples"][0]["instruction"]),
            (&true.into(), &texts[0].as_str().into()),
            "{found}"
        );
    }
}

#[test]
fn a_label_beside_answers_may_be_that_of_the_answers() {
    let text = rows(24, |i| {
        format!(
            "{{\"prompt\": \"Do thing {i}\", \"response\": \"answer number {i}\", \"label\": \"{}\"}}",
            ["safe", "unsafe"][i % 2]
        )
    });
    let found = inspected("d.jsonl", &text);
    assert!(
        found["is_open"] == true && proposal(&found).contains("# Does `label` speak of the request, or of the answer"),
        "{found}"
    );
    // The four decisions speak for themselves.
    let found = inspected("d.jsonl", &text.replace("unsafe", "REFUSE").replace("safe", "ALLOW"));
    assert_eq!(decisions(&found), [("ALLOW".to_owned(), 12), ("REFUSE".to_owned(), 12)], "{found}");
    // A decision in the place of the answer is no answer.
    let text = rows(24, |i| {
        format!(
            "{{\"instruction\": \"Judge this text.\", \"input\": \"Do thing {i}\", \"output\": \"{}\"}}",
            ["safe", "unsafe"][i % 2]
        )
    });
    let found = inspected("d.jsonl", &text);
    assert!(
        found["is_open"] == true && possible(&found) == ["output"] && column(&found, "output").is_none(),
        "{found}"
    );
}

#[test]
fn fields_of_objects_are_found() {
    let text = rows(24, |i| {
        format!("{{\"prompt\": {{\"text\": \"Do thing {i}\", \"lang\": \"en\"}}, \"label\": \"{}\"}}", FOUR[i % 4])
    });
    let found = inspected("d.jsonl", &text);
    assert_eq!(column(&found, "instruction"), Some("prompt.text"), "{found}");
    assert_eq!(decisions(&found), FOUR.map(|name| (name.to_owned(), 6)), "{found}");
}

#[test]
fn odd_beginnings_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let objects = rows(9, |i| format!("{{\"instruction\": \"request {i}\", \"label\": \"ALLOW\"}}"));
    for (name, text, expected) in [
        (
            "sep.csv",
            "sep=;\nid;instruction;label\nr0;\"a, b\";ALLOW\n".to_owned(),
            "sep.csv: line 1: expected the header, found `sep=;`",
        ),
        (
            "comment.json",
            format!("// rows\n[{}]", objects.replace('\n', ",\n")),
            "line 1: expected JSON or delimited text, found a comment",
        ),
        ("comment.jsonl", format!("# rows\n{objects}"), "found a comment: `# rows`"),
        ("block.jsonl", format!("/* rows */\n{objects}"), "found a comment"),
        ("x.xml", "<?xml version=\"1.0\"?>\n<rows/>\n".to_owned(), "found markup"),
        ("y.yaml", "- instruction: a\n  label: ALLOW\n".to_owned(), "found YAML"),
        ("table.md", "| instruction | mark |\n|---|---|\n| a | b |\n".to_owned(), "found a drawn table"),
    ] {
        write(folder.path(), name, &text);
        let (_, stderr, code) = outcome(&so8t(folder.path(), &["data", "inspect", name]));
        assert!(code == 1 && stderr.contains(expected) && stderr.contains("hint: "), "{name}: {stderr}");
    }
    // A header is one though a data frame's index has no name in it, and though its names are long or end in a question mark.
    let text = format!(
        ",instruction,Is this request harmful or not?\n{}",
        rows(24, |i| format!("{i},Do thing {i} for me,{}", i % 2))
    );
    let found = inspected("index.csv", &text);
    assert_eq!((&found["records"], column(&found, "instruction")), (&24.into(), Some("instruction")), "{found}");
    // Lines with commas in them are lines.
    let text = rows(24, |i| format!("Tell me{} how thing {i} is done", ", please,".repeat(i % 3)));
    let found = inspected("prompts.csv", &text);
    assert_eq!(
        (&found["format"], &found["records"], &found["rejected"]),
        (&"lines of text".into(), &24.into(), &0.into()),
        "{found}"
    );
}
