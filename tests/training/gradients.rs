//! Every trainable tensor's gradient against finite differences.

use so8t::model::network::{Dropout, Network, PerParameter, Quantization, Targets, Training, Workspace};
use so8t::train::random::Random;

use super::small;

pub(super) fn weighted_loss(network: &Network, training: Training) -> (f64, PerParameter<so8t::kernels::cpu::Cpu>) {
    let sequences = small::sequences();
    let batch = network.pack(sequences.iter().map(Vec::as_slice)).unwrap();
    let mut gradients = PerParameter::zeros(network).unwrap();
    let targets = small::targets();
    let losses =
        network.loss_and_gradients(&batch, &targets, training, &mut gradients, &mut Workspace::default()).unwrap();
    gradients.clear_idle(network).unwrap();
    let loss = losses.iter().zip(&targets.weights).map(|(loss, weight)| f64::from(loss * weight)).sum();
    (loss, gradients)
}

/// Moves a tensor along a random direction, and along its own gradient: the loss must change by the product of step
/// and gradient. Directions of all elements at once keep the difference far above the rounding of f32.
pub(super) fn check(network: &mut Network, training: Training) {
    check_stepping(network, training, 2e-3);
}

/// As [`check`], by steps of a length of one's own: the larger they are, the less the rounding of the loss counts.
pub(crate) fn check_stepping(network: &mut Network, training: Training, length_of_step: f64) {
    let (_, gradients) = weighted_loss(network, training);
    assert!(!network.parameters().is_empty());
    for index in 0..network.parameters().len() {
        let name = network.parameters()[index].name.clone();
        let len = network.parameters()[index].len();
        let width = network.parameters()[index].columns;
        let gradient = gradients.buffers[index][..len].to_vec();
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        assert!(norm > 1e-6, "{name}: the gradient vanishes");
        let mut random = Random::new(5, &name);
        for attempt in 0..3 {
            let mut direction = vec![0.0f32; len];
            for piece in &network.parameters()[index].pieces {
                for row in piece.block.rows.clone() {
                    for column in piece.block.columns.clone() {
                        let at = row * width + column;
                        direction[at] = if attempt == 0 { gradient[at] / norm as f32 } else { random.normal() };
                    }
                }
            }
            for block in &network.parameters()[index].idle {
                for row in block.rows.clone() {
                    direction[row * width + block.columns.start..row * width + block.columns.end].fill(0.0);
                }
            }
            let length = direction.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>().sqrt();
            let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
            let step = length_of_step / length;
            let original = network.parameters()[index].value.clone();
            let mut at = |factor: f64| {
                let value = &mut network.parameters_mut()[index].value;
                for (value, (original, direction)) in value.iter_mut().zip(original.iter().zip(&direction)) {
                    *value = original + (factor * step) as f32 * direction;
                }
                // Scales follow their magnitudes; the norms of DoRA's rows, which count as constants, do not change with them.
                if name.ends_with("lora_magnitude_vector") {
                    network.measure_rows().unwrap();
                }
                weighted_loss(network, training).0
            };
            // Fourth order, so that the step may be large.
            let difference = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * step);
            at(0.0);
            let tolerance = 2e-3 * norm * length;
            assert!(
                (difference - slope).abs() < tolerance,
                "{name}, direction {attempt}: by differences {difference}, by the backward pass {slope} ± {tolerance}"
            );
        }
    }
}

fn check_adapters(architecture: &str, quantization: Quantization, targets: &[&str], training: Training) {
    let mut network = small::network(architecture, quantization, false);
    small::adapt(&mut network, targets);
    check(&mut network, training);
}

#[test]
fn adapters_of_llama() {
    check_adapters("llama", Quantization::None, &["all-linear"], Training::default());
}

#[test]
fn adapters_of_llama_on_some_parts_of_fused_linears() {
    check_adapters("llama", Quantization::None, &["k_proj", "up_proj"], Training::default());
    check_adapters("llama", Quantization::None, &["q_proj", "v_proj", "down_proj"], Training::default());
}

#[test]
fn adapters_of_llama_on_an_int8_base() {
    check_adapters("llama", Quantization::Int8, &["all-linear"], Training::default());
}

