//! Mail addresses: the usual part of RFC 5321, that is `local@domain.tld` in ASCII.

use std::ops::Range;

/// The longest part before the sign (RFC 5321, 4.5.3.1.1).
const LOCAL: usize = 64;
/// The longest domain (RFC 5321, 4.5.3.1.2).
const DOMAIN: usize = 255;
/// What ends a file's name and is no top-level domain: `icon@2x.png` is no address.
const FILES: [&str; 11] = ["css", "gif", "html", "jpeg", "jpg", "js", "json", "png", "svg", "webp", "xml"];

/// The addresses of a folded text, in order.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut end = 0;
    for sign in memchr::memchr_iter(b'@', bytes) {
        if sign < end {
            continue;
        }
        let first = sign.saturating_sub(LOCAL).max(end);
        let length = bytes[first..sign].iter().rev().take_while(|byte| is_local(**byte)).count();
        // Quotes and brackets around an address, and dots before it, are no part of it.
        let start = sign - length + bytes[sign - length..sign].iter().take_while(|b| !is_name(**b)).count();
        let Some(length) = domain(&bytes[sign + 1..]) else { continue };
        let local = &bytes[start..sign];
        if local.is_empty() || local.ends_with(b".") || local == b"git" {
            continue;
        }
        end = sign + 1 + length;
        found.push(start..end);
    }
}

/// The length of the domain that `bytes` starts with: two labels or more, the last of at least two letters.
fn domain(bytes: &[u8]) -> Option<usize> {
    let taken = bytes.iter().take(DOMAIN).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')).count();
    let mut domain = &bytes[..taken];
    loop {
        while let [rest @ .., b'.' | b'-'] = domain {
            domain = rest;
        }
        let dot = memchr::memrchr(b'.', domain)?;
        let last = &domain[dot + 1..];
        let is_top = last.len() >= 2 && (last.iter().all(u8::is_ascii_alphabetic) || last.starts_with(b"xn--"));
        let is_file = FILES.iter().any(|file| last.eq_ignore_ascii_case(file.as_bytes()));
        if is_top && !is_file && !domain.starts_with(b".") && !domain.starts_with(b"-") && !has_gap(domain) {
            return Some(domain.len());
        }
        if is_file {
            return None;
        }
        domain = &domain[..dot];
    }
}

fn has_gap(domain: &[u8]) -> bool {
    domain.windows(2).any(|pair| pair == b"..")
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
