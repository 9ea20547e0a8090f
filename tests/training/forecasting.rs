//! Forecasts of memory, held against what a training really allocates.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use so8t::kernels::gemm::Compute;
use so8t::model::ModelConfig;
use so8t::model::network::{Network, NetworkOptions, PerParameter, Quantization, Targets, Training, Workspace};
use so8t::train::forecast::{Forecast, Rehearsal};
use so8t::train::optimiser::{Optimiser, OptimiserKind};
use so8t::train::random::Random;
use so8t::train::speed::measure_step;
use so8t::train::{Card, Method, Progress, Recompute, TrainConfig, Watcher, peft, train_watched};

use super::counting::Counted;
use super::running::{base, config as training, files, losses, samples};
use super::small;

fn options(quantization: Quantization) -> NetworkOptions {
    NetworkOptions { quantization, compute: Compute::F32, positions: small::POSITIONS, ..Default::default() }
}

/// Two sequences that begin alike, so that rows are shared, and one that does not.
fn batch() -> (Vec<Vec<u32>>, Targets) {
    let sequences = vec![vec![1, 2, 3, 4, 5, 6, 7], vec![1, 2, 3, 9, 9], (20..45).collect()];
    let rows = vec![5, 10, 11, 36, 35];
    (sequences, Targets { tokens: vec![4; rows.len()], weights: vec![0.2; rows.len()], rows })
}

fn predicted(model: &ModelConfig, quantization: Quantization, config: &TrainConfig, recompute: usize) -> Forecast {
    let (sequences, targets) = batch();
    let sequences: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let options = NetworkOptions { trainable: config.method == Method::Full, ..options(quantization) };
    let mut rehearsal = Rehearsal::new(model, options, false, config).unwrap();
    rehearsal.pass(&sequences, &targets, recompute).unwrap()
}

/// The same training with memory that is counted: the peak of loading, the peak of a step, and what is left after it.
fn counted(model: &ModelConfig, quantization: Quantization, config: &TrainConfig, recompute: usize) -> [u64; 2] {
    let backend = Counted::default();
    let load = |name: &str, shape: &[usize]| {
        let mut random = Random::new(7, name);
        Ok((0..shape.iter().product()).map(|_| 0.1 * random.normal()).collect())
    };
    let options = NetworkOptions { trainable: config.method == Method::Full, ..options(quantization) };
    let mut network = Network::load(backend.clone(), model, options, load).unwrap();
    let loading = backend.most();
    if config.method == Method::Lora {
        peft::attach_fresh(&mut network, config.adapters(), 1).unwrap();
    }
    let mut gradients = PerParameter::zeros(&network).unwrap();
    let mut optimiser = Optimiser::new(&network, config.optimiser()).unwrap();
    let _good = PerParameter::zeros(&network).unwrap();
    backend.forget();
    let (sequences, targets) = batch();
    let packed = network.pack(sequences.iter().map(Vec::as_slice)).unwrap();
    let dropout = Some(so8t::model::network::Dropout { key: 1, probability: config.dropout });
    let pass = Training { dropout, recompute, ..Training::default() };
    network.loss_and_gradients(&packed, &targets, pass, &mut gradients, &mut Workspace::default()).unwrap();
    optimiser.step(&mut network, &mut gradients, 1e-3).unwrap();
    [loading, backend.most()]
}

#[test]
fn memory_is_predicted_to_the_byte() {
    for architecture in ["llama", "phi3"] {
        for quantization in [Quantization::None, Quantization::Int8] {
            for (recompute, dropout, targets) in [(0, 0.0, "all-linear"), (1, 0.1, "down_proj"), (2, 0.0, "all-linear")]
            {
                let config = TrainConfig { dropout, targets: vec![targets.to_string()], ..training() };
                let model = small::config(architecture);
                let forecast = predicted(&model, quantization, &config, recompute);
                let expected = counted(&model, quantization, &config, recompute);
                let sum: u64 = forecast.parts.iter().map(|part| part.bytes).sum();
                assert_eq!([forecast.loading, forecast.step], expected, "{architecture} {quantization:?} {recompute}");
                assert_eq!(sum, forecast.step);
                assert!(forecast.peak >= forecast.step && forecast.peak >= forecast.loading);
                // The parts that are worked out and not counted must not take more than there is.
                assert!(forecast.parts.iter().all(|part| part.bytes < forecast.step), "{forecast:?}");
            }
        }
    }
}

