//! A finished run as a file of TensorBoard's events.
//!
//! A file is a list of records (length, its checksum, bytes, their checksum), each an `Event` of TensorFlow's `event.proto` in the wire format of Protocol
//! Buffers. Equal runs give equal bytes, and a run that is written twice lies there once.

use std::path::{Path, PathBuf};

use so8t_base::{Result, files};

use crate::finished::FinishedRun;
use crate::names::joined;

/// Writes a run below `folder`, in a folder of its own. Returns the file.
///
/// # Errors
/// A folder that cannot be written.
pub fn write(run: &FinishedRun, folder: &Path) -> Result<PathBuf> {
    let own = folder.join(format!("{}-{}", run.name, &run.digest[..8]));
    let path = own.join(format!("events.out.tfevents.{}.so8t.{}", run.ended / 1000, &run.digest[..12]));
    files::write(&path, &events(run))?;
    Ok(path)
}

/// All events of a run as the bytes of a file.
pub fn events(run: &FinishedRun) -> Vec<u8> {
    let seconds = run.report["training"]["seconds"].as_f64().unwrap_or(0.0);
    let (end, start) = (run.ended as f64 / 1000.0, run.ended as f64 / 1000.0 - seconds);
    let mut out = Vec::new();
    let mut first = double(1, start);
    first.extend(bytes(3, b"brain.Event:2"));
    record(&mut out, &first);

    let (mut clock, mut seen) = (start, 0);
    for step in &run.steps {
        if let Some(rate) = step.tokens_per_second.filter(|rate| *rate > 0.0) {
            clock += step.tokens.saturating_sub(seen) as f64 / rate;
        }
        seen = step.tokens;
        let values = step.values();
        let summary: Vec<u8> =
            values.iter().flat_map(|(name, value)| scalar(&joined(&["train", name]), *value)).collect();
        record(&mut out, &event(clock, step.step, &summary));
    }
    for validated in &run.validations {
        let step = validated["step"].as_u64().unwrap_or_default();
        let name = validated["metric"].as_str().unwrap_or_default();
        let mut summary = Vec::new();
        if let Some(value) = validated["value"].as_f64() {
            summary.extend(scalar(&joined(&["validation", name]), value));
        }
        for guard in validated["guards"].as_array().into_iter().flatten() {
            if let (Some(name), Some(value)) = (guard["guard"].as_str(), guard["value"].as_f64()) {
                summary.extend(scalar(&joined(&["guards", &name.replace('`', "")]), value));
            }
        }
        record(&mut out, &event(end, step, &summary));
    }
    let last = run.steps.last().map_or(0, |step| step.step);
    for value in run.values() {
        let step = if value.moment == "after" { last } else { 0 };
        let name = |kind: &str| match &value.source {
            Some(source) => joined(&[&format!("{}{kind}", value.moment), source, &value.metric]),
            None => joined(&[&format!("{}{kind}", value.moment), &value.metric]),
        };
        let mut summary = scalar(&name(""), value.value);
        if let Some((low, high)) = value.interval {
            summary.extend(scalar(&name(".low"), low));
            summary.extend(scalar(&name(".high"), high));
        }
        record(&mut out, &event(end, step, &summary));
    }
    if let Ok(report) = run.file("report.md") {
        record(&mut out, &event(end, last, &text("report", &report)));
    }
    out
}

/// `Event { wall_time = 1, step = 2, summary = 5 }`.
fn event(wall: f64, step: u64, summary: &[u8]) -> Vec<u8> {
    let mut out = double(1, wall);
    out.extend(varint_field(2, step));
    out.extend(bytes(5, summary));
    out
}

/// `Summary { value = 1 { tag = 1, simple_value = 2 } }`; nothing where the value is not finite.
fn scalar(tag: &str, value: f64) -> Vec<u8> {
    if !value.is_finite() {
        return Vec::new();
    }
    let mut own = bytes(1, tag.as_bytes());
    own.push(2 << 3 | 5);
    own.extend((value as f32).to_le_bytes());
    bytes(1, &own)
}

/// A text for the plugin `text`: `Summary { value = 1 { tag = 1, metadata = 9 { plugin_data = 1 { plugin_name = 1 } }, tensor = 8 { dtype = 1, shape = 2,
/// string_val = 8 } } }`.
fn text(tag: &str, value: &[u8]) -> Vec<u8> {
    /// `DT_STRING`.
    const STRING: u64 = 7;
    let mut tensor = varint_field(1, STRING);
    tensor.extend(bytes(2, &bytes(2, &varint_field(1, 1))));
    tensor.extend(bytes(8, value));
    let mut own = bytes(1, tag.as_bytes());
    own.extend(bytes(8, &tensor));
    own.extend(bytes(9, &bytes(1, &bytes(1, b"text"))));
    bytes(1, &own)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_field(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, field << 3);
    varint(&mut out, value);
    out
}

fn double(field: u8, value: f64) -> Vec<u8> {
    let mut out = vec![field << 3 | 1];
    out.extend(value.to_le_bytes());
    out
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, field << 3 | 2);
    varint(&mut out, value.len() as u64);
    out.extend(value);
    out
}

/// One record: length, its masked checksum, the bytes, their masked checksum.
fn record(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = (bytes.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(&length).to_le_bytes());
    out.extend(bytes);
    out.extend(masked(bytes).to_le_bytes());
}

/// The checksum of a record: a CRC turned by 15 bits and shifted by a constant, so that the checksum of bytes which hold checksums is a good one.
pub fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// CRC-32C: polynomial 0x1EDC6F41 (Castagnoli), reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0x82F6_3B78 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| TABLE[(crc as u8 ^ byte) as usize] ^ (crc >> 8))
}
