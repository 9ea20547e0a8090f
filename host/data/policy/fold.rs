//! Full-width forms as half-width ones, so that `０９０` is found as `090` is, with the way back to the places of the text.

use std::borrow::Cow;

/// A text in which every full-width ASCII character, and every dash that stands for a hyphen, is one ASCII byte.
pub(super) struct Folded<'a> {
    /// The folded text.
    pub(super) text: Cow<'a, str>,
    /// Where in it the folded characters stand; each took three bytes and takes one.
    places: Vec<usize>,
}

impl<'a> Folded<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let mut out = String::new();
        let mut places = Vec::new();
        let mut from = 0;
        for at in memchr::memchr2_iter(0xEF, 0xE2, bytes) {
            let Some(ascii) = ascii(&bytes[at..]) else { continue };
            out.push_str(&text[from..at]);
            places.push(out.len());
            out.push(char::from(ascii));
            from = at + 3;
        }
        if places.is_empty() {
            return Self { text: Cow::Borrowed(text), places };
        }
        out.push_str(&text[from..]);
        Self { text: Cow::Owned(out), places }
    }

    /// The place in the text that a place in the folded text came from.
    pub(super) fn original(&self, place: usize) -> usize {
        place + 2 * self.places.partition_point(|&own| own < place)
    }
}

/// The ASCII form of the three-byte character that `bytes` starts with, where it has one: U+FF01–U+FF5E, U+2010–U+2015, U+2212.
fn ascii(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [0xEF, 0xBC, low @ 0x81..=0xBF, ..] => Some(low - 0x60),
        [0xEF, 0xBD, low @ 0x80..=0x9E, ..] => Some(low - 0x20),
        [0xE2, 0x80, 0x90..=0x95, ..] | [0xE2, 0x88, 0x92, ..] => Some(b'-'),
        _ => None,
    }
}
