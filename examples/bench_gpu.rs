//! Measures a device at the shapes of a model, with random weights: parity with the readable twins, products, attention, training and
//! scoring. One JSON object a line on standard output.
//!
//!     cargo run --release --features cuda --example bench_gpu -- [parity] [products] [attention] [train] [score]
//!         [--device cuda|cpu] [--shape phi-3.5-mini|small] [--base int8|nf4|none] [--recompute] [--length 2048] [--rank 64]
//!         [--optimizer adamw|adamw8bit] [--seconds 20] [--peak 989]
//!
//! Without a part, all of them. `--seconds` bounds each measurement, `--peak` is the device's bf16 rate in TFLOP/s, by which MFU is
//! counted: useful products alone, not those of recomputation. `examples/gpu/gpu.sh` runs everything in one call.

#[path = "../tests/devices/bodies/mod.rs"]
mod bodies;
#[path = "gpu/shapes.rs"]
mod shapes;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use serde_json::json;
use shapes::{Flops, Shape};
use so8t::kernels::attention::Heads;
use so8t::kernels::backend::{Backend, Operand, Product, Storage};
use so8t::kernels::cpu::Cpu;
use so8t::kernels::gemm::Compute;
use so8t::model::network::{
    AdapterSettings, Network, NetworkOptions, PerParameter, Quantization, Targets, Training, Workspace,
};
use so8t::predict;
use so8t::train::optimiser::{Optimiser, OptimiserKind, OptimiserSettings};
use so8t::{Error, Result};

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        if let Some(hint) = error.hint() {
            eprintln!("hint: {hint}");
        }
        std::process::exit(1);
    }
}

/// What the command line asks for.
struct Options {
    parts: Vec<String>,
    shape: Shape,
    quantization: Quantization,
    recompute: bool,
    length: usize,
    rank: usize,
    optimizer: OptimiserKind,
    seconds: f64,
    peak: f64,
}

fn run() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let mut given = HashMap::new();
    let mut parts = Vec::new();
    while let Some(word) = words.next() {
        match word.strip_prefix("--") {
            Some("recompute") => drop(given.insert("recompute".to_owned(), String::new())),
            Some(name) => {
                let value = words.next().ok_or_else(|| Error::manifest(format!("`--{name}`: expected a value")))?;
                given.insert(name.to_owned(), value);
            }
            None if PARTS.contains(&word.as_str()) => parts.push(word),
            None => return Err(Error::manifest(format!("expected one of {}, found `{word}`", PARTS.join(", ")))),
        }
    }
    let mut text = |name: &str, default: &str| given.remove(name).unwrap_or_else(|| default.to_owned());
    fn number(name: &str, text: String) -> Result<f64> {
        text.parse().map_err(|_| Error::manifest(format!("`--{name}`: expected a number, found `{text}`")))
    }
    let choice = |name: &str, found: &str| Error::manifest(format!("`--{name}`: there is no `{found}`"));
    let device = text("device", "cuda");
    let options = Options {
        parts: if parts.is_empty() { PARTS.map(str::to_owned).to_vec() } else { parts },
        shape: Shape::named(&text("shape", "phi-3.5-mini"))?,
        quantization: match text("base", "int8").as_str() {
            "int8" => Quantization::Int8,
            "nf4" => Quantization::Nf4,
            "none" => Quantization::None,
            other => return Err(choice("base", other)),
        },
        optimizer: match text("optimizer", "adamw").as_str() {
            "adamw" => OptimiserKind::AdamW,
            "adamw8bit" => OptimiserKind::AdamW8bit,
            other => return Err(choice("optimizer", other)),
        },
        length: number("length", text("length", "2048"))? as usize,
        rank: number("rank", text("rank", "64"))? as usize,
        seconds: number("seconds", text("seconds", "20"))?,
        peak: number("peak", text("peak", "989"))?,
        recompute: given.remove("recompute").is_some(),
    };
    if let Some(name) = given.keys().next() {
        return Err(Error::manifest(format!("there is no option `--{name}`")));
    }
    match device.as_str() {
        "cpu" => measure(&Cpu, &options, &|| Ok(0)),
        "cuda" => on_gpu(&options),
        other => Err(choice("device", other)),
    }
}

