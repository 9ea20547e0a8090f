use std::path::PathBuf;

use super::{read, read_as};

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
fn binary_that_is_no_text_names_row_and_column() {
    assert_eq!(
        read(&golden("picture.parquet"), None).unwrap_err(),
        "cannot read `FILE`: row 2: column `image.bytes` is binary that is no text: byte 1 (0x89) is not UTF-8"
    );
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
