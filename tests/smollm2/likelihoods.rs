//! Prompts, label likelihoods and next tokens against transformers and a plain forward pass by others.

use serde_json::Value;
use so8t::data::LabelSet;
use so8t::model::network::Network;
use so8t::model::network::{Quantization, Targets, Workspace};
use so8t::predict;

use super::{golden, model, network, prompter, request, tokens};

/// The log-probability of each token of `answer` behind `prompt`.
fn log_probabilities(network: &Network, prompt: &[u32], answer: &[u32]) -> Vec<f64> {
    let sequence = [prompt, answer].concat();
    let batch = network.pack([sequence.as_slice()]).unwrap();
    let first = prompt.len() as u32 - 1;
    let targets = Targets {
        rows: (first..first + answer.len() as u32).collect(),
        tokens: answer.to_vec(),
        weights: vec![1.0; answer.len()],
    };
    let losses = network.losses(&batch, &targets, &mut Workspace::default()).unwrap();
    losses.into_iter().map(|loss| -f64::from(loss)).collect()
}

#[test]
fn prompts_are_those_of_the_chat_template() {
    let Some(model) = model("prompts") else { return };
    let golden = golden();
    let labels = LabelSet::four_decisions();
    for case in golden["cases"].as_array().unwrap() {
        let prompter = prompter(&model, case["policy"].as_str().unwrap());
        assert_eq!(prompter.prompt(&request(case)).unwrap(), tokens(&case["tokens"]), "{}", case["instruction"]);
        for (id, name) in labels.names.iter().enumerate() {
            assert_eq!(prompter.label_tokens(id as u8), tokens(&golden["label_tokens"][name]), "{name}");
        }
        let gold = labels.id(case["gold"].as_str().unwrap()).unwrap();
        assert_eq!(prompter.completion(gold), tokens(&case["completion"]));
    }
}

#[test]
fn likelihoods_agree_with_transformers() {
    let Some(model) = model("likelihoods") else { return };
    let (exact, quantised) = (network(&model, Quantization::None), network(&model, Quantization::Int8));
    let mut largest = [0.0_f64; 2];
    for case in golden()["cases"].as_array().unwrap() {
        let (prompt, completion) = (tokens(&case["tokens"]), tokens(&case["completion"]));
        let expected: Vec<f64> = serde_json::from_value(case["losses"].clone()).unwrap();
        for (largest, network) in largest.iter_mut().zip([&exact, &quantised]) {
            let found = log_probabilities(network, &prompt, &completion);
            assert_eq!(found.len(), expected.len());
            let differences = found.iter().zip(&expected).map(|(found, loss)| (found + loss).abs());
            *largest = differences.fold(*largest, f64::max);
        }
    }
    assert!(largest[0] < 1e-3, "in f32 the largest difference is {}", largest[0]);
    assert!(largest[1] < 0.5, "in int8 the largest difference is {}", largest[1]);
}

#[test]
fn scores_are_the_softmax_where_the_labels_part() {
    let Some(model) = model("scores") else { return };
    let network = network(&model, Quantization::None);
    let golden = golden();
    let cases: Vec<&Value> = golden["cases"].as_array().unwrap().iter().collect();
    let prompts: Vec<Vec<u32>> = cases.iter().map(|case| tokens(&case["tokens"])).collect();
    let labels = LabelSet::four_decisions();
    let label_tokens: Vec<Vec<u32>> = labels.names.iter().map(|name| tokens(&golden["label_tokens"][name])).collect();
    // Small batches, so that the order in which prompts are run is not the order in which they are given.
    let predictions = predict::score(&network, &prompts, &[], &label_tokens, 128, |_| Ok(())).unwrap();
    for (case, prediction) in cases.iter().zip(&predictions) {
        let likelihood = |name: &String| case["log_probabilities"][name][0].as_f64().unwrap();
        let total: f64 = labels.names.iter().map(|name| likelihood(name).exp()).sum();
        for (name, &score) in labels.names.iter().zip(&prediction.scores) {
            let expected = likelihood(name).exp() / total;
            assert!((f64::from(score) - expected).abs() < 1e-3, "{name}: {score}, expected {expected}");
        }
        let best = labels.names.iter().max_by(|a, b| likelihood(a).total_cmp(&likelihood(b))).unwrap();
        assert_eq!(labels.name(prediction.label), best, "{}", case["instruction"]);
    }
}

#[test]
fn next_tokens_agree_with_the_shared_golden_values() {
    let folder = std::env::var("SO8T_SHARED").unwrap_or_else(|_| "../shared".to_owned());
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("smollm2-golden.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("next tokens: skipped, for `{}` is not there", path.display());
        return;
    };
    let Some(model) = model("next tokens") else { return };
    let network = network(&model, Quantization::None);
    let golden: Value = serde_json::from_str(&text).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let ids = tokens(&case["ids"]);
        assert_eq!(model.tokenizer.encode(text).unwrap(), ids, "{text}");
        let sum: f64 = log_probabilities(&network, &ids[..1], &ids[1..]).iter().sum();
        let expected = case["sum_logprob"].as_f64().unwrap();
        assert!((sum - expected).abs() < 2e-3, "{text}: sum {sum}, expected {expected}");
        for next in case["top5"].as_array().unwrap() {
            let token = next[0].as_u64().unwrap() as u32;
            let (found, expected) = (log_probabilities(&network, &ids, &[token])[0], next[2].as_f64().unwrap());
            assert!((found - expected).abs() < 1e-3, "{text}, token {token}: {found}, expected {expected}");
        }
    }
}
