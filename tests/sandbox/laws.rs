//! Determinism, the laws of metrics, and how measurements are fed.

use so8t::data::Texts;
use so8t::evaluate::{Measure, Metric, MetricBatch, MetricValue};
use so8t::plugin::{ComponentSource, Host, MetricPlugin, Plugin, PluginSpec, conformance};

use super::{host, labels, load, rows, tight};

fn classification() -> Plugin {
    host().load(&PluginSpec::new("quality", ComponentSource::Builtin("classification".into()))).unwrap()
}

/// Rows that look random and are always the same.
fn many(count: usize) -> MetricBatch {
    let mut number = 1_u32;
    let mut next = || {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (number >> 24) as u8
    };
    let mut batch = MetricBatch::default();
    for _ in 0..count {
        let gold = next() % 4;
        batch.gold.push(gold);
        batch.predicted.push(match next() % 8 {
            0 => 254,
            1..=3 => next() % 4,
            _ => gold,
        });
        batch.weights.push(u32::from(next() % 3));
    }
    batch
}

fn value(values: &[MetricValue], name: &str) -> f64 {
    values.iter().find(|value| value.name == name).unwrap().value.unwrap()
}

#[test]
fn classification_keeps_the_laws() {
    conformance::check_metric(&classification(), &labels()).unwrap();
}

#[test]
fn metrics_that_break_a_law_are_found() {
    for (behaviour, law) in [
        ("state-lies", "metric.merge-one-pass"),
        ("merge-order", "metric.merge-one-pass"),
        ("values-drift", "metric.deterministic"),
    ] {
        let error = conformance::check_metric(&load("evil-metric", behaviour, "", tight()), &labels()).unwrap_err();
        let begin = format!("plugin `guest` 0.1.0: breaks the law `{law}`: ");
        assert!(error.to_string().starts_with(&begin), "{behaviour}: {error}");
    }
    conformance::check_metric(&load("evil-metric", "honest", "", tight()), &labels()).unwrap();
}

#[test]
fn instances_agree_bit_for_bit() {
    // Two instances of one host, one of another host without a cache, and one on another thread.
    let rows = many(5000);
    let run = |plugin: &Plugin| {
        let mut measurement = plugin.open_metric(&labels()).unwrap();
        measurement.update(&rows).unwrap();
        let bits = |values: Vec<MetricValue>| -> Vec<_> {
            values.into_iter().map(|v| (v.name, v.value.map(f64::to_bits), v.support)).collect()
        };
        (measurement.state().unwrap(), bits(measurement.finalize().unwrap()))
    };
    let plugin = classification();
    let first = run(&plugin);
    assert_eq!(run(&plugin), first);
    let spec = PluginSpec::new("quality", ComponentSource::Builtin("classification".into()));
    assert_eq!(run(&Host::new(None).unwrap().load(&spec).unwrap()), first);
    let other = plugin.clone();
    assert_eq!(std::thread::scope(|scope| scope.spawn(|| run(&other)).join().unwrap()), first);
}

#[test]
fn a_closed_measurement_leaves_nothing_to_the_next() {
    let rows = many(50_000);
    let run = |plugin: &Plugin, labels: &[String]| {
        let mut measurement = plugin.open_metric(labels).unwrap();
        let begun = measurement.guest_memory_bytes();
        measurement.update(&rows).unwrap();
        let measured = (measurement.metrics().to_vec(), measurement.state().unwrap(), measurement.finalize().unwrap());
        let ended = measurement.guest_memory_bytes();
        measurement.close();
        (measured, begun, ended)
    };
    let spec = PluginSpec::new("quality", ComponentSource::Builtin("classification".into()));
    let carried = classification();
    let (first, begun, ended) = run(&carried, &labels());
    assert!(begun < ended);
    // The instance serves again, and its values are those of the first measurement. Components of another folder are not
    // carried, and have a fresh instance each time.
    let begun_again = if std::env::var_os("SO8T_COMPONENTS").is_none() { ended } else { begun };
    for _ in 0..3 {
        assert_eq!(run(&carried, &labels()), (first.clone(), begun_again, ended));
    }
    // Other labels have an instance of their own; what failed does not serve again.
    let five: Vec<String> = labels().into_iter().chain(["OTHER".to_owned()]).collect();
    let (other, begun_with_others, _) = run(&carried, &five);
    assert!(other.0.len() > first.0.len());
    assert_eq!(begun_with_others, begun);
    let mut broken = carried.open_metric(&labels()).unwrap();
    broken.merge(&[1, 2, 3]).unwrap_err();
    broken.close();
    assert_eq!(run(&carried, &labels()), (first.clone(), begun, ended));
    // A plugin whose work is counted, as that of every foreign one, has a fresh instance each time.
    let counted = Host::new(None).unwrap().counting().load(&spec).unwrap();
    for _ in 0..2 {
        assert_eq!(run(&counted, &labels()), (first.clone(), begun, ended));
    }
}

