//! Makes the quick start's base model from nothing but the subjects and patterns of its pretraining corpus:
//!
//!     cargo run --release --example make_quickstart_base

#[path = "quickstart/base/corpus.rs"]
mod corpus;
#[path = "quickstart/base/tokenizer.rs"]
mod tokenizer;

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use corpus::{Corpus, Dice};

/// Of the tokenizer, with the special tokens.
const VOCABULARY: usize = 4096;
/// Documents that the tokenizer is trained on.
const TOKENIZER_DOCUMENTS: usize = 12_000;
/// Of everything that is drawn.
const SEED: u64 = 8;

fn main() -> Result<()> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let folder = home.join("model");
    std::fs::create_dir_all(&folder).with_context(|| format!("`{}`", folder.display()))?;
    let corpus = Corpus::read(&home.join("pretraining")).map_err(|problem| anyhow!(problem))?;

    let mut dice = Dice::new(SEED);
    let documents: Vec<String> = (0..TOKENIZER_DOCUMENTS).map(|_| corpus.document(&mut dice)).collect();
    tokenizer::make(&documents, VOCABULARY, &folder).map_err(|problem| anyhow!(problem))?;
    Ok(())
}
