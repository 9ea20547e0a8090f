//! Label scores against brute force, and their independence of batches.

use so8t::model::network::{Quantization, Workspace};
use so8t::predict::{Branches, score};
use so8t::train::random::Random;

use super::small;

fn prompts() -> Vec<Vec<u32>> {
    let mut random = Random::new(4, "prompts");
    (0..17).map(|i| (0..3 + (i * 7) % 11).map(|_| random.below(50) as u32).collect()).collect()
}

/// The label after each prompt by the definition: every branch of the tree by its own pass over the whole vocabulary.
fn brute_force(prompt: &[u32], labels: &[Vec<u32>]) -> Vec<f32> {
    let network = small::network("llama", Quantization::None, false);
    let mut out = vec![1.0f64; labels.len()];
    for (i, label) in labels.iter().enumerate() {
        for depth in 0..label.len() {
            let rivals: std::collections::BTreeSet<u32> =
                labels.iter().filter(|l| l.starts_with(&label[..depth])).map(|l| l[depth]).collect();
            if !labels.iter().any(|l| l != label && l.starts_with(&label[..depth])) {
                break;
            }
            let sequence = [prompt, &label[..depth]].concat();
            let batch = network.pack([sequence.as_slice()]).unwrap();
            let row = [sequence.len() as u32 - 1];
            let logits = network.logits(&batch, &row, None, &mut Workspace::default()).unwrap();
            let total: f64 = rivals.iter().map(|&t| f64::from(logits[t as usize]).exp()).sum();
            out[i] *= f64::from(logits[label[depth] as usize]).exp() / total;
        }
    }
    out.into_iter().map(|x| x as f32).collect()
}

fn check(labels: &[Vec<u32>]) {
    let network = small::network("llama", Quantization::None, false);
    let prompts = prompts();
    let small_batches = score(&network, &prompts, &[], labels, 1, |_| Ok(())).unwrap();
    let mut calls = Vec::new();
    let large_batches = score(&network, &prompts, &[], labels, 4096, |done| {
        calls.push(done);
        Ok(())
    })
    .unwrap();
    assert_eq!(calls, [17]);
    assert_eq!(small_batches, large_batches);
    for (prompt, prediction) in prompts.iter().zip(&large_batches) {
        let expected = brute_force(prompt, labels);
        for (found, expected) in prediction.scores.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{:?}: expected {expected:?}", prediction.scores);
        }
        assert!((prediction.scores.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let best = prediction.scores.iter().copied().fold(0.0, f32::max);
        assert_eq!(prediction.scores[usize::from(prediction.label)], best);
    }
}

/// What is kept of a beginning goes with the weights that it was computed from.
#[test]
fn a_known_beginning_is_forgotten_with_what_it_came_from() {
    let mut network = small::network("llama", Quantization::Int8, false);
    let labels = [vec![1], vec![2, 3], vec![2, 4]];
    let beginning = [7, 8, 9, 10];
    let prompts: Vec<Vec<u32>> = prompts().iter().map(|prompt| [&beginning[..], prompt].concat()).collect();
    let mut seen = Vec::new();
    let mut check = |network: &so8t::model::network::Network| {
        for batch_tokens in [1, 64, 4096] {
            let known = score(network, &prompts, &beginning, &labels, batch_tokens, |_| Ok(())).unwrap();
            assert_eq!(known, score(network, &prompts, &[], &labels, batch_tokens, |_| Ok(())).unwrap());
            // A prompt that is the beginning and no more, and one that begins otherwise.
            let short = [beginning.to_vec(), vec![7, 8, 3], vec![5]];
            let known = score(network, &short, &beginning, &labels, batch_tokens, |_| Ok(())).unwrap();
            assert_eq!(known, score(network, &short, &[], &labels, batch_tokens, |_| Ok(())).unwrap());
            seen.push(known);
        }
    };
    check(&network);
    small::adapt(&mut network, &["q_proj", "down_proj"]);
    check(&network);
    let len = network.parameters()[0].len();
    network.update(0, |backend, values| so8t::kernels::backend::Backend::scale(backend, values, len, 3.0)).unwrap();
    check(&network);
    network.detach();
    check(&network);
    network.set_compute(so8t::kernels::gemm::Compute::Bf16);
    check(&network);
    assert!(
        seen[0] == seen[1] && seen[0] != seen[3] && seen[3] != seen[6] && seen[0] == seen[9] && seen[9] != seen[12]
    );
}

#[test]
fn labels_with_distinct_first_tokens() {
    let labels = [vec![4, 9], vec![7], vec![30, 2, 2], vec![12, 4]];
    check(&labels);
    assert_eq!(Branches::new(&labels).unwrap().runs, [Vec::<u32>::new()]);
}

#[test]
fn labels_that_share_tokens() {
    check(&[vec![4, 9, 1], vec![4, 9, 2], vec![4, 8], vec![11]]);
    check(&[vec![4, 9, 1], vec![4, 7, 2], vec![4, 8], vec![4, 12, 3]]);
    check(&[vec![4, 9], vec![4, 10], vec![5, 9], vec![5, 10]]);
    assert_eq!(Branches::new(&[vec![4, 9], vec![4, 10], vec![5, 9], vec![5, 10]]).unwrap().runs.len(), 2);
}

#[test]
fn labels_that_cannot_be_told_apart_are_refused() {
    for labels in [vec![vec![4, 9], vec![4]], vec![vec![4, 9], vec![4, 9]], vec![vec![1], vec![]], vec![]] {
        let error = Branches::new(&labels).unwrap_err().to_string();
        assert!(error.contains("label"), "{error}");
    }
}

#[test]
fn prompts_that_do_not_fit_are_refused() {
    let network = small::network("llama", Quantization::None, false);
    let labels = [vec![1], vec![2]];
    for prompt in [vec![], vec![1; small::POSITIONS + 1], vec![50]] {
        assert!(score(&network, &[prompt], &[], &labels, 64, |_| Ok(())).is_err());
    }
}
