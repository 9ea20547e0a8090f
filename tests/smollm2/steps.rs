//! Real training steps on a real model, over the int8 base.

use std::sync::atomic::AtomicBool;

use so8t::data::LabelSet;
use so8t::model::network::Quantization;
use so8t::train::{self, Progress, Sample, TrainConfig, TrainFiles};

use super::{golden, model, network, prompter, request};

#[test]
fn a_few_steps_start_at_the_base_models_loss_and_lower_it() {
    let Some(model) = model("training steps") else { return };
    let golden = golden();
    let labels = LabelSet::four_decisions();
    let sample = |case: &serde_json::Value| {
        let prompter = prompter(&model, case["policy"].as_str().unwrap());
        let mut tokens = prompter.prompt(&request(case)).unwrap();
        let completion_start = tokens.len();
        tokens.extend(prompter.completion(labels.id(case["gold"].as_str().unwrap()).unwrap()));
        Sample { tokens, completion_start, weight: 1.0 }
    };
    let samples: Vec<Sample> = golden["cases"].as_array().unwrap().iter().map(sample).collect();
    // One batch holds all samples, so that every step sees the same.
    let config: TrainConfig = serde_json::from_value(serde_json::json!({
        "rank": 8, "alpha": 16, "dropout": 0.0, "learning_rate": 2e-3, "epochs": 6, "batch": samples.len(), "accumulation": 1,
        "warmup": 0, "max_length": 256,
        "targets": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    }))
    .unwrap();

    let folder = tempfile::tempdir().unwrap();
    let files = TrainFiles { folder: folder.path().to_owned(), resume: false };
    let mut network = network(&model, Quantization::Int8);
    let mut losses = Vec::new();
    let summary =
        train::train(&mut network, &samples, &config, 1, &files, &AtomicBool::new(false), &mut |p: &Progress| {
            losses.push(p.loss);
        })
        .unwrap();

    assert_eq!(summary.steps, 6);
    let tokens: usize = samples.iter().map(|sample| sample.tokens.len()).sum();
    assert_eq!(summary.tokens, 6 * tokens as u64);
    // The adapter begins as nothing, so the first loss is the base model's; int8 moves it a little.
    let base = golden["mean_loss"].as_f64().unwrap();
    assert!(
        (summary.first_loss - base).abs() < 0.05 * base,
        "first loss {}, the base model's {base}",
        summary.first_loss
    );
    assert!(summary.final_loss < 0.5 * summary.first_loss, "losses {losses:?}");

    // What was learnt is in the adapter: read into a fresh network, it gives the trained network's predictions.
    let prompts: Vec<Vec<u32>> = samples.iter().map(|s| s.tokens[..s.completion_start].to_vec()).collect();
    let label_tokens = prompter(&model, "").labels().to_vec();
    let score = |network: &_| so8t::predict::score(network, &prompts, &[], &label_tokens, 1024, |_| Ok(())).unwrap();
    let trained = score(&network);
    let adapter = folder.path().join("adapter");
    train::peft::save(&network, &adapter, "SmolLM2-135M-Instruct", &config).unwrap();
    network.detach();
    assert_ne!(score(&network), trained);
    train::peft::load(&mut network, &adapter).unwrap();
    assert_eq!(score(&network), trained);
}