#[test]
fn shards_merge_to_the_whole() {
    let rows = many(3000);
    let plugin = classification();
    let mut whole = plugin.open_metric(&labels()).unwrap();
    whole.update(&rows).unwrap();
    let mut merged = plugin.open_metric(&labels()).unwrap();
    for start in (0..3000).step_by(700) {
        let end = (start + 700).min(3000);
        let mut shard = plugin.open_metric(&labels()).unwrap();
        shard
            .update(&MetricBatch {
                gold: rows.gold[start..end].to_vec(),
                predicted: rows.predicted[start..end].to_vec(),
                weights: rows.weights[start..end].to_vec(),
                ..MetricBatch::default()
            })
            .unwrap();
        merged.merge(&shard.state().unwrap()).unwrap();
    }
    assert_eq!(merged.finalize().unwrap(), whole.finalize().unwrap());
    assert_eq!(merged.state().unwrap(), whole.state().unwrap());
}

#[test]
fn a_large_batch_is_sent_in_pieces() {
    let rows = many(600_000);
    let right = rows.gold.iter().zip(&rows.predicted).zip(&rows.weights).filter(|((g, p), _)| g == p);
    let right: u32 = right.map(|(_, weight)| weight).sum();
    let total: u32 = rows.weights.iter().sum();
    let mut measurement = classification().open_metric(&labels()).unwrap();
    measurement.update(&rows).unwrap();
    let values = measurement.finalize().unwrap();
    assert_eq!(value(&values, "accuracy"), f64::from(right) / f64::from(total));
    assert_eq!(values[0].support, total);

    // Three pieces of 2^18 rows at most; the guest fails in the third call.
    let plugin = load("evil-metric", "honest", "", tight());
    let mut measurement = plugin.open_metric(&labels()).unwrap();
    measurement.update(&rows).unwrap();
    assert_eq!(measurement.finalize().unwrap()[0].value, Some(600_000.0));
}

#[test]
fn an_empty_batch_is_no_call() {
    let mut measurement = load("evil-metric", "trap", "update", tight()).open_metric(&labels()).unwrap();
    measurement.update(&MetricBatch::default()).unwrap();
    assert!(measurement.update(&rows()).is_err());
}

#[test]
fn rows_that_make_no_sense_never_reach_the_guest() {
    let mut measurement = classification().open_metric(&labels()).unwrap();
    let mut error = |change: fn(&mut MetricBatch)| {
        let mut rows = rows();
        change(&mut rows);
        measurement.update(&rows).unwrap_err().to_string()
    };
    let prefix = "plugin `quality` 0.1.0: `update`:";
    assert_eq!(error(|rows| rows.predicted.truncate(2)), format!("{prefix} 2 predicted ids for 5 gold ids"));
    assert_eq!(error(|rows| rows.gold[1] = 4), format!("{prefix} row 1: gold id 4: expected an id below 4"));
    assert_eq!(error(|rows| rows.gold[1] = 254), format!("{prefix} row 1: gold id 254: expected an id below 4"));
    assert_eq!(
        error(|rows| rows.predicted[3] = 255),
        format!("{prefix} row 3: predicted id 255: expected an id below 4, or 254")
    );
    assert_eq!(error(|rows| rows.weights = vec![1]), format!("{prefix} 1 weights for 5 rows: expected 5"));
    // What the plugin does not want does not matter.
    let mut fine = rows();
    fine.scores = vec![f32::NAN];
    fine.texts = Texts::from_iter(["one"]);
    measurement.update(&fine).unwrap();
}

#[test]
fn evaluation_opens_fresh_measurements() {
    let metric = MetricPlugin::new(classification(), labels());
    assert_eq!(metric.name(), "quality");
    let mut first = metric.open().unwrap();
    first.update(&rows()).unwrap();
    let mut second = metric.open().unwrap();
    assert_eq!(value(&first.finalize().unwrap(), "accuracy"), 0.6);
    assert_eq!(second.finalize().unwrap()[0].value, None, "nothing is shared");
    assert!(first.wants().weights && !first.wants().texts);
}
