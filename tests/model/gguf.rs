//! GGUF files: elements of every type, the layout of queries and keys, and files that are wrong.

use std::fs;
use std::path::Path;

use candle_core::quantized::gguf_file::Value;
use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{Device, Tensor};
use half::f16;
use so8t::model::{Architecture, RopeScaling, open};

use super::small::{self, failure, says};

fn set(metadata: &mut Vec<(String, Value)>, key: &str, value: Option<Value>) {
    metadata.retain(|(name, _)| name != key);
    metadata.extend(value.map(|value| (key.to_string(), value)));
}

#[test]
fn configuration_and_tokenizer_from_metadata() {
    let folder = tempfile::tempdir().unwrap();
    small::write_gguf(&folder.path().join("small.gguf"), GgmlDType::F16, &small::gguf_metadata());
    let model = open("small.gguf", folder.path()).unwrap();
    assert_eq!(model.name, "small.gguf");
    assert_eq!(model.paths, [folder.path().join("small.gguf")]);
    assert!(model.warnings.is_empty());
    let config = &model.config;
    assert_eq!(config.architecture, Architecture::Llama);
    assert_eq!((config.hidden_size, config.intermediate_size, config.layers), (256, 512, 1));
    assert_eq!((config.heads, config.kv_heads, config.head_dim, config.vocab_size), (4, 2, 64, 267));
    assert_eq!((config.bos, config.eos.as_slice()), (Some(1), &[2][..]));
    assert!(config.tie_embeddings);
    assert_eq!(config.rope_scaling, RopeScaling::None);
    assert_eq!(model.template.eos_token(), "<|im_end|>");
    let expected = small::tokenizer();
    for text in ["hello world", "ALLOW", "<|im_start|>x<|im_end|>", "日本 12", ""] {
        let expected = expected.encode(text, false).unwrap().get_ids().to_vec();
        assert_eq!(model.tokenizer.encode(text).unwrap(), expected, "{text}");
        assert_eq!(model.tokenizer.decode(&expected).unwrap(), text);
    }
}

/// Every type, against candle's own dequantisation of the same blocks and against the elements before quantisation.
#[test]
fn every_type_is_dequantised() {
    // The largest error that the type's steps allow on elements from -2 to 2 in blocks.
    let types = [
        (GgmlDType::F32, 0.0),
        (GgmlDType::F16, 0.0),
        (GgmlDType::BF16, 0.0),
        (GgmlDType::Q8_0, 0.01),
        (GgmlDType::Q4_0, 0.27),
        (GgmlDType::Q4_1, 0.14),
        (GgmlDType::Q5_0, 0.14),
        (GgmlDType::Q5_1, 0.07),
        (GgmlDType::Q4K, 0.2),
        (GgmlDType::Q5K, 0.1),
        (GgmlDType::Q6K, 0.1),
        (GgmlDType::Q3K, 0.5),
        (GgmlDType::Q2K, 0.9),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (kind, tolerance) in types {
        let expected = small::write_gguf(&folder.path().join("small.gguf"), kind, &small::gguf_metadata());
        let model = open("small.gguf", folder.path()).unwrap();
        for (gguf, name) in [
            ("token_embd.weight", "model.embed_tokens.weight"),
            ("blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight"),
            ("blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight"),
            ("blk.0.attn_output.weight", "model.layers.0.self_attn.o_proj.weight"),
            ("blk.0.ffn_gate.weight", "model.layers.0.mlp.gate_proj.weight"),
            ("blk.0.ffn_up.weight", "model.layers.0.mlp.up_proj.weight"),
            ("blk.0.ffn_down.weight", "model.layers.0.mlp.down_proj.weight"),
        ] {
            let (shape, found) = model.weights.load_f32(name).unwrap();
            assert!(found == expected[gguf], "{kind:?}: {name} differs from candle's dequantisation");
            let seed = small::GGUF_TENSORS.iter().position(|tensor| tensor.0 == gguf).unwrap();
            let original = small::elements(shape.iter().product(), seed);
            let worst = found.iter().zip(original).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= tolerance, "{kind:?}: {name} is {worst} off");
        }
    }
}

