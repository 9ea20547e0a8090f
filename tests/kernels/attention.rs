//! Attention against its plain twin and finite differences: packed sequences, grouped heads, windows, fused rows.

use super::gemm::random;
use so8t::kernels::attention::next::{keep, next};
use so8t::kernels::attention::softmax::exponential;
use so8t::kernels::attention::{Gradients, Heads, Inputs, backward, forward, plain};
use so8t::kernels::gemm::Compute;
use so8t::kernels::gemm::instructions::{Instructions, with_at_most};

/// (heads, key heads, head width, window)
const CASES: &[(usize, usize, usize, Option<usize>)] = &[
    (1, 1, 16, None),
    (3, 1, 64, None),
    (4, 2, 24, None),
    (2, 2, 96, None),
    (9, 3, 64, Some(1)),
    (4, 1, 128, Some(7)),
    (6, 2, 33, Some(40)),
];

const STARTS: &[usize] = &[0, 1, 1, 40, 93, 200, 217];

fn heads((heads, kv_heads, head_dim, window): (usize, usize, usize, Option<usize>)) -> Heads {
    Heads { window, ..Heads::new(heads, kv_heads, head_dim) }
}

/// Fused rows, larger than usual so that the softmax is not flat.
fn fused(heads: &Heads, rows: usize) -> Vec<f32> {
    random(11, rows * (heads.query_width() + 2 * heads.key_width())).iter().map(|value| value * 2.0).collect()
}

fn near(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(error <= tolerance * (1.0 + expected.abs()), "{name}[{index}] is {found}, expected {expected}");
    }
}

struct Output {
    out: Vec<f32>,
    lse: Vec<f32>,
    gradients: Vec<f32>,
}

fn fast(heads: &Heads, rows: &[f32], starts: &[usize], dout: &[f32]) -> Output {
    let tokens = starts[starts.len() - 1];
    let mut out = vec![f32::NAN; tokens * heads.query_width()];
    let mut lse = vec![f32::NAN; tokens * heads.heads];
    let mut gradients = vec![f32::NAN; rows.len()];
    let inputs = Inputs::fused(rows, heads);
    forward(inputs, starts, heads, &mut out, &mut lse);
    backward(inputs, starts, heads, &out, &lse, dout, Gradients::Fused(&mut gradients));
    Output { out, lse, gradients }
}

#[test]
fn both_passes_agree_with_the_plain_twin() {
    for &case in CASES {
        let heads = heads(case);
        let tokens = STARTS[STARTS.len() - 1];
        let rows = fused(&heads, tokens);
        let dout = random(12, tokens * heads.query_width());
        let inputs = Inputs::fused(&rows, &heads);
        let mut out = vec![f32::NAN; tokens * heads.query_width()];
        let mut lse = vec![f32::NAN; tokens * heads.heads];
        let mut gradients = vec![f32::NAN; rows.len()];
        plain::forward(inputs, STARTS, &heads, &mut out, &mut lse);
        plain::backward(inputs, STARTS, &heads, &out, &lse, &dout, Gradients::Fused(&mut gradients));
        for limit in Instructions::available() {
            let found = with_at_most(limit, || fast(&heads, &rows, STARTS, &dout));
            let name = |part: &str| format!("{case:?} {limit:?} {part}");
            near(&name("out"), &found.out, &out, 2e-6);
            near(&name("lse"), &found.lse, &lse, 2e-6);
            near(&name("gradients"), &found.gradients, &gradients, 2e-5);
        }
    }
}

#[test]
fn bf16_products_stay_near_the_plain_twin() {
    for &case in CASES {
        let heads = Heads { compute: Compute::Bf16, ..heads(case) };
        let tokens = STARTS[STARTS.len() - 1];
        let rows = random(11, tokens * (heads.query_width() + 2 * heads.key_width()));
        let dout = random(12, tokens * heads.query_width());
        let inputs = Inputs::fused(&rows, &heads);
        let (mut out, mut lse) = (vec![0.0; dout.len()], vec![0.0; tokens * heads.heads]);
        let mut gradients = vec![f32::NAN; rows.len()];
        plain::forward(inputs, STARTS, &heads, &mut out, &mut lse);
        plain::backward(inputs, STARTS, &heads, &out, &lse, &dout, Gradients::Fused(&mut gradients));
        let found = with_at_most(Instructions::Avx512Bf16, || fast(&heads, &rows, STARTS, &dout));
        near(&format!("{case:?} out"), &found.out, &out, 0.01);
        near(&format!("{case:?} lse"), &found.lse, &lse, 0.01);
        // Root mean square, as a few elements cancel.
        let norm =
            |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        let error = norm(&mut found.gradients.iter().zip(&gradients).map(|(found, expected)| found - expected));
        let size = norm(&mut gradients.iter().copied());
        assert!(error < 0.01 * size, "{case:?}: the gradients differ by {:.3} %", 100.0 * error / size);
    }
}