const PARTS: [&str; 5] = ["parity", "products", "attention", "train", "score"];

#[cfg(feature = "cuda")]
fn on_gpu(options: &Options) -> Result<()> {
    use so8t::kernels::cuda::driver::Driver as _;
    let device = so8t::kernels::cuda::Cuda::open()?;
    eprintln!("{}", device.driver().name());
    measure(&device, options, &|| Ok(device.driver().memory()?.2))
}

#[cfg(not(feature = "cuda"))]
fn on_gpu(_options: &Options) -> Result<()> {
    Err(Error::manifest("this program was built without CUDA").with_hint("build it with `--features cuda`"))
}

/// `memory` says how many bytes of the device are taken, all that its libraries hold among them.
fn measure<B: Backend + Clone>(backend: &B, options: &Options, memory: &dyn Fn() -> Result<u64>) -> Result<()> {
    let mut wrong = false;
    for part in &options.parts {
        match part.as_str() {
            "parity" => wrong |= !parity(backend),
            "products" => products(backend, options)?,
            "attention" => attention(backend, options)?,
            "train" => train(backend, options, memory)?,
            _ => score(backend, options)?,
        }
    }
    if wrong { Err(Error::internal("the device does not do what the twins say")) } else { Ok(()) }
}

fn report(line: serde_json::Value) {
    println!("{line}");
}

/// Whether every body holds; each is told.
fn parity<B: Backend + Clone>(backend: &B) -> bool {
    let mut all = true;
    for (name, body) in bodies::all::<B>() {
        let outcome = catch_unwind(AssertUnwindSafe(|| body(backend)));
        let fault = outcome.err().map(|fault| match fault.downcast::<String>() {
            Ok(text) => *text,
            Err(fault) => fault.downcast::<&str>().map_or("a panic".to_owned(), |text| (*text).to_owned()),
        });
        all &= fault.is_none();
        report(json!({"part": "parity", "name": name, "holds": fault.is_none(), "fault": fault}));
    }
    all
}

/// Seconds of one call, several at a time: reading a value waits for all of them.
fn seconds<B: Backend>(
    backend: &B,
    limit: f64,
    buffer: &mut B::Buffer,
    run: &mut dyn FnMut(&mut B::Buffer) -> Result<()>,
) -> Result<f64> {
    run(buffer)?;
    backend.read(buffer, 1)?;
    let (mut best, began) = (f64::INFINITY, Instant::now());
    while began.elapsed().as_secs_f64() < limit {
        let started = Instant::now();
        for _ in 0..8 {
            run(buffer)?;
        }
        backend.read(buffer, 1)?;
        best = best.min(started.elapsed().as_secs_f64() / 8.0);
    }
    Ok(best)
}

fn filled<B: Backend>(backend: &B, len: usize) -> Result<B::Buffer> {
    let mut buffer = backend.allocate(len)?;
    backend.write(&shapes::random(len, 1.0), &mut buffer)?;
    Ok(buffer)
}