/// One Q4_1 block written by hand: element i of 16 is the low half of byte i, element 16 + i the high one, each
/// times the scale plus the minimum.
#[test]
fn a_block_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    small::write_gguf(&path, GgmlDType::Q4_1, &small::gguf_metadata());
    let mut bytes = fs::read(&path).unwrap();
    let mut reader = std::io::Cursor::new(&bytes);
    let content = gguf_file::Content::read(&mut reader).unwrap();
    let at = (content.tensor_data_offset + content.tensor_infos["token_embd.weight"].offset) as usize;
    bytes[at..at + 2].copy_from_slice(&f16::from_f32(0.5).to_le_bytes());
    bytes[at + 2..at + 4].copy_from_slice(&f16::from_f32(-3.0).to_le_bytes());
    for i in 0..16u8 {
        bytes[at + 4 + usize::from(i)] = i | ((15 - i) << 4);
    }
    fs::write(&path, bytes).unwrap();
    let (_, values) = open("small.gguf", folder.path()).unwrap().weights.load_f32("model.embed_tokens.weight").unwrap();
    for i in 0..16 {
        assert_eq!(values[i], i as f32 * 0.5 - 3.0);
        assert_eq!(values[16 + i], (15 - i) as f32 * 0.5 - 3.0);
    }
}

/// Rows of queries and keys go through llama.cpp's `permute` here and come back in their own order.
#[test]
fn queries_and_keys_are_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let original = |rows: usize| Tensor::from_vec(small::elements(rows * 256, 1), (rows, 256), &Device::Cpu).unwrap();
    let permuted = |rows: usize, heads: usize| {
        let split = original(rows).reshape((heads, 2, rows / heads / 2, 256)).unwrap();
        split.transpose(1, 2).unwrap().contiguous().unwrap().reshape((rows, 256)).unwrap()
    };
    let tensors: Vec<(&str, QTensor)> = small::GGUF_TENSORS
        .iter()
        .map(|&(name, shape)| {
            let tensor = match name {
                "blk.0.attn_q.weight" => permuted(256, 4),
                "blk.0.attn_k.weight" => permuted(128, 2),
                _ => Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap(),
            };
            (name, QTensor::quantize(&tensor, GgmlDType::F32).unwrap())
        })
        .collect();
    let metadata = small::gguf_metadata();
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let mut file = fs::File::create(folder.path().join("small.gguf")).unwrap();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    let model = open("small.gguf", folder.path()).unwrap();
    for (name, rows) in [("q_proj", 256), ("k_proj", 128)] {
        let (shape, found) = model.weights.load_f32(&format!("model.layers.0.self_attn.{name}.weight")).unwrap();
        assert_eq!(shape, [rows, 256]);
        assert!(found == original(rows).flatten_all().unwrap().to_vec1::<f32>().unwrap(), "{name}");
    }
}

#[test]
fn wrong_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let open_with = |key: &str, value: Option<Value>| {
        let mut metadata = small::gguf_metadata();
        set(&mut metadata, key, value);
        small::write_gguf(&folder.path().join("small.gguf"), GgmlDType::F16, &metadata);
        open("small.gguf", folder.path())
    };
    let text = |text: &str| Some(Value::String(text.to_string()));
    let cases: Vec<(&str, Option<Value>, &[&str])> = vec![
        ("general.architecture", text("gpt2"), &["small.gguf", "field `general.architecture`", "`llama`", "`gpt2`"]),
        ("general.architecture", None, &["field `general.architecture` is missing"]),
        ("general.alignment", Some(Value::U32(0)), &["field `general.alignment`"]),
        ("llama.block_count", None, &["field `llama.block_count` is missing"]),
        ("llama.block_count", text("1"), &["field `llama.block_count`", "a whole number"]),
        ("llama.block_count", Some(Value::U32(0)), &["field `llama.block_count`", "`0`"]),
        ("llama.block_count", Some(Value::U32(2)), &["tensor `model.layers.1.input_layernorm.weight` is missing"]),
        ("llama.feed_forward_length", Some(Value::U32(256)), &["gate_proj", "`[256, 256]`", "`[512, 256]`"]),
        ("llama.expert_count", Some(Value::U32(8)), &["field `llama.expert_count`"]),
        ("llama.rope.dimension_count", Some(Value::U32(32)), &["field `llama.rope.dimension_count`"]),
        ("llama.rope.scaling.type", text("yarn"), &["field `llama.rope.scaling.type`", "`yarn`"]),
        ("tokenizer.ggml.model", None, &["field `tokenizer.ggml.model` is missing"]),
        ("tokenizer.ggml.model", text("bert"), &["field `tokenizer.ggml.model`", "`bert`"]),
        ("tokenizer.ggml.model", text("llama"), &["field `tokenizer.ggml.scores` is missing"]),
        ("tokenizer.ggml.pre", text("unheard-of"), &["field `tokenizer.ggml.pre`", "`unheard-of`", "`smollm`"]),
        ("tokenizer.ggml.tokens", None, &["field `tokenizer.ggml.tokens` is missing"]),
        (
            "tokenizer.ggml.tokens",
            Some(Value::Array(vec![Value::U32(1)])),
            &["field `tokenizer.ggml.tokens`", "strings"],
        ),
        ("tokenizer.ggml.merges", Some(Value::Array(vec![Value::String("h zz".into())])), &["merge 0", "`h zz`"]),
        ("tokenizer.ggml.merges", Some(Value::Array(vec![Value::String("he".into())])), &["merge 0", "`he`"]),
        ("tokenizer.ggml.token_type", Some(Value::Array(vec![Value::I32(1)])), &["token_type", "267 numbers, found 1"]),
        ("tokenizer.chat_template", text("{% for %}"), &["small.gguf", "the chat template does not parse"]),
        ("tokenizer.chat_template", Some(Value::U32(1)), &["field `tokenizer.chat_template`"]),
    ];
    for (key, value, parts) in cases {
        says(&failure(open_with(key, value)), parts);
    }
    let model = open_with("tokenizer.chat_template", None).unwrap();
    assert!(model.warnings[0].contains("ChatML's is assumed"), "{:?}", model.warnings);
    let model = open_with("llama.rope.scaling.factor", Some(Value::F32(2.0))).unwrap();
    assert_eq!(model.config.rope_scaling, RopeScaling::Linear { factor: 2.0 });
}

