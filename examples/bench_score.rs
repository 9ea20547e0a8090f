//! Measures the scoring of four labels on a real model: samples per second and per CPU second, and how many decisions
//! differ from those of the unquantised model in f32.
//!
//!     cargo run --release --example bench_score -- MODEL [--adapter DIR] [--prompts FILE] [--count 256]
//!
//! MODEL is a GGUF file or a Hugging Face folder with a chat template; a base model that decides nearly always alike says little
//! about decisions, so an adapter may be named. The prompts are requests of the quick start, several joined until they take 60 to
//! 69 tokens with their template and policy. `--prompts` writes them as JSON for the peers (`examples/peers/scoring.py`).

#[path = "measure/process.rs"]
mod process;

use std::path::Path;
use std::time::Instant;

use process::processor_seconds;
use so8t::data::{LabelSet, Request};
use so8t::kernels::gemm::Compute;
use so8t::model::network::{Network, NetworkOptions, Quantization};
use so8t::predict::{self, Prompter};
use so8t::{Error, Result, files};

const POLICY: &str = "Answer ALLOW, ESCALATION, DENY or REFUSE.";

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let model = arguments.first().ok_or_else(|| Error::manifest("expected a model's path"))?;
    let option = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1));
    let count = option("--count").map_or(Ok(256), |text| text.parse()).map_err(|_| Error::manifest("`--count`"))?;

    let model = so8t::model::open(model, Path::new("."))?;
    let labels = LabelSet::four_decisions();
    let prompter = Prompter::new(&model.tokenizer, &model.template, Some(POLICY), None, &labels, 512)?;
    let mut prompts = Vec::new();
    let requests = requests()?;
    for first in 0..requests.len() {
        let mut text = String::new();
        let mut tokens = Vec::new();
        for next in &requests[first..] {
            text = format!("{text} {}", next.instruction);
            tokens = prompter.prompt(&Request { instruction: text.as_str().into(), input: "".into() })?;
            if tokens.len() >= 60 {
                break;
            }
        }
        if (60..70).contains(&tokens.len()) && prompts.len() < count {
            prompts.push(tokens);
        }
    }
    let tokens: usize = prompts.iter().map(Vec::len).sum();
    println!("{} prompts of 60 to 69 tokens, {tokens} in all", prompts.len());
    if let Some(path) = option("--prompts") {
        let first: Vec<u32> = prompter.labels().iter().map(|label| label[0]).collect();
        let text = serde_json::json!({"prompts": prompts, "labels": prompter.labels(), "first": first}).to_string();
        files::write(Path::new(path), text.as_bytes())?;
    }

    let mut reference: Option<Vec<u8>> = None;
    for (quantization, compute) in [
        (Quantization::None, Compute::F32),
        (Quantization::Int8, Compute::F32),
        (Quantization::None, Compute::Bf16),
        (Quantization::Int8, Compute::Bf16),
    ] {
        let options = NetworkOptions { quantization, compute, positions: 512, ..Default::default() };
        let mut network = Network::new(&model.config, &model.weights, options)?;
        if let Some(folder) = option("--adapter") {
            so8t::train::peft::load(&mut network, Path::new(folder))?;
        }
        let beginning = prompter.beginning();
        predict::score(&network, &prompts[..16.min(prompts.len())], beginning, prompter.labels(), 2048, |_| Ok(()))?;
        let (wall, processor) = (Instant::now(), processor_seconds());
        let predictions = predict::score(&network, &prompts, beginning, prompter.labels(), 2048, |_| Ok(()))?;
        let (wall, processor) = (wall.elapsed().as_secs_f64(), processor_seconds() - processor);
        let decisions: Vec<u8> = predictions.iter().map(|prediction| prediction.label).collect();
        let same = reference.get_or_insert_with(|| decisions.clone());
        let same = same.iter().zip(&decisions).filter(|(a, b)| a == b).count();
        println!(
            "base {quantization:?}, {compute:?}: {:.1} samples a CPU second, {:.1} a second, {:.2} % of decisions as in f32",
            prompts.len() as f64 / processor,
            prompts.len() as f64 / wall,
            100.0 * same as f64 / prompts.len() as f64
        );
    }
    Ok(())
}

/// The quick start's requests.
fn requests() -> Result<Vec<Request>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/data/four_class_requests.jsonl");
    let text = files::read_text(&path)?;
    let parse = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).map_err(|e| Error::data(e.to_string()))?;
        let field = |name: &str| value[name].as_str().unwrap_or_default().into();
        Ok(Request { instruction: field("instruction"), input: field("input") })
    };
    text.lines().map(parse).collect()
}
