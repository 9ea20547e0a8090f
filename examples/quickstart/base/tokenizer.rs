//! The base model's tokenizer: byte-level BPE, trained on documents of the corpus.

use std::path::Path;

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper};
use tokenizers::{TokenizerBuilder, TokenizerImpl};

use super::corpus::{DECISIONS, Problem, SPECIAL_TOKENS};

/// The chat template, in the manner of Phi-3.
const CHAT_TEMPLATE: &str = "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}";

/// Trains a tokenizer of `vocabulary` entries at the most on the documents, and writes `tokenizer.json` and
/// `tokenizer_config.json` into `folder`. The decisions' names are whole tokens, so that each answer is one token.
pub fn make(documents: &[String], vocabulary: usize, folder: &Path) -> Result<(), Problem> {
    type Bpe = TokenizerImpl<BPE, NormalizerWrapper, ByteLevel, PostProcessorWrapper, DecoderWrapper>;
    let byte_level = ByteLevel::new(false, true, true);
    let mut tokenizer: Bpe = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(None)
        .with_pre_tokenizer(Some(byte_level))
        .with_post_processor(None)
        .with_decoder(Some(DecoderWrapper::ByteLevel(byte_level)))
        .build()
        .map_err(|e| e.to_string())?;
    let special = |text: &&str| AddedToken::from(text.to_string(), true);
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocabulary - DECISIONS.len())
        .special_tokens(SPECIAL_TOKENS.iter().map(special).collect())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .show_progress(false)
        .build();
    let plain = documents.iter().map(|text| without_special_tokens(text));
    tokenizer.train(&mut trainer, plain).map_err(|e| e.to_string())?;
    tokenizer.add_tokens(DECISIONS.map(|name| AddedToken::from(name, false))).map_err(|e| e.to_string())?;
    write(folder, "tokenizer.json", &tokenizer.to_string(true).map_err(|e| e.to_string())?)?;

    let settings = serde_json::json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 512,
        "bos_token": SPECIAL_TOKENS[0],
        "eos_token": SPECIAL_TOKENS[4],
        "pad_token": SPECIAL_TOKENS[0],
        "chat_template": CHAT_TEMPLATE,
    });
    write(folder, "tokenizer_config.json", &format!("{settings:#}\n"))
}

/// Special tokens are no text, so nothing is merged with their letters.
fn without_special_tokens(text: &str) -> String {
    SPECIAL_TOKENS.iter().chain(&DECISIONS).fold(text.to_string(), |text, token| text.replace(token, " "))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), Problem> {
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|e| format!("`{}`: {e}", path.display()))
}
