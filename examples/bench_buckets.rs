//! What batches of samples of similar length would save: the same samples trained on in passes as they are drawn, and in passes sorted by length.
//!
//!     cargo run --release --example bench_buckets -- MODEL FILE.jsonl FIELD [--samples 64] [--batch 8] [--length 512]
//!
//! FIELD of each line is a sample's text, of which the last 8 tokens are predicted; rank 16 on all linears, int8 base, f32. The two orders take turns, pass by
//! pass. Printed is also which share of the tokens would be padding if the samples of a pass were padded to the longest.

#[path = "measure/process.rs"]
mod process;

use std::path::Path;

use process::threads_seconds;
use so8t::model::network::{Network, NetworkOptions, PerParameter, Targets, Training, Workspace};
use so8t::train::random::Random;
use so8t::train::{TrainConfig, peft};
use so8t::{Error, Result, files};

/// Tokens of each sample that are predicted.
const PREDICTED: usize = 8;

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, file, field] = arguments.get(..3).unwrap_or_default() else {
        return Err(Error::manifest("expected a model, a file of JSON lines and a field"));
    };
    let number = |name: &str, default: usize| -> Result<usize> {
        let at = arguments.iter().position(|argument| argument == name);
        let Some(found) = at.and_then(|at| arguments.get(at + 1)) else { return Ok(default) };
        found.parse().map_err(|_| Error::manifest(format!("`{name}`: expected a whole number, found `{found}`")))
    };
    let (count, batch, length) = (number("--samples", 64)?, number("--batch", 8)?, number("--length", 512)?);

    let base = so8t::model::open(model, Path::new("."))?;
    let mut texts = Vec::new();
    for (index, line) in files::read_text(Path::new(file))?.lines().enumerate() {
        let wrong = |what: String| Error::data(format!("`{file}`, line {}: {what}", index + 1));
        let value: serde_json::Value = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
        let text = value[field].as_str().ok_or_else(|| wrong(format!("expected a text in `{field}`")))?;
        texts.push(text.to_owned());
    }
    Random::new(1, "texts").shuffle(&mut texts);
    let mut samples = Vec::new();
    for text in texts {
        let mut tokens = base.tokenizer.encode(&text)?;
        tokens.truncate(length);
        samples.extend((tokens.len() > PREDICTED).then_some(tokens));
    }
    samples.truncate(count);

    let options = NetworkOptions { positions: length, ..NetworkOptions::default() };
    let mut network = Network::new(&base.config, &base.weights, options)?;
    peft::attach_fresh(&mut network, TrainConfig::default().adapters(), 1)?;
    let mut gradients = PerParameter::zeros(&network)?;
    let mut workspace = Workspace::default();
    let mut pass = |samples: &[Vec<u32>]| -> Result<f64> {
        let begin = threads_seconds();
        let packed = network.pack(samples.iter().map(Vec::as_slice))?;
        let (mut targets, mut start) = (Targets::default(), 0);
        for tokens in samples {
            for (at, &token) in tokens.iter().enumerate().skip(tokens.len() - PREDICTED) {
                targets.rows.push((start + at - 1) as u32);
                targets.tokens.push(token);
                targets.weights.push(1.0);
            }
            start += tokens.len();
        }
        network.loss_and_gradients(&packed, &targets, Training::default(), &mut gradients, &mut workspace)?;
        Ok(threads_seconds() - begin)
    };

    let mut sorted = samples.clone();
    sorted.sort_by_key(Vec::len);
    let orders = [("as drawn", samples), ("sorted by length", sorted)];
    let mut seconds = [0.0; 2];
    // The first pass warms up.
    pass(orders[0].1.chunks(batch).next().unwrap_or_default())?;
    for at in 0..orders[0].1.len().div_ceil(batch) {
        for (seconds, (_, samples)) in seconds.iter_mut().zip(&orders) {
            *seconds += pass(&samples[at * batch..samples.len().min((at + 1) * batch)])?;
        }
    }
    for ((name, samples), seconds) in orders.iter().zip(seconds) {
        let tokens: usize = samples.iter().map(Vec::len).sum();
        let longest = |pass: &[Vec<u32>]| pass.iter().map(Vec::len).max().unwrap_or(0) * pass.len();
        let padded: usize = samples.chunks(batch).map(longest).sum();
        println!(
            "{name}: {} samples, {tokens} tokens, {:.0} tokens a CPU second; padded, {:.0} % would be padding",
            samples.len(),
            tokens as f64 / seconds,
            100.0 * (1.0 - tokens as f64 / padded as f64)
        );
    }
    Ok(())
}
