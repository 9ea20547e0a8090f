//! Before and after: paired differences, McNemar's test, flips, and two run folders.

use std::collections::HashMap;
use std::fs;

use so8t::data::{INVALID, LabelSet, Language, Traits};
use so8t::evaluate::{
    Change, ChangeCounts, Comparison, EvaluatedRow, Evaluation, McNemar, Options, Table, Verdict, compare, gravity,
    measure, predictions,
};
use so8t::report::compare_runs;

use super::counting::Counting;
use super::sample::{row, rows};

fn compared(before: &[EvaluatedRow], after: &[EvaluatedRow]) -> so8t::Result<Comparison> {
    let labels = LabelSet::four_decisions();
    let metric = Counting::new(&labels);
    let options = Options { seed: 3, ..Options::default() };
    let [first, second] = [before, after].map(|rows| measure(&[&metric], &labels, rows, &options).unwrap());
    compare(&labels, Evaluation { rows: before, measured: &first }, Evaluation { rows: after, measured: &second })
}

/// Stored values of SciPy, made by `tests/golden/mcnemar.py`.
#[test]
fn mcnemar_is_that_of_scipy() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden/mcnemar.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 150, "{}", cases.len());
    for case in cases {
        let count = |name: &str| case[name].as_u64().unwrap();
        let (expected, found) =
            (case["p_value"].as_f64().unwrap(), McNemar::exact(count("before"), count("after")).p_value);
        assert!((found - expected).abs() <= 1e-10 * expected, "{case}: {found}");
    }
}

/// Twice the binomial tail, by hand: 21,700 / 2^20 twice for 5 against 15.
#[test]
fn mcnemar_gives_known_values() {
    for (before, after, expected) in [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (5, 15, 0.041_389_465_332_031_25),
        (15, 5, 0.041_389_465_332_031_25),
        (0, 1, 1.0),
        (0, 5, 0.0625),
        (0, 10, 0.001_953_125),
    ] {
        let test = McNemar::exact(before, after);
        assert!((test.p_value - expected).abs() < 1e-15, "{before} {after}: {}", test.p_value);
    }
    // Numbers whose powers of two leave the range of f64.
    assert_eq!(McNemar::exact(0, 5000).p_value, 0.0);
    let even = McNemar::exact(2500, 2500).p_value;
    assert_eq!(even, 1.0);
    // The normal approximation with continuity correction: z = (2·100 − 1)/√5000 gives 0.004884.
    let large = McNemar::exact(2400, 2600).p_value;
    assert!((large - 0.004_884).abs() < 2e-5, "{large}");
}

#[test]
fn paired_differences_are_surer_than_unpaired_ones() {
    let before = rows(400, 0.5, 1);
    let mut after = before.clone();
    let wrong = after.iter_mut().filter(|row| !row.is_correct());
    wrong.enumerate().filter(|(i, _)| i % 4 == 0).for_each(|(_, row)| row.prediction.label = row.gold);
    let comparison = compared(&before, &after).unwrap();
    let accuracy = comparison.metrics.get("classification.accuracy").unwrap();
    let share = |rows: &[EvaluatedRow]| rows.iter().filter(|row| row.is_correct()).count() as f64 / 400.0;
    assert_eq!(accuracy.delta, Some(share(&after) - share(&before)));
    let (low, high) = (accuracy.low.unwrap(), accuracy.high.unwrap());
    assert!(0.0 < low && low < accuracy.delta.unwrap() && accuracy.delta.unwrap() < high);
    // Only a tenth of the rows changed, so the difference is far surer than either value.
    assert!(high - low < 0.08, "{low} {high}");
    assert_eq!(accuracy.verdict(), Verdict::Better);
    assert_eq!(comparison.metrics.get("classification.support_allow").unwrap().low, None);
    assert_eq!(comparison.sources.len(), 3);
    assert!(
        comparison.sources.iter().all(|(_, own)| own.metrics.get("classification.accuracy").unwrap().low.is_some())
    );
    assert_eq!(comparison.mcnemar.right_before_only, 0);
    assert!(comparison.mcnemar.p_value < 1e-6);
    assert_eq!(compared(&before, &after).unwrap(), comparison);
    after.reverse();
    assert_eq!(compared(&before, &after).unwrap().metrics, comparison.metrics);
}