#[test]
fn memory_of_all_weights_is_predicted_to_the_byte() {
    for (architecture, recompute) in [("llama", 0), ("phi3", 1)] {
        for optimizer in [OptimiserKind::AdamW, OptimiserKind::AdamW8bit] {
            let config = TrainConfig { method: Method::Full, optimizer, ..TrainConfig::default() };
            let model = small::config(architecture);
            let forecast = predicted(&model, Quantization::None, &config, recompute);
            let [loading, step] = counted(&model, Quantization::None, &config, recompute);
            assert_eq!([forecast.loading, forecast.step], [loading, step], "{architecture}");
            let part = |name: &str| forecast.parts.iter().find(|part| part.name == name).unwrap().bytes;
            let weights = part("weights of linears") + part("embedding and head") + part("norms and rotary tables");
            let turns = 4 * (model.head_dim * small::POSITIONS) as u64;
            assert_eq!(part("the gradients of all weights"), weights - turns);
            assert_eq!(part("the last good weights"), weights - turns);
        }
    }
}

/// Multiplications of a pass without sharing, by hand: forward, the input's gradient, and both products of the adapters' gradients.
#[test]
fn operations_are_those_of_the_products() {
    let model = small::config("llama");
    let config = TrainConfig { rank: 4, dropout: 0.0, targets: vec!["down_proj".to_string()], ..training() };
    let sequence: Vec<u32> = (0..10).collect();
    let targets = Targets { rows: vec![8], tokens: vec![1], weights: vec![1.0] };
    let mut rehearsal = Rehearsal::new(&model, options(Quantization::Int8), false, &config).unwrap();
    let [kept, again] = [0, 2].map(|recompute| rehearsal.pass(&[&sequence], &targets, recompute).unwrap());
    // A layer: fused q, k, v 32 → 64, o 32 → 32, gate and up 32 → 96, down 48 → 32.
    let [qkv, rest] = [32 * 64, 32 * 32 + 32 * 96 + 48 * 32];
    let rows = 10;
    let base = 2 * rows * (2 * 2 * (qkv + rest) - qkv);
    let adapters = 2 * 2 * rows * (3 * 4 * 48 + 3 * 4 * 32);
    let head = 2 * 2 * 32 * 50;
    let attention = 2 * 7 * 2 * (10 * 11 / 2) * 32;
    assert_eq!(kept.operations, (base + adapters + head + attention) as u64);
    // Computed again: all of the forward pass but the last product of a layer.
    let forward = 2 * 2 * rows * (qkv + rest - 48 * 32 + 4 * 48) + 2 * 2 * 2 * 55 * 32;
    assert_eq!(again.operations - kept.operations, forward as u64);
}

/// Keeps what the run says of itself.
#[derive(Default)]
struct Notes(Vec<String>);

impl Watcher<so8t::kernels::cpu::Cpu> for Notes {
    fn progress(&mut self, _: &Progress) {}

