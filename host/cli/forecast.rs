//! `so8t train MANIFEST --plan`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::{print, print_json};
use crate::kernels::gemm::Compute;
use crate::pipeline::{self, Planned};
use crate::train::{Card, CardSpeed, REACHED};
use crate::{Error, Result};

/// What a GPU's driver and libraries take besides, about.
const CONTEXT: u64 = 600 << 20;

/// How a training is planned.
#[derive(Args)]
pub(super) struct Arguments {
    /// Train nothing: predict the memory and the speed
    #[arg(long)]
    pub(super) plan: bool,
    /// The device to plan for: cpu (measured), rtx-3060, rtx-4090, a100-40, a100-80, h100, h200
    #[arg(long, value_name = "NAME", requires = "plan", conflicts_with_all = ["memory_gb", "tflops"])]
    card: Option<String>,
    /// A device with so much memory
    #[arg(long, value_name = "N", requires_all = ["plan", "tflops"])]
    memory_gb: Option<f64>,
    /// A device that sustains so many TFLOP/s in products
    #[arg(long, value_name = "X", requires_all = ["plan", "memory_gb"])]
    tflops: Option<f64>,
    /// Tokens of a sample, instead of `max_length`
    #[arg(long, value_name = "N", requires = "plan")]
    length: Option<usize>,
}

impl Arguments {
    fn card(&self) -> Result<Card> {
        let (Some(gb), Some(tflops)) = (self.memory_gb, self.tflops) else {
            return Card::named(self.card.as_deref().unwrap_or("cpu"));
        };
        for (name, value) in [("--memory-gb", gb), ("--tflops", tflops)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::manifest(format!("`{name}`: expected a number above 0, found `{value}`")));
            }
        }
        let memory = Some((gb * f64::from(1 << 30)) as u64);
        Ok(Card { name: format!("{gb} GB, {tflops} TFLOP/s"), memory, speed: CardSpeed::Sustained(tflops) })
    }
}

/// How long the pass takes, and what that rests on.
struct Speed {
    seconds: f64,
    basis: String,
}

fn speed(planned: &Planned, card: &Card) -> Result<Speed> {
    let forecast = &planned.forecast;
    let operations = forecast.operations as f64;
    Ok(match card.speed {
        CardSpeed::Sustained(tflops) => {
            Speed { seconds: operations / (tflops * 1e12), basis: format!("{tflops} TFLOP/s sustained, as given") }
        }
        CardSpeed::Stated { f32, bf16, memory } => {
            let tflops = if planned.compute == Compute::F32 { f32 } else { bf16 };
            let multiplying = operations / (REACHED * tflops * 1e12);
            let reading = forecast.weights_read as f64 / (memory * 1e9);
            let share = 100.0 * REACHED;
            Speed {
                seconds: multiplying.max(reading),
                basis: format!(
                    "assumed: {share:.0} % of the maker's {tflops} TFLOP/s, and {memory} GB/s for the weights; no run on a card was measured"
                ),
            }
        }
        CardSpeed::Processor => {
            let started = Instant::now();
            let seconds = planned.measure(&|| started.elapsed().as_secs_f64())?;
            let reached = operations / seconds / 1e9;
            let basis = format!("steps of a few layers measured now on this processor, {reached:.0} GFLOP/s in all");
            Speed { seconds, basis }
        }
    })
}

pub(super) fn forecast(manifest: &Path, as_json: bool, arguments: &Arguments) -> Result<()> {
    let card = arguments.card()?;
    let planned = pipeline::forecast(&super::manifest(manifest)?, arguments.length)?;
    let besides = match card.memory {
        Some(_) => ("the driver and its libraries, assumed", CONTEXT),
        None => ("this process besides, measured now", resident()),
    };
    // A card holds neither the file that is loaded nor the one that is written.
    let own = if card.memory.is_some() { planned.forecast.step } else { planned.forecast.peak };
    let peak = own + besides.1;
    let speed = speed(&planned, &card)?;
    let tokens_per_second = planned.forecast.tokens as f64 / speed.seconds;
    if as_json {
        return print_json(&json!({
            "schema": "so8t.forecast/1",
            "plan": planned,
            "card": card.name,
            "card_bytes": card.memory,
            "besides_bytes": besides.1,
            "peak_bytes": peak,
            "fits": card.memory.map(|memory| peak <= memory),
            "tokens_per_second": tokens_per_second,
            "basis": speed.basis,
        }));
    }
    print(&table(&planned, &card, besides, peak, tokens_per_second, &speed.basis))
}

fn table(
    planned: &Planned,
    card: &Card,
    besides: (&str, u64),
    peak: u64,
    tokens_per_second: f64,
    basis: &str,
) -> String {
    let Planned { model, quantization, compute, rank, samples, length, predicted, forecast, .. } = planned;
    let trained = rank.map_or("all weights trained".to_owned(), |rank| format!("rank {rank}"));
    let name = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    let mut out = format!(
        "{model}: base {}, products {}, {trained}; {} of {} layers computed again\n\
         a pass of {samples} × {length} tokens that share no beginning, {predicted} of each predicted\n\n",
        name(quantization),
        name(compute),
        forecast.recomputed_layers,
        forecast.layers
    );
    let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let _ = writeln!(out, "  {:<40}{:>12}", "at the peak of a step", "MB");
    let mut row = |name: &str, bytes: u64| {
        let _ = writeln!(out, "  {name:<40}{:>12}", megabytes(bytes));
    };
    for part in &forecast.parts {
        row(&part.name, part.bytes);
    }
    row("a step", forecast.step);
    row("loading the weights, at its peak", forecast.loading);
    row("saving a checkpoint, at its peak", forecast.saving);
    row(besides.0, besides.1);
    row("predicted peak", peak);
    let _ = match card.memory {
        Some(memory) if peak <= memory => {
            writeln!(out, "\n{}: fits, with {} MB to spare", card.name, megabytes(memory - peak))
        }
        Some(memory) => writeln!(out, "\n{}: does not fit, {} MB are lacking", card.name, megabytes(peak - memory)),
        None => writeln!(out, "\n{}", card.name),
    };
    let per_token = forecast.operations as f64 / forecast.tokens as f64 / 1e9;
    let _ = writeln!(out, "{tokens_per_second:.0} tokens a second predicted: {per_token:.3} GFLOP a token; {basis}");
    out
}

/// What this process holds now, where the system says so.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) << 10
}
