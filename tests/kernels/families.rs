//! Every elementwise family against its readable twin, and what must hold of each.

use so8t::kernels::dropout::Mask;
use so8t::kernels::gemm::Weight;
use so8t::kernels::optimiser::AdamW;
use so8t::kernels::rope::{Heads, Turn};
use so8t::kernels::{dropout, loss, norm, optimiser, rope, swiglu, table};
use so8t::train::random::Random;

fn numbers(count: usize, name: &str) -> Vec<f32> {
    let mut random = Random::new(1, name);
    (0..count).map(|_| random.normal()).collect()
}

fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "element {i}: {a}, not {b}");
    }
}

/// Rows and widths that fill vectors and threads, and that do not.
const SHAPES: [(usize, usize); 5] = [(1, 1), (3, 17), (5, 64), (70, 576), (2, 40_000)];

#[test]
fn norms() {
    for (rows, width) in SHAPES {
        let (x, gradient) = (numbers(rows * width, "x"), numbers(rows * width, "g"));
        let weight = numbers(width, "w");
        let (mut out, mut plain) = (vec![0.0; rows * width], vec![0.0; rows * width]);
        let (mut inverse, mut plain_inverse) = (vec![0.0; rows], vec![0.0; rows]);
        norm::forward(&x, &weight, 1e-5, &mut out, &mut inverse);
        norm::forward_plain(&x, &weight, 1e-5, &mut plain, &mut plain_inverse);
        close(&out, &plain, 1e-5);
        close(&inverse, &plain_inverse, 1e-5);
        let (mut dx, mut plain_dx) = (x.clone(), x.clone());
        norm::backward(&gradient, &x, &weight, &inverse, &mut dx);
        norm::backward_plain(&gradient, &x, &weight, &plain_inverse, &mut plain_dx);
        close(&dx, &plain_dx, 1e-4);
        let mut dw = vec![1.0; width];
        norm::backward_weight(&gradient, &x, &inverse, &mut dw);
        let column =
            |c: usize| 1.0 + (0..rows).map(|r| gradient[r * width + c] * x[r * width + c] * inverse[r]).sum::<f32>();
        close(&dw, &(0..width).map(column).collect::<Vec<_>>(), 1e-4);
    }
}

#[test]
fn rotations_and_their_inverse() {
    let shape = Heads { heads: 3, head_dim: 64, rotary: 64, stride: 3 * 64 + 40 };
    let rows = 90;
    let (x, angles) = (numbers(rows * shape.stride, "x"), numbers(50 * 32, "angles"));
    let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
    let positions: Vec<u32> = (0..rows as u32).map(|row| row % 50).collect();
    let (mut turned, mut plain) = (x.clone(), x.clone());
    rope::turn(&mut turned, &positions, &cos, &sin, shape, Turn::Forward);
    rope::turn_plain(&mut plain, &positions, &cos, &sin, shape, Turn::Forward);
    close(&turned, &plain, 1e-6);
    assert_ne!(turned, x);
    assert_eq!(turned[192..232], x[192..232], "values are not turned");
    rope::turn(&mut turned, &positions, &cos, &sin, shape, Turn::Backward);
    close(&turned, &x, 1e-5);
}

#[test]
fn gated_activations() {
    for (rows, width) in SHAPES {
        let gate_up: Vec<f32> = numbers(rows * width * 2, "x").iter().map(|x| 4.0 * x).collect();
        let gradient = numbers(rows * width, "g");
        let (mut out, mut plain) = (vec![0.0; rows * width], vec![0.0; rows * width]);
        swiglu::forward(&gate_up, width, &mut out);
        swiglu::forward_plain(&gate_up, width, &mut plain);
        close(&out, &plain, 1e-6);
        let (mut back, mut plain_back) = (gate_up.clone(), gate_up.clone());
        swiglu::backward(&gradient, width, &mut back);
        swiglu::backward_plain(&gradient, width, &mut plain_back);
        close(&back, &plain_back, 1e-5);
    }
    let mut out = [1.0; 4];
    swiglu::forward(&[-1000.0, 1000.0, 0.0, f32::NAN, 2.0, 2.0, 2.0, 2.0], 4, &mut out);
    assert!(out[0].abs() < 1e-30 && out[1] == 2000.0 && out[2] == 0.0 && out[3].is_nan(), "{out:?}");
}

