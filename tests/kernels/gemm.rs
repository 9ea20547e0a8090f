//! Matrix products against f64 twins: layouts × weights × precisions, odd shapes, accumulation, numbers of threads.

use so8t::kernels::gemm::instructions::{Instructions, with_at_most};
use so8t::kernels::gemm::{Compute, Weight, matmul_nn, matmul_nt, matmul_tn, plain};
use so8t::kernels::nf4::{self, Nf4Matrix};
use so8t::kernels::quantise::{BLOCK, QuantisedMatrix, dequantise, quantise};

/// `length` numbers in −1..1 from a linear congruential generator.
pub(super) fn random(seed: u64, length: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    Nt,
    Nn,
    Tn,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    F32,
    Bf16,
    F16,
    Int8,
    Nf4,
}

const FORMS: [Form; 5] = [Form::F32, Form::Bf16, Form::F16, Form::Int8, Form::Nf4];

/// A weight in one form, with the f32 numbers that it stands for.
struct Case {
    form: Form,
    f32: Vec<f32>,
    bf16: Vec<u16>,
    f16: Vec<u16>,
    int8: QuantisedMatrix,
    nf4: Nf4Matrix,
}

impl Case {
    fn new(form: Form, mut values: Vec<f32>, columns: usize) -> Self {
        // Some blocks on a coarse grid, which is kept with an offset.
        for (i, value) in
            values.iter_mut().enumerate().filter(|(i, _)| form == Form::Int8 && i % columns / BLOCK % 2 == 1)
        {
            *value = 0.07 * (*value * 8.0 + (i % 3) as f32).round() + 0.0131;
        }
        let bf16: Vec<u16> = values.iter().map(|value| (value.to_bits() >> 16) as u16).collect();
        let f16: Vec<u16> = values.iter().map(|&value| half::f16::from_f32(value).to_bits()).collect();
        let int8 = quantise(&values, columns);
        let nf4 = nf4::quantise(&values);
        let f32 = match form {
            Form::F32 => values,
            Form::Bf16 => bf16.iter().map(|&bits| f32::from_bits(u32::from(bits) << 16)).collect(),
            Form::F16 => f16.iter().map(|&bits| half::f16::from_bits(bits).to_f32()).collect(),
            Form::Nf4 => {
                let mut expanded = vec![0.0; values.len()];
                nf4::dequantise(&nf4, &mut expanded);
                expanded
            }
            Form::Int8 => {
                let mut expanded = vec![0.0; values.len()];
                dequantise(&int8.values, &int8.steps, columns, &mut expanded);
                expanded
            }
        };
        Self { form, f32, bf16, f16, int8, nf4 }
    }

    fn weight(&self) -> Weight<'_> {
        match self.form {
            Form::F32 => Weight::F32(&self.f32),
            Form::Bf16 => Weight::Bf16(&self.bf16),
            Form::F16 => Weight::F16(&self.f16),
            Form::Nf4 => Weight::Nf4(&self.nf4),
            Form::Int8 => Weight::Int8 { values: &self.int8.values, steps: &self.int8.steps },
        }
    }
}

/// The product in f64, and for each element the sum of the absolute products, the scale of its rounding error.
fn reference(layout: Layout, a: &[f32], b: &[f32], m: usize, n: usize, k: usize) -> (Vec<f64>, Vec<f64>) {
    // (rows, columns, terms) and the two factors at (row, column, term).
    let (rows, columns, terms) = match layout {
        Layout::Nt => (m, n, k),
        Layout::Nn => (m, k, n),
        Layout::Tn => (n, k, m),
    };
    let mut product = vec![0f64; rows * columns];
    let mut magnitude = vec![0f64; rows * columns];
    for i in 0..rows {
        for j in 0..columns {
            for t in 0..terms {
                let (left, right) = match layout {
                    Layout::Nt => (a[i * k + t], b[j * k + t]),
                    Layout::Nn => (a[i * n + t], b[t * k + j]),
                    Layout::Tn => (a[t * n + i], b[t * k + j]),
                };
                let term = f64::from(left) * f64::from(right);
                product[i * columns + j] += term;
                magnitude[i * columns + j] += term.abs();
            }
        }
    }
    (product, magnitude)
}

