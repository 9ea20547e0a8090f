//! The tokenizer that a GGUF file's metadata describes.

use std::collections::HashMap;

use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::normalizers::{NormalizerWrapper, Prepend, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::gguf::Header;
use super::gguf_model::required;
use so8t_base::{Error, Result};

/// GGUF's numbers for kinds of tokens.
pub const NORMAL: f64 = 1.0;
pub const UNKNOWN: f64 = 2.0;
pub const CONTROL: f64 = 3.0;
pub const USER_DEFINED: f64 = 4.0;

/// Builds the tokenizer. Errors name the field.
pub fn build(header: &Header) -> Result<Tokenizer> {
    let model = required(header.text("tokenizer.ggml.model")?, "tokenizer.ggml.model")?;
    let tokens = required(header.texts("tokenizer.ggml.tokens")?, "tokenizer.ggml.tokens")?;
    let mut vocabulary = HashMap::with_capacity(tokens.len());
    for (id, token) in tokens.iter().enumerate() {
        vocabulary.entry(token.to_string()).or_insert(id as u32);
    }
    let kinds = kinds(header, tokens.len())?;
    let mut tokenizer = match model {
        "gpt2" => byte_level(header, &vocabulary)?,
        "llama" => sentence_pieces(header, &tokens, &kinds, &vocabulary)?,
        other => {
            return Err(Error::model(format!(
                "field `tokenizer.ggml.model`: expected `gpt2` or `llama`, found `{other}`"
            )));
        }
    };
    let added = tokens.iter().zip(&kinds).filter(|&(_, &kind)| matches!(kind, UNKNOWN | CONTROL | USER_DEFINED));
    let swallows = swallows_space(header)?;
    let added = added.map(|(token, &kind)| {
        let strip = swallows && (kind == CONTROL || *token == "</s>") && !KEEP_SPACE.contains(token);
        AddedToken::from(token.to_string(), kind != USER_DEFINED).normalized(false).rstrip(strip)
    });
    tokenizer.add_tokens(added).map_err(failed)?;
    Ok(tokenizer)
}

/// Control tokens of Phi-3 that leave the space behind them alone.
pub const KEEP_SPACE: [&str; 3] = ["<unk>", "<s>", "<|endoftext|>"];

/// Whether control tokens take the space behind them with them. GGUF has no field for it: llama.cpp goes by the model's name.
fn swallows_space(header: &Header) -> Result<bool> {
    let name = header.text("general.name")?.unwrap_or_default();
    Ok(named_phi3(name) && header.text("tokenizer.ggml.model")? == Some("llama"))
}

/// Whether llama.cpp takes a model of this name for a Phi-3.
pub fn named_phi3(name: &str) -> bool {
    let name = name.to_lowercase();
    name.contains("phi-3") || name.contains("phi3")
}

/// The kind of each token; where the file has none, the ids that the metadata name are control tokens.
fn kinds(header: &Header, count: usize) -> Result<Vec<f64>> {
    if let Some(kinds) = header.numbers("tokenizer.ggml.token_type")? {
        if kinds.len() != count {
            let found = kinds.len();
            let message = format!("field `tokenizer.ggml.token_type`: expected {count} numbers, found {found}");
            return Err(Error::model(message));
        }
        return Ok(kinds);
    }
    let mut kinds = vec![NORMAL; count];
    for name in ["bos", "eos", "eot", "unknown", "padding", "separator"] {
        if let Some(kind) = header.whole(&format!("tokenizer.ggml.{name}_token_id"))?.and_then(|id| kinds.get_mut(id)) {
            *kind = CONTROL;
        }
    }
    Ok(kinds)
}

fn failed(e: tokenizers::Error) -> Error {
    Error::model(format!("cannot build the tokenizer: {e}"))
}

// Splitting patterns of the models that llama.cpp names by `tokenizer.ggml.pre`.
pub const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
pub const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
pub const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const UNNAMED: [&str; 4] = [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"];

/// Byte-level pair encoding with the file's merges.
fn byte_level(header: &Header, vocabulary: &HashMap<String, u32>) -> Result<Tokenizer> {
    let merges = required(header.texts("tokenizer.ggml.merges")?, "tokenizer.ggml.merges")?;
    let mut pairs = Vec::with_capacity(merges.len());
    for (rank, merge) in merges.iter().enumerate() {
        // The first character may itself be a space in odd files; a merge's halves are never empty.
        let halves = merge.char_indices().skip(1).find(|&(_, c)| c == ' ').map(|(at, _)| merge.split_at(at));
        let (left, right) = halves.map(|(left, right)| (left, &right[1..])).unwrap_or((merge, ""));
        let known = |text: &str| vocabulary.contains_key(text);
        if !(known(left) && known(right) && known(&format!("{left}{right}"))) {
            return Err(Error::model(format!(
                "field `tokenizer.ggml.merges`: merge {rank}: expected two tokens whose join is a token, found `{merge}`"
            )));
        }
        pairs.push((left.to_string(), right.to_string()));
    }
    let name = header.text("tokenizer.ggml.pre")?.unwrap_or("default");
    let (patterns, whole_words): (&[&str], bool) = match name {
        "gpt-2" | "gpt2" => (&[GPT2], false),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => (&[r"\p{N}", GPT2], false),
        "llama-bpe" | "llama3" | "llama-v3" | "smaug-bpe" => (&[LLAMA3], true),
        "qwen2" => (&[QWEN2], false),
        "default" => (&UNNAMED, false),
        other => {
            return Err(Error::model(format!("field `tokenizer.ggml.pre`: the pre-tokenizer `{other}` is not known"))
                .with_hint("known are `gpt-2`, `smollm`, `starcoder`, `refact`, `command-r`, `codeshell`, `llama-bpe`, `smaug-bpe`, `qwen2`, `default`"));
        }
    };
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.clone().into_iter().collect::<tokenizers::models::bpe::Vocab>(), pairs)
        .ignore_merges(whole_words)
        .build()
        .map_err(failed)?;
    let mut tokenizer = Tokenizer::new(model);
    let mut steps = Vec::new();
    for pattern in patterns {
        let pattern = SplitPattern::Regex(pattern.to_string());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(failed)?;
        steps.push(PreTokenizerWrapper::Split(split));
    }
    steps.push(PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, false)));
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    tokenizer.with_decoder(Some(ByteLevelDecoder::new(false, true, false)));
    if name == "qwen2" {
        tokenizer.with_normalizer(Some(NFC)).map_err(failed)?;
    }
    Ok(tokenizer)
}

