//! Writes what a model says of the tokens of some texts, for a comparison with other programs (`examples/peers/llama_cpp.py`):
//!
//!     cargo run --release --example next_tokens -- MODEL [--adapter DIR] TEXTS OUT
//!
//! MODEL is a GGUF file or a Hugging Face folder, kept in f32; TEXTS holds one text a line, in which control tokens are recognised.
//! OUT becomes JSON: for each text its tokens, the log-probability of every token after the first, and the log-probabilities of
//! all tokens after the last.

use std::path::Path;

use serde_json::json;
use so8t::kernels::gemm::Compute;
use so8t::model::network::{Network, NetworkOptions, Quantization, Workspace};
use so8t::{Error, Result, files, model, train};

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let adapter = match arguments.iter().position(|argument| argument == "--adapter") {
        Some(at) if at + 1 < arguments.len() => arguments.drain(at..at + 2).nth(1),
        _ => None,
    };
    let [base, texts, out] = arguments.as_slice() else {
        return Err(Error::manifest("expected MODEL, TEXTS and OUT"));
    };
    let model = model::open(base, Path::new(""))?;
    let options = NetworkOptions {
        quantization: Quantization::None,
        compute: Compute::F32,
        positions: 512,
        ..Default::default()
    };
    let mut network = Network::new(&model.config, &model.weights, options)?;
    if let Some(adapter) = adapter {
        train::peft::load(&mut network, Path::new(&adapter))?;
    }
    let mut workspace = Workspace::default();
    let mut rows = Vec::new();
    for text in files::read_text(Path::new(texts))?.lines().filter(|line| !line.is_empty()) {
        let tokens = model.tokenizer.encode(text)?;
        let batch = network.pack([tokens.as_slice()])?;
        let all: Vec<u32> = (0..tokens.len() as u32).collect();
        let logits = network.logits(&batch, &all, None, &mut workspace)?;
        let positions: Vec<Vec<f64>> = logits.chunks_exact(model.config.vocab_size).map(log_softmax).collect();
        let following: Vec<f64> = tokens[1..].iter().zip(&positions).map(|(&token, row)| row[token as usize]).collect();
        rows.push(json!({ "text": text, "tokens": tokens, "following": following, "after": positions.last() }));
    }
    files::write(Path::new(out), &files::json(&rows)?)
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().fold(f32::NEG_INFINITY, |most, &x| most.max(x));
    let sum: f64 = logits.iter().map(|&x| f64::from(x - most).exp()).sum();
    logits.iter().map(|&x| f64::from(x - most) - sum.ln()).collect()
}
