use std::path::PathBuf;

use so8t::data::input::{self, InputOptions};

use super::{read, read_as};
use crate::cli::{outcome, so8t};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/input/golden").join(name)
}

#[test]
fn rows_are_json_lines_whatever_the_codec() {
    let expected = std::fs::read_to_string(golden("rows.jsonl")).unwrap();
    for codec in ["none", "snappy", "gzip", "zstd", "lz4"] {
        assert_eq!(read(&golden(&format!("rows.{codec}.parquet")), None).unwrap(), expected, "{codec}");
    }
    let error = read(&golden("rows.brotli.parquet"), None).unwrap_err();
    let expected = "cannot read `FILE`: column `text` is compressed with brotli: expected snappy, gzip, zstd, lz4 or nothing\n\
                    hint: write the file again with another compression";
    assert_eq!(error, expected);
}

#[test]
fn binary_that_is_no_text_is_an_object_that_says_so_and_its_column_is_noted() {
    let text = read(&golden("picture.parquet"), None).unwrap();
    let second: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert!(second["image"]["bytes"]["binary"].as_u64().is_some_and(|bytes| bytes > 0), "{second}");
    let mut opened = input::open_described(&golden("picture.parquet"), &InputOptions::default()).unwrap();
    assert!(opened.binary.names().is_empty());
    std::io::copy(&mut opened.reader, &mut std::io::sink()).unwrap();
    assert_eq!(opened.binary.names(), ["image"]);
}

#[test]
fn a_binary_column_costs_nothing_but_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(golden("picture.parquet"), folder.path().join("p.parquet")).unwrap();
    let (json, stderr, code) = outcome(&so8t(folder.path(), &["data", "inspect", "p.parquet", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["binary"], serde_json::json!(["image"]), "{found}");
}

#[test]
fn a_file_that_is_cut_or_damaged_is_an_error() {
    let bytes = std::fs::read(golden("rows.none.parquet")).unwrap();
    for length in [4, 100, bytes.len() / 2, bytes.len() - 1] {
        let error = read_as("a.parquet", &bytes[..length], None).unwrap_err();
        assert!(error.starts_with("cannot read `FILE`: it is not a whole Parquet file: "), "{length}: {error}");
        assert!(error.contains("hint: fetch or write the file again"), "{error}");
    }
    // Any byte of the data may be wrong: an error or other values, never a panic that ends the program.
    let mut failed = 0;
    for at in (4..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        failed += usize::from(read_as("a.parquet", &damaged, None).is_err());
    }
    assert!(failed > 100, "{failed}");
}
