//! Models of a few thousand parameters, written by the tests themselves.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use serde_json::{Value as Json, json};
use so8t::model::ModelConfig;
use so8t::model::modules;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

pub const CONTROL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
pub const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}\
    {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// The tokens of a byte-level vocabulary: the control tokens, 256 bytes, and one token for each merge.
pub fn vocabulary() -> (Vec<String>, Vec<(String, String)>) {
    let merges = [("A", "L"), ("L", "O"), ("AL", "LO"), ("D", "E"), ("h", "e"), ("l", "l"), ("Ġ", "w"), ("he", "ll")];
    let mut bytes: Vec<String> = ByteLevel::alphabet().into_iter().map(String::from).collect();
    bytes.sort();
    let mut tokens: Vec<String> = CONTROL.map(String::from).to_vec();
    tokens.extend(bytes);
    tokens.extend(merges.iter().map(|(a, b)| format!("{a}{b}")));
    (tokens, merges.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect())
}

pub fn tokenizer() -> Tokenizer {
    let (tokens, merges) = vocabulary();
    let ids: tokenizers::models::bpe::Vocab = tokens.into_iter().zip(0..).collect();
    let mut tokenizer = Tokenizer::new(BPE::builder().vocab_and_merges(ids, merges).build().unwrap());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::new(false, true, true)));
    tokenizer.add_special_tokens(CONTROL.map(|t| AddedToken::from(t, true))).unwrap();
    tokenizer
}

pub fn config() -> Json {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 8,
        "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "vocab_size": 267, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64,
        "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2
    })
}

/// Distinct small numbers that every 16-bit float holds exactly.
pub fn elements(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 + seed * 11) % 255) as f32 / 64.0 - 2.0).collect()
}

pub fn tensors(config: &ModelConfig) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let with_elements = |(seed, (name, shape)): (usize, (String, Vec<usize>))| {
        let count = shape.iter().product();
        (name, shape, elements(count, seed))
    };
    modules::tensors(config).into_iter().enumerate().map(with_elements).collect()
}

pub fn write_safetensors(path: &Path, tensors: &[(String, Vec<usize>, Vec<f32>)]) {
    let tensors: HashMap<String, Tensor> = tensors
        .iter()
        .map(|(name, shape, values)| {
            (name.clone(), Tensor::from_slice(values, shape.as_slice(), &Device::Cpu).unwrap())
        })
        .collect();
    candle_core::safetensors::save(&tensors, path).unwrap();
}

/// A complete Hugging Face folder.
pub fn write_folder(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let text = config().to_string();
    fs::write(folder.join("config.json"), &text).unwrap();
    tokenizer().save(folder.join("tokenizer.json"), false).unwrap();
    let settings =
        json!({"chat_template": CHATML, "bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}});
    fs::write(folder.join("tokenizer_config.json"), settings.to_string()).unwrap();
    write_safetensors(&folder.join("model.safetensors"), &tensors(&ModelConfig::from_json(&text).unwrap()));
}

/// The metadata of a Llama whose rows are whole blocks of every type: width 256, 4 heads of 64, 2 of them for keys.
pub fn gguf_metadata() -> Vec<(String, Value)> {
    let (tokens, merges) = vocabulary();
    let kinds = (0..tokens.len()).map(|id| Value::I32(if id < CONTROL.len() { 3 } else { 1 })).collect();
    let text = |text: &str| Value::String(text.to_string());
    [
        ("general.architecture", text("llama")),
        ("llama.block_count", Value::U32(1)),
        ("llama.context_length", Value::U32(128)),
        ("llama.embedding_length", Value::U32(256)),
        ("llama.feed_forward_length", Value::U32(512)),
        ("llama.attention.head_count", Value::U32(4)),
        ("llama.attention.head_count_kv", Value::U32(2)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.rope.freq_base", Value::F32(10_000.0)),
        ("llama.rope.dimension_count", Value::U32(64)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("gpt-2")),
        ("tokenizer.ggml.tokens", Value::Array(tokens.iter().map(|t| text(t)).collect())),
        ("tokenizer.ggml.token_type", Value::Array(kinds)),
        ("tokenizer.ggml.merges", Value::Array(merges.iter().map(|(a, b)| text(&format!("{a} {b}"))).collect())),
        ("tokenizer.ggml.bos_token_id", Value::U32(1)),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        ("tokenizer.chat_template", text(CHATML)),
    ]
    .map(|(key, value)| (key.to_string(), value))
    .to_vec()
}

pub const GGUF_TENSORS: [(&str, &[usize]); 11] = [
    ("token_embd.weight", &[267, 256]),
    ("output_norm.weight", &[256]),
    ("blk.0.attn_norm.weight", &[256]),
    ("blk.0.ffn_norm.weight", &[256]),
    ("blk.0.attn_q.weight", &[256, 256]),
    ("blk.0.attn_k.weight", &[128, 256]),
    ("blk.0.attn_v.weight", &[128, 256]),
    ("blk.0.attn_output.weight", &[256, 256]),
    ("blk.0.ffn_gate.weight", &[512, 256]),
    ("blk.0.ffn_up.weight", &[512, 256]),
    ("blk.0.ffn_down.weight", &[256, 512]),
];

/// Writes a GGUF file with candle; matrices in `kind`, norms in F32. Returns what candle dequantises them to, by
/// GGUF name.
pub fn write_gguf(path: &Path, kind: GgmlDType, metadata: &[(String, Value)]) -> HashMap<String, Vec<f32>> {
    let tensors: Vec<(&str, QTensor)> = GGUF_TENSORS
        .iter()
        .enumerate()
        .map(|(seed, &(name, shape))| {
            let tensor = Tensor::from_vec(elements(shape.iter().product(), seed), shape, &Device::Cpu).unwrap();
            let kind = if shape.len() == 1 { GgmlDType::F32 } else { kind };
            (name, QTensor::quantize(&tensor, kind).unwrap())
        })
        .collect();
    let values = |tensor: &QTensor| tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let dequantised = tensors.iter().map(|(name, tensor)| (name.to_string(), values(tensor))).collect();
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let mut file = fs::File::create(path).unwrap();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    dequantised
}

/// The whole message of a failure, hint included; the test fails where there is none.
pub fn failure<T>(result: so8t::Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => match error.hint() {
            Some(hint) => format!("{error}\nhint: {hint}"),
            None => error.to_string(),
        },
    }
}

/// Fails unless `message` holds every one of `parts`.
#[track_caller]
pub fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "expected `{part}` in: {message}");
    }
}
