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
fn median(count: usize, mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
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
