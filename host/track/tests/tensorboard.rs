//! TensorBoard's event files: records, checksums, values.

use std::fs;

use so8t_track::tensorboard::{events, masked, write};

use crate::runs;

/// The records of a file, with both checksums checked.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(12);
        let length = u64::from_le_bytes(head[..8].try_into().expect("8 bytes")) as usize;
        assert_eq!(u32::from_le_bytes(head[8..].try_into().expect("4 bytes")), masked(&head[..8]));
        let (own, tail) = tail.split_at(length);
        let (sum, tail) = tail.split_at(4);
        assert_eq!(u32::from_le_bytes(sum.try_into().expect("4 bytes")), masked(own));
        out.push(own.to_vec());
        rest = tail;
    }
    out
}

#[test]
fn the_checksum_is_that_of_the_standard() {
    // RFC 3720, B.4: 32 bytes of zeros and of ones.
    let unmasked = |bytes: &[u8]| masked(bytes).wrapping_sub(0xA282_EAD8).rotate_left(15);
    assert_eq!(unmasked(&[0; 32]), 0x8A91_36AA);
    assert_eq!(unmasked(&[0xFF; 32]), 0x62A8_AB43);
}

#[test]
fn every_step_is_a_record_and_equal_runs_give_equal_bytes() {
    let (_folder, run) = runs::run(Some(true));
    let bytes = events(&run);
    assert_eq!(bytes, events(&run));
    let records = records(&bytes);
    // The version, 1500 steps, 2 validations, the values of two moments (3 of all rows and 3 of a source each), and the report.
    assert_eq!(records.len(), 1 + 1500 + 2 + 12 + 1);
    assert!(records[0].ends_with(b"brain.Event:2"));
    let holds = |record: &[u8], text: &[u8]| record.windows(text.len()).any(|own| own == text);
    assert!(holds(&records[1], b"train/loss") && holds(&records[1], &3.0_f32.to_le_bytes()));
    assert!(
        holds(&records[3], b"train/loss") && !holds(&records[3], b"train/gradient_norm"),
        "what is null is left out"
    );
    assert!(records.iter().any(|record| holds(record, b"after.high/classification.f1_macro")));
}

#[test]
fn a_run_that_is_written_twice_lies_there_once() {
    let (_run_folder, run) = runs::run(None);
    let folder = tempfile::tempdir().expect("a folder");
    let first = write(&run, folder.path()).expect("written");
    assert_eq!(write(&run, folder.path()).expect("written"), first);
    assert_eq!(fs::read_dir(first.parent().expect("a folder")).expect("a folder").count(), 1);
    assert!(
        first.file_name().is_some_and(|name| name.to_string_lossy().starts_with("events.out.tfevents.1767323045."))
    );
}
