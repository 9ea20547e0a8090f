//! PEFT's files.

use std::path::Path;

use so8t::model::network::{AdapterSettings, Network, Quantization, Workspace};
use so8t::train::TrainConfig;
use so8t::train::peft::{SETTINGS, TENSORS, attach_fresh, load, save};

use super::small;

fn logits(network: &Network) -> Vec<f32> {
    let batch = network.pack([[5u32, 6, 7, 8].as_slice()]).unwrap();
    network.logits(&batch, &[1, 3], None, &mut Workspace::default()).unwrap()
}

fn saved(architecture: &str, targets: &[&str], folder: &Path) -> Network {
    let mut network = small::network(architecture, Quantization::None, false);
    small::adapt(&mut network, targets);
    save(&network, folder, "base", &TrainConfig::default()).unwrap();
    network
}

#[test]
fn names_and_shapes_are_those_of_peft() {
    let folder = tempfile::tempdir().unwrap();
    saved("phi3", &["o_proj", "qkv_proj"], folder.path());
    let bytes = std::fs::read(folder.path().join(TENSORS)).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| tensors.tensor(name).unwrap().shape().to_vec();
    assert_eq!(tensors.len(), 8);
    assert_eq!(shape("base_model.model.model.layers.1.self_attn.qkv_proj.lora_A.weight"), [4, 32]);
    assert_eq!(shape("base_model.model.model.layers.1.self_attn.qkv_proj.lora_B.weight"), [64, 4]);
    let settings = std::fs::read_to_string(folder.path().join(SETTINGS)).unwrap();
    let settings: serde_json::Value = serde_json::from_str(&settings).unwrap();
    assert_eq!(settings["target_modules"], serde_json::json!(["o_proj", "qkv_proj"]));
    assert_eq!((&settings["r"], &settings["lora_alpha"]), (&4.into(), &8.into()));
    assert_eq!(settings["peft_type"], "LORA");
}

#[test]
fn what_is_saved_is_read_back() {
    for (architecture, targets) in [
        ("llama", &["all-linear"][..]),
        ("llama", &["v_proj", "up_proj"]),
        ("llama", &["layers.1.mlp.down_proj", "layers.0.self_attn.k_proj"]),
        ("phi3", &["all-linear"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let network = saved(architecture, targets, folder.path());
        let mut other = small::network(architecture, Quantization::None, false);
        assert_ne!(logits(&other), logits(&network));
        load(&mut other, folder.path()).unwrap();
        assert_eq!(logits(&other), logits(&network));
        assert_eq!(other.trainable_count(), network.trainable_count());
    }
}

#[test]
fn fresh_adapters_change_nothing() {
    let mut network = small::network("llama", Quantization::None, false);
    let before = logits(&network);
    let settings = AdapterSettings { rank: 4, alpha: 8.0, rank_stabilised: true, ..AdapterSettings::default() };
    attach_fresh(&mut network, settings, 1).unwrap();
    assert_eq!(logits(&network), before);
    for (name, shape, values) in network.read_pieces().unwrap() {
        let bound = 1.0 / (shape[1] as f32).sqrt();
        let greatest = values.iter().fold(0.0f32, |greatest, x| greatest.max(x.abs()));
        match name.contains("lora_B") {
            true => assert_eq!(greatest, 0.0),
            false => assert!(greatest <= bound && greatest > 0.9 * bound, "{name}: {greatest} of {bound}"),
        }
    }
}

#[test]
fn damaged_adapters_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let check = |architecture: &str, expected: &str| {
        let mut network = small::network(architecture, Quantization::None, false);
        let before = logits(&network);
        let error = load(&mut network, path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(logits(&network), before);
    };
    saved("llama", &["all-linear"], path);
    check("phi3", "no module of this model takes the tensor");
    let settings = std::fs::read_to_string(path.join(SETTINGS)).unwrap();
    let tensors = std::fs::read(path.join(TENSORS)).unwrap();
    for (from, to, expected) in [
        ("\"r\": 4", "\"r\": 5", "expected shape [5, 32], found [4, 32]"),
        ("\"use_dora\": false", "\"use_dora\": true", "lora_magnitude_vector` is missing"),
        ("\"bias\": \"none\"", "\"lora_bias\": true", "`lora_bias`"),
        ("LORA", "IA3", "`peft_type`"),
        ("\"k_proj\",", "", "expected it to name `model.layers.0.self_attn.k_proj`"),
    ] {
        let changed = settings.replace(from, to);
        assert_ne!(changed, settings);
        std::fs::write(path.join(SETTINGS), changed).unwrap();
        check("llama", expected);
    }
    // What a file excepts need not exist.
    let excepts = settings.replace("\"exclude_modules\": null", "\"exclude_modules\": [\"lm_head\"]");
    assert_ne!(excepts, settings);
    std::fs::write(path.join(SETTINGS), excepts).unwrap();
    load(&mut small::network("llama", Quantization::None, false), path).unwrap();
    std::fs::write(path.join(SETTINGS), &settings).unwrap();
    let end = tensors.len();
    for (bytes, expected) in
        [(f32::NAN.to_le_bytes(), "not a finite number"), (f32::INFINITY.to_le_bytes(), "not a finite number")]
    {
        let mut damaged = tensors.clone();
        damaged[end - 4..].copy_from_slice(&bytes);
        std::fs::write(path.join(TENSORS), damaged).unwrap();
        check("llama", expected);
    }
    std::fs::write(path.join(TENSORS), &tensors[..end - 4]).unwrap();
    check("llama", TENSORS);
}
