//! Driving: sources and the whole, batches, resamples, and metrics that break their contract.

use so8t::Kind;
use so8t::data::{INVALID, LabelSet};
use so8t::evaluate::{Direction, Measured, Options, Random, Wants, interval, measure, split_mix};

use super::counting::{Counting, Spoil};
use super::sample::{row, rows};

fn four() -> LabelSet {
    LabelSet::four_decisions()
}

fn options(resamples: u32) -> Options {
    Options { seed: 11, resamples, ..Options::default() }
}

fn measured(rows: &[so8t::evaluate::EvaluatedRow], options: &Options) -> Measured {
    measure(&[&Counting::new(&four())], &four(), rows, options).unwrap()
}

#[test]
fn the_whole_is_what_the_sources_merge_to() {
    let rows = rows(300, 0.6, 5);
    let all = measured(&rows, &options(0));
    assert_eq!(all.sources.len(), 3);
    let one_source: Vec<_> =
        rows.iter().cloned().map(|row| so8t::evaluate::EvaluatedRow { source: "one".into(), ..row }).collect();
    assert_eq!(all.metrics, measured(&one_source, &options(0)).metrics);
    for (source, values) in all.sources.iter() {
        let own: Vec<_> = rows.iter().filter(|row| row.source == source).cloned().collect();
        assert_eq!(values.metrics, measured(&own, &options(0)).metrics, "{source}");
    }
    let right = rows.iter().filter(|row| row.is_correct()).count();
    let accuracy = all.metrics.get("classification.accuracy").unwrap();
    assert_eq!((accuracy.value, accuracy.n), (Some(right as f64 / 300.0), 300));
    assert_eq!((accuracy.low, accuracy.high), (None, None));
}

#[test]
fn batches_are_capped_by_rows_and_by_bytes_and_change_nothing() {
    let rows = rows(100, 0.6, 5);
    let whole = measured(&rows, &options(30));
    for (batch_rows, batch_bytes, most) in [(7, 1 << 20, 7), (1000, 6 * 9, 9), (1000, 1, 1)] {
        let metric = Counting::new(&four());
        let capped = Options { batch_rows, batch_bytes, ..options(30) };
        assert_eq!(measure(&[&metric], &four(), &rows, &capped).unwrap(), whole);
        let largest = metric.seen.lock().unwrap().iter().map(|batch| batch.gold.len()).max();
        assert_eq!(largest, Some(most));
    }
}

#[test]
fn only_wanted_columns_are_sent() {
    let rows = [row("a", "s", "g", 0, 0), row("b", "s", "g", 1, INVALID), row("c", "s", "", 1, 2)];
    let mut metric = Counting::new(&four());
    metric.wants = Wants { scores: true, weights: true, groups: true, texts: true };
    let measured = measure(&[&metric], &four(), &rows, &options(0)).unwrap();
    assert!(measured.warnings.iter().any(|w| w.contains("asks for the requests' text")), "{:?}", measured.warnings);
    let seen = metric.seen.lock().unwrap();
    assert_eq!((seen[0].scores.len(), &seen[0].groups[..]), (12, &[0, 0, 1][..]));
    assert!(seen[0].texts.is_lacking() && seen[0].weights.is_empty());

    metric.wants = Wants::default();
    drop(seen);
    metric.seen.lock().unwrap().clear();
    let measured = measure(&[&metric], &four(), &rows, &options(50)).unwrap();
    assert!(measured.warnings.iter().any(|w| w.contains("takes no weights")), "{:?}", measured.warnings);
    let seen = metric.seen.lock().unwrap();
    assert!(seen.iter().all(|batch| batch.groups.is_empty() && batch.weights.is_empty()), "{seen:?}");
}

#[test]
fn resamples_depend_on_the_seed_alone() {
    let rows = rows(200, 0.7, 9);
    let once = measured(&rows, &options(100));
    assert_eq!(once, measured(&rows, &options(100)));
    let mut shuffled = rows.clone();
    shuffled.reverse();
    assert_eq!(once.metrics, measured(&shuffled, &options(100)).metrics);
    let other = measured(&rows, &Options { seed: 12, ..options(100) });
    assert_ne!(once.metrics, other.metrics);
}

#[test]
fn an_interval_holds_the_value_and_has_the_width_that_theory_gives() {
    let rows: Vec<_> = (0..400_u32)
        .map(|i| {
            let gold = (i % 4) as u8;
            row(&format!("{i}"), "s", "", gold, if i % 5 < 4 { gold } else { 3 - gold })
        })
        .collect();
    let measured = measured(&rows, &options(1000));
    let accuracy = measured.metrics.get("classification.accuracy").unwrap();
    let (value, low, high) = (accuracy.value.unwrap(), accuracy.low.unwrap(), accuracy.high.unwrap());
    let expected = 2.0 * 1.96 * (value * (1.0 - value) / 400.0).sqrt();
    assert!(low < value && value < high);
    assert!(((high - low) / expected - 1.0).abs() < 0.15, "{} against {expected}", high - low);
    for (name, measurement) in measured.metrics.iter() {
        let info = measured.info.get(name).unwrap();
        assert!(info.direction != Direction::Neither || measurement.low.is_none(), "{name} is a count");
    }
}

#[test]
fn groups_widen_an_interval() {
    let grouped = |size: usize| -> Vec<_> {
        (0..400)
            .map(|i| {
                let gold = (i % 4) as u8;
                let predicted = if (i / 10) % 3 == 0 { (gold + 1) % 4 } else { gold };
                row(&format!("{i}"), "s", &format!("{}", i / size), gold, predicted)
            })
            .collect()
    };
    let width = |size| {
        let measured = measured(&grouped(size), &options(400));
        let accuracy = measured.metrics.get("classification.accuracy").unwrap();
        accuracy.high.unwrap() - accuracy.low.unwrap()
    };
    let (alone, in_tens) = (width(1), width(10));
    assert!(in_tens > 2.5 * alone && in_tens < 4.0 * alone, "{alone} {in_tens}");
}

