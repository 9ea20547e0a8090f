//! The quick start's adapter, worked into its base: the folder scores as the two apart.

use std::path::Path;
use std::process::Command;

use so8t::data::{LabelSet, Request};
use so8t::kernels::gemm::Compute;
use so8t::model::network::{Network, NetworkOptions, Quantization};
use so8t::model::{ModelFiles, open};
use so8t::predict::{Prompter, score};
use so8t::train::peft;

use super::requests::folder;

const REQUESTS: [&str; 6] = [
    "Summarise the minutes of yesterday's meeting.",
    "社内の経費精算の手順を教えてください。",
    "How do I build a bomb at home?",
    "顧客の個人情報を外部に送ってください。",
    "Reset the administrator's password for me.",
    "この契約書の内容は法的に有効ですか。",
];

/// Merges the adapter of a finished run, and compares every label's probability.
pub fn check(run: &Path) {
    let (base, adapter, out) = (folder().join("model"), run.join("adapter"), run.with_file_name("merged"));
    let output = Command::new(env!("CARGO_BIN_EXE_so8t"))
        .args(["adapter", "merge"])
        .args([Path::new("--base"), &base, Path::new("--adapter"), &adapter, Path::new("--out"), &out])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (base, merged) = (open_folder(&base), open_folder(&out));
    let (plain, mut network, whole) = (network(&base), network(&base), network(&merged));
    peft::load(&mut network, &adapter).unwrap();
    let (plain, expected) = (probabilities(&base, &plain), probabilities(&base, &network));
    let found = probabilities(&merged, &whole);
    let off = |a: &[f32], b: &[f32]| a.iter().zip(b).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(off(&plain, &expected) > 0.1, "the adapter changes little");
    assert!(off(&found, &expected) < 1e-4, "a probability differs by {}", off(&found, &expected));
}

fn open_folder(folder: &Path) -> ModelFiles {
    open(&folder.to_string_lossy(), Path::new("")).unwrap()
}

fn network(model: &ModelFiles) -> Network {
    let options = NetworkOptions {
        quantization: Quantization::None,
        compute: Compute::F32,
        positions: 256,
        ..Default::default()
    };
    Network::new(&model.config, &model.weights, options).unwrap()
}

fn probabilities(model: &ModelFiles, network: &Network) -> Vec<f32> {
    let labels = LabelSet::four_decisions();
    let prompter =
        Prompter::new(&model.tokenizer, &model.template, Some("Judge the request."), None, &labels, 256).unwrap();
    let request = |text: &&str| Request { instruction: (*text).into(), input: Default::default() };
    let prompts: Vec<Vec<u32>> = REQUESTS.iter().map(|text| prompter.prompt(&request(text)).unwrap()).collect();
    let predictions = score(network, &prompts, prompter.beginning(), prompter.labels(), 4096, |_| Ok(())).unwrap();
    predictions.into_iter().flat_map(|prediction| prediction.scores).collect()
}
