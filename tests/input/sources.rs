//! Sources of a manifest, through the command line.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::{lines, manifest, outcome, so8t, write};

fn prepared(folder: &Path) -> Vec<Value> {
    ["dataset.jsonl", "evaluation.jsonl"]
        .iter()
        .flat_map(|name| {
            let text = std::fs::read_to_string(folder.join("runs/test").join(name)).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
        })
        .collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_folder_gives_all_data_files_below_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = lines();
    let pieces: Vec<String> = text.lines().collect::<Vec<_>>().chunks(5).map(|lines| lines.join("\n") + "\n").collect();
    write(folder.path(), "data/b.jsonl", &pieces[0]);
    write(folder.path(), "data/deep/er/a.NDJSON", &pieces[1]);
    std::fs::write(folder.path().join("data/c.jsonl.gz"), gzip(&pieces[2])).unwrap();
    std::fs::write(folder.path().join("data/d.jsonl.zst"), zstd::encode_all(pieces[3].as_bytes(), 3).unwrap()).unwrap();
    for name in ["data/README.md", "data/.hidden.jsonl", "data/.cache/x.jsonl", "data/notes.txt"] {
        write(folder.path(), name, "not data");
    }
    write(folder.path(), "so8t.toml", &manifest("\"data.jsonl\"", "\"data\""));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("reading requests (4 files)"), "{stderr}");
    assert_eq!(prepared(folder.path()).len(), 20);
    let lock = std::fs::read_to_string(folder.path().join("so8t.lock")).unwrap();
    for name in ["data/b.jsonl", "data/c.jsonl.gz", "data/d.jsonl.zst", "data/deep/er/a.NDJSON"] {
        assert!(lock.contains(name), "{lock}");
    }
    let packed = so8t::files::sha256_file(&folder.path().join("data/c.jsonl.gz")).unwrap();
    assert!(lock.contains(&packed), "the digest is that of the file as it lies on disk: {lock}");
    let statistics: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("runs/test/statistics.json")).unwrap()).unwrap();
    assert_eq!(statistics["statistics"]["sources"][0]["bytes"], text.len(), "bytes are those of the text");
}

#[cfg(unix)]
#[test]
fn a_folder_and_a_pattern_see_the_same_files() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // Two of each class, so that some of them are evaluated.
    let rows = |name: &str| -> String {
        let row = |i: usize| format!("{{\"instruction\":\"{name} {i}\",\"label\":\"{}\"}}\n", ["ALLOW", "DENY"][i % 2]);
        (0..4).map(row).collect()
    };
    std::fs::create_dir_all(&data).unwrap();
    for name in [
        "plain.jsonl",
        "UPPER.JSONL",
        "with space.jsonl",
        "[odd].jsonl",
        "日本.jsonl",
        ".hidden.jsonl",
        "notes.txt",
        "a.jsonl.bak",
    ] {
        std::fs::write(data.join(name), rows(name)).unwrap();
    }
    std::fs::write(data.join(OsStr::from_bytes(b"wrong\xff.jsonl")), rows("wrong")).unwrap();
    std::fs::write(folder.path().join("else.jsonl"), rows("linked")).unwrap();
    std::os::unix::fs::symlink("../else.jsonl", data.join("link.jsonl")).unwrap();
    std::os::unix::fs::symlink("nowhere", data.join("broken.jsonl")).unwrap();
    let files = |path: &str| -> Vec<String> {
        write(folder.path(), "so8t.toml", &manifest("\"data.jsonl\"", path));
        let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--fresh"]));
        assert_eq!(code, 0, "{path}: {stderr}");
        let mut found: Vec<String> =
            prepared(folder.path()).iter().map(|example| example["instruction"].as_str().unwrap().to_owned()).collect();
        found.sort();
        found
    };
    let expected = files("\"data\"");
    assert_eq!(expected.len(), 28, "{expected:?}");
    for pattern in
        ["\"data/*\"", "\"./data/*\"", "\"data/**\"", "\"data/**/*\"", "\"dat[a]/*\"", "[\"data/*\", \"data\"]"]
    {
        assert_eq!(files(pattern), expected, "{pattern}");
    }
    assert_eq!(files("\"data/*.jsonl\"").len(), 24, "all but the one in capitals");
    assert_eq!(files("\"data/wrong?.jsonl\"").len(), 4);
    assert_eq!(files("\"data/*.txt\"").len(), 4, "an ending that is spelled out");
    assert_eq!(files("\"data/.h*\"").len(), 4, "a dot that is spelled out");
    // What is named in full is read, whatever it is called.
    assert_eq!(files("\"data/notes.txt\"").len(), 4);
    assert_eq!(files("\"data/[odd].jsonl\"").len(), 4);
    // Folders below, hidden and linked.
    for name in ["below/deep/x.jsonl", ".cache/y.jsonl", "below/.z.jsonl"] {
        write(&data, name, &rows(name));
    }
    std::os::unix::fs::symlink("below", data.join("linked")).unwrap();
    let deep = files("\"data\"");
    assert_eq!((deep.len(), files("\"data/*\"").len()), (32, 28));
    for pattern in ["\"data/**\"", "\"data/**/*\"", "\"**/data/**/*\"", "\"data/**/**/*\""] {
        assert_eq!(files(pattern), deep, "{pattern}");
    }
    write(folder.path(), "so8t.toml", &manifest("\"data.jsonl\"", "\"data/*.csv\""));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert!(code == 1 && stderr.contains("matches no file") && stderr.contains("so8t.toml:"), "{stderr}");
    write(folder.path(), "so8t.toml", &manifest("\"data.jsonl\"", "\"/dev/null\""));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert!(code == 1 && stderr.contains("`/dev/null` is a pipe or a device"), "{stderr}");
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["data", "inspect", "/dev/null"]));
    assert!(code == 1 && stderr.contains("it is a pipe or a device: expected a regular file"), "{stderr}");
}

