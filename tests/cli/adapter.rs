//! `so8t adapter`: what is merged or exported scores as the base with its adapter.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use so8t::kernels::gemm::Compute;
use so8t::kernels::so8::Map;
use so8t::model::network::{GateSettings, Network, NetworkOptions, Placement, Quantization};
use so8t::model::{ModelFiles, Precision, TensorKind, export_folder, export_gguf, open};
use so8t::train::random::Random;
use so8t::train::{TrainConfig, peft};
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use super::{outcome, so8t};
use crate::training::golden;

const CONTROL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
const TEMPLATE: &str = "{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}";

/// A golden model with a tokenizer of its 64 ids, in `folder/base`.
fn base(model: &str, folder: &Path) -> ModelFiles {
    let path = folder.join("base");
    std::fs::create_dir_all(&path).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(golden::golden(model).folder.join(file), path.join(file)).unwrap();
    }
    let characters = ('a'..='z').chain('A'..='Z').chain('0'..='7').chain(['Ġ']).map(String::from);
    let ids =
        CONTROL.map(String::from).into_iter().chain(characters).zip(0..).collect::<tokenizers::models::bpe::Vocab>();
    assert_eq!(ids.len(), 64);
    let mut tokenizer = Tokenizer::new(BPE::builder().vocab_and_merges(ids, vec![]).build().unwrap());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::new(false, true, true)));
    tokenizer.add_special_tokens(CONTROL.map(|token| AddedToken::from(token, true))).unwrap();
    tokenizer.save(path.join("tokenizer.json"), false).unwrap();
    let settings = json!({"chat_template": TEMPLATE, "bos_token": CONTROL[1], "eos_token": CONTROL[2]});
    std::fs::write(path.join("tokenizer_config.json"), settings.to_string()).unwrap();
    open("base", folder).unwrap()
}

fn network(model: &ModelFiles) -> Network {
    let options =
        NetworkOptions { quantization: Quantization::None, compute: Compute::F32, positions: 64, ..Default::default() };
    Network::new(&model.config, &model.weights, options).unwrap()
}

fn sequences(model: &str) -> Vec<Vec<u32>> {
    golden::golden(model).sequences().into_iter().map(|(tokens, _)| tokens).collect()
}

fn logits(network: &Network, model: &str) -> Vec<f32> {
    golden::all_logits(network, &sequences(model))
}

/// The golden adapter in `folder/adapter`, with gates where asked; the logits of base and adapter.
fn adapter(model: &str, gates: Option<(Placement, Map)>, base: &ModelFiles, folder: &Path) -> Vec<f32> {
    let mut network = network(base);
    peft::load(&mut network, &golden::golden(model).folder.join("adapter")).unwrap();
    if let Some((placement, map)) = gates {
        let settings = GateSettings { layers: vec![0, 1], placement, map };
        let theta = |name: &str, shape: &[usize]| {
            let mut random = Random::new(2, name);
            Ok((0..shape.iter().product()).map(|_| 0.3 * random.normal()).collect())
        };
        network.attach_gates(settings, 1.0, theta).unwrap();
    }
    peft::save(&network, &folder.join("adapter"), "", &TrainConfig::default()).unwrap();
    logits(&network, model)
}

/// `so8t adapter …` with the base and the adapter of a folder; its standard output.
fn run(folder: &Path, base: &str, arguments: &[&str]) -> Result<String, String> {
    let arguments = [&["adapter"], arguments, &["--base", base, "--adapter", "adapter"]].concat();
    match outcome(&so8t(folder, &arguments)) {
        (out, _, 0) => Ok(out),
        (out, error, code) => {
            assert_eq!((out.as_str(), code), ("", 1), "{error}");
            Err(error)
        }
    }
}

