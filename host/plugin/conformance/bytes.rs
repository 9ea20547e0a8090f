//! Bytes that were cut, mixed up, and made readable.

use so8t_evaluate::Random;

/// What comes before each of at most `count` places, evenly spread.
pub(super) fn truncations(bytes: &[u8], count: usize) -> Vec<Vec<u8>> {
    let step = bytes.len().div_ceil(count.max(1)).max(1);
    (0..bytes.len()).step_by(step).map(|end| bytes[..end].to_vec()).collect()
}

/// Bytes of which a few were changed, taken out, put in or doubled.
pub(super) fn mutated(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(out.len() as u64 + 1) as usize;
        let end = (at + 1 + random.below(8) as usize).min(out.len());
        let any = random.below(256) as u8;
        // What parsers look for, more often than chance would have it.
        let telling = b"\"\\{}[],:\n\r\0\t'0-\xff\xc3\xef"[random.below(18) as usize];
        match random.below(5) {
            0 if at < out.len() => out[at] = any,
            1 if at < out.len() => out[at] = telling,
            2 => drop(out.drain(at..end)),
            3 => out.insert(at, telling),
            _ => {
                let part = out[at..end].to_vec();
                out.splice(at..at, part);
            }
        }
    }
    out
}

/// Bytes as text, without loss but for their length: what is not printable ASCII is escaped, as in `\n` and `\xff`.
pub(super) fn escaped(bytes: &[u8]) -> String {
    const SHOWN: usize = 2000;
    let text = bytes[..bytes.len().min(SHOWN)].escape_ascii().to_string();
    if bytes.len() > SHOWN { format!("{text}… ({} bytes)", bytes.len()) } else { text }
}
