//! Adapters of every kind: DoRA, ranks by module, rsLoRA and LoRA+ against PEFT, and the gradient of every tensor.

use std::collections::BTreeMap;

use serde_json::Value;
use so8t::model::modules::Pattern;
use so8t::model::network::{AdapterSettings, Dropout, Network, PerParameter, Quantization, Training, Workspace};
use so8t::train::optimiser::{Optimiser, OptimiserSettings};
use so8t::train::{TrainConfig, peft};

use super::golden::{MODELS, all_logits, check_gradients, difference, golden, smoothed_pass};
use super::gradients::check;
use super::small;

const KINDS: [&str; 2] = ["dora", "patterns"];

#[test]
fn logits_gradients_and_steps_are_those_of_peft() {
    for (model, kind) in MODELS.iter().flat_map(|model| KINDS.map(|kind| (*model, kind))) {
        let golden = golden(model);
        let folder = golden.folder.join(kind);
        let text = std::fs::read_to_string(folder.join("golden.json")).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        let numbers = |name: &str| -> Vec<f64> {
            expected[name].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
        };
        let smoothing = expected["label_smoothing"].as_f64().unwrap() as f32;
        let mut network = golden.network(&golden.config(), false);
        peft::load(&mut network, &folder).unwrap();
        let sequences: Vec<Vec<u32>> = golden.sequences().into_iter().map(|(tokens, _)| tokens).collect();
        let logits = golden.tensor(&format!("{kind}/expected.safetensors"), "logits");
        let worst = difference(&all_logits(&network, &sequences), &logits);
        assert!(worst < 1e-5, "{model}, {kind}: the logits differ by {worst}");

        let mut gradients = PerParameter::zeros(&network).unwrap();
        smoothed_pass(&network, &golden, smoothing, &mut gradients);
        check_gradients(&network, &gradients, &golden, &format!("{kind}/gradients.safetensors"));

        // A file does not say how the adapter is trained.
        let mut pieces: BTreeMap<_, _> =
            network.read_pieces().unwrap().into_iter().map(|(name, _, values)| (name, values)).collect();
        let lora_plus_ratio = expected["lora_plus_ratio"].as_f64().unwrap();
        let settings = AdapterSettings { lora_plus_ratio, ..network.adapters().unwrap().clone() };
        network.attach(settings, |name, _| Ok(pieces.remove(name).unwrap())).unwrap();
        let settings = OptimiserSettings { weight_decay: 0.01, ..OptimiserSettings::default() };
        let mut optimiser = Optimiser::new(&network, settings).unwrap();
        for (step, (loss, norm)) in numbers("losses").into_iter().zip(numbers("gradient_norms")).enumerate() {
            let found = smoothed_pass(&network, &golden, smoothing, &mut gradients);
            assert!((found - loss).abs() < 1e-4 * loss, "{model}, {kind}, step {step}: loss {found}, not {loss}");
            let found = optimiser.step(&mut network, &mut gradients, 1e-2).unwrap();
            assert!((found - norm).abs() < 1e-3 * norm, "{model}, {kind}, step {step}: norm {found}, not {norm}");
        }
    }
}

fn settings(kind: &str) -> AdapterSettings {
    let mut settings = AdapterSettings { rank: 4, alpha: 8.0, ..AdapterSettings::default() };
    match kind {
        "lora" => {}
        "rslora" => settings.rank_stabilised = true,
        "dora" => settings.dora = true,
        "patterns" => {
            settings.rank_pattern =
                Pattern(vec![("layers.1.mlp.down_proj".to_string(), 2), ("down_proj".to_string(), 3)]);
            settings.alpha_pattern = Pattern(vec![("o_proj".to_string(), 5.0)]);
        }
        "dora with patterns" => return AdapterSettings { dora: true, ..self::settings("patterns") },
        _ => unreachable!("{kind}"),
    }
    settings
}

const ALL: [&str; 5] = ["lora", "rslora", "dora", "patterns", "dora with patterns"];