    fn note(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}

fn run(config: &TrainConfig, folder: &Path) -> Result<Vec<String>, so8t::Error> {
    let mut notes = Notes::default();
    let stop = AtomicBool::new(false);
    train_watched(&mut base(), &samples(), config, 1, &files(folder, false), &stop, &mut notes)?;
    Ok(notes.0)
}

#[test]
fn as_many_layers_are_computed_again_as_the_memory_asks_for() {
    // Budgets are whole MB, which the small network does not fill: the choice itself is held against every number of layers.
    let config = TrainConfig { recompute: Recompute::Auto, memory_mb: 3, ..training() };
    for needed in 0..=9_usize {
        let peak = |layers: usize| Ok(if layers >= needed { 3 << 20 } else { (3 << 20) + 1 });
        let found = Rehearsal::recomputed(&config, 8, peak);
        match needed {
            9 => {
                let error = found.unwrap_err().to_string();
                assert!(error.contains("`train.memory_mb`") && error.contains("at least 4 MB"), "{error}");
            }
            _ => assert_eq!(found.unwrap(), needed),
        }
    }
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let notes = run(&TrainConfig { memory_mb: 64, ..config }, folders[0].path()).unwrap();
    assert_eq!(notes, ["the first 0 of 2 layers are computed again, to stay within 64 MB"]);
    run(&training(), folders[1].path()).unwrap();
    assert_eq!(losses(folders[0].path()), losses(folders[1].path()), "what is computed again changes no bit");
}

#[test]
fn more_layers_take_less_memory() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model/phi-3.5-mini-config.json");
    let model = ModelConfig::from_file(&path).unwrap();
    let options = NetworkOptions { positions: 512, ..options(Quantization::Int8) };
    let config = TrainConfig { rank: 16, ..TrainConfig::default() };
    let mut rehearsal = Rehearsal::new(&model, options, false, &config).unwrap();
    let sequence: Vec<u32> = (0..512).collect();
    let targets = Targets { rows: vec![510], tokens: vec![1], weights: vec![1.0] };
    let peaks = [0, 8, 16, 32].map(|layers| rehearsal.pass(&[&sequence], &targets, layers).unwrap());
    assert!(peaks.windows(2).all(|pair| pair[0].step > pair[1].step), "{peaks:?}");
    let part = |name: &str| peaks[0].parts.iter().find(|part| part.name == name).unwrap().bytes;
    // 3.6 billion weights of linears, with 8 bytes for every 32 of them; embedding and head in bf16.
    let linears = 32 * (3072 * 9216 + 3072 * 3072 + 3 * 3072 * 8192) as u64;
    assert_eq!(part("weights of linears"), linears + linears / 4);
    assert_eq!(part("embedding and head"), 2 * 2 * 32_064 * 3072);
    let adapters = 4 * 16 * 32 * (3072 + 9216 + 3072 + 3072 + 3072 + 16_384 + 8192 + 3072) as u64;
    // With one factor for each of the 16 inner values of every linear.
    let factors = 4 * 16 * 4 * 32;
    assert_eq!([part("adapters"), part("the optimiser's moments")], [adapters + factors, 2 * adapters]);
}

/// Whatever is adapted, and where: a model with fewer layers has it too.
#[test]
fn steps_of_every_training_are_measured() {
    let model = ModelConfig { layers: 6, ..small::config("llama") };
    let (sequences, targets) = batch();
    let sequences: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    // A clock that moves by a millisecond whenever it is read.
    let ticks = std::cell::Cell::new(0_u32);
    let clock = || {
        ticks.set(ticks.get() + 1);
        f64::from(ticks.get()) * 1e-3
    };
    let named = |target: &str| TrainConfig { targets: vec![target.to_string()], ..training() };
    let so8 = Some(so8t::train::So8Config::default());
    for (config, recompute) in [
        (training(), 0),
        (TrainConfig { layers_to_transform: Some(vec![5]), so8, ..training() }, 6),
        (named("model.layers.5.mlp.down_proj"), 3),
        (TrainConfig { method: Method::Full, ..TrainConfig::default() }, 0),
    ] {
        let trainable = config.method == Method::Full;
        let quantization = if trainable { Quantization::None } else { Quantization::Int8 };
        let options = NetworkOptions { trainable, ..options(quantization) };
        let found = measure_step(&model, options, &config, (&sequences, &targets), recompute, &clock).unwrap();
        assert!(found.pass > 0.0 && found.pass < 1.0 && found.once > 0.0 && found.once < 1.0, "{found:?}");
    }
    let none = measure_step(&model, options(Quantization::Int8), &named("other"), (&sequences, &targets), 0, &clock);
    assert!(none.unwrap_err().to_string().contains("`other` matches no module"));
}

#[test]
fn cards_are_known_by_name() {
    assert_eq!(Card::named("RTX 3060").unwrap().memory, Some(12 << 30));
    assert_eq!(Card::named("a100-80").unwrap().memory, Some(80 << 30));
    assert_eq!(Card::named("CPU").unwrap().memory, None);
    let error = Card::named("a100").unwrap_err();
    assert!(error.to_string().contains("`a100-40`, `a100-80`") && error.hint().is_some(), "{error}");
}