#[test]
fn no_interval_where_it_would_mislead() {
    let spread: Vec<_> = (0..100).map(|i| Some(f64::from(i))).collect();
    let (low, high) = interval(&spread).unwrap();
    assert!((low - 2.475).abs() < 1e-12 && (high - 96.525).abs() < 1e-12, "{low} {high}");
    assert_eq!(interval(&spread[..19]), None);
    assert_eq!(interval(&[Some(0.0); 100]), None);
    let mut gaps = spread.clone();
    gaps[..5].fill(None);
    assert!(interval(&gaps).is_some());
    gaps[5] = None;
    assert_eq!(interval(&gaps), None);
}

#[test]
fn absent_is_not_zero() {
    let rows = [row("a", "safe", "", 0, 0), row("b", "safe", "", 0, 1), row("c", "unsafe", "", 3, 3)];
    let measured = measured(&rows, &options(0));
    let safe = measured.sources.get("safe").unwrap();
    let value = safe.metrics.get("classification.unsafe_pass_rate").unwrap();
    assert_eq!((value.value, value.n), (None, 0));
    assert_eq!(serde_json::to_string(value).unwrap(), r#"{"value":null,"n":0,"few":true}"#);
    let value = measured.metrics.get("classification.unsafe_pass_rate").unwrap();
    assert_eq!((value.value, value.n), (Some(0.0), 1));
}

#[test]
fn weak_evaluations_are_said_loudly() {
    let rows = [row("a", "s", "", 0, 0), row("b", "s", "", 1, 0), row("c", "lonely", "", 1, 0)];
    let warnings = measured(&rows, &options(0)).warnings;
    for expected in [
        "class DENY has no evaluation example",
        "class REFUSE has no evaluation example",
        "source `lonely` has a single row",
        "every prediction is `ALLOW`",
    ] {
        assert!(warnings.iter().any(|w| w.contains(expected)), "{expected}: {warnings:?}");
    }
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    let one_group = [row("a", "s", "g", 0, 0), row("b", "s", "g", 1, 1)];
    let measured = measured(&one_group, &options(100));
    assert!(measured.warnings.iter().any(|w| w.contains("one group")), "{:?}", measured.warnings);
    assert_eq!(measured.metrics.get("classification.accuracy").unwrap().low, None);
}

#[test]
fn meaningless_or_malformed_rows_are_errors() {
    let good = row("a", "s", "", 0, 0);
    let mut short = row("b", "s", "", 0, 0);
    short.prediction.scores.pop();
    let mut not_a_number = row("b", "s", "", 0, 0);
    not_a_number.prediction.scores[2] = f32::NAN;
    for (rows, expected) in [
        (vec![], "expected at least 2 rows to evaluate, found 0"),
        (vec![good.clone()], "expected at least 2 rows to evaluate, found 1"),
        (vec![good.clone(), good.clone()], "expected distinct row ids, found `a` twice"),
        (vec![good.clone(), row("b", "s", "", 4, 0)], "row `b`: expected a gold id below 4, found 4"),
        (vec![good.clone(), row("b", "s", "", INVALID, 0)], "row `b`: expected a gold id below 4, found 254"),
        (
            vec![good.clone(), row("b", "s", "", 0, 9)],
            "row `b`: expected a predicted id below 4 or 254 (INVALID), found 9",
        ),
        (vec![good.clone(), short], "row `b`: expected 4 scores, one a label, found 3"),
        (vec![good, not_a_number], "row `b`: expected finite scores, found `NaN`"),
    ] {
        let error = measure(&[&Counting::new(&four())], &four(), &rows, &options(0)).unwrap_err();
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn a_metric_that_breaks_its_contract_is_an_error() {
    let rows = rows(10, 0.5, 1);
    let spoils: [(Spoil, &str); 3] = [
        (
            |values| values.truncate(3),
            "metric `classification`: `finalize`: expected 41 values, as `metrics` declares, found 3",
        ),
        (|values| values.swap(0, 1), "expected a value for `accuracy`, found one for `f1_macro`"),
        (|values| values[0].value = Some(f64::INFINITY), "expected a finite value for `accuracy`, found `inf`"),
    ];
    for (spoil, expected) in spoils {
        let metric = Counting { spoil, ..Counting::new(&four()) };
        let error = measure(&[&metric], &four(), &rows, &options(0)).unwrap_err();
        assert_eq!(error.kind(), Kind::Plugin);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let metric = Counting::new(&four());
    let error = measure(&[&metric, &metric], &four(), &rows, &options(0)).unwrap_err();
    assert!(error.to_string().contains("found `classification` twice"), "{error}");
}

/// The first numbers of the published reference implementations.
#[test]
fn the_generators_are_the_published_ones() {
    let mut state = 1_234_567;
    let mixed: Vec<u64> = (0..3).map(|_| split_mix(&mut state)).collect();
    assert_eq!(mixed, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    let mut random = Random::from_state([1, 2, 3, 4]);
    let numbers: Vec<u64> = (0..6).map(|_| random.next_u64()).collect();
    let expected = [
        41_943_041,
        58_720_359,
        3_588_806_011_781_223,
        3_591_011_842_654_386,
        9_228_616_714_210_784_205,
        9_973_669_472_204_895_162,
    ];
    assert_eq!(numbers, expected);
    let mut counts = [0; 3];
    (0..30_000).for_each(|_| counts[random.below(3) as usize] += 1);
    assert!(counts.iter().all(|n| (9_700..10_300).contains(n)), "{counts:?}");
}
