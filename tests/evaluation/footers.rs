//! A Parquet footer that lies about its rows is an error: every number is held against what is there.

use std::fs;
use std::path::Path;

use so8t::data::LabelSet;
use so8t::evaluate::{RowSource, predictions};

use super::sample::rows;

/// How many rows are read of a file, or why none are.
fn read(path: &Path) -> Result<u64, String> {
    let shown = |error: so8t::Error| error.to_string();
    let file = predictions::PredictionsFile::open(path).map_err(shown)?;
    let mut found = 0;
    let all = 0..file.rows().map_err(shown)?;
    let take = &mut |batch: so8t::evaluate::RowBatch| {
        found += batch.rows() as u64;
        Ok(())
    };
    file.read(all, true, take).map_err(shown)?;
    let rows = predictions::read(path, file.labels()).map_err(shown)?;
    assert_eq!(rows.len() as u64, found);
    Ok(found)
}

/// The places in the footer where a number of 64 bits is 40, as Thrift's compact protocol writes it behind a field's head.
fn places(bytes: &[u8]) -> Vec<usize> {
    let length = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let start = bytes.len() - 8 - length;
    (start..bytes.len() - 9).filter(|&at| bytes[at] & 0xf == 6 && bytes[at + 1] == 80).map(|at| at + 1).collect()
}

#[test]
fn a_footer_that_says_other_rows_than_there_are_is_an_error() {
    let labels = LabelSet::four_decisions();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.parquet");
    predictions::write(&path, &labels, &rows(40, 0.5, 1)).unwrap();
    assert_eq!(read(&path), Ok(40));
    let bytes = fs::read(&path).unwrap();
    let places = places(&bytes);
    // The file's, the row group's, and one for each of the eleven columns.
    assert!(places.len() >= 13, "{places:?}");
    // 0, 20, 39, 41, 63 and -40 rows: the same in one byte.
    for said in [0, 40, 78, 82, 126, 79_u8] {
        let mut refused = 0;
        for &place in &places {
            let mut lying = bytes.clone();
            lying[place] = said;
            fs::write(&path, &lying).unwrap();
            match read(&path) {
                // A number that happens to be 40 too, such as of bytes.
                Ok(found) => assert_eq!(found, 40),
                Err(error) => {
                    assert!(error.starts_with(&format!("`{}`", path.display())), "{error}");
                    refused += 1;
                }
            }
        }
        assert!(refused >= 13, "{refused} for {said}");
        // All of them at once: the columns themselves tell, but where nothing is to be read of them.
        if said == 0 {
            continue;
        }
        let mut lying = bytes.clone();
        places.iter().for_each(|&place| lying[place] = said);
        fs::write(&path, &lying).unwrap();
        assert!(read(&path).is_err(), "{said}");
    }
}

#[test]
fn no_byte_of_a_footer_ends_the_program_or_changes_the_number_of_rows() {
    let labels = LabelSet::four_decisions();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.parquet");
    predictions::write(&path, &labels, &rows(40, 0.5, 1)).unwrap();
    let bytes = fs::read(&path).unwrap();
    let length = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let mut errors = 0;
    for at in bytes.len() - 8 - length..bytes.len() {
        for change in [0x01, 0x55, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            fs::write(&path, &damaged).unwrap();
            match read(&path) {
                Ok(found) => assert_eq!(found, 40, "byte {at} ^ {change:#x}"),
                Err(_) => errors += 1,
            }
        }
    }
    assert!(errors > 300, "{errors}");
}

#[test]
fn labels_are_bounded_and_named_the_same_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let line = |names: &[String]| {
        let scores: Vec<String> = names.iter().map(|name| format!("\"{name}\":0")).collect();
        let first = &names[0];
        format!(
            "{{\"id\":\"a\",\"source\":\"s\",\"gold\":\"{first}\",\"predicted\":\"{first}\",\"scores\":{{{}}}}}\n",
            scores.join(",")
        )
    };
    let many: Vec<String> = (0..300).map(|index| format!("L{index}")).collect();
    let path = folder.path().join("p.jsonl");
    for (names, expected) in [
        (&many[..], "expected 1 to 200 labels, found 300"),
        (&many[..201], "expected 1 to 200 labels, found 201"),
        (&["ALLOW".to_owned(), "INVALID".to_owned()], "found `INVALID`, which stands for an answer that is no label"),
        (&["ALLOW".to_owned(), String::new()], "expected names of labels, found an empty one"),
        (&["ALLOW".to_owned(), "ALLOW".to_owned()], "expected each label once, found `ALLOW` twice"),
    ] {
        fs::write(&path, line(names)).unwrap();
        let error = predictions::PredictionsFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("line 1: field `scores`: ") && error.contains(expected), "{error}");
        let labels = LabelSet { names: names.to_vec(), severity: vec![0; names.len()] };
        let error = LabelSet::check_names(&labels.names).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    fs::write(&path, line(&many[..200])).unwrap();
    assert_eq!(predictions::PredictionsFile::open(&path).unwrap().labels().len(), 200);
    // Parquet too.
    let names = vec!["ALLOW".to_owned(), "INVALID".to_owned()];
    let labels = LabelSet { severity: vec![0, 1], names };
    let path = folder.path().join("p.parquet");
    let mut row = rows(1, 0.5, 1).remove(0);
    (row.gold, row.prediction.label, row.prediction.scores) = (0, 0, vec![1.0, 0.0]);
    predictions::write_stream(&path, &labels, [row]).unwrap();
    let error = predictions::PredictionsFile::open(&path).unwrap_err().to_string();
    assert!(error.contains("columns `score_LABEL`: ") && error.contains("found `INVALID`"), "{error}");
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_named() {
    for name in ["p.parquet", "p.jsonl"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        let error = predictions::PredictionsFile::open(&path).unwrap_err();
        assert!(
            error.to_string().contains("expected a regular file of predictions, found a pipe or a device"),
            "{error}"
        );
        assert!(error.hint().is_some());
    }
}
