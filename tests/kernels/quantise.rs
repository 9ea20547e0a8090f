//! Block-wise int8 quantisation.

use so8t::kernels::gemm::instructions::{Instructions, with_at_most};
use so8t::kernels::quantise::{BLOCK, Step, blocks, dequantise, is_lossless, quantise};

#[test]
fn values_round_half_to_even_and_the_largest_is_127() {
    // The largest value 254 makes the step exactly 2.
    let quantised = quantise(&[254.0, 1.0, 3.0, 5.0, -1.0, -3.0], 6);
    assert_eq!(quantised.steps, [Step { scale: 2.0, offset: 0.0 }]);
    assert_eq!(quantised.values, [127, 0, 2, 2, 0, -2]);
}

#[test]
fn each_row_has_its_own_steps_and_zeros_stay_zero() {
    let quantised = quantise(&[0.0, 0.0, 1e-3, -1e-3, -50.0, 25.0], 2);
    // -50 and 25 are one step apart.
    assert_eq!(quantised.values, [0, 0, 127, -127, 0, 1]);
    assert_eq!(quantised.steps[0].scale, 0.0);
    let mut restored = vec![1.0; 6];
    dequantise(&quantised.values, &quantised.steps, 2, &mut restored);
    assert_eq!(&restored[..2], [0.0, 0.0]);
    assert_eq!(&restored[4..], [-50.0, 25.0]);
}

#[test]
fn each_block_has_its_own_step() {
    let mut row = vec![0.5; 2 * BLOCK + 3];
    row[BLOCK] = 127.0;
    row[BLOCK + 1] = 60.2;
    row[2 * BLOCK + 2] = -2.54;
    row[2 * BLOCK + 1] = 1.234;
    let quantised = quantise(&row, row.len());
    assert_eq!(quantised.steps.len(), blocks(row.len()));
    assert_eq!(quantised.steps[1], Step::ONE);
    assert_eq!(quantised.values[..BLOCK], [127; BLOCK]);
    assert_eq!(quantised.values[BLOCK..BLOCK + 3], [127, 60, 0]);
    assert_eq!(quantised.values[2 * BLOCK..], [25, 62, -127]);
}

#[test]
fn the_error_is_at_most_half_a_step() {
    let columns = 301;
    let matrix = super::gemm::random(7, 40 * columns);
    let quantised = quantise(&matrix, columns);
    let mut restored = vec![0.0; matrix.len()];
    dequantise(&quantised.values, &quantised.steps, columns, &mut restored);
    for (index, (value, restored)) in matrix.iter().zip(&restored).enumerate() {
        let step = quantised.steps[index / columns * blocks(columns) + index % columns / BLOCK].scale;
        assert!((value - restored).abs() <= step * 0.500_01, "{value} became {restored}, the step is {step}");
    }
}

#[test]
fn weights_that_were_quantised_before_come_back_as_they_were() {
    // As GGUF's Q4_1 and Q5_1 store them: steps from a least value; Q4_0 has its least value at -8 steps.
    let grid = |least: f32, scale: f32, steps: usize, stride: usize| -> Vec<f32> {
        (0..BLOCK).map(|i| least + scale * ((i * stride) % steps) as f32).collect()
    };
    let grids = [
        grid(-0.2753, 0.037, 16, 7),
        grid(-8.0 * 0.011, 0.011, 16, 5),
        grid(0.4, 0.0021, 32, 11),
        grid(-3.0, 0.5, 16, 3),
    ];
    // As Q8_0 stores them: whole multiples of a step, the largest 127 of them.
    let mut eight = super::gemm::random(5, BLOCK);
    eight[3] = 1.0;
    let eight: Vec<f32> = eight.iter().map(|value| 0.003 * (value * 127.0).round()).collect();
    for row in grids.iter().chain([&eight]) {
        assert!(is_lossless(row, BLOCK));
        let quantised = quantise(row, BLOCK);
        let mut restored = vec![0.0; BLOCK];
        dequantise(&quantised.values, &quantised.steps, BLOCK, &mut restored);
        let worst = row.iter().zip(&restored).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6, "the grid is lost by {worst}");
    }
    // Other weights keep the scale of their largest value.
    let row = super::gemm::random(9, 400 * BLOCK);
    assert!(!is_lossless(&row, BLOCK));
    let quantised = quantise(&row, BLOCK);
    for (block, step) in row.chunks(BLOCK).zip(&quantised.steps) {
        let scale = block.iter().fold(0f32, |most, value| most.max(value.abs())) / 127.0;
        assert_eq!(*step, Step { scale, offset: 0.0 });
    }
}

#[test]
fn all_instructions_quantise_alike() {
    let mut matrix = super::gemm::random(3, 64 * 96);
    for (i, value) in matrix.iter_mut().enumerate().filter(|(i, _)| i % 96 >= 32) {
        *value = 0.01 * (i % 13) as f32 - 0.03;
    }
    let expected = with_at_most(Instructions::Portable, || quantise(&matrix, 96));
    for limit in Instructions::available() {
        assert_eq!(with_at_most(limit, || quantise(&matrix, 96)), expected, "{limit:?}");
    }
}

#[test]
fn an_empty_matrix_is_fine() {
    assert!(quantise(&[], 0).values.is_empty());
    assert!(quantise(&[], 5).steps.is_empty());
}
