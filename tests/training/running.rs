//! The loop: it learns, stops, goes on with the same bits, and refuses what is not finite.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use so8t::kernels::gemm::Compute;
use so8t::model::modules::Pattern;
use so8t::model::network::{Network, Quantization};
use so8t::predict::score;
use so8t::train::log::{LogLine, read};
use so8t::train::optimiser::OptimiserKind;
use so8t::train::{Progress, Recompute, Sample, TrainConfig, TrainFiles, TrainingSummary, peft, train};
use so8t::{Kind, Result};

use super::small;

/// The label follows from the prompt's last token: 40 below 10, 41 from 10 on.
pub fn samples() -> Vec<Sample> {
    let sample = |i: u32| {
        let (first, label) = (i % 20, if i % 20 < 10 { 40 } else { 41 });
        let tokens = vec![20 + i % 7, 20 + i % 5, first, label, 49];
        Sample { tokens, completion_start: 3, weight: 1.0 }
    };
    (0..60).map(sample).collect()
}

pub fn config() -> TrainConfig {
    TrainConfig {
        rank: 4,
        alpha: 8.0,
        dropout: 0.1,
        learning_rate: 3e-2,
        epochs: 5,
        batch: 5,
        accumulation: 2,
        max_length: 8,
        recompute: Recompute::All,
        checkpoint_steps: 4,
        ..TrainConfig::default()
    }
}

pub fn files(folder: &Path, resume: bool) -> TrainFiles {
    TrainFiles { folder: folder.to_path_buf(), resume }
}

pub fn base() -> Network {
    small::network("llama", Quantization::Int8, false)
}

/// Trains until `stop_after` steps are done.
pub fn run(
    network: &mut Network,
    config: &TrainConfig,
    folder: &Path,
    resume: bool,
    stop_after: usize,
) -> Result<TrainingSummary> {
    let stop = AtomicBool::new(false);
    train(network, &samples(), config, 1, &files(folder, resume), &stop, &mut |now| {
        if now.step == stop_after {
            stop.store(true, Ordering::Relaxed);
        }
    })
}

pub fn losses(folder: &Path) -> Vec<(usize, f32, f64)> {
    let line = |line: LogLine| (line.step, line.loss, line.gradient_norm);
    read(&files(folder, false).log()).unwrap().into_iter().map(line).collect()
}

#[test]
fn learns_and_reads_its_adapter_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = base();
    let config = TrainConfig { epochs: 12, ..config() };
    let summary = run(&mut network, &config, folder.path(), false, 0).unwrap();
    assert_eq!((summary.steps, summary.samples, summary.tokens), (72, 60, 12 * 60 * 5));
    // Two layers of q 32+32, k and v 32+16, o 32+32, gate and up 32+48, down 48+32, times the rank.
    assert_eq!(summary.trainable_parameters, 2 * 4 * (64 + 48 + 48 + 64 + 80 + 80 + 80));
    assert!(summary.final_loss < 0.5 * summary.first_loss, "{summary:?}");
    let log = read(&files(folder.path(), false).log()).unwrap();
    assert_eq!(log.len(), 72);
    assert!(log[0].learning_rate > 0.0 && log.iter().all(|line| line.gradient_norm > 0.0));

    let prompts: Vec<Vec<u32>> = samples().iter().map(|sample| sample.tokens[..3].to_vec()).collect();
    let labels = [vec![40], vec![41]];
    let expected = score(&network, &prompts, &[], &labels, 64, |_| Ok(())).unwrap();
    let right =
        |(prediction, sample): (&so8t::data::Prediction, &Sample)| u32::from(prediction.label) + 40 == sample.tokens[3];
    let count = expected.iter().zip(&samples()).filter(|pair| right(*pair)).count();
    assert!(count >= 58, "{count} of 60 are right");

    let mut again = base();
    again.set_compute(Compute::F32);
    assert_ne!(score(&again, &prompts, &[], &labels, 64, |_| Ok(())).unwrap(), expected);
    peft::load(&mut again, &files(folder.path(), false).checkpoint()).unwrap();
    assert_eq!(score(&again, &prompts, &[], &labels, 64, |_| Ok(())).unwrap(), expected);
    network.detach();
    again.detach();
    assert_eq!(
        score(&again, &prompts, &[], &labels, 64, |_| Ok(())).unwrap(),
        score(&network, &prompts, &[], &labels, 64, |_| Ok(())).unwrap()
    );
}

#[test]
fn a_stopped_run_goes_on_with_the_same_bits() {
    stops_and_goes_on(&config());
    // Tensors that are large enough for 8 bits, and norms that follow from what is read back.
    let eight = TrainConfig {
        rank: 64,
        dora: true,
        optimizer: OptimiserKind::AdamW8bit,
        lora_plus_ratio: 2.0,
        label_smoothing: 0.1,
        learning_rate: 1e-3,
        ..config()
    };
    stops_and_goes_on(&eight);
}

