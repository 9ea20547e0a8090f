//! Text in any encoding, declared or told: however its bytes arrive it reads the same, and what is read is what a decoder makes of all
//! of it at once, or an error that names a byte of it. The first byte says what is declared, the second how the rest is cut.
#![no_main]

mod scratch;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use scratch::{Found, read};

const DECLARED: [Option<&str>; 11] = [
    None,
    None,
    Some("utf-8"),
    Some("utf-16"),
    Some("utf-16le"),
    Some("utf-16be"),
    Some("shift_jis"),
    Some("euc-jp"),
    Some("iso-2022-jp"),
    Some("gb18030"),
    Some("windows-1252"),
];

fuzz_target!(|data: &[u8]| {
    let [declared, cut, bytes @ ..] = data else { return };
    let declared = DECLARED[usize::from(*declared) % DECLARED.len()];
    let Ok(Found { is_text: true, text, encoding }) = read("a", bytes, declared, 1 + usize::from(*cut)) else { return };

    // A member of gzip is given to the decoder as a piece of its own.
    let mut members = Vec::new();
    for piece in bytes.chunks(1 + usize::from(*cut % 31)) {
        let mut encoder = GzEncoder::new(members, Compression::none());
        encoder.write_all(piece).expect("memory takes it");
        members = encoder.finish().expect("memory takes it");
    }
    if !members.is_empty() {
        let again = read("a", &members, declared, 1 << 16).expect("it is gzip");
        assert_eq!(again.text, text, "in pieces it reads otherwise");
        assert!(text.is_err() || again.encoding == encoding, "{encoding} is {} in pieces", again.encoding);
    }

    let expected = reference(bytes, encoding);
    match &text {
        Ok(text) => assert_eq!(Some(text), expected.as_ref(), "as {encoding}"),
        Err(message) => {
            assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "{message:?}");
            if let Some(offset) = message.split("the byte at offset ").nth(1) {
                let digits = offset.split(' ').next().unwrap_or_default();
                assert!(digits.parse::<usize>().expect("an offset") < bytes.len(), "{message}");
            }
        }
    }
    let zero = bytes.iter().take(2).any(|byte| *byte == 0);
    if declared.is_none() && std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0x1b) && !zero {
        assert_eq!(text.as_deref(), Ok(bytes), "UTF-8 is given as it is");
    }
    if declared == Some("utf-8") && text.is_ok() {
        assert_eq!(text.as_deref(), Ok(bytes), "UTF-8 is given as it is");
    }
    let marked = bytes.starts_with(b"\xef\xbb\xbf") || bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    if declared.is_some_and(|name| name != "utf-8" && name != "utf-16")
        && !marked
        && !bytes.starts_with(&[0, 0, 0xfe, 0xff])
    {
        assert_eq!(text.is_ok(), expected.is_some(), "{declared:?}: {text:?}");
    }
});

/// All of the text at once.
fn reference(bytes: &[u8], encoding: &str) -> Option<Vec<u8>> {
    let utf16 = |order: fn([u8; 2]) -> u16, mark: [u8; 2]| {
        let bytes = bytes.strip_prefix(&mark).unwrap_or(bytes);
        let (units, rest) = bytes.as_chunks::<2>();
        let text: Result<String, _> = char::decode_utf16(units.iter().copied().map(order)).collect();
        text.ok().filter(|_| rest.is_empty()).map(String::into_bytes)
    };
    match encoding {
        "ASCII" | "UTF-8" => Some(bytes.to_vec()),
        "UTF-16LE" => utf16(u16::from_le_bytes, [0xff, 0xfe]),
        "UTF-16BE" => utf16(u16::from_be_bytes, [0xfe, 0xff]),
        name => encoding_rs::Encoding::for_label(name.as_bytes())
            .expect("an encoding")
            .decode_without_bom_handling_and_without_replacement(bytes)
            .map(|text| text.into_owned().into_bytes()),
    }
}
