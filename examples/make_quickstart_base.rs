//! Makes the quick start's base model, a small network of Phi-3's architecture, from nothing but the subjects and
//! sentence patterns in `examples/quickstart/pretraining`. The same seed gives the same files:
//!
//!     cargo run --release --example make_quickstart_base

#[path = "quickstart/base/corpus.rs"]
mod corpus;
#[path = "quickstart/base/tokenizer.rs"]
mod tokenizer;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use corpus::{Corpus, Dice};
use so8t::model::{ModelConfig, Precision, TextTokenizer};
use so8t::train::pretrain::{PretrainSettings, pretrain};

/// Of everything that is drawn.
const SEED: u64 = 8;
/// Entries of the tokenizer, special tokens included.
const VOCABULARY: usize = 3584;
/// Documents that the tokenizer is trained on, and those that the network reads, each once.
const TOKENIZER_DOCUMENTS: usize = 12_000;
const DOCUMENTS: usize = 48_000;

fn main() -> Result<()> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    // Another folder may be named, so that the committed model can be compared with one made again.
    let folder = std::env::args_os().nth(1).map_or_else(|| home.join("model"), PathBuf::from);
    std::fs::create_dir_all(&folder).with_context(|| format!("`{}`", folder.display()))?;
    let corpus = Corpus::read(&home.join("pretraining")).map_err(|problem| anyhow!(problem))?;

    let mut dice = Dice::new(SEED);
    let mut documents = |count| (0..count).map(|_| corpus.document(&mut dice)).collect::<Vec<String>>();
    tokenizer::make(&documents(TOKENIZER_DOCUMENTS), VOCABULARY, &folder).map_err(|problem| anyhow!(problem))?;

    let tokenizer = TextTokenizer::from_file(&folder.join("tokenizer.json"))?;
    let end = tokenizer.token_id(corpus::SPECIAL_TOKENS[0]).context("the tokenizer lost its special tokens")?;
    let mut sequences = Vec::new();
    for document in documents(DOCUMENTS) {
        let mut sequence = tokenizer.encode(&document)?;
        sequence.push(end);
        sequences.push(sequence);
    }

    let start = Instant::now();
    let settings = PretrainSettings { learning_rate: 2e-3, batch_tokens: 768, ..PretrainSettings::default() };
    let trained = pretrain(&shape()?, &sequences, &settings, SEED, |progress| {
        if progress.step % 100 == 0 || progress.step == progress.steps {
            let (step, steps, loss, tokens) = (progress.step, progress.steps, progress.loss, progress.tokens);
            let rate = tokens as f64 / start.elapsed().as_secs_f64();
            eprintln!("step {step}/{steps}  loss {loss:.3}  {rate:.0} tokens/s");
        }
    })?;
    trained.save(&folder, Precision::Bf16)?;
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        println!("{}  {name}", so8t::files::sha256_file(&folder.join(name))?);
    }
    Ok(())
}

/// The network's shape.
fn shape() -> Result<ModelConfig> {
    let config = serde_json::json!({
        "model_type": "phi3",
        "architectures": ["Phi3ForCausalLM"],
        "vocab_size": VOCABULARY,
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 6,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": true,
        "bos_token_id": 0,
        "eos_token_id": 4,
    });
    Ok(ModelConfig::from_json(&config.to_string())?)
}
