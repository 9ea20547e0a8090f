//! Rotation gates in the network: gradients, PyTorch's values, files, training that is stopped and goes on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use safetensors::SafeTensors;
use serde_json::Value;
use so8t::kernels::cpu::Cpu;
use so8t::kernels::so8::Map;
use so8t::model::network::{
    Dropout, GateSettings, Network, PerParameter, Placement, Quantization, Targets, Training, Workspace,
};
use so8t::train::optimiser::{Optimiser, OptimiserSettings};
use so8t::train::random::Random;
use so8t::train::{LayerRange, Layers, Pet, So8Config, TrainConfig, TrainFiles, gate_files, peft, train};

use super::golden::{Golden, all_logits, difference, golden};
use super::{gradients, running, small};

/// Gates with random parameters.
fn attach(network: &mut Network, layers: &[usize], placement: Placement, map: Map) {
    let settings = GateSettings { layers: layers.to_vec(), placement, map };
    network
        .attach_gates(settings, 1.0, |name, shape| {
            let mut random = Random::new(4, name);
            Ok((0..shape.iter().product()).map(|_| 0.2 * random.normal()).collect())
        })
        .unwrap();
}

fn gated(architecture: &str, quantization: Quantization, placement: Placement, map: Map) -> Network {
    let mut network = small::network(architecture, quantization, false);
    small::adapt(&mut network, &["all-linear"]);
    attach(&mut network, &[0, 1], placement, map);
    network
}

#[test]
fn gradients_with_gates_are_those_of_finite_differences() {
    let dropout = Some(Dropout { key: 99, probability: 0.3 });
    let cases = [
        ("llama", Quantization::None, Placement::Before, Map::Exponential, None),
        ("llama", Quantization::Int8, Placement::After, Map::Cayley, dropout),
        ("phi3", Quantization::Int8, Placement::Before, Map::Cayley, dropout),
        ("phi3", Quantization::None, Placement::After, Map::Exponential, None),
    ];
    for (architecture, quantization, placement, map, dropout) in cases {
        let training = Training { dropout, ..Training::default() };
        gradients::check(&mut gated(architecture, quantization, placement, map), training);
    }
}

#[test]
fn recomputing_and_packing_change_no_bit() {
    for placement in [Placement::Before, Placement::After] {
        let network = gated("llama", Quantization::Int8, placement, Map::Exponential);
        let dropout = Some(Dropout { key: 1, probability: 0.2 });
        let pass = |recompute| {
            let sequences = small::sequences();
            let batch = network.pack(sequences.iter().map(Vec::as_slice)).unwrap();
            let mut into = PerParameter::zeros(&network).unwrap();
            let (training, workspace) =
                (Training { dropout, recompute, ..Training::default() }, &mut Workspace::default());
            let out =
                network.regularised(&batch, &small::targets(), training, Some(0.1), &mut into, workspace).unwrap();
            (out, into.buffers)
        };
        assert!(pass(0) == pass(usize::MAX), "{placement:?}");
        let sequences = gradients::alike();
        let apart: Vec<f32> =
            sequences.iter().flat_map(|sequence| all_logits(&network, std::slice::from_ref(sequence))).collect();
        assert_eq!(all_logits(&network, &sequences), apart, "{placement:?}");
    }
}

/// The regularisation counts every sequence as if it were alone, whatever rows are computed once.
#[test]
fn common_beginnings_get_the_gradients_of_all() {
    let network = gated("llama", Quantization::None, Placement::Before, Map::Exponential);
    let pass = |sequences: &[Vec<u32>], into: &mut PerParameter<Cpu>| {
        let batch = network.pack(sequences.iter().map(Vec::as_slice)).unwrap();
        let last: Vec<u32> = batch.starts[1..].iter().map(|&end| end as u32 - 1).collect();
        let targets = Targets { tokens: vec![7; last.len()], weights: vec![0.2; last.len()], rows: last };
        let (training, workspace) = (Training::default(), &mut Workspace::default());
        network.regularised(&batch, &targets, training, Some(0.1), into, workspace).unwrap().1
    };
    let (mut together, mut apart) = (PerParameter::zeros(&network).unwrap(), PerParameter::zeros(&network).unwrap());
    let penalty = pass(&gradients::alike(), &mut together);
    let sum: f64 = gradients::alike().into_iter().map(|sequence| pass(&[sequence], &mut apart)).sum();
    assert!(penalty > 0.0 && (penalty - sum).abs() < 1e-6 * sum, "{penalty}, not {sum}");
    for ((found, expected), parameter) in together.buffers.iter().zip(&apart.buffers).zip(network.parameters()) {
        assert!(difference(found, expected) < 1e-5, "{}", parameter.name);
    }
}