#[test]
fn a_long_sequence_agrees_with_the_plain_twin() {
    let heads = Heads::new(2, 1, 32);
    let starts = [0, 1500];
    let rows = fused(&heads, 1500);
    let dout = random(12, 1500 * heads.query_width());
    let found = fast(&heads, &rows, &starts, &dout);
    let (mut out, mut lse) = (vec![0.0; found.out.len()], vec![0.0; found.lse.len()]);
    let mut gradients = vec![0.0; rows.len()];
    plain::forward(Inputs::fused(&rows, &heads), &starts, &heads, &mut out, &mut lse);
    let inputs = Inputs::fused(&rows, &heads);
    plain::backward(inputs, &starts, &heads, &out, &lse, &dout, Gradients::Fused(&mut gradients));
    near("out", &found.out, &out, 2e-6);
    near("gradients", &found.gradients, &gradients, 5e-5);
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let heads = heads((4, 2, 8, Some(5)));
    let starts = [0, 9, 13];
    let rows = fused(&heads, 13);
    let dout = random(12, 13 * heads.query_width());
    let loss = |rows: &[f32]| -> f64 {
        let (mut out, mut lse) = (vec![0.0; dout.len()], vec![0.0; 13 * heads.heads]);
        forward(Inputs::fused(rows, &heads), &starts, &heads, &mut out, &mut lse);
        out.iter().zip(&dout).map(|(out, dout)| f64::from(*out) * f64::from(*dout)).sum()
    };
    let gradients = fast(&heads, &rows, &starts, &dout).gradients;
    let mut largest = 0f64;
    for index in 0..rows.len() {
        let step = 1e-2f32;
        let mut moved = rows.clone();
        moved[index] = rows[index] + step;
        let above = loss(&moved);
        moved[index] = rows[index] - step;
        let difference = (above - loss(&moved)) / f64::from(2.0 * step);
        let error = (difference - f64::from(gradients[index])).abs();
        assert!(error < 1e-3, "element {index}: gradient {}, difference {difference}", gradients[index]);
        largest = largest.max(difference.abs());
    }
    assert!(largest > 0.1, "the gradients are too small to be tested");
}