#[allow(clippy::too_many_arguments, reason = "mirrors the functions under test")]
fn run(
    layout: Layout,
    a: &[f32],
    case: &Case,
    out: &mut [f32],
    m: usize,
    n: usize,
    k: usize,
    accumulate: bool,
    compute: Compute,
) {
    match layout {
        Layout::Nt => matmul_nt(a, case.weight(), out, m, k, n, accumulate, compute),
        Layout::Nn => matmul_nn(a, case.weight(), out, m, n, k, accumulate, compute),
        Layout::Tn => matmul_tn(a, &case.f32, out, m, n, k, accumulate, compute),
    }
}

fn check(layout: Layout, form: Form, compute: Compute, (m, n, k): (usize, usize, usize)) {
    let a = random(1 + m as u64, m * if layout == Layout::Nt { k } else { n });
    let rows = if layout == Layout::Tn { m } else { n };
    let case = Case::new(form, random(2 + n as u64, rows * k), k);
    let (expected, magnitude) = reference(layout, &a, &case.f32, m, n, k);
    // f32 sums stay below this; two factors rounded to bf16 are each off by up to 2⁻⁸.
    let tolerance = if compute == Compute::F32 { 1e-6 } else { 2.02 / 256.0 };
    let mut out = vec![f32::NAN; expected.len()];
    run(layout, &a, &case, &mut out, m, n, k, false, compute);
    for (index, ((&found, &expected), &magnitude)) in out.iter().zip(&expected).zip(&magnitude).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(
            error <= tolerance * magnitude + 1e-12,
            "{layout:?} {form:?} {compute:?} m={m} n={n} k={k}: element {index} is {found}, expected {expected}"
        );
    }
    let before = random(3, expected.len());
    let mut sum = before.clone();
    run(layout, &a, &case, &mut sum, m, n, k, true, compute);
    for (index, ((&found, &before), &product)) in sum.iter().zip(&before).zip(&out).enumerate() {
        let error = (f64::from(found) - f64::from(before) - f64::from(product)).abs();
        assert!(
            error <= 1e-6 * (2.0 + magnitude[index]),
            "{layout:?} {form:?} {compute:?} m={m} n={n} k={k}: element {index} was not added to what stood there"
        );
    }
}

const SHAPES: &[(usize, usize, usize)] = &[
    (1, 1, 1),
    (1, 5, 7),
    (2, 3, 1),
    (1, 130, 64),
    (3, 70, 33),
    (4, 49, 50),
    (5, 16, 576),
    (8, 48, 32),
    (9, 47, 31),
    (13, 100, 129),
    (31, 16, 200),
    (33, 200, 16),
    (40, 97, 8),
    (70, 64, 63),
    (65, 193, 577),
    (129, 51, 95),
];

#[test]
fn products_agree_with_the_f64_twin() {
    for layout in [Layout::Nt, Layout::Nn, Layout::Tn] {
        for form in FORMS {
            if layout == Layout::Tn && form != Form::F32 {
                continue;
            }
            for compute in [Compute::F32, Compute::Bf16] {
                for &shape in SHAPES {
                    check(layout, form, compute, shape);
                }
            }
        }
    }
}

#[test]
fn every_instruction_set_agrees_with_the_f64_twin() {
    for limit in Instructions::available() {
        with_at_most(limit, || {
            for layout in [Layout::Nt, Layout::Nn, Layout::Tn] {
                for form in FORMS {
                    if layout != Layout::Tn || form == Form::F32 {
                        for &shape in SHAPES {
                            check(layout, form, Compute::F32, shape);
                        }
                        // Without the instruction, bf16 is not used at all.
                        for &shape in SHAPES {
                            check(layout, form, Compute::Bf16, shape);
                        }
                    }
                }
            }
        });
    }
}