fn products<B: Backend>(backend: &B, options: &Options) -> Result<()> {
    let m = options.length;
    for (n, k) in options.shape.linears() {
        let (x, mut out, mut dx) = (filled(backend, m * k)?, filled(backend, m * n)?, filled(backend, m * k)?);
        let dy = filled(backend, m * n)?;
        let flops = 2.0 * (m * n * k) as f64;
        for storage in [Storage::Bf16, Storage::Int8, Storage::Nf4] {
            let weight = backend.matrix(shapes::random(n * k, 0.02), n, k, storage)?;
            let (shape, limit) = (Product { m, n, k }, (options.seconds / 60.0).min(0.3));
            let w = Operand::Matrix(&weight);
            let forward = seconds(backend, limit, &mut out, &mut |out| {
                backend.product_nt(&x, w, out, shape, false, Compute::Bf16)
            })?;
            let backward = seconds(backend, limit, &mut dx, &mut |dx| {
                backend.product_nn(&dy, w, dx, shape, false, Compute::Bf16)
            })?;
            for (name, time) in [("nt", forward), ("nn", backward)] {
                report(json!({
                    "part": "products", "name": name, "m": m, "n": n, "k": k, "storage": format!("{storage:?}"),
                    "milliseconds": time * 1e3, "tflops": flops / time / 1e12,
                }));
            }
        }
    }
    Ok(())
}

fn attention<B: Backend>(backend: &B, options: &Options) -> Result<()> {
    let config = options.shape.config(options.length)?;
    let heads = Heads { compute: Compute::Bf16, ..Heads::new(config.heads, config.kv_heads, config.head_dim) };
    let (rows, width) = (options.length, heads.query_width());
    let fused = filled(backend, rows * (width + 2 * heads.key_width()))?;
    let (mut out, mut lse) = (filled(backend, rows * width)?, filled(backend, rows * heads.heads)?);
    let (gradient, starts, limit) = (filled(backend, rows * width)?, [0, rows], (options.seconds / 20.0).min(1.0));
    let forward =
        seconds(backend, limit, &mut out, &mut |out| backend.attention(&fused, &starts, heads, out, &mut lse))?;
    let mut fused_gradient = filled(backend, rows * (width + 2 * heads.key_width()))?;
    let backward = seconds(backend, limit, &mut fused_gradient, &mut |into| {
        backend.attention_backward(&fused, &out, &lse, &gradient, &starts, heads, into)
    })?;
    // Products below the diagonal: two forward, five backward.
    let product = (rows * (rows + 1)) as f64 * width as f64;
    for (name, time, count) in [("forward", forward, 2.0), ("backward", backward, 5.0)] {
        report(json!({
            "part": "attention", "name": name, "rows": rows, "heads": heads.heads, "head_dim": heads.head_dim,
            "milliseconds": time * 1e3, "tflops": count * product / time / 1e12,
        }));
    }
    Ok(())
}

/// A network with random weights: one tensor of a shape is that of all layers.
fn network<B: Backend + Clone>(backend: &B, options: &Options) -> Result<Network<B>> {
    let config = options.shape.config(options.length)?;
    let of_network = NetworkOptions {
        quantization: options.quantization,
        compute: Compute::Bf16,
        positions: options.length,
        ..NetworkOptions::default()
    };
    let mut made: HashMap<Vec<usize>, Vec<f32>> = HashMap::new();
    let started = Instant::now();
    let network = Network::load(backend.clone(), &config, of_network, |_, shape| match shape {
        [width] => Ok(vec![1.0; *width]),
        shape => {
            let make = || shapes::random(shape.iter().product(), 0.02);
            Ok(made.entry(shape.to_vec()).or_insert_with(make).clone())
        }
    })?;
    eprintln!(
        "{} with {:?} weights: {:.1} s",
        options.shape.name,
        options.quantization,
        started.elapsed().as_secs_f64()
    );
    Ok(network)
}

fn adapt<B: Backend>(network: &mut Network<B>, rank: usize) -> Result<()> {
    let targets = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"].map(str::to_owned).to_vec();
    let settings = AdapterSettings { rank, alpha: 2.0 * rank as f64, targets, ..AdapterSettings::default() };
    network.attach(settings, |_, shape| Ok(shapes::random(shape.iter().product(), 0.01)))
}

