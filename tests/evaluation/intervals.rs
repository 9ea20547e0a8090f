//! Weights of resamples, exact intervals, and when each is used.

use serde_json::Value;
use so8t::data::LabelSet;
use so8t::evaluate::{
    Cluster, EvaluatedRow, Options, Resample, beta_quantile, clopper_pearson, measure, method, regularised_beta,
};

use super::counting::Counting;
use super::sample::{row, rows};

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/intervals.json")).unwrap()
}

fn close(found: f64, expected: f64, tolerance: f64) -> bool {
    found == expected || (found - expected).abs() <= tolerance * expected.abs()
}

#[test]
fn clopper_pearson_gives_scipys_values() {
    for case in golden()["clopper_pearson"].as_array().unwrap() {
        let (k, n) = (case["k"].as_u64().unwrap(), case["n"].as_u64().unwrap());
        let (low, high) = clopper_pearson(k, n).unwrap();
        // What a double can hold of a beta function with parameters in the millions.
        let tolerance = if n > 100_000 { 1e-10 } else { 1e-12 };
        assert!(close(low, case["low"].as_f64().unwrap(), tolerance), "{k} of {n}: {low} against {}", case["low"]);
        assert!(close(high, case["high"].as_f64().unwrap(), tolerance), "{k} of {n}: {high} against {}", case["high"]);
        let share = k as f64 / n as f64;
        assert!(low <= share && share <= high);
        // The interval of the other share is the mirror image.
        let (other_low, other_high) = clopper_pearson(n - k, n).unwrap();
        assert!((other_low - (1.0 - high)).abs() < 1e-14 && (other_high - (1.0 - low)).abs() < 1e-14, "{k} of {n}");
    }
    assert_eq!(clopper_pearson(0, 0), None);
    assert_eq!(clopper_pearson(3, 2), None);
}

#[test]
fn the_beta_function_is_inverted() {
    for case in golden()["beta_quantile"].as_array().unwrap() {
        let [a, b, share, x] = ["a", "b", "share", "x"].map(|name| case[name].as_f64().unwrap());
        let found = beta_quantile(a, b, share);
        assert!(close(found, x, 1e-12), "{case}: {found}");
        assert!((regularised_beta(a, b, found) - share).abs() < 1e-13);
        assert!((regularised_beta(b, a, 1.0 - found) - (1.0 - share)).abs() < 1e-13);
    }
    assert_eq!((regularised_beta(2.0, 3.0, 0.0), regularised_beta(2.0, 3.0, 1.0)), (0.0, 1.0));
}

