//! The standard plugins give the same bytes whether they run as those that the program carries (no fuel, NaNs as they come) or as
//! foreign components: what is left out for speed decides nothing.

use serde_json::{Value, json};
use so8t::evaluate::{Measure as _, MetricBatch};
use so8t::plugin::{ComponentSource, Host, PluginSpec};

use super::cases::converter_cases;
use super::{METRICS, Random, component, labels};

/// A plugin that is carried, and the same component as a file.
fn both(name: &str, config: &Value) -> [PluginSpec; 2] {
    [ComponentSource::Builtin(name.into()), ComponentSource::Path(component(name))].map(|source| {
        let mut spec = PluginSpec::new(name, source);
        spec.config = config.clone();
        spec
    })
}

#[test]
fn metrics_give_the_same_states_and_values() {
    let cache = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache");
    let host = Host::new(Some(&cache)).unwrap();
    let mut random = Random(3);
    let mut batch = MetricBatch::default();
    for row in 0..5000 {
        let powers: Vec<f32> = (0..4).map(|_| (1 + random.below(1000)) as f32).collect();
        let sum: f32 = powers.iter().sum();
        batch.gold.push(random.below(4) as u8);
        batch.predicted.push(if row % 50 == 0 { 254 } else { random.below(4) as u8 });
        // Some rows have no scores at all, so that sums and means of nothing are met.
        batch.scores.extend(powers.iter().map(|power| if row % 50 == 0 { 0.0 } else { power / sum }));
        batch.weights.push(random.below(4) as u32);
        batch.groups.push(random.below(40) as u32);
    }
    let empty = MetricBatch::default();
    let one = MetricBatch {
        gold: vec![2],
        predicted: vec![254],
        scores: vec![0.0; 4],
        weights: vec![0],
        groups: vec![0],
        ..MetricBatch::default()
    };
    for name in METRICS {
        for rows in [&empty, &one, &batch] {
            let [carried, foreign] = both(name, &json!({})).map(|spec| {
                let mut measurement = host.load(&spec).unwrap().open_metric(&labels()).unwrap();
                measurement.update(rows).unwrap();
                let state = measurement.state().unwrap();
                measurement.merge(&state).unwrap();
                let values = measurement.finalize().unwrap();
                let bits: Vec<_> =
                    values.iter().map(|v| (v.name.clone(), v.value.map(f64::to_bits), v.support)).collect();
                (state, measurement.state().unwrap(), bits)
            });
            assert_eq!(carried, foreign, "{name}, {} rows", rows.gold.len());
        }
    }
}

#[test]
fn converters_give_the_same_examples() {
    let cache = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache");
    let host = Host::new(Some(&cache)).unwrap();
    for case in converter_cases() {
        let [carried, foreign] = both(&case.plugin, &case.config).map(|spec| {
            let mut converter = host.load(&spec)?.open_converter()?;
            let pushed = converter.push(&case.bytes())?;
            Ok((pushed, converter.finish()?))
        });
        let told = |outcome: so8t::Result<_>| outcome.map_err(|error| error.to_string());
        let [carried, foreign] = [carried, foreign].map(told);
        assert_eq!(carried, foreign, "{}", case.title());
    }
}

#[test]
fn fuel_is_counted_where_the_manifest_sets_it() {
    let host = Host::new(None).unwrap();
    let mut spec = PluginSpec::new("classification", ComponentSource::Builtin("classification".into()));
    spec.limits.fuel = 100_000;
    let mut measurement = host.load(&spec).unwrap().open_metric(&labels()).unwrap();
    let rows = MetricBatch { gold: vec![0; 200_000], predicted: vec![0; 200_000], ..MetricBatch::default() };
    let error = measurement.update(&rows).unwrap_err().to_string();
    assert!(error.contains("did more work than `fuel = 100000`"), "{error}");
}
