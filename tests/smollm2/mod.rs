//! SmolLM2-135M-Instruct itself, where `SO8T_SMOLLM2` names its GGUF file: the log-probabilities that others computed
//! with it, and a few real training steps.

mod likelihoods;
mod steps;

use std::path::{Path, PathBuf};

use serde_json::Value;
use so8t::data::{LabelSet, Request};
use so8t::kernels::gemm::Compute;
use so8t::model::ModelFiles;
use so8t::model::network::{Network, NetworkOptions, Quantization};
use so8t::predict::Prompter;

/// The opened model, or `None`, said aloud, where there is none.
fn model(test: &str) -> Option<ModelFiles> {
    let Some(path) = std::env::var_os("SO8T_SMOLLM2").map(PathBuf::from) else {
        eprintln!("{test}: skipped, for `SO8T_SMOLLM2` is not set (examples/smollm2/fetch.sh fetches the model)");
        return None;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Some(so8t::model::open(&path.to_string_lossy(), root).unwrap())
}

/// The network of the model, for sequences of up to 256 tokens.
fn network(model: &ModelFiles, quantization: Quantization) -> Network {
    let options = NetworkOptions { quantization, compute: Compute::F32, positions: 256, ..Default::default() };
    Network::new(&model.config, &model.weights, options).unwrap()
}

/// What transformers computed; see the file's note.
fn golden() -> Value {
    serde_json::from_str(include_str!("golden.json")).unwrap()
}

/// The prompt maker of a golden case, which asks in the policy's words.
fn prompter(model: &ModelFiles, policy: &str) -> Prompter {
    let labels = LabelSet::four_decisions();
    Prompter::new(&model.tokenizer, &model.template, Some(policy), None, &labels, 256).unwrap()
}

/// The request of a golden case.
fn request(case: &Value) -> Request {
    Request { instruction: case["instruction"].as_str().unwrap().into(), input: "".into() }
}

/// A list of token ids.
fn tokens(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}
