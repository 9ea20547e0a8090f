//! The contract checks by themselves: what they let through, and the edges that no guest of ours reaches.

use so8t::data::{ConvertedBatch, ExampleColumns, Rejection, Texts};
use so8t::evaluate::{Direction, MetricInfo, MetricValue};
use so8t::plugin::checks;

fn column(bytes: &[u8], offsets: &[u32]) -> Texts {
    Texts { bytes: bytes.to_vec(), offsets: offsets.to_vec() }
}

#[test]
fn text_columns() {
    for (bytes, offsets, rows) in [
        (&b""[..], &[][..], 0),
        (b"", &[], 7),
        (b"", &[0], 0),
        (b"", &[0, 0, 0], 2),
        (b"ab", &[0, 0, 2], 2),
        ("あい".as_bytes(), &[0, 3, 6], 2),
    ] {
        let whole = column(bytes, offsets);
        assert_eq!(checks::texts("c", whole.clone(), rows), Ok(whole));
    }
    for (bytes, offsets, rows, expected) in [
        (&b"a"[..], &[][..], 0, "column `c` has 1 bytes and no offsets"),
        (b"a", &[0], 0, "column `c` ends at byte 0: expected 1, the number of its bytes"),
        (b"", &[1], 0, "column `c` starts at byte 1: expected 0"),
        (b"ab", &[0, 1, 2], 1, "column `c` has 2 rows: expected 1"),
        (b"ab", &[0, 3], 1, "column `c` ends at byte 3: expected 2, the number of its bytes"),
        (b"ab", &[0, 4_294_967_295, 2], 2, "column `c`, row 1: offsets fall from 4294967295 to 2"),
        (b"a\xc3", &[0, 1, 2], 2, "column `c`, row 1: byte 1 of the column is not UTF-8"),
        (b"\xff", &[0, 0, 1], 2, "column `c`, row 1: byte 0 of the column is not UTF-8"),
        (b"\xc3\xa9", &[0, 1, 2], 2, "column `c`, row 1 starts within a character: each row must be UTF-8"),
    ] {
        assert_eq!(checks::texts("c", column(bytes, offsets), rows), Err(expected.into()));
    }
}

#[test]
fn converted_batches() {
    let empty = ConvertedBatch::default();
    assert_eq!(checks::converted(empty.clone()), Ok(empty));
    let with = |change: fn(&mut ConvertedBatch)| {
        let mut batch = ConvertedBatch {
            examples: ExampleColumns { instruction: Texts::from_iter(["a", "b"]), ..ExampleColumns::default() },
            lines: vec![1, 5],
            rejected: vec![],
        };
        change(&mut batch);
        checks::converted(batch)
    };
    assert!(with(|_| {}).is_ok());
    assert!(with(|batch| batch.examples.extra_json = Texts::from_iter([r#"{"a": 1}"#, ""])).is_ok());
    let error = with(|batch| batch.examples.extra_json = Texts::from_iter(["{}", "null"])).unwrap_err();
    assert_eq!(error, "column `extra-json`, row 1: expected a JSON object, found `null`");
    let rejection = |line, reason: &str| Rejection { line, reason: reason.into() };
    let mut batch =
        ConvertedBatch { rejected: vec![rejection(3, "no\u{1b}[2J"), rejection(4, " ")], ..Default::default() };
    let reasons: Vec<String> =
        checks::converted(batch.clone()).unwrap().rejected.into_iter().map(|r| r.reason).collect();
    assert_eq!(reasons, [r"no\u{1b}[2J", "no reason given"]);
    batch.rejected.push(rejection(0, "x"));
    assert_eq!(
        checks::converted(batch).unwrap_err(),
        "rejected record 2 is said to start in line 0: lines are counted from 1"
    );
}

#[test]
fn mapped_rows() {
    let reasons = ["unknown".to_owned()];
    let mapped = |ids: &[u8], codes: &[u8]| checks::mapped(ids, codes, &reasons, 3, 4);
    assert_eq!(mapped(&[0, 255, 3], &[0, 0, 0]), Ok(vec![Ok(0), Err("unknown".into()), Ok(3)]));
    assert_eq!(mapped(&[0, 4, 3], &[0, 0, 0]), Err("row 1: id 4: expected an id below 4, or 255".into()));
    assert_eq!(mapped(&[0, 255, 3], &[0, 1, 0]), Err("row 1: reason 1 of 1".into()));
    assert_eq!(
        mapped(&[0, 1, 3], &[0, 0, 9]),
        Err("row 2: id 3 with reason 9: expected reason 0 where a row is not rejected".into())
    );
    assert_eq!(mapped(&[0, 1], &[0, 0, 0]), Err("2 ids: expected 3, one a row".into()));
    assert_eq!(mapped(&[0, 1, 2], &[]), Err("0 codes: expected 3, one a row".into()));
    let many = vec![String::new(); 257];
    assert_eq!(checks::mapped(&[], &[], &many, 0, 4), Err("257 reasons: expected at most 256".into()));
}

#[test]
fn metric_values() {
    let info = |name: &str, low, high| MetricInfo { name: name.into(), direction: Direction::Higher, low, high };
    let declared = [
        info("count", Some(0.0), None),
        info("confusion.ALLOW.REFUSE", None, None),
        info("rate", Some(0.0), Some(1.0)),
    ];
    assert!(checks::metrics(declared.to_vec()).is_ok());
    let values = |numbers: [Option<f64>; 3]| {
        let value =
            |(info, value): (&MetricInfo, Option<f64>)| MetricValue { name: info.name.clone(), value, support: 3 };
        checks::values(declared.iter().zip(numbers).map(value).collect(), &declared, Some(3))
    };
    assert!(values([Some(1e300), Some(-5.0), None]).is_ok());
    assert!(values([None, None, Some(1.0 + 1e-15)]).is_ok(), "rounding is no lie");
    for (numbers, expected) in [
        ([Some(-1.0), None, None], "value `count` is -1: below 0, the bound that `metrics` declares"),
        ([None, Some(f64::NEG_INFINITY), None], "value `confusion.ALLOW.REFUSE` is -inf: expected a number, or none"),
        ([None, None, Some(1.001)], "value `rate` is 1.001: above 1, the bound that `metrics` declares"),
    ] {
        assert_eq!(values(numbers), Err(expected.into()));
    }
    let few = vec![MetricValue { name: "count".into(), value: None, support: 4 }];
    assert_eq!(
        checks::values(few.clone(), &declared[..1], Some(3)),
        Err("value `count` rests on 4 rows: 3 were taken in".into())
    );
    assert!(checks::values(few, &declared[..1], None).is_ok());
}
