//! Any text, packed in several members or frames: it reads as it was, and with one byte of the packed file changed, it reads the same or
//! not at all. The first byte says how it is packed, the next three which byte is changed, and how.
#![no_main]

mod scratch;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use scratch::read;

fuzz_target!(|data: &[u8]| {
    let [how, low, high, change, text @ ..] = data else { return };
    let is_zstd = how & 1 == 1;
    let level = u32::from(how >> 1 & 3);
    let piece = 1 + (usize::from(how >> 3) << 4);
    let mut packed = Vec::new();
    for piece in text.chunks(piece) {
        packed.extend(if is_zstd { zstd_frame(piece, level) } else { gzip_member(piece, level) });
    }
    if packed.is_empty() {
        return;
    }
    let name = if is_zstd { "a.zst" } else { "a.gz" };
    let whole = read(name, &packed, Some("utf-8"), 1 << 12).expect("it is packed").text;
    // A mark of another encoding is not what is declared.
    let marked =
        text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") || text.starts_with(&[0, 0, 0xfe, 0xff]);
    assert!(marked || whole.as_deref() == Ok(text), "{whole:?}");
    let at = usize::from(u16::from_le_bytes([*low, *high])) % packed.len();
    packed[at] ^= change;
    if let Ok(found) = read(name, &packed, Some("utf-8"), 1 << 12)
        && let Ok(found) = found.text
    {
        assert!(marked || found == text, "byte {at} of {name} changed: {found:?}");
    }
});

fn gzip_member(text: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(3 * level));
    encoder.write_all(text).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn zstd_frame(text: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1 + level as i32).expect("a level");
    encoder.include_checksum(true).expect("a frame may have one");
    encoder.write_all(text).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}
