//! Bytes that no well-formed source holds.

use crate::conformance::bytes::{mutated, truncations};
use so8t_evaluate::Random;

/// Malformed sources made from a good one, and some that are bad from the start; always the same.
pub(super) fn sources(good: &[u8], random: &mut Random) -> Vec<Vec<u8>> {
    let good = &good[..good.len().min(2048)];
    let mut all: Vec<Vec<u8>> = [
        &b""[..],
        b"\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b"\"",
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\\",
        b"null",
        b"0",
        b"[]",
        b"{}",
        b"[{}",
        b"[{},",
        b"{\"a\":",
        b"{\"a\"}",
        b"[1,2",
        b"nul",
        b"-",
        b"1e",
        b"\"\\u12",
        b"\"\\ud800\"\n",
        b"\0",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xef\xbb",
        b"\xc3",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
    ]
    .iter()
    .map(|bytes| bytes.to_vec())
    .collect();
    all.extend(truncations(good, 600));
    all.push([b"\xef\xbb\xbf", good].concat());
    all.push([b"\xef\xbb\xbf\xef\xbb\xbf", good].concat());
    for (mark, order) in [(b"\xff\xfe", u16::to_le_bytes as fn(u16) -> [u8; 2]), (b"\xfe\xff", u16::to_be_bytes)] {
        let text = String::from_utf8_lossy(good);
        all.push(mark.iter().copied().chain(text.encode_utf16().flat_map(order)).collect());
    }
    for foreign in [&b"\0"[..], b"\0\0\0\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\"", b"\n", b"\r", b"\\"] {
        for at in (0..=good.len()).step_by(good.len().div_ceil(40).max(1)) {
            all.push([&good[..at], foreign, &good[at..]].concat());
        }
    }
    all.extend((0..300).map(|_| mutated(good, random)));
    all.extend((0..8).map(|_| (0..4096).map(|_| random.below(256) as u8).collect()));
    all.push(vec![0; 1000]);
    all.push(b"\n".repeat(100_000));
    all.push(b",".repeat(100_000));
    all.push(b"\"".repeat(100_001));
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"instruction\":[", "]}]")] {
        all.push(open.repeat(50_000).into_bytes());
        all.push([open.repeat(50_000), close.repeat(50_000)].concat().into_bytes());
    }
    // A record that is longer than a converter should keep, ended and not ended.
    let long = [b"{\"instruction\":\"".as_slice(), &b"long ".repeat(4 << 20)].concat();
    all.push([&long[..], b"\"}\n"].concat());
    all.push(long);
    all
}
