//! Lines that end in a carriage return alone are lines.

use super::read_as;
use crate::cli::{lines, manifest, outcome, so8t, write};

#[test]
fn carriage_returns_end_lines_where_there_is_no_line_feed() {
    assert_eq!(read_as("a.csv", b"a,b\r1,2\r3,4", None).unwrap(), "a,b\n1,2\n3,4");
    assert_eq!(read_as("a.csv", b"a,b\r\n1,\"x\ry\"\r\n", None).unwrap(), "a,b\r\n1,\"x\ry\"\r\n");
    assert_eq!(read_as("a.csv", b"a,b", None).unwrap(), "a,b");
    // A line feed that comes late still ends lines.
    let long = format!("{}\r{}\n", "x".repeat(300_000), "y".repeat(300_000));
    assert_eq!(read_as("a.csv", long.as_bytes(), None).unwrap(), long);
    let utf16: Vec<u8> = "\u{feff}い\rろ\r".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read_as("a.csv", &utf16, None).unwrap(), "い\nろ\n");
}

#[test]
fn every_text_format_is_read_and_inspected_so() {
    let folder = tempfile::tempdir().unwrap();
    let csv: String = (0..20).map(|i| format!("request {i},{}\r", ["ALLOW", "DENY"][i % 2])).collect();
    write(folder.path(), "data.csv", &format!("instruction,label\r{csv}"));
    write(folder.path(), "data.jsonl", &lines().replace('\n', "\r"));
    for (name, converter) in [("data.csv", "csv"), ("data.jsonl", "jsonl")] {
        let text = manifest("\"data.jsonl\"", &format!("\"{name}\"")).replace("\"jsonl\"", &format!("\"{converter}\""));
        write(folder.path(), "so8t.toml", &text);
        let (json, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--json"]));
        assert_eq!(code, 0, "{name}: {stderr}");
        let found: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(found["statistics"]["sources"][0]["accepted"], 20, "{name}");
        let (json, stderr, code) = outcome(&so8t(folder.path(), &["data", "inspect", name, "--json"]));
        assert_eq!(code, 0, "{name}: {stderr}");
        let found: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&found["records"], &found["rejected"]), (&20.into(), &0.into()), "{name}");
    }
}
