//! The standard plugins' code compiled natively, over the same data that `bench_plugins` sends through the sandbox:
//!
//!     cargo run --release --package so8t-native -- jsonl FILE
//!     cargo run --release --package so8t-native -- classification ROWS

#[path = "../../../plugins/classification/src/lib.rs"]
mod classification;
#[path = "../../measure/labels.rs"]
mod labels;
#[path = "../../measure/process.rs"]
mod process;

use std::fs::File;
use std::io::Read as _;
use std::process::ExitCode;

use process::{memory_mb, thread_seconds};
use so8t_plugin_sdk::bindings::measurement::Batch;
use so8t_plugin_sdk::bindings::types::Texts;
use so8t_plugin_sdk::{Examples, Failure, Labels, Metric as _, Rows, config};
use so8t_records::fields::{FieldsConfig, JsonConverter};
use so8t_records::json::Framing;

/// As the host cuts files.
const CHUNK_BYTES: usize = 1 << 18;
/// As the host cuts batches.
const ROWS: usize = 1 << 18;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["jsonl", path] => jsonl(path),
        ["classification", rows] => classification(rows.parse().unwrap_or(0)),
        _ => Err("usage: so8t-native jsonl FILE | classification ROWS".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn said(failure: Failure) -> String {
    format!("{failure:?}")
}

fn jsonl(path: &str) -> Result<(), String> {
    let start = thread_seconds();
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let mut converter = JsonConverter::open(FieldsConfig::default(), Framing::Lines).map_err(said)?;
    let (mut chunk, mut bytes, mut rows) = (vec![0; CHUNK_BYTES], 0, 0);
    loop {
        let read = file.read(&mut chunk).map_err(|e| e.to_string())?;
        let mut out = Examples::default();
        match read {
            0 => converter.finish(&mut out).map_err(said)?,
            _ => converter.push(&chunk[..read], &mut out).map_err(said)?,
        }
        rows += out.into_batch().lines.len();
        bytes += read;
        if read == 0 {
            break;
        }
    }
    let seconds = thread_seconds() - start;
    println!(
        "jsonl, native: {rows} rows, {:.0} MB, {:.0} MB a CPU second; {:.0} MB at most",
        bytes as f64 / 1e6,
        bytes as f64 / 1e6 / seconds,
        memory_mb("VmHWM")
    );
    Ok(())
}

fn classification(rows: usize) -> Result<(), String> {
    let names = ["ALLOW", "ESCALATION", "DENY", "REFUSE"].map(str::to_owned).to_vec();
    let labels = || Labels::new(names.clone()).map_err(said);
    let (gold, predicted) = labels::made_up(rows);
    let batches: Vec<Batch> = (0..rows)
        .step_by(ROWS)
        .map(|start| start..rows.min(start + ROWS))
        .map(|range| Batch {
            gold: gold[range.clone()].to_vec(),
            predicted: predicted[range].to_vec(),
            scores: Vec::new(),
            weights: Vec::new(),
            groups: Vec::new(),
            text: Texts { bytes: Vec::new(), offsets: Vec::new() },
        })
        .collect();
    let mut times = Vec::new();
    for _ in 0..7 {
        let start = thread_seconds();
        let config = config::read("{}").map_err(said)?;
        let mut metric = classification::Classification::open(config, labels()?).map_err(said)?;
        for batch in &batches {
            metric.update(&Rows::check(batch, 4).map_err(said)?).map_err(said)?;
        }
        let values = metric.finalize().map_err(said)?;
        times.push(thread_seconds() - start);
        if times.len() == 7 {
            times.sort_by(f64::total_cmp);
            let f1 = values.iter().find(|value| value.name == "f1_macro").and_then(|value| value.value);
            println!(
                "classification, native: {rows} rows in {:.2} ms of CPU (median of 7), macro-F1 {f1:?}",
                times[3] * 1e3
            );
        }
    }
    Ok(())
}
