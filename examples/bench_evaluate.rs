//! How long it takes, and how much memory, to measure many predictions:
//!
//!     cargo run --release --example bench_evaluate -- make 10000000 FILE.parquet
//!     cargo run --release --example bench_evaluate -- run FILE.parquet 200 classification …
//!     python examples/peers/evaluate.py FILE.parquet 200

#[path = "measure/process.rs"]
mod process;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use process::{memory_mb, processor_seconds};
use so8t::data::{INVALID, LabelSet, Prediction};
use so8t::evaluate::{EvaluatedRow, Random, predictions};
use so8t::pipeline::{Choice, evaluate_file};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["make", rows, path] => make(rows.parse().unwrap_or(0), Path::new(path)),
        ["run", path, resamples, ref metrics @ ..] => run(Path::new(path), resamples.parse().unwrap_or(0), metrics),
        _ => {
            eprintln!("usage: bench_evaluate make ROWS FILE | run FILE RESAMPLES METRIC…");
            return ExitCode::FAILURE;
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Made-up predictions of three sources: four fifths right, a few no label, every second pair of rows one group.
fn make(rows: u64, path: &Path) -> so8t::Result<()> {
    let mut random = Random::new(1, 0);
    let sources = ["dolly", "xsafety", "xstest"];
    let row = |index: u64| {
        let gold = random.below(4) as u8;
        let label = match random.below(100) {
            0..80 => gold,
            80..99 => random.below(4) as u8,
            _ => INVALID,
        };
        let raw: [f32; 4] = std::array::from_fn(|id| {
            let likely = if id as u8 == label { 8.0 } else { 1.0 };
            likely * (1 + random.below(1 << 20)) as f32
        });
        let sum: f32 = raw.iter().sum();
        EvaluatedRow {
            id: format!("synthetic:{index:08}"),
            source: sources[random.below(3) as usize].to_owned(),
            group: if index % 4 < 2 { format!("pair-{}", index / 2) } else { String::new() },
            gold,
            prediction: Prediction { label, scores: raw.iter().map(|score| score / sum).collect() },
            latency_ms: Some(random.below(50_000) as f32 / 1000.0),
            request: None,
        }
    };
    predictions::write_stream(path, &LabelSet::four_decisions(), (0..rows).map(row))
}

fn run(path: &Path, resamples: u32, metrics: &[&str]) -> so8t::Result<()> {
    let metrics = metrics.iter().map(|&name| name.to_owned()).collect();
    let choice = Choice { metrics, resamples: Some(resamples), ..Choice::default() };
    let start = Instant::now();
    let report = evaluate_file(path, &choice)?;
    let seconds = start.elapsed().as_secs_f64();
    let measured = report.before.as_ref().map_or(0, |measured| measured.metrics.len() * (1 + measured.sources.len()));
    println!("{measured} values with {resamples} resamples in {seconds:.1} s");
    if let Some(f1) = report.before.as_ref().and_then(|measured| measured.metrics.get("classification.f1_macro")) {
        println!("macro-F1 {:?}, {:?} to {:?}, over {} rows", f1.value, f1.low, f1.high, f1.n);
    }
    println!("{:.0} MB at most, {:.1} s of CPU", memory_mb("VmHWM"), processor_seconds());
    Ok(())
}