#[test]
fn adapters_of_phi3_on_an_int8_base_with_dropout() {
    let dropout = Some(Dropout { key: 99, probability: 0.3 });
    check_adapters("phi3", Quantization::Int8, &["all-linear"], Training { dropout, ..Training::default() });
}

#[test]
fn adapters_of_phi3() {
    check_adapters("phi3", Quantization::None, &["all-linear"], Training::default());
}

#[test]
fn all_weights_of_llama() {
    check(&mut small::network("llama", Quantization::None, true), Training::default());
}

#[test]
fn all_weights_of_phi3_with_a_tied_head() {
    check(&mut small::network("phi3", Quantization::None, true), Training::default());
}

#[test]
fn recomputing_layers_gives_the_same_bits() {
    let dropout = Some(Dropout { key: 1, probability: 0.2 });
    for architecture in ["llama", "phi3"] {
        let mut network = small::network(architecture, Quantization::Int8, false);
        small::adapt(&mut network, &["all-linear"]);
        let (kept_loss, kept) = weighted_loss(&network, Training { dropout, ..Training::default() });
        let (loss, again) = weighted_loss(&network, Training { dropout, recompute: usize::MAX, ..Training::default() });
        assert_eq!(kept_loss, loss);
        assert_eq!(kept.buffers, again.buffers);
    }
}

#[test]
fn recomputing_some_layers_gives_the_same_bits() {
    let mut network = small::network("llama", Quantization::Int8, false);
    small::adapt(&mut network, &["all-linear"]);
    let (kept_loss, kept) = weighted_loss(&network, Training::default());
    let (loss, again) = weighted_loss(&network, Training { recompute: 1, ..Training::default() });
    assert_eq!(kept_loss, loss);
    assert_eq!(kept.buffers, again.buffers);
}

/// Positions begin again with every sequence of a pack, and no token sees another sequence: a sequence's losses are the same
/// bits whatever stands before or behind it, and another neighbour changes none.
#[test]
fn sequences_of_a_pack_do_not_see_each_other() {
    for architecture in ["llama", "phi3"] {
        let mut network = small::network(architecture, Quantization::Int8, false);
        small::adapt(&mut network, &["all-linear"]);
        let losses = |sequences: &[&[u32]]| {
            let batch = network.pack(sequences.iter().copied()).unwrap();
            let (mut targets, mut start) = (Targets::default(), 0);
            for sequence in sequences {
                targets.rows.extend(start..start + sequence.len() as u32 - 1);
                targets.tokens.extend_from_slice(&sequence[1..]);
                start += sequence.len() as u32;
            }
            targets.weights = vec![1.0; targets.rows.len()];
            network.losses(&batch, &targets, &mut Workspace::default()).unwrap()
        };
        let sequences = small::sequences();
        let [a, b, c] = [&sequences[0][..], &sequences[1][..], &sequences[2][..]];
        let alone = [losses(&[a]), losses(&[b]), losses(&[c])];
        assert_eq!(losses(&[a, b, c]), alone.concat());
        assert_eq!(losses(&[c, a]), [alone[2].clone(), alone[0].clone()].concat());
        // Not because nothing is seen at all: within a sequence, an earlier token changes what follows.
        let other: Vec<u32> = std::iter::once((a[0] + 1) % 50).chain(a[1..].iter().copied()).collect();
        assert_ne!(losses(&[&other])[4..], alone[0][4..]);
    }
}

#[test]
fn dropout_masks_depend_on_the_key() {
    let mut network = small::network("llama", Quantization::None, false);
    small::adapt(&mut network, &["all-linear"]);
    let loss = |key| {
        weighted_loss(&network, Training { dropout: Some(Dropout { key, probability: 0.5 }), ..Training::default() }).0
    };
    assert_eq!(loss(1), loss(1));
    assert_ne!(loss(1), loss(2));
}

