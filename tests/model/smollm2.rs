//! SmolLM2-135M-Instruct, a real model: tokens, template and log-probabilities against stored values.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use so8t::data::LabelSet;
use so8t::model::modules::parameter_count;
use so8t::model::open;
use so8t::predict::Prompter;

use super::reference;
use super::shared::{shared, smollm2};

fn golden() -> Option<Vec<Value>> {
    let text = std::fs::read_to_string(shared("smollm2-golden.json")?).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    Some(value["cases"].as_array().unwrap().clone())
}

#[test]
fn opens_quickly_and_tokenises() {
    let (Some(path), Some(cases)) = (smollm2(), golden()) else { return };
    let start = Instant::now();
    let model = open(path.to_str().unwrap(), Path::new("")).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("opened in {seconds:.2} s");
    assert!(seconds < 3.0, "opening took {seconds} s");
    assert!(!cases.is_empty());
    for case in cases {
        let expected: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        let text = case["text"].as_str().unwrap();
        assert_eq!(model.tokenizer.encode(text).unwrap(), expected, "{text:?}");
        assert_eq!(model.tokenizer.decode(&expected).unwrap(), text);
    }
    let prompter =
        Prompter::new(&model.tokenizer, &model.template, Some("Judge."), None, &LabelSet::four_decisions(), 512)
            .unwrap();
    let request = so8t::data::Request { instruction: "Hello".into(), input: "".into() };
    let prompt = prompter.prompt(&request).unwrap();
    let text = "<|im_start|>system\nJudge.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(prompt, model.tokenizer.encode(text).unwrap());
    assert_eq!(prompter.completion(0).last(), Some(&2));
}

#[test]
fn every_tensor_loads() {
    let Some(path) = smollm2() else { return };
    let model = open(path.to_str().unwrap(), Path::new("")).unwrap();
    let start = Instant::now();
    let count: usize = model.weights.names().map(|name| model.weights.load_f32(name).unwrap().1.len()).sum();
    eprintln!("dequantised in {:.2} s", start.elapsed().as_secs_f64());
    assert_eq!(count as u64, parameter_count(&model.config));
    assert_eq!(count, 134_515_008);
}

#[test]
fn plain_forward_gives_the_stored_log_probabilities() {
    let (Some(path), Some(cases)) = (smollm2(), golden()) else { return };
    let model = open(path.to_str().unwrap(), Path::new("")).unwrap();
    for case in cases.iter().take(3) {
        let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        let logits = reference::logits(&model.config, &model.weights, &ids);
        let log_probabilities: Vec<Vec<f64>> = logits
            .chunks(model.config.vocab_size)
            .map(|row| {
                let total = row.iter().map(|&v| f64::from(v).exp()).sum::<f64>().ln();
                row.iter().map(|&v| f64::from(v) - total).collect()
            })
            .collect();
        let last = &log_probabilities[ids.len() - 1];
        for entry in case["top5"].as_array().unwrap() {
            let (id, expected) = (entry[0].as_u64().unwrap() as usize, entry[2].as_f64().unwrap());
            assert!((last[id] - expected).abs() < 2e-3, "{}: id {id}: {} for {expected}", case["text"], last[id]);
        }
        let sum: f64 = ids[1..].iter().zip(&log_probabilities).map(|(&id, row)| row[id as usize]).sum();
        let expected = case["sum_logprob"].as_f64().unwrap();
        assert!((sum - expected).abs() < 5e-3, "{}: sum {sum} for {expected}", case["text"]);
    }
}
