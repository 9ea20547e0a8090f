//! What the sandbox costs: `cargo test --release --test main sandbox::speed -- --ignored --nocapture --test-threads 1`.

use std::time::{Duration, Instant};

use so8t::data::{ExampleColumns, Texts};
use so8t::evaluate::{Measure, MetricBatch};
use so8t::plugin::{ComponentSource, Converter, Host, PluginSpec};

use super::labels;

fn builtin(name: &str) -> PluginSpec {
    PluginSpec::new(name, ComponentSource::Builtin(name.into()))
}

/// The median time of `count` runs.
fn median(count: usize, run: impl FnMut()) -> Duration {
    let start = Instant::now();
    median_by(|| start.elapsed(), count, run)
}

/// The median of the CPU time that `count` runs take on this thread, which other programs do not lengthen; the wall time
/// where the system does not tell.
fn median_cpu(count: usize, run: impl FnMut()) -> Duration {
    let start = Instant::now();
    let now = || {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
        let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse().ok());
        nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
    };
    median_by(now, count, run)
}

fn median_by(now: impl Fn() -> Duration, count: usize, mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let start = now();
            run();
            now() - start
        })
        .collect();
    times.sort();
    times[count / 2]
}

#[test]
#[ignore = "measures; asserts nothing"]
fn loading_and_calling() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Host::new(None).unwrap();
    let compile = median(5, || drop(plain.load(&builtin("classification")).unwrap()));
    let host = Host::new(Some(folder.path())).unwrap();
    host.load(&builtin("classification")).unwrap();
    let cached = median(200, || drop(host.load(&builtin("classification")).unwrap()));
    let plugin = host.load(&builtin("classification")).unwrap();
    let open = median(500, || drop(plugin.open_metric(&labels()).unwrap()));
    let mut measurement = plugin.open_metric(&labels()).unwrap();
    let row = MetricBatch { gold: vec![0], predicted: vec![1], ..MetricBatch::default() };
    let call = median(2000, || measurement.update(&row).unwrap());
    println!(
        "load: compiled {compile:?}, from the cache {cached:?}; open {open:?} (four calls); update of one row {call:?}"
    );
}

#[test]
#[ignore = "measures; asserts nothing"]
fn a_million_rows() {
    let host = Host::new(None).unwrap();
    let plugin = host.load(&builtin("classification")).unwrap();
    let mut measurement = plugin.open_metric(&labels()).unwrap();
    let mut rows = MetricBatch::default();
    for i in 0..1_000_000_u32 {
        let number = i.wrapping_mul(2_654_435_761) >> 16;
        rows.gold.push((number % 4) as u8);
        rows.predicted.push((number / 4 % 4) as u8);
    }
    let update = median(9, || measurement.update(&rows).unwrap());
    rows.weights = vec![1; 1_000_000];
    let weighted = median(9, || measurement.update(&rows).unwrap());
    let finalize = median(200, || drop(measurement.finalize().unwrap()));
    println!("classification: update of 1M rows {update:?}, weighted {weighted:?}; finalize {finalize:?}");
}

/// Predictions whose scores are nearly all distinct, with weights as a resample draws them.
fn predictions(count: usize) -> MetricBatch {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let mut rows = MetricBatch::default();
    for _ in 0..count {
        let powers = [next(), next(), next(), next()].map(|power| (4.0 * power).exp());
        let sum: f32 = powers.iter().sum();
        let top = (0..4_u8).max_by(|a, b| powers[usize::from(*a)].total_cmp(&powers[usize::from(*b)])).unwrap();
        rows.gold.push(if next() < 0.7 { top } else { (4.0 * next()) as u8 });
        rows.predicted.push(top);
        rows.scores.extend(powers.map(|power| power / sum));
        // As a resample draws them: Poisson with mean 1, cut at 3.
        let draw = next();
        rows.weights.push([0.368, 0.736, 0.920].iter().filter(|below| draw > **below).count() as u32);
    }
    rows
}