/// Levels with fused multiply-add add the same terms in the same order.
#[test]
fn levels_with_fused_products_give_the_same_bits() {
    for layout in [Layout::Nt, Layout::Nn, Layout::Tn] {
        for form in FORMS {
            for &(m, n, k) in SHAPES.iter().chain(&[(301, 610, 590), (700, 60, 1200), (16, 1700, 600), (50, 16, 1200)])
            {
                let a = random(1, m * if layout == Layout::Nt { k } else { n });
                let case = Case::new(form, random(2, if layout == Layout::Tn { m } else { n } * k), k);
                let length = match layout {
                    Layout::Nt => m * n,
                    Layout::Nn => m * k,
                    Layout::Tn => n * k,
                };
                let mut expected: Option<Vec<u32>> = None;
                for level in Instructions::available().filter(|level| *level >= Instructions::Avx2) {
                    for accumulate in [false, true] {
                        let mut out = if accumulate { vec![0.0; length] } else { vec![f32::NAN; length] };
                        with_at_most(level, || run(layout, &a, &case, &mut out, m, n, k, accumulate, Compute::F32));
                        // Adding 0 changes a negative 0 alone.
                        let bits: Vec<u32> = out.iter().map(|value| (value + 0.0).to_bits()).collect();
                        let expected = expected.get_or_insert_with(|| bits.clone());
                        assert!(*expected == bits, "{layout:?} {form:?} m={m} n={n} k={k} {level:?} {accumulate}");
                    }
                }
            }
        }
    }
}

/// What a request's scores are does not depend on what else is in its batch.
#[test]
fn a_row_has_the_same_bits_in_every_batch() {
    let (n, k) = (330, 1300);
    let x = random(1, 70 * k);
    for form in FORMS {
        let case = Case::new(form, random(2, n * k), k);
        for level in Instructions::available() {
            for compute in [Compute::F32, Compute::Bf16] {
                let batch = |m: usize| {
                    let mut out = vec![f32::NAN; m * n];
                    with_at_most(level, || run(Layout::Nt, &x[..m * k], &case, &mut out, m, n, k, false, compute));
                    out
                };
                let all = batch(70);
                for m in [1, 2, 3, 5, 6, 7, 8, 9, 17, 33, 64] {
                    assert!(batch(m) == all[..m * n], "{form:?} {level:?} {compute:?}: a batch of {m}");
                }
            }
        }
    }
}

#[test]
fn unknown_levels_and_levels_that_the_processor_lacks_are_refused() {
    for name in ["", "AVX2", "avx", "amx", "vnni", "avx512 "] {
        let message = Instructions::choose(name).expect_err("no level");
        assert!(message.contains(&format!("found `{name}`")) && message.contains("`avx512bf16`"), "{message}");
    }
    for level in Instructions::ALL.into_iter().filter(|level| *level > Instructions::detected()) {
        let message = Instructions::choose(level.name()).expect_err("the processor lacks it");
        assert!(message.contains("this processor"), "{message}");
    }
    assert!(Instructions::available().any(|level| level == Instructions::best()));
}

#[test]
fn bf16_rounds_half_to_even() {
    if Instructions::detected() < Instructions::Avx512Bf16 {
        eprintln!("skipped: this processor does not multiply bf16");
        return;
    }
    with_at_most(Instructions::Avx512Bf16, rounds_half_to_even);
}

