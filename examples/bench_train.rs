//! Measures training on a real model: tokens per second and per CPU second, and the peak memory of the process.
//!
//!     cargo run --release --example bench_train -- MODEL [--compute f32|bf16] [--recompute] [--rows 4] [--length 128]
//!         [--completion 8] [--steps 8] [--rank 16] [--dropout 0.0] [--base none|int8|nf4] [--method lora|full]
//!
//! MODEL is a GGUF file or a Hugging Face folder. Tokens are random; `--completion` of each row's tokens are predicted. The last lines are
//! the forecast of `so8t train --plan` for the same pass: what is counted, and what this process held before it opened the model; and the speed that is
//! measured on fewer layers, here in seconds of the process.

#[path = "measure/process.rs"]
mod process;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use process::{memory_mb, processor_seconds, threads_seconds};
use so8t::kernels::gemm::Compute;
use so8t::model::network::{Network, NetworkOptions, Quantization, Targets};
use so8t::train::forecast::Rehearsal;
use so8t::train::random::Random;
use so8t::train::speed::measure_step;
use so8t::train::{Method, Sample, Schedule, TrainConfig, TrainFiles, train};
use so8t::{Error, Result};

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let model = arguments.first().ok_or_else(|| Error::manifest("expected a model's path"))?;
    let text = |name: &str, default: &str| -> String {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).map_or(default, String::as_str).to_string()
    };
    let number = |name: &str, default: usize| -> Result<usize> {
        let found = text(name, &default.to_string());
        found.parse().map_err(|_| Error::manifest(format!("`{name}`: expected a whole number, found `{found}`")))
    };
    let (rows, length, steps) = (number("--rows", 4)?, number("--length", 128)?, number("--steps", 8)?);
    let completion = number("--completion", 8)?.clamp(1, length - 1);
    let compute = if text("--compute", "f32") == "bf16" { Compute::Bf16 } else { Compute::F32 };
    let quantization = match text("--base", "int8").as_str() {
        "none" => Quantization::None,
        "nf4" => Quantization::Nf4,
        _ => Quantization::Int8,
    };
    let recompute = arguments.iter().any(|argument| argument == "--recompute");
    let dropout = text("--dropout", "0").parse().map_err(|_| Error::manifest("`--dropout`: expected a number"))?;

    let before = memory_mb("VmRSS");
    let files = so8t::model::open(model, Path::new("."))?;
    let method = if text("--method", "lora") == "full" { Method::Full } else { Method::Lora };
    let trainable = method.trains_base();
    let options = NetworkOptions { quantization, compute, positions: length, trainable, ..Default::default() };
    let mut network = Network::new(&files.config, &files.weights, options)?;
    drop(files.weights);
    println!("loaded: {:.0} MB resident, {:.0} MB at most", memory_mb("VmRSS"), memory_mb("VmHWM"));

    let mut random = Random::new(1, "tokens");
    let vocabulary = files.config.vocab_size;
    let samples: Vec<Sample> = (0..rows * steps)
        .map(|_| Sample {
            tokens: (0..length).map(|_| random.below(vocabulary) as u32).collect(),
            completion_start: length - completion,
            weight: 1.0,
        })
        .collect();
    let config = TrainConfig {
        method,
        rank: number("--rank", 16)?,
        dropout,
        epochs: 1,
        batch: rows,
        max_length: length,
        recompute: recompute.into(),
        compute,
        schedule: Schedule::Constant,
        checkpoint_steps: 0,
        ..TrainConfig::default()
    };
    let sequences: Vec<&[u32]> = samples[..rows].iter().map(|sample| sample.tokens.as_slice()).collect();
    let predicted =
        (0..rows).flat_map(|row| (length - completion..length).map(move |at| (row * length + at - 1) as u32));
    let predicted: Vec<u32> = predicted.collect();
    let targets = Targets { tokens: vec![0; predicted.len()], weights: vec![1.0; predicted.len()], rows: predicted };
    let exact = so8t::model::shape(model, Path::new("."))?.exact_tables;
    let layers = if recompute { usize::MAX } else { 0 };
    let forecast = Rehearsal::new(&files.config, options, exact, &config)?.pass(&sequences, &targets, layers)?;
    let folder = std::env::temp_dir().join(format!("so8t-bench-{}", std::process::id()));
    let places = TrainFiles { folder: folder.clone(), resume: false };
    let mut clock = Vec::new();
    let result = train(&mut network, &samples, &config, 1, &places, &AtomicBool::new(false), &mut |progress| {
        clock.push((std::time::Instant::now(), processor_seconds(), progress.loss));
    });
    let _ = std::fs::remove_dir_all(&folder);
    let summary = result?;
    // The first step warms up; what it measures is left out.
    let (first, last) = (&clock[0], &clock[clock.len() - 1]);
    let tokens = (rows * length * (steps - 1)) as f64;
    println!(
        "{rows} x {length}, {completion} predicted, {}, base {quantization:?}, {compute:?}, recompute {recompute}: \
         {:.0} tokens a second, {:.0} a CPU second, {:.0} MB at most, loss {:.3} to {:.3}",
        if trainable { "all weights".to_owned() } else { format!("rank {}", config.rank) },
        tokens / (last.0 - first.0).as_secs_f64(),
        tokens / (last.1 - first.1),
        memory_mb("VmHWM"),
        summary.first_loss,
        last.2,
    );
    let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "forecast: a step {:.0} MB, loading {:.0}, saving {:.0}; with the {before:.0} MB of this process {:.0} MB at most; {:.3} GFLOP a token",
        mb(forecast.step),
        mb(forecast.loading),
        mb(forecast.saving),
        mb(forecast.peak) + before,
        forecast.operations as f64 / forecast.tokens as f64 / 1e9,
    );
    drop(network);
    let layers = forecast.recomputed_layers;
    let step = measure_step(&files.config, options, &config, (&sequences, &targets), layers, &threads_seconds)?;
    println!("forecast: {:.0} tokens a CPU second", (rows * length) as f64 / (step.pass + step.once));
    Ok(())
}
