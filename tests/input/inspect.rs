//! `so8t data inspect`: what it says of a file, and that the entry which it proposes works when it is pasted.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::{outcome, so8t, write};

fn inspected(folder: &Path, path: &str) -> (Value, String) {
    let (json, stderr, code) = outcome(&so8t(folder, &["data", "inspect", path, "--json"]));
    assert_eq!(code, 0, "{path}: {stderr}");
    let (shown, _, code) = outcome(&so8t(folder, &["data", "inspect", path]));
    assert_eq!(code, 0, "{path}");
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{path}: {shown:?}");
    (serde_json::from_str(&json).unwrap(), shown)
}

/// Prepares the proposed entry beside a small set of all four classes.
fn prepare(folder: &Path, proposal: &str) -> Value {
    let four: String = ["ALLOW", "ESCALATION", "DENY", "REFUSE"]
        .iter()
        .flat_map(|label| {
            (0..4).map(move |i| format!("{{\"instruction\":\"base {label} {i}\",\"label\":\"{label}\"}}\n"))
        })
        .collect();
    write(folder, "base.jsonl", &four);
    let base = "[[data]]\nname = \"base\"\npath = \"base.jsonl\"\nconverter = \"jsonl\"\nmapper = \"four-class\"\n";
    write(folder, "so8t.toml", &format!("[run]\nname = \"test\"\n{base}\n{proposal}"));
    let (json, stderr, code) = outcome(&so8t(folder, &["prepare", "so8t.toml", "--json", "--fresh"]));
    assert_eq!(code, 0, "{stderr}\n{proposal}");
    serde_json::from_str::<Value>(&json).unwrap()["statistics"]["sources"][1].clone()
}

#[test]
fn formats_fields_and_labels_are_told_and_the_entry_works() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |row: fn(usize) -> String| (0..40).map(row).collect::<String>();
    write(
        folder.path(),
        "logs.csv",
        &("ticket;text;verdict\n".to_owned()
            + &rows(|i| format!("T{i};\"please; do thing {i}\";{}\n", ["deny", "Allow"][i % 2]))),
    );
    write(
        folder.path(),
        "rows.jsonl",
        &rows(|i| {
            format!("{{\"uid\":{i},\"question\":\"what is {}?\",\"label\":\"{}\"}}\n", i / 2, ["safe", "unsafe"][i % 2])
        }),
    );
    write(
        folder.path(),
        "other.json",
        &format!(
            "[{}]",
            rows(|i| format!("{{\"comment\":\"text {i}\",\"class\":\"{}\"}},\n", ["spam", "REFUSE"][i % 2]))
                .trim_end_matches(",\n")
        ),
    );
    write(
        folder.path(),
        "plain.csv",
        &rows(|i| format!("\"A request, that is long enough to be no name, number {i}.\"\n")),
    );
    let expect = |path: &str, facts: &[(&str, Value)], parts: &[&str]| -> String {
        let (found, shown) = inspected(folder.path(), path);
        for (key, value) in facts {
            assert_eq!(found[*key], *value, "{path}: {key}: {shown}");
        }
        for part in parts {
            assert!(shown.contains(part), "{path}: `{part}` in:\n{shown}");
        }
        found["proposal"].as_str().unwrap().to_owned()
    };

    let entry = expect(
        "logs.csv",
        &[("format", "CSV with `;`".into()), ("records", 40.into()), ("rejected", 0.into())],
        &["instruction  text", "label        verdict  its name; 2 different values", "deny   20       DENY"],
    );
    assert!(entry.contains("mapper = \"four-class\"\n") && entry.contains("config.delimiter = \";\"\n"), "{entry}");
    let source = prepare(folder.path(), &entry);
    assert_eq!((&source["accepted"], &source["rejected"]), (&40.into(), &0.into()));

    let entry = expect(
        "rows.jsonl",
        &[("format", "JSON lines".into()), ("duplicates", 20.into())],
        &["20 duplicates (50.0 %)", "rejected: `unsafe` is ambiguous among four labels"],
    );
    assert!(entry.contains("# `unsafe` may be ESCALATION, DENY or REFUSE: say which.\n"), "{entry}");
    assert_eq!(prepare(folder.path(), &entry)["accepted"], 40);

    let entry = expect(
        "other.json",
        &[("format", "a JSON array".into()), ("excluded", 20.into())],
        &["spam", "its meaning was not said"],
    );
    assert!(
        entry.contains("{ column = \"label\", equals = \"spam\", exclude = \"its meaning was not said\" }"),
        "{entry}"
    );
    let source = prepare(folder.path(), &entry);
    assert_eq!((&source["accepted"], &source["excluded"]), (&20.into(), &20.into()));

    let entry = expect(
        "plain.csv",
        &[("format", "CSV without a header".into()), ("records", 40.into()), ("is_open", true.into())],
        &["the entry below is open", "its class is not said"],
    );
    assert!(entry.contains("# What are these requests? No field is known to say"), "{entry}");
    refuse(folder.path(), &entry);
    // Whoever knows what they are says so.
    assert_eq!(prepare(folder.path(), &entry.replace("mapper = \"?\"", "mapper = \"allow-all\""))["accepted"], 40);
}

/// Holds an open entry against what it must be: an error with its place in the manifest, until the user says what it asks.
fn refuse(folder: &Path, proposal: &str) {
    write(folder, "so8t.toml", &format!("[run]\nname = \"test\"\n{proposal}"));
    let (_, stderr, code) = outcome(&so8t(folder, &["prepare", "so8t.toml", "--fresh"]));
    assert_eq!(code, 1, "{proposal}");
    assert!(stderr.contains("error: so8t.toml:"), "{stderr}");
    assert!(stderr.contains(": `?` is a question of `so8t data inspect`: expected the name of a "), "{stderr}");
}