fn rounds_half_to_even() {
    // Halfway between neighbours of 1.0 and 1.0 + 2⁻⁷, whose last bits are 0, 1, 0; and just beside the halves.
    let x = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 1.003_907, 1.011_718, 3.0];
    let expected = [1.0, 1.0 + 4.0 / 256.0, 1.0 + 2.0 / 256.0, 1.0 + 2.0 / 256.0, 3.0];
    let mut out = [0.0; 5];
    matmul_nt(&x, Weight::F32(&[1.0]), &mut out, 5, 1, 1, false, Compute::Bf16);
    assert_eq!(out, expected);
    matmul_nn(&[1.0], Weight::F32(&x), &mut out, 1, 1, 5, false, Compute::Bf16);
    assert_eq!(out, expected);
    matmul_tn(&x, &[1.0], &mut out, 1, 5, 1, false, Compute::Bf16);
    assert_eq!(out, expected);
}

#[test]
fn long_sums_are_cut_into_blocks_correctly() {
    for compute in [Compute::F32, Compute::Bf16] {
        check(Layout::Nt, Form::Int8, compute, (10, 50, 3333));
        check(Layout::Nt, Form::F32, compute, (2, 50, 3333));
        check(Layout::Nn, Form::Int8, compute, (10, 3333, 50));
        check(Layout::Nt, Form::Nf4, compute, (10, 50, 3328));
        check(Layout::Nn, Form::Nf4, compute, (10, 3333, 96));
        check(Layout::Tn, Form::F32, compute, (3333, 20, 50));
    }
}

#[test]
fn the_plain_twins_agree_too() {
    let (m, n, k) = (7, 11, 13);
    for form in FORMS {
        let case = Case::new(form, random(2, n * k), k);
        let x = random(1, m * k);
        let dy = random(3, m * n);
        let near = |out: &[f32], expected: Vec<f64>| {
            assert!(out.iter().zip(&expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5), "{form:?}");
        };
        let mut out = vec![f32::NAN; m * n];
        plain::matmul_nt(&x, case.weight(), &mut out, m, k, n, false);
        near(&out, reference(Layout::Nt, &x, &case.f32, m, n, k).0);
        let mut dx = vec![f32::NAN; m * k];
        plain::matmul_nn(&dy, case.weight(), &mut dx, m, n, k, false);
        near(&dx, reference(Layout::Nn, &dy, &case.f32, m, n, k).0);
        let mut dw = vec![f32::NAN; n * k];
        plain::matmul_tn(&dy, &x, &mut dw, m, n, k, false);
        near(&dw, reference(Layout::Tn, &dy, &x, m, n, k).0);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (m, n, k) = (301, 610, 590);
    for layout in [Layout::Nt, Layout::Nn, Layout::Tn] {
        for form in FORMS {
            for compute in [Compute::F32, Compute::Bf16] {
                let a = random(1, m * if layout == Layout::Nt { k } else { n });
                let case = Case::new(form, random(2, if layout == Layout::Tn { m } else { n } * k), k);
                let length = if layout == Layout::Nt {
                    m * n
                } else if layout == Layout::Nn {
                    m * k
                } else {
                    n * k
                };
                let on = |threads: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                    let mut out = vec![0.0; length];
                    pool.install(|| run(layout, &a, &case, &mut out, m, n, k, false, compute));
                    out.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
                };
                let one = on(1);
                assert_eq!(one, on(2), "{layout:?} {form:?} {compute:?}: two threads");
                assert_eq!(one, on(5), "{layout:?} {form:?} {compute:?}: five threads");
            }
        }
    }
}

#[test]
fn empty_shapes_leave_nothing_or_zeros() {
    matmul_nt(&[], Weight::F32(&[]), &mut [], 0, 3, 0, false, Compute::F32);
    let mut out = [7.0f32; 6];
    matmul_nt(&[], Weight::F32(&[]), &mut out, 2, 0, 3, true, Compute::Bf16);
    assert_eq!(out, [7.0; 6]);
    matmul_nt(&[], Weight::F32(&[]), &mut out, 2, 0, 3, false, Compute::Bf16);
    assert_eq!(out, [0.0; 6]);
}