/// DoRA rescales the rows of what is merged, and ranks and alphas may be each module's own.
#[test]
fn other_kinds_of_adapters_are_merged_too() {
    for (model, kind) in ["tiny-llama", "tiny-phi3"].into_iter().flat_map(|m| [(m, "dora"), (m, "patterns")]) {
        let folder = tempfile::tempdir().unwrap();
        let base = base(model, folder.path());
        let mut adapted = network(&base);
        peft::load(&mut adapted, &golden::golden(model).folder.join(kind)).unwrap();
        peft::save(&adapted, &folder.path().join("adapter"), "", &TrainConfig::default()).unwrap();
        let expected = logits(&adapted, model);
        assert!(golden::difference(&logits(&network(&base), model), &expected) > 0.01, "{kind} changes little");
        run(folder.path(), "base", &["merge", "--out", "merged"]).unwrap();
        let merged = open("merged", folder.path()).unwrap();
        let off = golden::difference(&logits(&network(&merged), model), &expected);
        assert!(off < 1e-5, "{model}, {kind}: {off}");
    }
}

#[test]
fn a_merged_folder_scores_as_base_and_adapter() {
    for model in ["tiny-llama", "tiny-phi3"] {
        let gates =
            [Placement::Before, Placement::After].map(|at| [Map::Exponential, Map::Cayley].map(|map| Some((at, map))));
        for gates in gates.into_iter().flatten().chain([None]) {
            let folder = tempfile::tempdir().unwrap();
            let base = base(model, folder.path());
            let expected = adapter(model, gates, &base, folder.path());
            let plain = logits(&network(&base), model);
            assert!(golden::difference(&plain, &expected) > 0.05, "the adapter changes little");
            let out = run(folder.path(), "base", &["merge", "--out", "out/merged", "--json"]).unwrap();
            let report: Value = serde_json::from_str(&out).unwrap();
            assert_eq!((&report["schema"], &report["written"]["files"]), (&"so8t.merged/1".into(), &1.into()));
            let merged = open("out/merged", folder.path()).unwrap();
            assert_eq!(merged.config, base.config);
            assert_eq!(merged.template.source(), TEMPLATE);
            let off = golden::difference(&logits(&network(&merged), model), &expected);
            assert!(off < 1e-5, "{model}, {gates:?}: {off}");
            if gates.is_none() {
                let of_peft = golden::golden(model).tensor("expected.safetensors", "adapter_logits");
                let off = golden::difference(&logits(&network(&merged), model), &of_peft);
                assert!(off < 1e-5, "{model}: {off} from PEFT's");
            }
            // A folder that holds something is left alone, and nothing half-written stays.
            let error = run(folder.path(), "base", &["merge", "--out", "out/merged"]).unwrap_err();
            assert!(error.contains("`out/merged`: expected no folder or an empty one"), "{error}");
            assert_eq!(std::fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
        }
    }
}

#[test]
fn narrower_weights_and_several_files() {
    let folder = tempfile::tempdir().unwrap();
    let base = base("tiny-llama", folder.path());
    let expected = adapter("tiny-llama", None, &base, folder.path());
    for (dtype, most) in [("f32", 1e-5), ("f16", 2e-3), ("bf16", 2e-2)] {
        run(folder.path(), "base", &["merge", "--out", dtype, "--dtype", dtype]).unwrap();
        let merged = open(dtype, folder.path()).unwrap();
        let off = golden::difference(&logits(&network(&merged), "tiny-llama"), &expected);
        assert!(off < most, "{dtype}: {off}");
    }
    let size = |name: &str| folder.path().join(name).join("model.safetensors").metadata().unwrap().len();
    assert!(size("bf16") < size("f32") * 55 / 100);

    let parts = folder.path().join("parts");
    let written = export_folder(&base, &parts, Precision::F32, 20_000, |name| base.weights.load_f32(name)).unwrap();
    assert!(written.files >= 4, "{written:?}");
    let again = open("parts", folder.path()).unwrap();
    assert_eq!(again.weights.files().count(), written.files);
    assert_eq!(logits(&network(&again), "tiny-llama"), logits(&network(&base), "tiny-llama"));
    let broken = export_folder(&base, &folder.path().join("broken"), Precision::F32, 20_000, |name| {
        if name.contains("norm") { Err(so8t::Error::model("no norm")) } else { base.weights.load_f32(name) }
    });
    assert!(broken.unwrap_err().to_string().contains("no norm"));
    assert!(
        !std::fs::read_dir(folder.path())
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with("broken") })
    );
    let large = export_folder(&base, &folder.path().join("large"), Precision::F16, 20_000, |name| {
        base.weights.load_f32(name).map(|(shape, values)| (shape, values.iter().map(|x| x * 1e6).collect()))
    });
    assert!(large.unwrap_err().to_string().contains("beyond the range of f16"));
}

