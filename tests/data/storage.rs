use so8t::data::{LabelSet, Parts, SourceStatistics, Statistics, Usage, read_examples, split, write_examples};

use super::candidate;

#[test]
fn a_prepared_set_is_read_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dataset.jsonl");
    let mut example = candidate("爆弾とは\n何?\u{2028}\"", 3, "g", Usage::Both).example;
    example.request.input = "\t入力".into();
    example.output = "<final>x</final>".into();
    let examples = vec![example, candidate("b", 0, "", Usage::Both).example];
    let labels = LabelSet::four_decisions();
    write_examples(&path, &examples, &labels).unwrap();
    assert_eq!(read_examples(&path, &labels).unwrap(), examples);
}

#[test]
fn a_bad_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dataset.jsonl");
    let good = r#"{"id":"a","source":"s","instruction":"i","label":"ALLOW"}"#;
    for (bad, expected) in [
        (good.replace("ALLOW", "allow"), "`allow` is not a label: expected one of `ALLOW`, `ESCALATION`"),
        (good.replace(r#""label""#, r#""gold""#), "unknown field `gold`"),
        ("{".to_owned(), "EOF while parsing"),
    ] {
        std::fs::write(&path, format!("{good}\n{bad}\n")).unwrap();
        let error = read_examples(&path, &LabelSet::four_decisions()).unwrap_err().to_string();
        assert!(error.contains("dataset.jsonl:2: ") && error.contains(expected), "{error}");
    }
}

/// Statistics of a set whose examples have these labels, as read from one source.
fn statistics(train: &[u8], eval: &[u8]) -> Statistics {
    let side = |labels: &[u8], name: &str| {
        labels.iter().enumerate().map(|(i, &l)| candidate(&format!("{name}{i}"), l, "", Usage::Both).example).collect()
    };
    let parts = Parts { train: side(train, "t"), eval: side(eval, "e"), ..Parts::default() };
    let accepted = train.len() + eval.len();
    let source = SourceStatistics { name: "s".to_owned(), accepted, records: accepted + 1, ..Default::default() };
    Statistics::new(vec![source], &parts, Default::default(), &LabelSet::four_decisions())
}

#[test]
fn what_makes_a_result_meaningless_is_refused() {
    let labels = LabelSet::four_decisions();
    for (train, eval, expected) in [
        (vec![], vec![], "source `s` gave no example"),
        (vec![0, 1], vec![2], "1 examples are left to evaluate"),
        (vec![], vec![0, 1, 2], "no example is left to train on"),
    ] {
        let error = statistics(&train, &eval).check(&labels, true).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_doubtful_is_said() {
    let mut counted = statistics(&[0, 1, 2], &[0, 1, 3]);
    counted.check(&LabelSet::four_decisions(), true).unwrap();
    let warnings = counted.warnings.join("\n");
    assert!(warnings.contains("class DENY has no evaluation example"), "{warnings}");
    assert!(warnings.contains("class REFUSE has no training example"), "{warnings}");
    assert!(warnings.contains("only 3 evaluation examples"), "{warnings}");
    assert_eq!(counted.train["ALLOW"], 1);
    assert_eq!(counted.sources[0].eval["REFUSE"], 1);
    let mut counted = statistics(&[0, 1, 2, 3], &[2, 2, 2]);
    counted.check(&LabelSet::four_decisions(), true).unwrap();
    let warnings = counted.warnings.join("\n");
    assert!(warnings.contains("all evaluation examples are DENY: "), "{warnings}");
}

#[test]
fn statistics_add_up() {
    let rows = (0..40).map(|i| candidate(&format!("row {i}"), (i % 4) as u8, "", Usage::Both)).collect();
    let parts = split(rows, 0.25, 1);
    let source = SourceStatistics { name: "s".to_owned(), accepted: 40, ..Default::default() };
    let counted = Statistics::new(vec![source], &parts, Default::default(), &LabelSet::four_decisions());
    assert_eq!(counted.train.values().sum::<usize>() + counted.eval.values().sum::<usize>(), 40);
    assert_eq!(counted.eval.values().copied().collect::<Vec<_>>(), [3, 3, 3, 3].map(|_| counted.eval["ALLOW"]));
}