fn stops_and_goes_on(config: &TrainConfig) {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let summary = run(&mut base(), config, whole.path(), false, 0).unwrap();
    for stop_after in [3, 11] {
        let error = run(&mut base(), config, parts.path(), true, stop_after).unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted);
        assert!(error.to_string().contains(&format!("after step {stop_after} of 30")), "{error}");
        assert_eq!(losses(parts.path()).len(), stop_after);
    }
    let resumed = run(&mut base(), config, parts.path(), true, 0).unwrap();
    assert_eq!(losses(whole.path()), losses(parts.path()));
    let tensors = |folder: &Path| std::fs::read(files(folder, false).checkpoint().join(peft::TENSORS)).unwrap();
    assert_eq!(tensors(whole.path()), tensors(parts.path()));
    assert_eq!((summary.final_loss, summary.tokens), (resumed.final_loss, resumed.tokens));
    // A finished run has nothing left to do, and says the same.
    let again = run(&mut base(), config, parts.path(), true, 0).unwrap();
    assert_eq!(again, resumed);
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(&mut base(), &config(), folder.path(), false, 2).unwrap_err();
    let other = TrainConfig { learning_rate: 1e-2, ..config() };
    let error = run(&mut base(), &other, folder.path(), true, 0).unwrap_err();
    assert!(error.to_string().contains("another configuration"), "{error}");
    let path = files(folder.path(), true).state(2);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let error = run(&mut base(), &config(), folder.path(), true, 0).unwrap_err();
    assert!(error.to_string().contains("not a whole checkpoint"), "{error}");
}

#[test]
fn a_loss_that_is_not_finite_stops_and_keeps_the_last_good_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let wild = TrainConfig { learning_rate: 1e30, max_grad_norm: 0.0, warmup: 0.0, ..config() };
    let error = run(&mut base(), &wild, folder.path(), false, 0).unwrap_err();
    assert_eq!(error.kind(), Kind::Train);
    let text = error.to_string();
    assert!(text.starts_with("step 2, samples `"), "{text}");
    assert!(text.contains("not finite") || text.contains("not a finite number"), "{text}");
    assert!(error.hint().unwrap().contains("the adapter after step 0, the last whose losses were finite"), "{error:?}");
    // The adapter before the step that broke it: here the fresh one, which changes nothing.
    let mut network = base();
    peft::load(&mut network, &files(folder.path(), false).checkpoint()).unwrap();
    let pieces = network.read_pieces().unwrap();
    assert!(
        pieces.iter().filter(|piece| piece.0.ends_with("lora_B.weight")).all(|piece| piece.2.iter().all(|x| *x == 0.0))
    );
}

#[test]
fn an_infinite_weight_is_named() {
    // Finite losses until a step whose rate is beyond all numbers: the tensor itself is then infinite.
    let folder = tempfile::tempdir().unwrap();
    let wild = TrainConfig { learning_rate: 1e38, max_grad_norm: 0.0, weight_decay: 1e30, warmup: 0.0, ..config() };
    let error = run(&mut base(), &wild, folder.path(), false, 0).unwrap_err().to_string();
    assert!(error.contains("tensor `") && error.contains("lora_A` holds a number that is not finite"), "{error}");
}

#[test]
fn a_pass_takes_whole_samples_up_to_its_bound_in_tokens() {
    let lengths = |samples: &[Sample]| samples.iter().map(|sample| sample.tokens.len() as u64).sum::<u64>();
    let mut all = samples();
    all[7].tokens = vec![21, 22, 3, 40, 23, 24, 25, 49];
    let config = TrainConfig { batch_tokens: 12, accumulation: 1, epochs: 2, batch: 1, ..config() };
    let folder = tempfile::tempdir().unwrap();
    let mut every = Vec::new();
    let stop = AtomicBool::new(false);
    let summary = train(&mut base(), &all, &config, 1, &files(folder.path(), false), &stop, &mut |now: &Progress| {
        every.push((now.epoch, now.steps));
    })
    .unwrap();
    let log = read(&files(folder.path(), false).log()).unwrap();
    let seen: Vec<u64> = std::iter::once(0).chain(log.iter().map(|line| line.tokens)).collect();
    assert!(seen.windows(2).all(|pair| pair[1] - pair[0] <= 12 && pair[1] > pair[0]), "{seen:?}");
    assert_eq!(summary.tokens, 2 * lengths(&all));
    assert_eq!(every.last(), Some(&(2.0, summary.steps)));
    // Two samples of five tokens fit, three do not: about half as many steps as samples.
    assert!((58..=66).contains(&summary.steps), "{summary:?}");
    // A bound below every sample's length: each goes alone.
    let config = TrainConfig { batch_tokens: 1, ..config };
    let folder = tempfile::tempdir().unwrap();
    let summary = train(&mut base(), &all, &config, 1, &files(folder.path(), false), &stop, &mut |_| ()).unwrap();
    assert_eq!(summary.steps, 120);
}