#[test]
fn an_exported_file_scores_as_base_and_adapter() {
    for model in ["tiny-llama", "tiny-phi3"] {
        let folder = tempfile::tempdir().unwrap();
        let base = base(model, folder.path());
        let expected = adapter(model, Some((Placement::Before, Map::Exponential)), &base, folder.path());
        for (kind, most) in [("f32", 1e-5), ("f16", 2e-3), ("q8_0", 3e-2)] {
            run(folder.path(), "base", &["export", "--gguf", &format!("{kind}.gguf"), "--type", kind]).unwrap();
            let exported = open(&format!("{kind}.gguf"), folder.path()).unwrap();
            let off = golden::difference(&logits(&network(&exported), model), &expected);
            assert!(off < most && (off > 1e-4 || kind == "f32"), "{model}, {kind}: {off}");
            let (config, base_config) = (&exported.config, &base.config);
            assert_eq!(
                (config.architecture, config.tie_embeddings),
                (base_config.architecture, base_config.tie_embeddings)
            );
            assert_eq!((config.bos, &config.eos), (Some(1), &vec![2]));
            assert_eq!(exported.template.source(), TEMPLATE);
            for text in ["hello World 123", "<|im_start|>a<|im_end|>b"] {
                assert_eq!(exported.tokenizer.encode(text).unwrap(), base.tokenizer.encode(text).unwrap(), "{text}");
            }
        }
        let size = |kind: &str| folder.path().join(format!("{kind}.gguf")).metadata().unwrap().len();
        assert!(size("q8_0") < size("f16") && size("f16") < size("f32"));
    }
}

/// A GGUF base becomes a Hugging Face folder, and another GGUF file with the same tokenizer.
#[test]
fn a_gguf_base_is_merged_and_exported() {
    for model in ["tiny-llama", "tiny-phi3"] {
        let folder = tempfile::tempdir().unwrap();
        let base = base(model, folder.path());
        let expected = adapter(model, None, &base, folder.path());
        let load = |name: &str| base.weights.load_f32(name);
        export_gguf(&base, &folder.path().join("base.gguf"), TensorKind::F32, load).unwrap();
        run(folder.path(), "base.gguf", &["merge", "--out", "merged"]).unwrap();
        run(folder.path(), "base.gguf", &["export", "--gguf", "merged.gguf", "--type", "f32"]).unwrap();
        for name in ["merged", "merged.gguf"] {
            let merged = open(name, folder.path()).unwrap();
            let off = golden::difference(&logits(&network(&merged), model), &expected);
            assert!(off < 1e-5, "{model}, {name}: {off}");
            assert_eq!(merged.template.source(), TEMPLATE);
            assert_eq!((merged.template.bos_token(), merged.template.eos_token()), (CONTROL[1], CONTROL[2]));
            let text = "<|im_start|>aB 7<|im_end|>";
            assert_eq!(merged.tokenizer.encode(text).unwrap(), base.tokenizer.encode(text).unwrap());
        }
        let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let tokens = |file: &[u8]| {
            let key = b"tokenizer.ggml.token_type";
            let at = file.windows(key.len()).position(|window| window == key).unwrap();
            file[at..at + key.len() + 16 + 4 * 64].to_vec()
        };
        assert_eq!(tokens(&bytes("merged.gguf")), tokens(&bytes("base.gguf")));
    }
}