/// Fresh adapters: `B` is 0, so that `A` has no gradient on the first step.
#[test]
fn every_trainable_tensor_gets_a_gradient() {
    for architecture in ["llama", "phi3"] {
        for quantization in [Quantization::None, Quantization::Int8, Quantization::Nf4] {
            for kind in ALL {
                let mut network = small::network(architecture, quantization, false);
                small::adapt_with(&mut network, settings(kind));
                let (_, gradients) = super::gradients::weighted_loss(&network, Training::default());
                let mut pieces = 0;
                for (parameter, gradient) in network.parameters().iter().zip(&gradients.buffers) {
                    for piece in &parameter.pieces {
                        let rows = piece.block.rows.clone();
                        let mut values = rows.flat_map(|row| {
                            let at = row * parameter.columns;
                            &gradient[at + piece.block.columns.start..at + piece.block.columns.end]
                        });
                        let name = format!("{architecture}, {quantization:?}, {kind}: {}", piece.name);
                        assert!(values.clone().all(|x| x.is_finite()), "{name} is not finite");
                        assert!(values.any(|&x| x != 0.0), "{name} vanishes");
                        pieces += 1;
                    }
                }
                let modules = if architecture == "llama" { 14 } else { 8 };
                assert_eq!(pieces, modules * if kind.starts_with("dora") { 3 } else { 2 });
            }
        }
    }
}

/// The norms count as constants, and stay as they are while the check moves the parameters.
#[test]
fn gradients_of_all_kinds_are_those_of_finite_differences() {
    let dropout = Some(Dropout { key: 99, probability: 0.3 });
    for (architecture, quantization, kind, training) in [
        ("llama", Quantization::None, "dora", Training::default()),
        ("phi3", Quantization::None, "dora", Training { dropout, ..Training::default() }),
        ("llama", Quantization::Nf4, "dora with patterns", Training { recompute: usize::MAX, ..Training::default() }),
        ("llama", Quantization::Int8, "patterns", Training { label_smoothing: 0.2, ..Training::default() }),
        ("phi3", Quantization::Nf4, "lora", Training { label_smoothing: 0.1, ..Training::default() }),
    ] {
        let mut network = small::network(architecture, quantization, false);
        small::adapt_with(&mut network, settings(kind));
        check(&mut network, training);
    }
}

#[test]
fn recomputing_layers_gives_the_same_bits_with_dora() {
    let dropout = Some(Dropout { key: 1, probability: 0.2 });
    let mut network = small::network("llama", Quantization::Nf4, false);
    small::adapt_with(&mut network, settings("dora with patterns"));
    let pass =
        |recompute| super::gradients::weighted_loss(&network, Training { dropout, recompute, ..Training::default() });
    let ((kept_loss, kept), (loss, again)) = (pass(0), pass(usize::MAX));
    assert_eq!(kept_loss, loss);
    assert_eq!(kept.buffers, again.buffers);
}

#[test]
fn fresh_adapters_of_all_kinds_change_nothing_and_are_read_back() {
    let sequences = small::sequences();
    for kind in ALL {
        let mut network = small::network("llama", Quantization::None, false);
        let before = all_logits(&network, &sequences);
        peft::attach_fresh(&mut network, settings(kind), 1).unwrap();
        let worst = difference(&all_logits(&network, &sequences), &before);
        assert!(worst < 1e-6, "{kind}: fresh adapters change the logits by {worst}");
        small::adapt_with(&mut network, settings(kind));
        let folder = tempfile::tempdir().unwrap();
        peft::save(&network, folder.path(), "base", &TrainConfig::default()).unwrap();
        let mut other = small::network("llama", Quantization::None, false);
        peft::load(&mut other, folder.path()).unwrap();
        assert_eq!(all_logits(&other, &sequences), all_logits(&network, &sequences), "{kind}");
        let modules = |network: &Network| network.adapters().unwrap().modules(network.config()).unwrap();
        assert_eq!(modules(&other), modules(&network), "{kind}");
    }
}

/// A magnitude is a factor of its row, whatever the row was.
#[test]
fn magnitudes_are_factors_of_their_rows() {
    let mut network = small::network("llama", Quantization::None, false);
    small::adapt_with(&mut network, settings("dora"));
    let logits = all_logits(&network, &small::sequences());
    let scaled = |network: &mut Network, factor: f32| {
        for parameter in network.parameters_mut() {
            if parameter.name.ends_with("lora_magnitude_vector") {
                parameter.value.iter_mut().for_each(|x| *x *= factor);
            }
        }
        network.measure_rows().unwrap();
    };
    scaled(&mut network, 2.0);
    assert!(difference(&all_logits(&network, &small::sequences()), &logits) > 0.1);
    scaled(&mut network, 0.5);
    assert_eq!(all_logits(&network, &small::sequences()), logits);
}