/// Levels with fused multiply-add form the same products, and sum them and the softmax's denominators in the same order.
#[test]
fn levels_with_fused_products_give_the_same_bits() {
    for &case in CASES {
        let heads = heads(case);
        let tokens = STARTS[STARTS.len() - 1];
        let rows = fused(&heads, tokens);
        let dout = random(12, tokens * heads.query_width());
        let bits = |level| {
            let Output { out, lse, gradients } = with_at_most(level, || fast(&heads, &rows, STARTS, &dout));
            [out, lse, gradients].map(|part| part.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
        };
        let mut levels = Instructions::available().filter(|level| *level >= Instructions::Avx2);
        let Some(first) = levels.next() else {
            eprintln!("skipped: this processor has no AVX2");
            return;
        };
        let expected = bits(first);
        for level in levels {
            assert!(bits(level) == expected, "{case:?}: {level:?} and {first:?}");
        }
    }
}

#[test]
fn a_sequence_does_not_see_its_neighbours() {
    let heads = Heads::new(3, 1, 16);
    let rows = fused(&heads, 50);
    let width = heads.query_width() + 2 * heads.key_width();
    let dout = random(12, 50 * heads.query_width());
    let whole = fast(&heads, &rows, &[0, 20, 50], &dout);
    let alone = fast(&heads, &rows[20 * width..], &[0, 30], &dout[20 * heads.query_width()..]);
    assert_eq!(whole.out[20 * heads.query_width()..], alone.out);
    assert_eq!(whole.gradients[20 * width..], alone.gradients);
}

#[test]
fn separate_and_fused_rows_give_the_same() {
    let heads = Heads::new(4, 2, 16);
    let starts = [0, 31, 70];
    let rows = fused(&heads, 70);
    let dout = random(12, 70 * heads.query_width());
    let expected = fast(&heads, &rows, &starts, &dout);
    let (q, k) = (heads.query_width(), heads.key_width());
    let part = |rows: &[f32], from: usize, width: usize| -> Vec<f32> {
        rows.chunks_exact(q + 2 * k).flat_map(|row| row[from..from + width].to_vec()).collect()
    };
    let parts = [part(&rows, 0, q), part(&rows, q, k), part(&rows, q + k, k)];
    let inputs = Inputs::separate(&parts[0], &parts[1], &parts[2], &heads);
    let (mut out, mut lse) = (vec![0.0; 70 * q], vec![0.0; 70 * 4]);
    forward(inputs, &starts, &heads, &mut out, &mut lse);
    assert_eq!(out, expected.out);
    assert_eq!(lse, expected.lse);
    let (mut dq, mut dk, mut dv) = (vec![0.0; 70 * q], vec![0.0; 70 * k], vec![0.0; 70 * k]);
    let gradients = Gradients::Separate { queries: &mut dq, keys: &mut dk, values: &mut dv };
    backward(inputs, &starts, &heads, &out, &lse, &dout, gradients);
    assert_eq!(dq, part(&expected.gradients, 0, q));
    assert_eq!(dk, part(&expected.gradients, q, k));
    assert_eq!(dv, part(&expected.gradients, q + k, k));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let heads = Heads::new(6, 3, 48);
    let starts = [0, 100, 130, 400];
    let rows = fused(&heads, 400);
    let dout = random(12, 400 * heads.query_width());
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let Output { out, lse, gradients } = pool.install(|| fast(&heads, &rows, &starts, &dout));
        [out, lse, gradients].map(|part| part.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(3));
}

#[test]
fn the_exponential_is_exact_to_about_a_unit_in_the_last_place() {
    for fused in [true, false] {
        let mut worst = 0f64;
        for step in -87_000..=88_000 {
            let x = step as f32 / 1000.0;
            let found = f64::from(if fused { exponential::<true>(x) } else { exponential::<false>(x) });
            let exact = f64::from(x).exp();
            worst = worst.max((found - exact).abs() / exact);
        }
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "relative error {worst:e}");
    }
    assert_eq!(exponential::<true>(0.0), 1.0);
    assert!(exponential::<true>(f32::NEG_INFINITY) < 2e-38);
    assert!(exponential::<true>(-1000.0) < 2e-38);
}

#[test]
fn a_new_token_attends_as_the_last_row_of_its_sequence() {
    for &case in CASES {
        let heads = heads(case);
        let (width, key_width) = (heads.query_width(), 2 * heads.key_width());
        let tokens = STARTS[STARTS.len() - 1];
        let rows = fused(&heads, tokens);
        let (mut out, mut lse) = (vec![f32::NAN; tokens * width], vec![f32::NAN; tokens * heads.heads]);
        plain::forward(Inputs::fused(&rows, &heads), STARTS, &heads, &mut out, &mut lse);

        let sequences: Vec<_> = STARTS.windows(2).filter(|s| s[0] < s[1]).map(|s| s[0]..s[1]).collect();
        let mut kept = vec![f32::NAN; tokens * key_width];
        keep(&rows, &(0..tokens as u32).collect::<Vec<_>>(), &heads, &mut kept);
        let last = |values: &[f32], width: usize| -> Vec<f32> {
            sequences.iter().flat_map(|s| values[(s.end - 1) * width..s.end * width].to_vec()).collect()
        };
        let (new, expected) = (last(&rows, width + key_width), last(&out, width));
        for limit in Instructions::available() {
            let mut found = vec![f32::NAN; expected.len()];
            with_at_most(limit, || next(&new, &kept, &sequences, &heads, &mut found));
            near(&format!("{case:?} {limit:?}"), &found, &expected, 2e-6);
        }
    }
}