#[test]
fn weights_are_poisson_and_unrelated() {
    const DRAWS: usize = 400_000;
    let probabilities: Vec<f64> = golden()["poisson"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
    let clusters: Vec<Cluster> = (0..DRAWS).map(|i| Cluster::of("", &format!("row-{i}"))).collect();
    let [first, second] = [(5, 0), (5, 1)].map(|(seed, index)| {
        let resample = Resample::new(seed, index);
        clusters.iter().map(|&cluster| resample.weight(cluster)).collect::<Vec<u32>>()
    });
    let mut square = 0.0;
    for (weight, probability) in probabilities.iter().enumerate().take(7) {
        let found = first.iter().filter(|&&w| w as usize == weight).count() as f64;
        let expected = probability * DRAWS as f64;
        square += (found - expected).powi(2) / expected;
    }
    // Chi-square of six degrees of freedom: above 35 once in 200,000 seeds.
    assert!(square < 35.0, "{square}");
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / DRAWS as f64;
    let deviations = |weights: &[u32]| weights.iter().map(|&w| f64::from(w) - 1.0).collect::<Vec<_>>();
    let (a, b) = (deviations(&first), deviations(&second));
    let between_resamples = mean(&mut a.iter().zip(&b).map(|(a, b)| a * b));
    let between_rows = mean(&mut a.iter().zip(&a[1..]).map(|(a, b)| a * b));
    for correlation in [between_resamples, between_rows] {
        assert!(correlation.abs() < 5.0 / (DRAWS as f64).sqrt(), "{correlation}");
    }
}

#[test]
fn a_weight_depends_on_seed_resample_and_cluster_alone() {
    // These numbers must never change, or a stored report cannot be computed again.
    let golden = golden();
    for case in golden["cluster"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let cluster = if case["tag"] == 0 { Cluster::of(text, "x") } else { Cluster::of("", text) };
        assert_eq!(cluster.0.to_string(), case["hash"].as_str().unwrap());
    }
    for case in golden["weights"].as_array().unwrap() {
        let resample = Resample::new(case["seed"].as_u64().unwrap(), case["resample"].as_u64().unwrap() as u32);
        let found: Vec<u32> = (0..64).map(|i| resample.weight(Cluster::of("", &format!("source:{i}")))).collect();
        assert_eq!(serde_json::json!(found), case["weights"]);
    }
    assert_eq!(Cluster::of("pair", "a"), Cluster::of("pair", "b"));
    assert_ne!(Cluster::of("", "pair"), Cluster::of("pair", "pair"));
}

fn ungrouped(count: usize) -> Vec<EvaluatedRow> {
    rows(count, 0.6, 5).into_iter().map(|row| EvaluatedRow { group: String::new(), ..row }).collect()
}

#[test]
fn shares_of_rows_that_stand_alone_have_the_exact_interval() {
    let labels = LabelSet::four_decisions();
    let options = Options { seed: 11, resamples: 100, ..Options::default() };
    let measured = |rows: &[EvaluatedRow]| measure(&[&Counting::new(&labels)], &labels, rows, &options).unwrap();
    let alone = measured(&ungrouped(300));
    let share = |name: &str| {
        ["accuracy", "unsafe_pass_rate", "over_block_rate"].contains(&name)
            || name.starts_with("precision_")
            || name.starts_with("recall_")
    };
    for (name, found) in alone.metrics.iter() {
        let metric = name.strip_prefix("classification.").unwrap();
        match metric.split(['_', '.']).next().unwrap() {
            "support" | "confusion" => assert_eq!((found.low, found.method.as_deref()), (None, None), "{name}"),
            _ if share(metric) => {
                assert_eq!(found.method.as_deref(), Some(method::CLOPPER_PEARSON), "{name}");
                let hits = (found.value.unwrap() * f64::from(found.n)).round() as u64;
                assert_eq!(found.low.zip(found.high), clopper_pearson(hits, u64::from(found.n)), "{name}");
            }
            "f1" => assert_eq!(found.method.as_deref(), Some(method::BOOTSTRAP), "{name}"),
            other => panic!("{other}"),
        }
    }
    let mut paired = ungrouped(300);
    paired[7].group = "pair".into();
    let one = measured(&paired);
    assert_eq!(one.metrics.get("classification.accuracy").unwrap().method.as_deref(), Some(method::CLOPPER_PEARSON));
    paired[8].group = "pair".into();
    let two = measured(&paired);
    assert!(two.metrics.iter().all(|(_, m)| m.method.as_deref().is_none_or(|m| m == method::CLUSTERED_BOOTSTRAP)));
    assert!(two.metrics.get("classification.accuracy").unwrap().low.is_some());
}

#[test]
fn a_share_is_proved_and_not_believed() {
    let labels = LabelSet::four_decisions();
    let options = Options { resamples: 50, ..Options::default() };
    // Every class has all or none of its rows right, so that each F1 is a fraction that could be a share.
    let all_right: Vec<_> =
        (0..40_u8).map(|i| row(&format!("{i}"), "s", "", i % 4, if i % 4 == 3 { 0 } else { i % 4 })).collect();
    let spoiled = Counting {
        // A value that is close to a share, and is none.
        spoil: |values| values[0].value = values[0].value.map(|value| (value + 0.5) / 2.0),
        ..Counting::new(&labels)
    };
    let measured = measure(&[&spoiled], &labels, &all_right, &options).unwrap();
    let method = |name: &str| measured.metrics.get(&format!("classification.{name}")).unwrap().method.clone();
    assert_eq!(method("accuracy").as_deref(), Some(method::BOOTSTRAP));
    assert_eq!(method("recall_deny").as_deref(), Some(method::CLOPPER_PEARSON));
    assert_ne!(method("f1_deny").as_deref(), Some(method::CLOPPER_PEARSON));
}

#[test]
fn few_rows_are_marked() {
    let labels = LabelSet::four_decisions();
    let options = Options { resamples: 0, min_support: 30, ..Options::default() };
    let measured = measure(&[&Counting::new(&labels)], &labels, &ungrouped(120), &options).unwrap();
    for (name, value) in measured.metrics.iter() {
        let is_count = name.contains("support") || name.contains("confusion");
        assert_eq!(value.few, !is_count && value.n < 30, "{name} {value:?}");
    }
    assert!(measured.metrics.iter().any(|(_, value)| value.few));
    let text = serde_json::to_value(&measured.metrics).unwrap();
    assert_eq!(text["classification.accuracy"].get("few"), None);
}

#[test]
fn neither_order_nor_threads_nor_batches_nor_memory_change_a_byte() {
    let labels = LabelSet::four_decisions();
    let rows = rows(20_000, 0.6, 5);
    let bytes = |rows: &[EvaluatedRow], options: &Options| {
        serde_json::to_string(&measure(&[&Counting::new(&labels)], &labels, rows, options).unwrap()).unwrap()
    };
    let plain = Options { seed: 3, resamples: 40, threads: 1, ..Options::default() };
    let expected = bytes(&rows, &plain);
    assert!(expected.contains(r#""method":"clustered bootstrap""#));
    let mut shuffled = rows.clone();
    shuffled.sort_by_key(|row| Cluster::of("", &row.id).0);
    assert_eq!(bytes(&shuffled, &plain), expected);
    for options in [
        Options { threads: 2, ..plain.clone() },
        Options { threads: 7, batch_rows: 13, ..plain.clone() },
        Options { memory: 1, threads: 3, batch_bytes: 100, ..plain.clone() },
    ] {
        assert_eq!(bytes(&rows, &options), expected, "{options:?}");
    }
    assert_ne!(bytes(&rows, &Options { seed: 4, ..plain }), expected);
}