#[test]
fn numbers_without_a_word_and_floats_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["NaN", "Infinity", "-Infinity", "[1, NaN]", "{\"a\": -Infinity, \"b\": \"NaN \\\" NaN\"}", "1.5"];
    let row = |i: usize| {
        format!(
            "{{\"instruction\":\"NaN and Infinity, number {i}\",\"label\":{}.0,\"score\":{}}}\n",
            i % 4,
            words[i % words.len()]
        )
    };
    let text: String = (0..24).map(row).collect();
    write(folder.path(), "data.jsonl", &text);
    write(folder.path(), "data.json", &format!("[{}]", text.trim_end().replace('\n', ",\n")));
    let csv: String = (0..24).map(|i| format!("request {i},{}.0\n", i % 4)).collect();
    write(folder.path(), "data.csv", &format!("instruction,label\n{csv}"));
    for (name, converter) in
        [("data.jsonl", "jsonl"), ("data.json", "json-array"), ("data.json", "alpaca"), ("data.csv", "csv")]
    {
        let text = manifest("\"data.jsonl\"", &format!("\"{name}\"")).replace("\"jsonl\"", &format!("\"{converter}\""));
        write(folder.path(), "so8t.toml", &text);
        let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--fresh"]));
        assert_eq!(code, 0, "{name}: {stderr}");
        let examples = prepared(folder.path());
        assert_eq!(examples.len(), 24, "{name}");
        for example in examples {
            let text = example["instruction"].as_str().unwrap();
            let number: usize = text.rsplit(' ').next().unwrap().parse().unwrap();
            assert_eq!(example["label"], ["ALLOW", "ESCALATION", "DENY", "REFUSE"][number % 4], "{example}");
        }
    }
    write(folder.path(), "data.jsonl", &text.replace("2.0", "2.5"));
    write(folder.path(), "so8t.toml", &manifest("", ""));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--fresh"]));
    assert!(code == 1 && stderr.contains("`2.5` is not a label"), "{stderr}");
}

#[test]
fn files_of_one_name_in_several_folders_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let text = lines();
    let (one, two) = text.split_at(text.len() / 2 + text[text.len() / 2..].find('\n').unwrap() + 1);
    write(folder.path(), "else/one/rows.jsonl", one);
    write(folder.path(), "else/two/rows.jsonl", two);
    write(folder.path(), "here/so8t.toml", &manifest("\"data.jsonl\"", "\"../else\""));
    let here = folder.path().join("here");
    assert_eq!(outcome(&so8t(&here, &["prepare", "so8t.toml"])).2, 0);
    let lock = std::fs::read_to_string(here.join("so8t.lock")).unwrap();
    assert!(lock.contains("one/rows.jsonl") && lock.contains("two/rows.jsonl"), "{lock}");
    // The first of two files of one name changes: the data are prepared again.
    write(folder.path(), "else/one/rows.jsonl", &one.replace("request 0", "request zero"));
    let (_, stderr, _) = outcome(&so8t(&here, &["prepare", "so8t.toml"]));
    assert!(!stderr.contains("prepared before"), "{stderr}");
}