#[test]
fn packing_changes_nothing() {
    let mut network = small::network("phi3", Quantization::Int8, false);
    small::adapt(&mut network, &["all-linear"]);
    let sequences = small::sequences();
    let mut workspace = Workspace::default();
    let together = network.pack(sequences.iter().map(Vec::as_slice)).unwrap();
    let rows: Vec<u32> = (0..together.rows() as u32).collect();
    let together = network.logits(&together, &rows, None, &mut workspace).unwrap();
    let mut apart = Vec::new();
    for sequence in &sequences {
        let batch = network.pack([sequence.as_slice()]).unwrap();
        let rows: Vec<u32> = (0..sequence.len() as u32).collect();
        apart.extend(network.logits(&batch, &rows, None, &mut workspace).unwrap());
    }
    assert_eq!(together, apart);
    let some = network.pack([sequences[0].as_slice()]).unwrap();
    let some = network.logits(&some, &[3, 8], Some(&[7, 0, 49]), &mut workspace).unwrap();
    let expected = [3 * 50 + 7, 3 * 50, 3 * 50 + 49, 8 * 50 + 7, 8 * 50, 8 * 50 + 49].map(|i| apart[i]);
    assert_eq!(some, expected);
}

/// Sequences that begin alike: rows are shared between all of them, between some, and one sequence is within another.
pub(super) fn alike() -> Vec<Vec<u32>> {
    [&[1u32, 2, 3, 4, 5][..], &[1, 2, 3, 9], &[1, 2, 3, 4, 6, 7], &[1, 2, 3], &[8, 2, 3]].map(<[u32]>::to_vec).to_vec()
}

#[test]
fn common_beginnings_are_computed_once_with_the_same_bits() {
    let mut network = small::network("llama", Quantization::Int8, false);
    small::adapt(&mut network, &["all-linear"]);
    let mut workspace = Workspace::default();
    let batch = network.pack(alike().iter().map(Vec::as_slice)).unwrap();
    assert_eq!((batch.rows(), batch.distinct()), (21, 11));
    let rows: Vec<u32> = (0..21).collect();
    let together = network.logits(&batch, &rows, None, &mut workspace).unwrap();
    let mut apart = Vec::new();
    for sequence in alike() {
        let batch = network.pack([sequence.as_slice()]).unwrap();
        let rows: Vec<u32> = (0..sequence.len() as u32).collect();
        apart.extend(network.logits(&batch, &rows, None, &mut workspace).unwrap());
    }
    assert_eq!(together, apart);
}

#[test]
fn common_beginnings_get_the_gradients_of_all() {
    for (architecture, trainable) in [("llama", false), ("phi3", false), ("llama", true)] {
        let mut network = small::network(architecture, Quantization::None, trainable);
        if !trainable {
            small::adapt(&mut network, &["all-linear"]);
        }
        // Every row of every sequence predicts a token; a shared row predicts several.
        let pass = |sequences: &[Vec<u32>], first: u32, gradients: &mut PerParameter<so8t::kernels::cpu::Cpu>| {
            let batch = network.pack(sequences.iter().map(Vec::as_slice)).unwrap();
            let rows: Vec<u32> = (0..batch.rows() as u32).collect();
            let tokens = rows.iter().map(|row| (first + row) * 7 % 50).collect();
            let weights = vec![0.05; rows.len()];
            let targets = so8t::model::network::Targets { rows, tokens, weights };
            let (training, workspace) = (Training::default(), &mut Workspace::default());
            network.loss_and_gradients(&batch, &targets, training, gradients, workspace).unwrap()
        };
        let mut together = PerParameter::zeros(&network).unwrap();
        let losses = pass(&alike(), 0, &mut together);
        let (mut apart, mut first, mut losses_apart) = (PerParameter::zeros(&network).unwrap(), 0, Vec::new());
        for sequence in alike() {
            losses_apart.extend(pass(std::slice::from_ref(&sequence), first, &mut apart));
            first += sequence.len() as u32;
        }
        assert_eq!(losses, losses_apart);
        for ((found, expected), parameter) in together.buffers.iter().zip(&apart.buffers).zip(network.parameters()) {
            let greatest = expected.iter().fold(0.0f32, |greatest, x| greatest.max(x.abs()));
            let worst = found.iter().zip(expected).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(worst < 1e-5 * greatest, "{}: {worst} of {greatest}", parameter.name);
        }
    }
}
