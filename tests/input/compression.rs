use std::io::{Read, Write};

use flate2::write::GzEncoder;
use so8t::data::input::{self, InputOptions};

use super::read_as;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Text that does not shrink to nothing.
fn text() -> String {
    (0..20_000_u64).map(|i| format!("{:x}\n", i.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect()
}

#[test]
fn gzip_and_zstd_are_told_by_their_bytes_and_may_be_joined() {
    let text = text();
    let (one, two) = text.split_at(text.len() / 3);
    for pack in [gzip, zstd] {
        assert_eq!(read_as("a.jsonl", &pack(text.as_bytes()), None).unwrap(), text);
        let joined = [pack(one.as_bytes()), pack(two.as_bytes())].concat();
        assert_eq!(read_as("a.dat", &joined, None).unwrap(), text, "members and frames follow one another");
        assert_eq!(read_as("a", &pack(b""), None).unwrap(), "");
    }
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(b"text")].concat();
    assert_eq!(read_as("a.zst", &skipped, None).unwrap(), "text", "a frame that is to be skipped");
}

#[test]
fn zeros_behind_a_gzip_file_are_its_end_and_nothing_else_is() {
    let text = text();
    let packed = gzip(text.as_bytes());
    for zeros in [1, 7, 512, 1 << 18] {
        let padded = [&packed[..], &vec![0; zeros]].concat();
        assert_eq!(read_as("a.jsonl.gz", &padded, None).unwrap(), text, "{zeros}");
        for behind in [&b"x"[..], &packed] {
            let error = read_as("a.jsonl.gz", &[&padded[..], behind].concat(), None).unwrap_err();
            assert!(error.starts_with("cannot read `FILE`: the gzip data are corrupt at offset "), "{error}");
            assert!(error.contains("a byte that is not zero follows zeros"), "{error}");
        }
    }
    let joined = [&packed[..], &packed, &[0; 64]].concat();
    assert_eq!(read_as("a.gz", &joined, None).unwrap(), text.repeat(2));
}

#[test]
fn a_window_of_any_size_is_read() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.write_all(text().as_bytes()).unwrap();
    assert_eq!(read_as("a.zst", &encoder.finish().unwrap(), None).unwrap(), text());
}

#[test]
fn a_file_that_was_cut_short_or_damaged_names_the_offset() {
    let text = text();
    for (name, packed) in [("gzip", gzip(text.as_bytes())), ("zstd", zstd(text.as_bytes()))] {
        for length in [packed.len() - 1, packed.len() - 5, packed.len() / 2, 30] {
            let error = read_as("a", &packed[..length], None).unwrap_err();
            let expected = format!(
                "cannot read `FILE`: the {name} data end at offset {length}, before they are whole\n\
                 hint: the file was cut short: fetch or pack it again"
            );
            assert_eq!(error, expected, "{length} of {}", packed.len());
        }
        let mut damaged = packed.clone();
        let middle = packed.len() / 2;
        damaged[middle..middle + 40].fill(0xff);
        let error = read_as("a", &damaged, None).unwrap_err();
        assert!(error.starts_with(&format!("cannot read `FILE`: the {name} data are corrupt at offset ")), "{error}");
        let garbage = [&packed[..], b"and then some text"].concat();
        let error = read_as("a", &garbage, None).unwrap_err();
        assert!(error.starts_with(&format!("cannot read `FILE`: the {name} data are corrupt at offset ")), "{error}");
    }
}

#[test]
fn what_is_no_data_file_is_named() {
    for (name, bytes, expected) in [
        ("a.jsonl.gz", &b""[..], "its name promises gzip, and it is empty\nhint: fetch or pack it again"),
        ("a.jsonl.gz", b"{}", "its name promises gzip, and it does not begin so\nhint: fetch or pack it again"),
        ("a.zst", b"\x28\xb5", "its name promises zstd, and it does not begin so"),
        (
            "a.csv",
            b"PK\x03\x04rest",
            "it is a zip archive or a spreadsheet (.xlsx)\nhint: unpack it, or export the sheet as CSV in UTF-8",
        ),
        ("a.csv", b"\xd0\xcf\x11\xe0\xa1", "it is an old spreadsheet (.xls)"),
        (
            "a.jsonl",
            b"version https://git-lfs.github.com/spec/v1\n",
            "it is a pointer of Git LFS, not the data\nhint: fetch the data: `git lfs pull`",
        ),
        ("a.jsonl", b"BZh91AY", "it is compressed with bzip2"),
        ("a.jsonl", b"<!DOCTYPE html><html>", "it is a web page"),
        ("a.parquet", b"{}", "it is not a whole Parquet file"),
    ] {
        let error = read_as(name, bytes, None).unwrap_err();
        assert!(error.starts_with("cannot read `FILE`: ") && error.contains(expected), "{name}: {error}");
    }
    assert_eq!(read_as("a.jsonl", b"", None).unwrap(), "", "an empty file is an empty text");
}

#[test]
fn a_bomb_is_read_in_pieces() {
    // 64 MiB of spaces in a few kilobytes, cut short: all but the end is given before the cut is met, so none of it waits for the rest.
    for (name, bomb) in [("gzip", gzip(&vec![b' '; 1 << 26])), ("zstd", zstd(&vec![b' '; 1 << 26]))] {
        assert!(bomb.len() < 80_000, "{name}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, &bomb[..bomb.len() - 3]).unwrap();
        let mut reader = so8t::data::input::open(&path, &InputOptions::default()).unwrap();
        let (mut given, mut piece) = (0_u64, vec![0; 1 << 16]);
        let error = loop {
            match reader.read(&mut piece) {
                Ok(0) => panic!("{name}: the end was not met"),
                Ok(read) => given += read as u64,
                Err(error) => break input::failed(&path, error).to_string(),
            }
        };
        assert!(given > 60 << 20, "{name}: {given} bytes");
        assert!(error.contains("before they are whole"), "{error}");
    }
}