#[test]
fn accumulation_is_one_large_batch() {
    let run = |batch, accumulation| {
        let folder = tempfile::tempdir().unwrap();
        let config = TrainConfig { batch, accumulation, dropout: 0.0, epochs: 1, ..config() };
        super::running::run(&mut base(), &config, folder.path(), false, 0).unwrap();
        losses(folder.path())
    };
    for (one, many) in run(12, 1).iter().zip(run(3, 4)) {
        assert!((one.1 - many.1).abs() < 1e-4 && (one.2 - many.2).abs() < 1e-3 * one.2, "{one:?} {many:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let check = |change: &dyn Fn(&mut TrainConfig), samples: &[Sample], expected: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config();
        change(&mut config);
        let stop = AtomicBool::new(false);
        let error =
            train(&mut base(), samples, &config, 1, &files(folder.path(), false), &stop, &mut |_| ()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let good = samples();
    check(&|c| c.rank = 0, &good, "`train.rank`");
    check(&|c| c.dropout = 1.0, &good, "`train.dropout`");
    check(&|c| c.learning_rate = f64::NAN, &good, "`train.learning_rate`");
    check(&|c| c.targets = vec!["qkv_proj".to_string()], &good, "`qkv_proj` matches no module");
    check(&|c| c.keep_checkpoints = 0, &good, "`train.keep_checkpoints`");
    check(&|c| c.recompute = Recompute::Auto, &good, "`train.memory_mb`");
    check(&|c| c.targets = vec!["re:(".to_string()], &good, "no regular expression");
    check(&|c| c.exclude_modules = vec!["qkv_proj".to_string()], &good, "excluded module `qkv_proj` matches no module");
    check(&|c| c.layers_to_transform = Some(vec![0, 2]), &good, "expected layers from 0 to 1, found `2`");
    check(&|c| c.rank_pattern = Pattern(vec![("gate".to_string(), 2)]), &good, "`rank_pattern`: key `gate` matches no");
    check(&|c| c.alpha_pattern = Pattern(vec![("o_proj".to_string(), 0.0)]), &good, "`train.alpha_pattern.o_proj`");
    check(&|c| c.lora_plus_ratio = 0.0, &good, "`train.lora_plus_ratio`");
    check(&|c| c.label_smoothing = 1.0, &good, "`train.label_smoothing`");
    check(&|_| (), &[], "nothing to train on");
    check(&|_| (), &[Sample { tokens: vec![1, 2], completion_start: 2, weight: 1.0 }], "sample 0");
    check(&|_| (), &[Sample { tokens: vec![1; 9], completion_start: 2, weight: 1.0 }], "at most 8");
    check(&|_| (), &[Sample { tokens: vec![1, 60], completion_start: 1, weight: 1.0 }], "`60`");
    assert!(toml::from_str::<TrainConfig>("rank = 8\nranc = 9").unwrap_err().to_string().contains("ranc"));
    let read: TrainConfig = toml::from_str("rank = 8\ncompute = \"bf16\"\nschedule = \"linear\"").unwrap();
    assert_eq!((read.rank, read.compute), (8, Compute::Bf16));
    for (text, expected) in [("true", Recompute::All), ("false", Recompute::None), ("\"auto\"", Recompute::Auto)] {
        assert_eq!(toml::from_str::<TrainConfig>(&format!("recompute = {text}")).unwrap().recompute, expected);
    }
    let wrong = toml::from_str::<TrainConfig>("recompute = \"some\"").unwrap_err().to_string();
    assert!(wrong.contains("expected `true`, `false` or `\"auto\"`"), "{wrong}");
    let read: TrainConfig = toml::from_str(
        "targets = '.*layers\\.0\\..*'\nuse_rslora = true\ndora = true\noptimizer = \"adamw8bit\"\n\
         class_weights = { DENY = 2 }\n[rank_pattern]\no_proj = 3\ndown_proj = 2\n[alpha_pattern]\n\"layers.0.mlp\" = 1.5",
    )
    .unwrap();
    assert_eq!(read.targets, ["re:.*layers\\.0\\..*"]);
    assert!(read.rank_stabilised && read.dora && read.optimizer == OptimiserKind::AdamW8bit);
    assert_eq!(read.rank_pattern, Pattern(vec![("o_proj".to_string(), 3), ("down_proj".to_string(), 2)]));
    let labels = ["ALLOW", "DENY"].map(String::from);
    assert_eq!(read.weights_of(&labels).unwrap(), [1.0, 2.0]);
    let error = read.weights_of(&labels[..1]).unwrap_err().to_string();
    assert_eq!(error, "`train.class_weights`: expected labels among `ALLOW`, found `DENY`");
}