#[test]
fn memory_of_passes_is_given_back() {
    let mut network = small::network("llama", Quantization::Int8, false);
    small::adapt_with(&mut network, settings("dora"));
    let sequences = small::sequences();
    let batch = network.pack(sequences.iter().map(Vec::as_slice)).unwrap();
    let mut workspace = Workspace::default();
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut gradients = PerParameter::zeros(&network).unwrap();
        let training = Training { dropout: Some(Dropout { key: 3, probability: 0.1 }), ..Training::default() };
        network.loss_and_gradients(&batch, &small::targets(), training, &mut gradients, &mut workspace).unwrap();
        held.push(workspace.held());
    }
    assert_eq!(held[1], held[3], "buffers of a pass are lost or pile up: {held:?}");
}

/// Phi-3 stores queries, keys and values as one linear, and gate and up as one.
#[test]
fn parts_of_fused_linears_train_alone_and_are_stored_as_one() {
    let targets = ["q_proj", "v_proj", "up_proj", "o_proj"].map(String::from).to_vec();
    let rank_pattern = Pattern(vec![("layers.0.self_attn.v_proj".to_string(), 2)]);
    let alpha_pattern = Pattern(vec![("layers.0.self_attn.v_proj".to_string(), 4.0)]);
    let settings = AdapterSettings { rank: 4, alpha: 8.0, targets, rank_pattern, alpha_pattern, ..Default::default() };
    let mut network = small::network("phi3", Quantization::None, false);
    peft::attach_fresh(&mut network, settings.clone(), 3).unwrap();
    // Inputs 32; of 64 rows 32 are queries, 16 values; up has 48, and o_proj 32.
    let each = |rank: u64, outputs: u64| rank * (32 + outputs);
    let common = each(4, 32) + each(4, 48) + each(4, 32);
    assert_eq!(network.trainable_count(), 2 * common + each(2, 16) + each(4, 16));

    let mut optimiser = Optimiser::new(&network, OptimiserSettings::default()).unwrap();
    for _ in 0..3 {
        let (_, mut gradients) = super::gradients::weighted_loss(&network, Training::default());
        optimiser.step(&mut network, &mut gradients, 1e-2).unwrap();
    }
    check(&mut network, Training::default());
    let (mut trained, mut still) = (0, 0);
    for (name, shape, values) in network.read_pieces().unwrap() {
        if !name.contains("qkv_proj.lora_B") {
            continue;
        }
        assert_eq!(shape, [64, if name.contains("layers.0") { 6 } else { 8 }]);
        for (row, values) in values.chunks(shape[1]).enumerate() {
            // Queries learn in the first four columns, values in the others, keys not at all.
            for (column, value) in values.iter().enumerate() {
                let learns = if column < 4 { row < 32 } else { row >= 48 };
                assert_eq!(*value != 0.0, learns, "{name}: row {row}, column {column} is {value}");
                trained += usize::from(learns);
                still += usize::from(!learns);
            }
        }
    }
    assert_eq!((trained, still), (2 * 32 * 4 + 16 * 2 + 16 * 4, 32 * 4 * 2 + 48 * 2 + 48 * 4));

    let folder = tempfile::tempdir().unwrap();
    peft::save(&network, folder.path(), "base", &TrainConfig::default()).unwrap();
    let text = std::fs::read_to_string(folder.path().join(peft::SETTINGS)).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["rank_pattern"]["model.layers.0.self_attn.qkv_proj"], 6);
    assert_eq!(value["alpha_pattern"]["model.layers.1.self_attn.qkv_proj"], 16);
    let mut other = small::network("phi3", Quantization::None, false);
    peft::load(&mut other, folder.path()).unwrap();
    let sequences = small::sequences();
    assert_eq!(all_logits(&other, &sequences), all_logits(&network, &sequences));

    let dora = AdapterSettings { dora: true, ..settings.clone() };
    let error = peft::attach_fresh(&mut other, dora, 1).unwrap_err().to_string();
    assert!(error.contains("is a part of `model.layers.0.self_attn.qkv_proj`"), "{error}");
    let uneven = AdapterSettings { alpha_pattern: Pattern::default(), ..settings };
    let error = uneven.stored(other.config()).unwrap_err().to_string();
    assert!(error.contains("expected one alpha / rank"), "{error}");
}