/// Rotary frequencies that are stretched survive the way into a GGUF file and back.
#[test]
fn stretched_frequencies_survive() {
    for (model, changes) in [
        ("tiny-llama", json!({"rope_scaling": {"rope_type": "linear", "factor": 4.0}})),
        (
            "tiny-llama",
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": 16}}),
        ),
        (
            "tiny-phi3",
            json!({"original_max_position_embeddings": 32, "max_position_embeddings": 128, "rope_scaling":
                   {"type": "longrope", "short_factor": [1.0, 1.1, 1.25, 1.5], "long_factor": [1.0, 2.0, 4.0, 8.0]}}),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        base(model, folder.path());
        let path: PathBuf = folder.path().join("base/config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config.as_object_mut().unwrap().remove("rope_parameters");
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
        std::fs::write(&path, config.to_string()).unwrap();
        let base = open("base", folder.path()).unwrap();
        export_gguf(&base, &folder.path().join("a.gguf"), TensorKind::F32, |name| base.weights.load_f32(name)).unwrap();
        let exported = open("a.gguf", folder.path()).unwrap();
        for positions in [16, 64] {
            let (found, expected) = (exported.config.rope_tables(positions), base.config.rope_tables(positions));
            let off = golden::difference(&found.0, &expected.0).max(golden::difference(&found.1, &expected.1));
            assert!(off < 1e-5, "{changes}: {off}");
        }
        let plain = base.config.rope_frequencies(16);
        assert_ne!(
            so8t::model::ModelConfig { rope_scaling: so8t::model::RopeScaling::None, ..base.config.clone() }
                .rope_frequencies(16),
            plain
        );
    }
}

#[test]
fn what_cannot_be_merged_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let base = base("tiny-llama", folder.path());
    adapter("tiny-llama", None, &base, folder.path());
    let error = run(folder.path(), "nothing", &["merge", "--out", "x"]).unwrap_err();
    assert!(error.contains("`nothing`"), "{error}");
    let path = folder.path().join("adapter/adapter_config.json");
    let settings = std::fs::read_to_string(&path).unwrap();
    // Numbers of which the product is not finite, though each of them is.
    std::fs::write(&path, settings.replace("\"lora_alpha\": 8", "\"lora_alpha\": 1e39")).unwrap();
    let tensors_path = folder.path().join("adapter").join(peft::TENSORS);
    let tensors = std::fs::read(&tensors_path).unwrap();
    let start = 8 + u64::from_le_bytes(tensors[..8].try_into().unwrap()) as usize;
    let mut large = tensors.clone();
    for number in large[start..].chunks_exact_mut(4) {
        let value = f32::from_le_bytes(number.try_into().unwrap());
        number.copy_from_slice(&(value * 100.0).to_le_bytes());
    }
    std::fs::write(&tensors_path, large).unwrap();
    for arguments in [&["merge", "--out", "x"][..], &["export", "--gguf", "x", "--type", "f32"]] {
        let error = run(folder.path(), "base", arguments).unwrap_err();
        assert!(error.contains("with the adapter: element") && error.contains("not a finite number"), "{error}");
        assert!(!folder.path().join("x").exists());
    }
    std::fs::write(&tensors_path, tensors).unwrap();
    std::fs::write(&path, settings.replace("\"r\": 4", "\"r\": 5")).unwrap();
    let error = run(folder.path(), "base", &["export", "--gguf", "x.gguf"]).unwrap_err();
    assert!(error.contains("adapter_model.safetensors`: tensor `base_model.model.model.layers.0"), "{error}");
    assert!(!folder.path().join("x.gguf").exists() && !folder.path().join("x").exists());
    std::fs::write(&path, settings).unwrap();
    let tokenizer = folder.path().join("base/tokenizer.json");
    let text = std::fs::read_to_string(&tokenizer).unwrap();
    std::fs::write(&tokenizer, text.replace("\"use_regex\":true", "\"use_regex\":false")).unwrap();
    let error = run(folder.path(), "base", &["export", "--gguf", "x.gguf"]).unwrap_err();
    assert!(error.contains("tokenizer.json`: field `pre_tokenizer`: expected that of GPT-2"), "{error}");
}