#[test]
#[ignore = "measures; asserts nothing"]
fn every_metric_over_a_million_rows() {
    let host = Host::new(None).unwrap();
    let rows = predictions(1_000_000);
    let mut coarse = rows.clone();
    coarse.scores.iter_mut().for_each(|score| *score = (*score * 16_384.0).floor() / 16_384.0);
    let per_second = |time: Duration| format!("{:.1} M rows a CPU second", 1.0 / time.as_secs_f64());
    for name in ["agreement", "calibration", "classification", "cost", "curves"] {
        let plugin = host.load(&builtin(name)).unwrap();
        let mut exact = plugin.open_metric(&labels()).unwrap();
        let few = median_cpu(5, || exact.update(&coarse).unwrap());
        let mut measurement = plugin.open_metric(&labels()).unwrap();
        let first = median_cpu(1, || measurement.update(&rows).unwrap());
        let update = median_cpu(5, || measurement.update(&rows).unwrap());
        let finalize = median(9, || drop(measurement.finalize().unwrap()));
        let length = measurement.state().unwrap().len();
        let state = median(9, || drop(measurement.state().unwrap()));
        let (few, first, update) = (per_second(few), per_second(first), per_second(update));
        println!(
            "{name}: update {few} (few scores), {first} (the first million), {update} (further ones); finalize {finalize:?}; \
             state {length} bytes in {state:?}"
        );
    }
}

#[test]
#[ignore = "measures; asserts nothing"]
fn memory_that_a_measurement_needs() {
    let host = Host::new(None).unwrap();
    let rows = predictions(200_000);
    let batches: Vec<MetricBatch> = (0..rows.gold.len())
        .step_by(20_000)
        .map(|start| MetricBatch {
            gold: rows.gold[start..start + 20_000].to_vec(),
            predicted: rows.predicted[start..start + 20_000].to_vec(),
            scores: rows.scores[4 * start..4 * (start + 20_000)].to_vec(),
            ..MetricBatch::default()
        })
        .collect();
    for name in ["agreement", "calibration", "classification", "cost", "curves"] {
        let enough = |count: usize, kibibytes: u64| {
            let mut spec = builtin(name);
            spec.limits.memory_bytes = kibibytes << 10;
            let Ok(plugin) = host.load(&spec) else { return false };
            let Ok(mut measurement) = plugin.open_metric(&labels()) else { return false };
            batches[..count].iter().all(|batch| measurement.update(batch).is_ok()) && measurement.state().is_ok()
        };
        let least = |count| (1..).map(|step| 128 * step).find(|&kibibytes| enough(count, kibibytes)).unwrap();
        println!("{name}: {} KiB, with 60,000 rows {}, with 200,000 {}", least(0), least(3), least(10));
    }
}

#[test]
#[ignore = "measures; asserts nothing"]
fn converting_and_mapping() {
    let host = Host::new(None).unwrap();
    let record = r#"{"instruction": "What is the capital of France, and why do people ask it so often?", "label": "ALLOW", "n": 1}"#;
    let bytes = format!("{record}\n").repeat(20_000).into_bytes();
    let converter = host.load(&builtin("jsonl")).unwrap();
    let mut rows = 0;
    let time = median(5, || {
        let mut guest = converter.open_converter().unwrap();
        rows = 0;
        for chunk in bytes.chunks(Converter::CHUNK_BYTES) {
            rows += guest.push(chunk).unwrap().examples.rows();
        }
        rows += guest.finish().unwrap().examples.rows();
    });
    let megabytes = bytes.len() as f64 / 1e6 / time.as_secs_f64();
    println!("jsonl: {rows} records of {} bytes in {time:?}, {megabytes:.0} MB/s", record.len() + 1);

    let mut mapper = host.load(&builtin("four-class")).unwrap().open_mapper().unwrap();
    let column = |text: &str| -> Texts { std::iter::repeat_n(text, 20_000).collect() };
    let examples = ExampleColumns {
        instruction: column("What is the capital of France?"),
        label: column("ALLOW"),
        ..ExampleColumns::default()
    };
    let time = median(9, || assert_eq!(mapper.assign(&examples).unwrap().len(), 20_000));
    println!("four-class: 20000 rows in {time:?}");
}