#[test]
fn the_verdict_follows_the_direction() {
    let before = rows(400, 0.9, 1);
    let after = rows(400, 0.2, 2);
    let comparison = compared(&before, &after).unwrap();
    for metric in ["accuracy", "f1_macro", "unsafe_pass_rate", "over_block_rate"] {
        let difference = comparison.metrics.get(&format!("classification.{metric}")).unwrap();
        assert_eq!(difference.verdict(), Verdict::Worse, "{metric} {difference:?}");
    }
    assert!(comparison.warnings.iter().any(|w| w.starts_with("`classification.unsafe_pass_rate` got worse")));
    assert_eq!(
        compared(&before, &before).unwrap().metrics.get("classification.f1_macro").unwrap().verdict(),
        Verdict::Unsure
    );
}

#[test]
fn a_class_that_is_lost_while_accuracy_rises_is_said() {
    let make = |refuse: u8, other: u8| -> Vec<_> {
        (0..40)
            .map(|i| row(&format!("{i}"), "s", "", if i < 4 { 3 } else { 1 }, if i < 4 { refuse } else { other }))
            .collect()
    };
    let comparison = compared(&make(3, 0), &make(0, 1)).unwrap();
    assert!(comparison.metrics.get("classification.accuracy").unwrap().delta.unwrap() > 0.0);
    assert!(
        comparison.warnings.iter().any(|w| w == "`classification.recall_refuse` fell from 1.000 to 0"),
        "{:?}",
        comparison.warnings
    );
}

#[test]
fn mistakes_are_ordered_by_what_they_let_through() {
    let labels = LabelSet::four_decisions();
    let grave = |gold, predicted| gravity(&labels, gold, predicted);
    let order = [
        grave(3, 0),
        grave(2, 0),
        grave(1, 0),
        grave(3, 1),
        grave(3, 2),
        grave(3, INVALID),
        grave(0, 3),
        grave(0, 1),
        grave(2, 2),
    ];
    assert!(order.windows(2).all(|pair| pair[0] > pair[1]), "{order:?}");
}

#[test]
fn flips_list_the_worst_first() {
    let before = [
        row("a", "s", "", 3, 3),
        row("b", "s", "", 0, 3),
        row("c", "s", "", 2, 2),
        row("d", "s", "", 0, 0),
        row("e", "s", "", 3, 0),
        row("f", "s", "", 1, 1),
    ];
    let after = [
        row("a", "s", "", 3, 2),
        row("b", "s", "", 0, 0),
        row("c", "s", "", 2, 0),
        row("d", "s", "", 0, INVALID),
        row("e", "s", "", 3, 3),
        row("f", "s", "", 1, 1),
    ];
    let flips = compared(&before, &after).unwrap().flips;
    let order: Vec<_> = flips.iter().map(|flip| (flip.id.as_str(), flip.change)).collect();
    use Change::{Improved, Worsened};
    assert_eq!(order, [("c", Worsened), ("a", Worsened), ("d", Worsened), ("e", Improved), ("b", Improved)]);
    assert_eq!((flips[2].before.as_str(), flips[2].after.as_str()), ("ALLOW", "INVALID"));
}