fn train<B: Backend + Clone>(backend: &B, options: &Options, memory: &dyn Fn() -> Result<u64>) -> Result<()> {
    let mut network = network(backend, options)?;
    adapt(&mut network, options.rank)?;
    let settings = OptimiserSettings { kind: options.optimizer, ..OptimiserSettings::default() };
    let mut optimiser = Optimiser::new(&network, settings)?;
    let (mut gradients, mut workspace) = (PerParameter::zeros(&network)?, Workspace::default());
    let length = options.length;
    let tokens = shapes::tokens(length, network.config().vocab_size);
    // Every token but the first is predicted.
    let targets = Targets {
        rows: (0..length as u32 - 1).collect(),
        tokens: tokens[1..].to_vec(),
        weights: vec![1.0 / (length - 1) as f32; length - 1],
    };
    let training = Training { recompute: if options.recompute { usize::MAX } else { 0 }, ..Training::default() };
    let (mut times, mut losses, mut peak, began) = (Vec::new(), Vec::new(), 0, Instant::now());
    while times.len() < 3 || began.elapsed().as_secs_f64() < options.seconds {
        let started = Instant::now();
        gradients.clear(&network)?;
        let batch = network.pack([tokens.as_slice()])?;
        let all = network.loss_and_gradients(&batch, &targets, training, &mut gradients, &mut workspace)?;
        optimiser.step(&mut network, &mut gradients, 1e-4)?;
        // The step's last launches are waited for by reading a value that they change.
        backend.read(&network.parameters()[0].value, 1)?;
        times.push(started.elapsed().as_secs_f64());
        losses.push(all.iter().sum::<f32>() / all.len() as f32);
        peak = peak.max(memory()?);
    }
    // The first steps compile kernels and take memory.
    let mut steady = times[2.min(times.len() - 1)..].to_vec();
    steady.sort_by(f64::total_cmp);
    let median = steady[steady.len() / 2];
    let flops = Flops::of(network.config(), length, options.rank);
    report(json!({
        "part": "train", "shape": options.shape.name, "base": format!("{:?}", options.quantization),
        "optimizer": format!("{:?}", options.optimizer), "recompute": options.recompute, "length": length, "rank": options.rank,
        "steps": times.len(), "first_step_seconds": times[0], "step_milliseconds": median * 1e3,
        "tokens_per_second": length as f64 / median, "peak_memory_bytes": peak,
        "useful_gflop_per_token": flops.training / 1e9, "tflops": flops.training * length as f64 / median / 1e12,
        "mfu": flops.training * length as f64 / median / (options.peak * 1e12),
        "first_loss": losses[0], "last_loss": losses[losses.len() - 1],
    }));
    Ok(())
}

fn score<B: Backend + Clone>(backend: &B, options: &Options) -> Result<()> {
    let mut network = network(backend, options)?;
    adapt(&mut network, options.rank)?;
    let vocabulary = network.config().vocab_size;
    let length = options.length / 4;
    let prompts: Vec<Vec<u32>> = (0..16)
        .map(|prompt| {
            shapes::tokens(length, vocabulary).iter().map(|&token| (token + prompt) % vocabulary as u32).collect()
        })
        .collect();
    let labels: Vec<Vec<u32>> = (1..5).map(|label| vec![label]).collect();
    let run = || predict::score(&network, &prompts, &[], &labels, 4 * options.length, |_| Ok(()));
    run()?;
    let (mut count, began) = (0, Instant::now());
    while count == 0 || began.elapsed().as_secs_f64() < options.seconds / 2.0 {
        run()?;
        count += 1;
    }
    let time = began.elapsed().as_secs_f64() / count as f64;
    let flops = Flops::of(network.config(), length, options.rank);
    report(json!({
        "part": "score", "shape": options.shape.name, "base": format!("{:?}", options.quantization), "prompts": prompts.len(),
        "length": length, "prompts_per_second": prompts.len() as f64 / time,
        "tokens_per_second": (prompts.len() * length) as f64 / time,
        "tflops": flops.scoring * (prompts.len() * length) as f64 / time / 1e12,
    }));
    Ok(())
}