/// SentencePiece's pair encoding, whose merges follow from the pieces' scores: of all pairs of neighbouring pieces
/// that join to a piece, the one whose join scores best is joined first.
fn sentence_pieces(
    header: &Header,
    tokens: &[&str],
    kinds: &[f64],
    vocabulary: &HashMap<String, u32>,
) -> Result<Tokenizer> {
    let scores = required(header.numbers("tokenizer.ggml.scores")?, "tokenizer.ggml.scores")?;
    if scores.len() != tokens.len() {
        let (expected, found) = (tokens.len(), scores.len());
        let message = format!("field `tokenizer.ggml.scores`: expected {expected} numbers, found {found}");
        return Err(Error::model(message));
    }
    let normal = |id: u32| kinds[id as usize] == NORMAL;
    // (score of the join, ids of join, left and right)
    let mut pairs: Vec<(f64, u32, u32, u32)> = Vec::new();
    for (&token, &score) in tokens.iter().zip(&scores) {
        let Some(&join) = vocabulary.get(token).filter(|&&id| normal(id)) else { continue };
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if let (Some(&left), Some(&right)) = (vocabulary.get(left), vocabulary.get(right))
                && normal(left)
                && normal(right)
            {
                pairs.push((score, join, left, right));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2, a.3).cmp(&(b.1, b.2, b.3))));
    let text = |id: u32| tokens[id as usize].to_string();
    let merges = pairs.into_iter().map(|(_, _, left, right)| (text(left), text(right))).collect();
    let mut builder = BPE::builder()
        .vocab_and_merges(vocabulary.clone().into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges)
        .fuse_unk(true)
        .byte_fallback(true);
    let unknown = header.whole("tokenizer.ggml.unknown_token_id")?.unwrap_or(0);
    if let Some(token) = tokens.get(unknown) {
        builder = builder.unk_token(token.to_string());
    }
    let mut tokenizer = Tokenizer::new(builder.build().map_err(failed)?);
    let mut normalizers = Vec::new();
    let mut decoders: Vec<DecoderWrapper> =
        vec![Replace::new("▁", " ").map_err(failed)?.into(), ByteFallback::new().into(), Fuse::new().into()];
    if header.boolean("tokenizer.ggml.add_space_prefix")?.unwrap_or(true) {
        normalizers.push(NormalizerWrapper::Prepend(Prepend::new("▁".to_string())));
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    normalizers.push(NormalizerWrapper::Replace(Replace::new(" ", "▁").map_err(failed)?));
    tokenizer.with_normalizer(Some(Normalizers::new(normalizers))).map_err(failed)?;
    tokenizer.with_decoder(Some(Decoders::new(decoders)));
    Ok(tokenizer)
}