#[test]
fn broken_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    small::write_gguf(&path, GgmlDType::Q8_0, &small::gguf_metadata());
    let whole = fs::read(&path).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&path, file).unwrap();
        failure(open("small.gguf", folder.path()))
    };
    says(&with(0, b"GGML"), &["small.gguf", "begins with `GGUF`"]);
    says(&with(4, &1u32.to_le_bytes()), &["version 2 or 3, found `1`"]);
    says(&with(4, &3u32.to_be_bytes()), &["big-endian"]);
    says(&with(8, &u64::MAX.to_le_bytes()), &["truncated or damaged", "tensors"]);
    says(&with(16, &(1u64 << 40).to_le_bytes()), &["truncated or damaged", "metadata entries"]);
    // The length of the first key.
    says(&with(24, &(1u64 << 60).to_le_bytes()), &["truncated or damaged", "bytes of text"]);
    let kind = position(&whole, b"output_norm.weight") + 18 + 4 + 8;
    says(&with(kind, &99u32.to_le_bytes()), &["tensor `output_norm.weight`", "GGML type `99`", "Q2_K to Q6_K"]);
    says(&with(kind + 4, &u64::MAX.to_le_bytes()), &["tensor `output_norm.weight`", "truncated or damaged"]);
    says(&with(kind - 8, &u64::MAX.to_le_bytes()), &["tensor `output_norm.weight`"]);
    says(
        &with(position(&whole, b"blk.0.attn_q.weight"), b"blk.0.attn_q.biases"),
        &["`blk.0.attn_q.biases`", "does not belong"],
    );
    for length in [3, 30, 2000, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        says(&failure(open("small.gguf", folder.path())), &["small.gguf", "truncated or damaged"]);
    }
}

/// A file cut or flipped anywhere in its header gives a model or an error, never a panic.
#[test]
fn damaged_headers_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    small::write_gguf(&path, GgmlDType::Q4_0, &small::gguf_metadata());
    let whole = fs::read(&path).unwrap();
    let header = position(&whole, b"blk.0.ffn_down.weight");
    let mut random = 1u64;
    let mut failed = 0;
    for _ in 0..150 {
        let mut file = whole.clone();
        for _ in 0..4 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            file[(random >> 33) as usize % header] = (random >> 25) as u8;
        }
        fs::write(&path, &file).unwrap();
        failed += usize::from(open(path.to_str().unwrap(), Path::new(".")).is_err());
    }
    assert!(failed > 20, "only {failed} of 150 damaged files were refused");
}

fn position(file: &[u8], text: &[u8]) -> usize {
    file.windows(text.len()).position(|window| window == text).unwrap()
}