#[test]
fn dropout_keeps_its_share_and_its_mask() {
    let x = numbers(100_000, "x");
    for probability in [0.0, 0.1, 0.5, 0.9] {
        let mask = Mask::new(77, probability);
        let (mut out, mut plain) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        dropout::apply(&x, mask, 100, &mut out);
        dropout::apply_plain(&x, mask, &mut plain);
        assert_eq!(out, plain);
        let dropped = out.iter().filter(|&&x| x == 0.0).count() as f32 / x.len() as f32;
        assert!((dropped - probability).abs() < 0.006, "{dropped} of {probability} dropped");
        let mut added = x.clone();
        dropout::add(&x, mask, 100, &mut added);
        let sum: Vec<f32> = x.iter().zip(&out).map(|(a, b)| a + b).collect();
        assert_eq!(added, sum);
        // The masks of neighbouring keys have nothing to do with each other.
        let other = Mask::new(78, probability);
        let both = (0..100_000).filter(|&i| mask.factor(i) == 0.0 && other.factor(i) == 0.0).count() as f32 / 1e5;
        assert!((both - probability * probability).abs() < 0.006, "{both} dropped by both keys");
        // Nor do those of neighbouring elements.
        let pairs = (0..100_000).filter(|&i| mask.factor(i) == 0.0 && mask.factor(i + 1) == 0.0).count() as f32 / 1e5;
        assert!((pairs - probability * probability).abs() < 0.006, "{pairs} of all pairs dropped");
    }
}

#[test]
fn cross_entropies() {
    for (rows, vocabulary, smoothing) in
        [(1, 2, 0.0), (5, 50, 0.0), (3, 49_152, 0.0), (1, 2, 0.3), (4, 50, 0.1), (3, 49_152, 0.1)]
    {
        let logits: Vec<f32> = numbers(rows * vocabulary, "x").iter().map(|x| 5.0 * x).collect();
        let targets: Vec<u32> = (0..rows).map(|row| ((row * 7919 + 1) % vocabulary) as u32).collect();
        let weights: Vec<f32> = (0..rows).map(|row| 0.5 + row as f32).collect();
        let (mut gradient, mut plain) = (logits.clone(), logits);
        let (mut losses, mut plain_losses) = (vec![0.0; rows], vec![0.0; rows]);
        loss::cross_entropy(&mut gradient, vocabulary, &targets, &weights, smoothing, &mut losses);
        loss::cross_entropy_plain(&mut plain, vocabulary, &targets, &weights, smoothing, &mut plain_losses);
        close(&losses, &plain_losses, 1e-5);
        close(&gradient, &plain, 1e-5);
    }
    let (mut logits, mut losses) = (vec![1e30, -1e30, 0.0, f32::NAN, 0.0, 0.0], vec![0.0; 2]);
    loss::cross_entropy(&mut logits, 3, &[0, 1], &[1.0, 1.0], 0.0, &mut losses);
    assert!(losses[0].abs() < 1e-6 && losses[1].is_nan(), "{losses:?}");
}

#[test]
fn optimiser_steps() {
    for count in [1, 100, 50_000] {
        let (mut values, gradient) = (numbers(count, "x"), numbers(count, "g"));
        let (mut first, mut second) = (vec![0.0; count], vec![0.0; count]);
        let (mut plain, mut plain_first, mut plain_second) = (values.clone(), first.clone(), second.clone());
        for step in 1..=5 {
            let step = AdamW {
                learning_rate: 0.01,
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
                weight_decay: 0.1,
                gradient_scale: 0.5,
                step,
            };
            optimiser::adamw(&step, &mut values, &gradient, &mut first, &mut second);
            optimiser::adamw_plain(&step, &mut plain, &gradient, &mut plain_first, &mut plain_second);
        }
        close(&values, &plain, 1e-5);
        close(&second, &plain_second, 1e-6);
    }
    assert_eq!(optimiser::sum_of_squares(&[3.0; 19]), 171.0);
    assert!(!optimiser::sum_of_squares(&[1.0, f32::NAN, 2.0]).is_finite());
    assert!(!optimiser::sum_of_squares(&[f32::INFINITY; 20]).is_finite());
}

#[test]
fn rows_of_tables() {
    let (width, indices) = (24, [3u32, 0, 3, 9]);
    let values = numbers(10 * width, "table");
    let mut out = vec![0.0; 4 * width];
    table::gather(Weight::F32(&values), &indices, width, &mut out);
    assert_eq!(out[..width], values[3 * width..4 * width]);
    let halves: Vec<u16> = values.iter().map(|&x| half::bf16::from_f32(x).to_bits()).collect();
    let mut rounded = vec![0.0; 4 * width];
    table::gather(Weight::Bf16(&halves), &indices, width, &mut rounded);
    close(&rounded, &out, 0.005);
    let mut sums = vec![0.0; 10 * width];
    table::scatter_add(&out, &indices, width, &mut sums);
    assert_eq!(sums[3 * width], 2.0 * values[3 * width]);
    assert_eq!(sums[9 * width..], values[9 * width..]);
    assert!(sums[width..2 * width].iter().all(|&x| x == 0.0));
}