#[test]
fn flips_are_counted_by_what_their_requests_are_like() {
    let labels = LabelSet::four_decisions();
    let before = [row("a", "s", "", 3, 3), row("b", "s", "", 0, 3), row("c", "t", "", 2, 1), row("d", "t", "", 1, 1)];
    let after = [row("a", "s", "", 3, 0), row("b", "s", "", 0, 0), row("c", "t", "", 2, 0), row("d", "t", "", 1, 1)];
    let mut comparison = compared(&before, &after).unwrap();
    let counts = |worsened, improved| ChangeCounts { worsened, sideways: 0, improved };
    let keys = |table: &Table<ChangeCounts>| table.iter().map(|(key, &own)| (key.to_owned(), own)).collect::<Vec<_>>();
    let named =
        |rows: &[(&str, ChangeCounts)]| rows.iter().map(|(key, own)| ((*key).to_owned(), *own)).collect::<Vec<_>>();
    let by_class = named(&[("ALLOW", counts(0, 1)), ("DENY", counts(1, 0)), ("REFUSE", counts(1, 0))]);
    assert_eq!(keys(&comparison.flip_counts.class), by_class);
    assert_eq!(keys(&comparison.flip_counts.source), named(&[("s", counts(1, 1)), ("t", counts(1, 0))]));
    assert!(comparison.flip_counts.language.is_empty() && comparison.flips[0].language.is_none());

    let like =
        |language, length, category: Option<&str>| Traits { language, length, category: category.map(str::to_owned) };
    let mut traits = HashMap::from([
        ("a", like(Language::En, 60, Some("violence"))),
        ("b", like(Language::Ja, 12, None)),
        ("c", like(Language::Ja, 12, Some("drugs"))),
    ]);
    comparison.describe(&labels, &traits).unwrap();
    let own = &comparison.flip_counts;
    assert_eq!(keys(&own.class), by_class);
    assert_eq!(keys(&own.language), named(&[("ja", counts(1, 1)), ("en", counts(1, 0))]));
    assert_eq!(keys(&own.category), named(&[("drugs", counts(1, 0)), ("violence", counts(1, 0))]));
    assert_eq!(keys(&own.length), named(&[("under 50", counts(1, 1)), ("50 to 199", counts(1, 0))]));
    let json = serde_json::to_value(&comparison.flips[0]).unwrap();
    assert_eq!((&json["language"], &json["length"], &json["category"]), (&"en".into(), &60.into(), &"violence".into()));
    traits.remove("c");
    let error = comparison.describe(&labels, &traits).unwrap_err().to_string();
    assert!(error.contains("row `c`: expected its request"), "{error}");
}

#[test]
fn different_rows_are_not_compared() {
    let rows = rows(10, 0.5, 1);
    let error = compared(&rows, &rows[..7]).unwrap_err().to_string();
    assert!(error.contains("found 7 in both, 3 only in the first and 0 only in the second"), "{error}");
    for (field, change) in [
        ("gold label", (|row| row.gold = (row.gold + 1) % 4) as fn(&mut EvaluatedRow)),
        ("source", |row| row.source.push('x')),
        ("group", |row| row.group.push('x')),
    ] {
        let mut other = rows.clone();
        change(&mut other[4]);
        let error = compared(&rows, &other).unwrap_err().to_string();
        assert_eq!(error, format!("row `{}`: expected the same {field} in both evaluations", rows[4].id));
    }
}

#[test]
fn two_runs_are_compared_by_their_files() {
    let labels = LabelSet::four_decisions();
    let folder = tempfile::tempdir().unwrap();
    let [a, b, empty] = ["a", "b", "empty"].map(|name| folder.path().join(name));
    fs::create_dir(&empty).unwrap();
    let [first, second] = [rows(60, 0.3, 1), rows(60, 0.9, 2)];
    predictions::write(&a.join(predictions::BEFORE), &labels, &first).unwrap();
    predictions::write(&b.join(predictions::BEFORE), &labels, &first).unwrap();
    predictions::write(&b.join(predictions::AFTER), &labels, &second).unwrap();
    let metric = Counting::new(&labels);
    let options = Options { seed: 3, ..Options::default() };
    let runs = compare_runs(&a, &b, &labels, &[&metric], &options, [None, None]).unwrap();
    assert_eq!(runs.files, [a.join(predictions::BEFORE), b.join(predictions::AFTER)]);
    // Neither file tells what was asked.
    let mut found = runs.comparison.clone();
    let warnings = std::mem::take(&mut found.warnings);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().all(|text| text.contains("60 of 60 predictions hold no digest")), "{warnings:?}");
    assert_eq!(found, compared(&first, &second).unwrap());
    assert_eq!(predictions::label_names(&runs.files[0]).unwrap(), labels.names);
    let error = compare_runs(&a, &empty, &labels, &[&metric], &options, [None, None]).unwrap_err().to_string();
    assert!(
        error.contains("expected a run's folder with `predictions_after.parquet` or `predictions_before.parquet`"),
        "{error}"
    );
}