#[test]
fn what_a_file_holds_never_reaches_the_terminal_raw() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..3)
        .map(|i| {
            format!(
                "{{\"instruction\":\"\\u001b[31mred\\u0007 \\u202e{i}\\n\\nsecond line\",\"label\":\"\\u001b]0;x\"}}\n"
            )
        })
        .collect();
    write(folder.path(), "a.jsonl", &rows);
    let (_, shown) = inspected(folder.path(), "a.jsonl");
    assert!(shown.contains("\u{fffd}[31mred\u{fffd} \u{fffd}0 second line"), "{shown}");
    assert!(!shown.contains('\u{202e}') && !shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn parquet_compressed_files_and_other_encodings_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/input/golden/rows.zstd.parquet");
    let (found, shown) = inspected(folder.path(), &golden.to_string_lossy());
    assert_eq!((&found["format"], &found["rows"]), (&"Parquet".into(), &3.into()), "{shown}");
    let line = "{\"instruction\":\"これは何ですか、教えてください。\",\"label\":\"ALLOW\"}\n";
    let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode(line);
    std::fs::write(folder.path().join("a.jsonl.zst"), zstd::encode_all(&*bytes.repeat(9), 1).unwrap()).unwrap();
    let (found, _) = inspected(folder.path(), "a.jsonl.zst");
    assert_eq!(
        (&found["compression"], &found["encoding"], &found["records"]),
        (&"zstd".into(), &"Shift_JIS".into(), &9.into())
    );
    let entry = found["proposal"].as_str().unwrap();
    assert!(entry.contains("encoding = \"shift_jis\"\n"), "{entry}");
    assert_eq!(prepare(folder.path(), entry)["duplicates"], 8);
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "empty.jsonl", "");
    write(folder.path(), "nested.json", "{\n \"data\": []\n}\n");
    write(folder.path(), "header.csv", "a,b,c\n");
    write(folder.path(), "numbers.json", "[1, 2, 3]");
    std::fs::create_dir(folder.path().join("none")).unwrap();
    for (path, expected) in [
        ("empty.jsonl", "empty.jsonl: there is nothing in it"),
        ("nested.json", "nested.json: it begins with `{`, and its first line is no JSON object"),
        ("header.csv", "header.csv: it has a header and no row below it"),
        ("numbers.json", "numbers.json: it looks like a JSON array, and holds no object and no text"),
        ("none", "the folder `none` holds no data file"),
        ("missing.csv", "cannot read `missing.csv`: "),
    ] {
        let (_, stderr, code) = outcome(&so8t(folder.path(), &["data", "inspect", path]));
        assert!(code == 1 && stderr.contains(expected), "{path}: {stderr}");
    }
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["data", "inspect", "a", "--encoding", "klingon"]));
    assert!(code == 1 && stderr.contains("`klingon` is not an encoding"), "{stderr}");
}

#[test]
fn the_entry_of_every_public_set_works() {
    let shared = std::env::var_os("SO8T_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let data = shared.join("data");
    if !data.is_dir() {
        eprintln!("skipped: `{}` is not there", data.display());
        return;
    }
    // File, what it is known as, converter, accepted records.
    let sets = [
        ("xstest/xstest_prompts.csv", "XSTest", "xstest", 214),
        ("do_not_answer/do_not_answer_en.csv", "do-not-answer", "do-not-answer", 401),
        ("xsafety/en/Insult_n.csv", "XSafety", "xsafety", 120),
        ("xsafety/ja/Crimes_And_Illegal_Activities.csv", "XSafety", "xsafety", 120),
        ("harmbench/harmbench_behaviors_text_val.csv", "HarmBench", "harmbench", 80),
        ("advbench/harmful_behaviors.csv", "AdvBench", "advbench", 520),
        ("openai_moderation/samples-1680.jsonl.gz", "OpenAI's moderation set", "openai-moderation", 859),
        ("instruction_ja/data.jsonl", "instruction_ja", "instruction-ja", 400),
        ("jglue/valid-v1.3.json", "JGLUE's JCommonsenseQA", "jglue", 1119),
        ("dolly_safety_subset/databricks-dolly-15k-safety-only.jsonl", "databricks-dolly-15k", "dolly", 387),
        ("llama_factory_demo/alpaca_en_demo.json", "", "alpaca", 999),
        ("llama_factory_demo/identity.json", "", "alpaca", 91),
        ("llama_factory_demo/glaive_toolcall_en_demo.json", "conversations", "chat", 300),
        ("fastchat_sharegpt/dummy_conversation.json", "conversations", "chat", 500),
    ];
    for (path, known, converter, accepted) in sets {
        let folder = tempfile::tempdir().unwrap();
        let (found, _) = inspected(folder.path(), &data.join(path).to_string_lossy());
        assert_eq!(found["known"].as_str().unwrap_or_default(), known, "{path}");
        let entry = found["proposal"].as_str().unwrap();
        assert!(entry.contains(&format!("converter = \"{converter}\"")), "{path}: {entry}");
        // Of these nobody but the user knows what their requests are.
        let is_open = ["alpaca", "chat"].contains(&converter);
        assert_eq!(found["is_open"], is_open, "{path}: {entry}");
        let source = prepare(folder.path(), &entry.replace("mapper = \"?\"", "mapper = \"allow-all\""));
        assert_eq!(source["accepted"], accepted, "{path}: {source}");
        assert_eq!(source["rejected"], 0, "{path}");
    }
}
