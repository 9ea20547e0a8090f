//! Whole numbers in as few bytes as they need (unsigned LEB128): seven bits a byte, the lowest first.

use so8t_plugin_sdk::Failure;

/// How many bytes a number takes.
pub(crate) fn length(number: u64) -> usize {
    (u64::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

/// Appends a number.
pub(crate) fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off the front.
pub(crate) fn read(bytes: &mut &[u8]) -> Result<u64, Failure> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let Some((&byte, rest)) = bytes.split_first() else {
            return Err(Failure::Input("state: expected more bytes, found its end".to_owned()));
        };
        *bytes = rest;
        let part = u64::from(byte & 127);
        if part << shift >> shift != part {
            break;
        }
        number |= part << shift;
        if byte < 128 {
            return Ok(number);
        }
    }
    Err(Failure::Input("state: expected numbers of at most 64 bits".to_owned()))
}