struct Case {
    golden: Golden,
    values: Value,
    number: usize,
}

impl Case {
    fn tensor(&self, name: &str) -> Vec<f32> {
        let bytes = std::fs::read(self.golden.folder.with_file_name("so8.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let name = format!("{}.{name}", self.number);
        let data = tensors.tensor(&name).unwrap_or_else(|e| panic!("{name}: {e}")).data().to_vec();
        data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }

    fn number(&self, name: &str) -> f64 {
        self.values[name].as_f64().unwrap()
    }

    fn steps(&self, name: &str) -> Vec<f64> {
        self.values["steps"][name].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    }

    /// The model with its adapter and gates.
    fn network(&self, factor: f64) -> Network {
        let mut network = self.golden.network(&self.golden.config(), false);
        peft::load(&mut network, &self.golden.folder.join("adapter")).unwrap();
        let settings: GateSettings = serde_json::from_value(serde_json::json!({
            "layers": self.values["layers"], "placement": self.values["placement"], "map": self.values["map"],
        }))
        .unwrap();
        let layer = |name: &str| name.split('.').nth(2).unwrap().to_string();
        network.attach_gates(settings, factor, |name, _| Ok(self.tensor(&format!("theta.{}", layer(name))))).unwrap();
        network
    }
}

fn cases() -> (Value, Vec<Case>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/training/golden/so8.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let values = document["cases"].as_array().unwrap().clone().into_iter().enumerate();
    let cases = values
        .map(|(number, values)| Case { golden: golden(values["model"].as_str().unwrap()), values, number })
        .collect();
    (document, cases)
}

#[test]
fn gates_are_those_of_pytorch() {
    let (document, cases) = cases();
    assert_eq!(cases.len(), 4);
    let lambda = document["lambda"].as_f64().unwrap() as f32;
    for case in cases {
        let mut network = case.network(document["gate_factor"].as_f64().unwrap());
        let sequences: Vec<Vec<u32>> = case.golden.sequences().into_iter().map(|(tokens, _)| tokens).collect();
        let worst = difference(&all_logits(&network, &sequences), &case.tensor("logits"));
        assert!(worst < 1e-5, "case {}: the logits differ by {worst}", case.number);

        let terms: usize = sequences.iter().map(|tokens| (tokens.len() - 2) * network.config().hidden_size).sum();
        let pass = |network: &Network, into: &mut PerParameter<Cpu>| {
            let batch = network.pack(sequences.iter().map(Vec::as_slice)).unwrap();
            into.clear(network).unwrap();
            let (targets, factor) = (case.golden.targets(false), Some(lambda / terms as f32));
            let (training, workspace) =
                (Training { recompute: usize::MAX, ..Training::default() }, &mut Workspace::default());
            let (losses, penalty) = network.regularised(&batch, &targets, training, factor, into, workspace).unwrap();
            into.clear_idle(network).unwrap();
            (losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64, penalty)
        };
        let mut into = PerParameter::zeros(&network).unwrap();
        let (loss, penalty) = pass(&network, &mut into);
        assert!((loss - case.number("loss")).abs() < 1e-5 && (penalty - case.number("penalty")).abs() < 1e-6);
        let mut checked = 0;
        for (parameter, gradient) in network.parameters().iter().zip(&into.buffers) {
            for piece in &parameter.pieces {
                let rows = piece.block.rows.clone();
                let row = |row: usize| &gradient[row * parameter.columns..(row + 1) * parameter.columns];
                let found: Vec<f32> = rows.flat_map(|at| row(at)[piece.block.columns.clone()].to_vec()).collect();
                let name = match piece.name.strip_suffix(".self_attn.so8_gate.theta") {
                    Some(path) => path.replace("model.layers.", "theta."),
                    None => piece.name.clone(),
                };
                let worst = difference(&found, &case.tensor(&format!("gradient.{name}")));
                assert!(worst < 1e-4, "case {}, {name}: the gradient differs by {worst}", case.number);
                checked += 1;
            }
        }
        assert_eq!(checked, case.golden.adapter_tensors() + case.values["layers"].as_array().unwrap().len());

        let settings = OptimiserSettings { weight_decay: 0.01, ..OptimiserSettings::default() };
        let mut optimiser = Optimiser::new(&network, settings).unwrap();
        let expected = case.steps("losses").into_iter().zip(case.steps("penalties")).zip(case.steps("gradient_norms"));
        for (step, ((expected_loss, expected_penalty), expected_norm)) in expected.enumerate() {
            let (loss, penalty) = pass(&network, &mut into);
            let norm = optimiser.step(&mut network, &mut into, document["learning_rate"].as_f64().unwrap()).unwrap();
            assert!((loss - expected_loss).abs() < 1e-4 * expected_loss, "step {step}: {loss}, not {expected_loss}");
            assert!((penalty - expected_penalty).abs() < 1e-3 * expected_penalty, "step {step}: {penalty}");
            assert!((norm - expected_norm).abs() < 1e-3 * expected_norm, "step {step}: {norm}, not {expected_norm}");
        }
    }
}

#[test]
fn gates_lie_beside_the_files_of_peft() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let config = TrainConfig::default();
    let sequences = small::sequences();
    let base = || small::network("llama", Quantization::None, false);
    let network = gated("llama", Quantization::None, Placement::After, Map::Cayley);
    peft::save(&network, path, "base", &config).unwrap();
    let names = |file: &str| -> Vec<String> {
        let bytes = std::fs::read(path.join(file)).unwrap();
        SafeTensors::deserialize(&bytes).unwrap().names().into_iter().map(|name| name.to_string()).collect()
    };
    assert!(names(peft::TENSORS).iter().all(|name| name.contains(".lora_")));
    assert_eq!(names(gate_files::TENSORS).len(), 2);
    let mut again = base();
    peft::load(&mut again, path).unwrap();
    assert_eq!(all_logits(&again, &sequences), all_logits(&network, &sequences));
    assert_eq!(again.trainable_count(), network.trainable_count());
    assert_eq!(again.gates(), network.gates());

    // Files that are damaged, or that do not fit together, are refused, and nothing is left on the network.
    let settings = std::fs::read_to_string(path.join(gate_files::SETTINGS)).unwrap();
    let tensors = std::fs::read(path.join(gate_files::TENSORS)).unwrap();
    let refused = |expected: &str| {
        let mut network = base();
        let error = peft::load(&mut network, path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(network.parameters().is_empty() && network.gates().is_none());
    };
    for (from, to, expected) in [
        ("so8_gate/1", "so8_gate/2", "field `format`"),
        ("cayley", "caley", "not the settings of rotation gates"),
        ("    1\n", "    2\n", "expected layers below 2, found `2`"),
        ("    0,\n", "", "no gate of `so8_gate.json` takes the tensor `model.layers.0.self_attn.so8_gate.theta`"),
    ] {
        let changed = settings.replace(from, to);
        assert_ne!(changed, settings, "{from}");
        std::fs::write(path.join(gate_files::SETTINGS), changed).unwrap();
        refused(expected);
    }
    std::fs::write(path.join(gate_files::SETTINGS), &settings).unwrap();
    let mut damaged = tensors.clone();
    let end = damaged.len();
    damaged[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(path.join(gate_files::TENSORS), damaged).unwrap();
    refused("not a finite number");
    std::fs::remove_file(path.join(gate_files::TENSORS)).unwrap();
    refused("so8_gate.safetensors");

    // An adapter without gates leaves none behind.
    let mut plain = base();
    small::adapt(&mut plain, &["all-linear"]);
    peft::save(&plain, path, "base", &config).unwrap();
    assert!(!path.join(gate_files::SETTINGS).exists() && !path.join(gate_files::TENSORS).exists());
}

fn with_gates() -> TrainConfig {
    let pet = Some(Pet { weights: vec![0.01, 0.1], bounds: vec![0.5] });
    let layers = Layers::List(vec![LayerRange::Range("0-1".to_string())]);
    TrainConfig {
        so8: Some(So8Config { layers, learning_rate_factor: 2.0, pet, ..So8Config::default() }),
        ..running::config()
    }
}

fn run(folder: &Path, resume: bool, stop_after: usize, config: &TrainConfig) -> so8t::Result<()> {
    let (stop, files) = (AtomicBool::new(false), TrainFiles { folder: folder.to_path_buf(), resume });
    let mut network = running::base();
    let summary = train(&mut network, &running::samples(), config, 1, &files, &stop, &mut |now| {
        if now.step == stop_after {
            stop.store(true, Ordering::Relaxed);
        }
    })?;
    // 4 blocks of 64 in each of the two layers, beside the low-rank adapters.
    let low_rank = 2 * 4 * (64 + 48 + 48 + 64 + 80 + 80 + 80);
    assert_eq!(summary.trainable_parameters, low_rank + if config.so8.is_some() { 2 * 4 * 64 } else { 0 });
    Ok(())
}

#[test]
fn a_stopped_run_with_gates_goes_on_with_the_same_bits() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(whole.path(), false, 0, &with_gates()).unwrap();
    for stop_after in [3, 17] {
        run(parts.path(), true, stop_after, &with_gates()).unwrap_err();
    }
    run(parts.path(), true, 0, &with_gates()).unwrap();
    for file in [peft::TENSORS, gate_files::TENSORS, gate_files::SETTINGS] {
        let read = |folder: &Path| std::fs::read(folder.join("checkpoint").join(file)).unwrap();
        assert!(read(whole.path()) == read(parts.path()), "{file}");
    }
    let log = so8t::train::log::read(&whole.path().join("training.jsonl")).unwrap();
    assert!(log.iter().all(|line| line.penalty.is_some_and(|penalty| penalty > 0.0)));
    // λ grows ten times after half of the steps.
    let growth = log[15].penalty.unwrap() / log[14].penalty.unwrap();
    assert!(growth > 5.0 && growth < 20.0, "{growth}");

    // The gates learned something, and a run without them is another.
    let mut network = running::base();
    peft::load(&mut network, &whole.path().join("checkpoint")).unwrap();
    let gates = network.parameters().iter().filter(|parameter| parameter.name.contains("so8_gate"));
    let moved: Vec<bool> = gates.map(|gate| gate.value.iter().any(|x| x.abs() > 1e-3)).collect();
    assert_eq!(moved, [true, true]);
    let error = run(parts.path(), true, 0, &running::config()).unwrap_err();
    assert!(error.to_string().contains("another configuration"), "{error}");
}

#[test]
fn gates_that_change_nothing_leave_the_base_as_it_is() {
    let sequences = small::sequences();
    let mut network = small::network("llama", Quantization::Int8, false);
    let before = all_logits(&network, &sequences);
    for placement in [Placement::Before, Placement::After] {
        for map in [Map::Exponential, Map::Cayley] {
            let settings = GateSettings { layers: vec![0, 1], placement, map };
            network.attach_gates(settings, 1.0, |_, shape| Ok(vec![0.0; shape.iter().product()])).unwrap();
            assert_eq!(all_logits(&network, &sequences), before, "{placement:?} {map:?}");
            network.detach();
        }
    }
    attach(&mut network, &[1], Placement::After, Map::Cayley);
    assert_ne!(all_logits(&network, &sequences), before);
    network.detach();
    assert_eq!(all_logits(&network, &sequences), before);
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    let check = |text: &str, expected: &str| {
        let config: Result<TrainConfig, _> = toml::from_str(text);
        let model = small::config("llama");
        let error = match config {
            Err(error) => error.to_string(),
            Ok(config) => match config.check().and_then(|()| config.so8.unwrap().gates(&model).map(|_| ())) {
                Err(error) => error.to_string(),
                Ok(()) => panic!("`{text}` is accepted"),
            },
        };
        assert!(error.contains(expected), "{error}");
    };
    check("[so8]\nlayers = [2]", "`train.so8.layers`");
    check("[so8]\nlayers = \"some\"", "found `some`");
    check("[so8]\nlayers = [\"1-0\"]", "found `1-0`");
    check("[so8]\nlayers = [0, \"0-1\"]", "0 twice");
    check("[so8]\nlayers = []", "found `[]`");
    check("[so8]\nplacement = \"o_proj\"", "before-o_proj");
    check("[so8]\nmap = \"expm\"", "exponential");
    check("[so8]\nlearning_rate_factor = 0.0", "`train.so8.learning_rate_factor`");
    check("[so8.pet]\nweights = [-1.0]\nbounds = []", "`train.so8.pet.weights`");
    check("[so8.pet]\nbounds = [0.6, 0.2]", "`train.so8.pet.bounds`");
    check("[so8.pet]\nweights = [0.1]", "`train.so8.pet.bounds`");
    check("[so8]\nlayer = [0]", "layer");
    let config: TrainConfig = toml::from_str("[so8]\nlayers = [1, \"0-0\"]\nplacement = \"after-o_proj\"").unwrap();
    let gates = config.so8.unwrap().gates(&small::config("llama")).unwrap();
    assert_eq!(gates, GateSettings { layers: vec![0, 1], placement: Placement::After, map: Map::Exponential });
}
