//! The form of a request in which duplicates are looked for.

use unicode_normalization::UnicodeNormalization;

use super::Request;

/// A request in the form in which duplicates are looked for: NFKC, lower case, white space folded, closing
/// punctuation dropped.
pub fn normalised(request: &Request) -> String {
    let mut out = String::with_capacity(request.instruction.len() + request.input.len() + 2);
    normalise(&request.instruction, &request.input, &mut out);
    out
}

/// As [`normalised`], for the parts of a request, into what is there already.
pub fn normalise(instruction: &str, input: &str, out: &mut String) {
    for part in [instruction, input] {
        let start = out.len();
        if part.is_ascii() || part.chars().all(is_plain) {
            match is_folded(part.as_bytes()) {
                true => {
                    out.push_str(part);
                    out[start..].make_ascii_lowercase();
                }
                false => fold(part.chars().map(|c| c.to_ascii_lowercase()), out),
            }
        } else {
            fold(part.nfkc().flat_map(char::to_lowercase), out);
        }
        let kept = out[start..].trim_end_matches(['.', '?', '!', '。', '…', ' ']).len();
        out.truncate(start + kept);
        out.push('\u{1f}');
    }
}

/// Whether NFKC leaves a character as it is, also beside others of this kind, and whether it has no lower case but ASCII's. It holds
/// for most of English and Japanese, and spares the search in tables.
fn is_plain(character: char) -> bool {
    matches!(character, '\0'..='\u{7f}' | '\u{3001}' | '\u{3002}' | '\u{300c}'..='\u{300f}' | '\u{3041}'..='\u{3096}'
        | '\u{30a1}'..='\u{30fa}' | '\u{30fc}' | '\u{4e00}'..='\u{9fff}')
}

/// Whether the only white space is single spaces within. A text of [`is_plain`] characters has no white space but ASCII's.
fn is_folded(text: &[u8]) -> bool {
    let edges = [text.first(), text.last()];
    let other = |byte: u8| (b'\t'..=b'\r').contains(&byte);
    let next = text.get(1..).unwrap_or_default();
    let runs = text.iter().zip(next).fold(false, |any, (a, b)| any | ((*a == b' ') & (*b == b' ')));
    !edges.contains(&Some(&b' ')) && !runs && !text.iter().fold(false, |any, byte| any | other(*byte))
}

/// Appends characters, each run of white space as one space, and none at either end.
fn fold(characters: impl Iterator<Item = char>, out: &mut String) {
    let start = out.len();
    let mut space = false;
    for character in characters {
        if character.is_whitespace() {
            space = true;
            continue;
        }
        if space && out.len() > start {
            out.push(' ');
        }
        space = false;
        out.push(character);
    }
}
