//! Predictions files: what is written is what is read, to the last bit.

use std::fs;

use so8t::data::{INVALID, LabelSet};
use so8t::evaluate::{Options, RowSource, measure, measure_source, predictions};

use super::counting::Counting;
use super::sample::{row, rows};

#[test]
fn a_file_gives_back_every_bit() {
    for name in [predictions::AFTER, "predictions.jsonl"] {
        gives_back_every_bit(name);
    }
}

fn gives_back_every_bit(name: &str) {
    let labels = LabelSet::four_decisions();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep").join(name);
    let mut written = rows(200, 0.5, 4);
    let mut bits = 1_u32;
    for row in &mut written {
        for score in &mut row.prediction.scores {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *score = f32::from_bits(bits >> 2);
        }
    }
    written[3].latency_ms = Some(12.5);
    written[4].latency_ms = Some(0.1);
    written[5].request = Some("0123456789abcdef".repeat(2));
    written[0].id = "引用\"と\\改行\n\u{202e}<b>".into();
    written[1].prediction.label = INVALID;
    written[2].prediction.scores = vec![0.1, f32::MIN_POSITIVE, 1.0 - f32::EPSILON, 1e-45];
    predictions::write(&path, &labels, &written).unwrap();
    let read = predictions::read(&path, &labels).unwrap();
    assert_eq!(read, written);
    for (own, other) in written.iter().zip(&read) {
        let bits =
            |row: &so8t::evaluate::EvaluatedRow| row.prediction.scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(own), bits(other));
    }
    let metric = Counting::new(&labels);
    let values = |rows: &[_]| measure(&[&metric], &labels, rows, &Options::default()).unwrap();
    assert_eq!(values(&written), values(&read));
    let bytes = fs::read(&path).unwrap();
    predictions::write(&path, &labels, &read).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_line_is_plain_json() {
    let labels = LabelSet::four_decisions();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("predictions.jsonl");
    predictions::write(&path, &labels, &[row("s:1", "s", "", 3, 0), row("s:2", "s", "g", 1, INVALID)]).unwrap();
    let expected = concat!(
        r#"{"id":"s:1","source":"s","gold":"REFUSE","predicted":"ALLOW","scores":{"ALLOW":0.7,"ESCALATION":0.1,"DENY":0.1,"REFUSE":0.1}}"#,
        "\n",
        r#"{"id":"s:2","source":"s","group":"g","gold":"ESCALATION","predicted":"INVALID","scores":{"ALLOW":0.1,"ESCALATION":0.1,"DENY":0.1,"REFUSE":0.1}}"#,
        "\n",
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn malformed_files_are_errors_that_name_the_line() {
    let labels = LabelSet::four_decisions();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("predictions.jsonl");
    let scores = r#"{"ALLOW":0.7,"ESCALATION":0.1,"DENY":0.1,"REFUSE":0.1}"#;
    let line = |id: &str, gold: &str, predicted: &str, scores: &str| {
        format!(r#"{{"id":"{id}","source":"s","gold":"{gold}","predicted":"{predicted}","scores":{scores}}}"#)
    };
    let good = line("a", "ALLOW", "DENY", scores);
    for (second, expected) in [
        ("not JSON".to_owned(), "line 2: expected one prediction as a JSON object: "),
        (String::new(), "line 2: expected one prediction as a JSON object: "),
        (good[..40].to_owned(), "line 2: expected one prediction as a JSON object: "),
        (r#"{"id":"b"}"#.to_owned(), "missing field `source`"),
        (good.replace("\"id\"", "\"text\":\"x\",\"id\""), "unknown field `text`"),
        (line("b", "BLOCK", "DENY", scores), "line 2: field `gold`: `BLOCK` is not a label: expected one of `ALLOW`"),
        (line("b", "INVALID", "DENY", scores), "line 2: field `gold`: `INVALID` is not a label"),
        (line("b", "ALLOW", "deny", scores), "line 2: field `predicted`: `deny` is not a label"),
        (line("b", "ALLOW", "DENY", "[1, 0, 0, 0]"), "an object from label to probability"),
        (
            line("b", "ALLOW", "DENY", r#"{"ALLOW":1}"#),
            "line 2: field `scores`: expected a score for every label, found none for `ESCALATION`",
        ),
        (line("b", "ALLOW", "DENY", &scores.replace("DENY", "ALLOW")), "found `ALLOW` twice"),
        (
            line("b", "ALLOW", "DENY", &scores.replace("DENY", "MAYBE")),
            "line 2: field `scores`: `MAYBE` is not a label",
        ),
        (line("b", "ALLOW", "DENY", &scores.replace("0.7", "null")), "line 2: "),
        (line("b", "ALLOW", "DENY", &scores.replace("0.7", "1e60")), "line 2: "),
        (good.clone(), "expected distinct row ids, found `a` twice"),
    ] {
        fs::write(&path, format!("{good}\n{second}\n")).unwrap();
        let error = predictions::read(&path, &labels).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{}`", path.display())), "{error}");
        assert!(error.contains(expected), "{second}: {error}");
    }
    fs::write(&path, b"{\"id\":\"\xff\"}\n").unwrap();
    assert!(predictions::read(&path, &labels).unwrap_err().to_string().contains("line 1: "));
    fs::write(&path, "").unwrap();
    assert!(predictions::read(&path, &labels).unwrap().is_empty());
    assert!(predictions::label_names(&path).unwrap_err().to_string().contains("found an empty file"));
    assert!(
        predictions::read(&folder.path().join("none"), &labels).unwrap_err().to_string().starts_with("cannot read `")
    );
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    let labels = LabelSet::four_decisions();
    let folder = tempfile::tempdir().unwrap();
    let mut bad = row("b", "s", "", 0, 0);
    bad.prediction.scores[0] = f32::NAN;
    for name in ["predictions.jsonl", "predictions.parquet"] {
        let path = folder.path().join(name);
        assert!(predictions::write(&path, &labels, &[row("a", "s", "", 0, 0), bad.clone()]).is_err());
    }
    let error = predictions::write_stream(&folder.path().join("a.parquet"), &labels, [bad]).unwrap_err().to_string();
    assert_eq!(error, "row `b`: expected finite scores, found `NaN`");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_file_is_read_in_batches_and_ranges() {
    let labels = LabelSet::four_decisions();
    let folder = tempfile::tempdir().unwrap();
    // More rows than a row group holds, so that ranges cross its border.
    let written = rows(140_000, 0.5, 4);
    let path = folder.path().join("many.parquet");
    predictions::write_stream(&path, &labels, &written).unwrap();
    let file = predictions::PredictionsFile::open(&path).unwrap();
    assert_eq!((file.rows().unwrap(), &file.labels().names), (140_000, &labels.names));
    for range in [0..140_000, 0..5, 131_071..131_073, 8_191..140_000, 139_999..140_000, 140_000..140_000, 77..77] {
        let (mut ids, mut golds, mut scores) = (Vec::new(), 0, 0);
        file.ids(range.clone(), &mut |id| ids.push(id.to_owned())).unwrap();
        file.read(range.clone(), true, &mut |batch| {
            assert!(batch.rows() <= so8t::evaluate::BATCH_ROWS);
            golds += batch.parts.iter().map(|part| part.gold.len()).sum::<usize>();
            scores += batch.parts.iter().map(|part| part.scores.len()).sum::<usize>();
            Ok(())
        })
        .unwrap();
        let expected = &written[range.start as usize..range.end as usize];
        assert!(ids.iter().eq(expected.iter().map(|row| &row.id)), "{range:?}");
        assert_eq!((golds, scores), (expected.len(), 4 * expected.len()));
    }
}

#[test]
fn a_file_is_measured_as_its_rows_are() {
    let labels = LabelSet::four_decisions();
    let folder = tempfile::tempdir().unwrap();
    let written = rows(20_000, 0.7, 4);
    let metric = Counting::new(&labels);
    let options = Options { resamples: 40, ..Options::default() };
    let expected = measure(&[&metric], &labels, &written, &options).unwrap();
    for name in ["rows.parquet", "rows.jsonl"] {
        let path = folder.path().join(name);
        predictions::write(&path, &labels, &written).unwrap();
        let file = predictions::PredictionsFile::open(&path).unwrap();
        let measured = measure_source(&[&metric], file.labels(), &file, &options).unwrap();
        assert_eq!(serde_json::to_string(&measured).unwrap(), serde_json::to_string(&expected).unwrap());
        assert_eq!(measured, expected);
    }
    let twice: Vec<_> = written.iter().chain(&written[5..6]).collect();
    let path = folder.path().join("twice.parquet");
    predictions::write_stream(&path, &labels, twice).unwrap();
    let file = predictions::PredictionsFile::open(&path).unwrap();
    let error = measure_source(&[&metric], file.labels(), &file, &options).unwrap_err().to_string();
    assert_eq!(error, format!("expected distinct row ids, found `{}` twice", written[5].id));
}

#[test]
fn a_file_that_is_no_predictions_file_is_an_error() {
    let labels = LabelSet::four_decisions();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let read = |path: &std::path::Path| predictions::read(path, &labels).unwrap_err().to_string();
    assert!(read(&path).starts_with("cannot read `"));
    fs::write(&path, "").unwrap();
    assert!(read(&path).contains("expected predictions, found an empty file"), "{}", read(&path));
    fs::write(&path, "{\"id\":1}").unwrap();
    assert!(read(&path).contains("x.parquet`: expected predictions as Parquet: "), "{}", read(&path));
    predictions::write(&path, &labels, &rows(50, 0.5, 1)).unwrap();
    let other = LabelSet { names: vec!["ALLOW".into(), "DENY".into()], severity: vec![0, 1] };
    let error = predictions::read(&path, &other).unwrap_err().to_string();
    assert!(error.contains("column `score_ESCALATION`: `ESCALATION` is not a label"), "{error}");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(read(&path).contains("expected predictions as Parquet"), "{}", read(&path));
}

/// Made by `tests/golden/foreign_predictions.py`.
#[test]
fn a_file_that_pandas_wrote_is_read() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evaluation/golden/foreign.parquet");
    let file = predictions::PredictionsFile::open(&path).unwrap();
    assert_eq!((file.rows().unwrap(), &file.labels().names[..]), (12, &["SAFE".to_owned(), "UNSAFE".to_owned()][..]));
    let rows = predictions::read(&path, file.labels()).unwrap();
    for (i, row) in rows.iter().enumerate() {
        assert_eq!((row.id.clone(), row.latency_ms), (format!("row {i}"), None));
        assert_eq!(row.source, if i < 8 { "mine" } else { "他" });
        assert_eq!(row.group, if i % 3 == 0 { format!("pair {}", i / 6) } else { String::new() });
        assert_eq!(usize::from(row.gold), i % 2);
        assert_eq!(row.prediction.label, if i == 5 { INVALID } else { u8::from(i % 3 == 0) });
        assert_eq!(row.prediction.scores, [i as f32 / 16.0, 1.0 - i as f32 / 16.0]);
    }
}