/// Runs `so8t prepare` with a text on standard input.
fn prepare_from(folder: &Path, arguments: &[&str], text: &[u8]) -> (String, String, i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_so8t"))
        .args([&["prepare", "so8t.toml"], arguments].concat())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // The program may end before it reads.
    let _ = input.write_all(text);
    drop(input);
    outcome(&child.wait_with_output().unwrap())
}

#[test]
fn standard_input_is_read_once_and_its_digest_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "so8t.toml", &manifest("\"data.jsonl\"", "\"-\""));
    let packed = gzip(&lines());
    let (_, stderr, code) = prepare_from(folder.path(), &[], &packed);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(prepared(folder.path()).len(), 20);
    let lock = std::fs::read_to_string(folder.path().join("so8t.lock")).unwrap();
    assert!(lock.contains(&so8t::files::sha256(&packed)), "{lock}");
    assert_eq!(prepare_from(folder.path(), &["--locked"], &packed).2, 0);
    let (_, stderr, code) = prepare_from(folder.path(), &["--locked"], lines().as_bytes());
    assert!(code == 1 && stderr.contains("`-` has sha256"), "{stderr}");

    let parquet =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/input/golden/rows.zstd.parquet")).unwrap();
    let (_, stderr, code) = prepare_from(folder.path(), &[], &parquet);
    assert!(code == 1 && stderr.contains("the record has no field `instruction`"), "Parquet too: {stderr}");

    let second = "[[data]]\nname = \"again\"\npath = \"-\"\nconverter = \"jsonl\"\nmapper = \"four-class\"\n\n[split]";
    write(folder.path(), "so8t.toml", &manifest("\"data.jsonl\"", "\"-\"").replace("[split]", second));
    let (_, stderr, code) = prepare_from(folder.path(), &[], &packed);
    assert!(
        code == 1 && stderr.contains("so8t.toml:16:8: two sources read standard input (`-`): it can be read only once"),
        "{stderr}"
    );
}

#[test]
fn an_encoding_is_declared_in_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let text = lines().replace("request", "依頼");
    let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode(&text);
    std::fs::write(folder.path().join("data.jsonl"), &bytes).unwrap();
    write(folder.path(), "so8t.toml", &manifest("", ""));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert_eq!(code, 1);
    let shown: Vec<&str> =
        stderr.lines().filter(|line| line.starts_with("error") || line.starts_with("hint")).collect();
    assert_eq!(
        shown[0],
        "error: cannot read `./data.jsonl`: the byte at offset 16 (0x88, line 1) is not UTF-8, and what the text is in is not certain"
    );
    assert!(shown[1].contains("`encoding = \"shift_jis\"` reads `{\"instruction\":\"依頼"), "{stderr}");

    write(folder.path(), "so8t.toml", &manifest("converter =", "encoding = \"cp932\"\nconverter ="));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(prepared(folder.path()).iter().all(|example| example["instruction"].as_str().unwrap().starts_with("依頼")));

    write(folder.path(), "so8t.toml", &manifest("converter =", "encoding = \"cp9\"\nconverter ="));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert!(code == 1 && stderr.contains("so8t.toml:12:12: `cp9` is not an encoding: expected `utf-8`"), "{stderr}");
}

#[test]
fn a_file_that_is_cut_short_fails_the_source_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let packed = gzip(&lines().repeat(50));
    std::fs::write(folder.path().join("data.jsonl"), &packed[..packed.len() - 9]).unwrap();
    write(folder.path(), "so8t.toml", &manifest("", ""));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    let expected = format!(
        "error: cannot read `./data.jsonl`: the gzip data end at offset {}, before they are whole",
        packed.len() - 9
    );
    assert!(code == 1 && stderr.contains(&expected), "{stderr}");
    assert!(!folder.path().join("runs/test/dataset.jsonl").exists());
}

#[test]
fn data_are_prepared_without_a_model_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.jsonl", &lines());
    write(folder.path(), "so8t.toml", &manifest("[model]\nbase = \"model\"\n", ""));
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert_eq!(code, 0, "{stderr}");
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["eval", "so8t.toml"]));
    assert!(code == 1 && stderr.contains("so8t.toml has no `[model]` table"), "{stderr}");
    assert!(stderr.contains("hint: add `[model]` with `base`"), "{stderr}");
}
