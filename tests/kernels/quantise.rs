//! Block-wise int8 quantisation.

use so8t::kernels::gemm::instructions::{Instructions, with_at_most};
use so8t::kernels::quantise::{BLOCK, blocks, dequantise, quantise};

#[test]
fn values_round_half_to_even_and_the_largest_is_127() {
    // The largest value 254 makes the step exactly 2.
    let quantised = quantise(&[254.0, 1.0, 3.0, 5.0, -1.0, -3.0], 6);
    assert_eq!(quantised.scales, [2.0]);
    assert_eq!(quantised.values, [127, 0, 2, 2, 0, -2]);
}

#[test]
fn each_row_has_its_own_scales_and_zeros_stay_zero() {
    let quantised = quantise(&[0.0, 0.0, 1e-3, -1e-3, -50.0, 25.0], 2);
    // -50 and 25 lie on a grid of 126 steps.
    assert_eq!(quantised.values, [0, 0, 127, -127, -126, 63]);
    assert_eq!(quantised.scales[0], 0.0);
    let mut restored = vec![1.0; 6];
    dequantise(&quantised.values, &quantised.scales, 2, &mut restored);
    assert_eq!(&restored[..2], [0.0, 0.0]);
    assert_eq!(restored[4], -50.0);
}

#[test]
fn each_block_has_its_own_scale() {
    let mut row = vec![0.5; 2 * BLOCK + 3];
    row[BLOCK] = 127.0;
    row[2 * BLOCK + 2] = -2.54;
    let quantised = quantise(&row, row.len());
    assert_eq!(quantised.scales.len(), blocks(row.len()));
    assert_eq!(quantised.scales[1], 1.0);
    assert_eq!(quantised.values[..BLOCK], [127; BLOCK]);
    assert_eq!(quantised.values[BLOCK..BLOCK + 2], [127, 0]);
    assert_eq!(quantised.values[2 * BLOCK..], [25, 25, -127]);
}

#[test]
fn the_error_is_at_most_half_a_step() {
    let columns = 301;
    let matrix = super::gemm::random(7, 40 * columns);
    let quantised = quantise(&matrix, columns);
    let mut restored = vec![0.0; matrix.len()];
    dequantise(&quantised.values, &quantised.scales, columns, &mut restored);
    for (index, (value, restored)) in matrix.iter().zip(&restored).enumerate() {
        let step = quantised.scales[index / columns * blocks(columns) + index % columns / BLOCK];
        assert!((value - restored).abs() <= step * 0.500_01, "{value} became {restored}, the step is {step}");
    }
}

#[test]
fn a_grid_of_four_bits_is_met() {
    // As GGUF's Q4_1 stores them: 16 steps from a least value, which is a whole number of half steps here.
    let least = -7.5 * 0.037;
    let row: Vec<f32> = (0..BLOCK).map(|i| least + 0.037 * ((i * 7) % 16) as f32).collect();
    let quantised = quantise(&row, BLOCK);
    let mut restored = vec![0.0; BLOCK];
    dequantise(&quantised.values, &quantised.scales, BLOCK, &mut restored);
    let worst = row.iter().zip(&restored).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-6, "the grid is lost by {worst}");
    // Other weights keep the scale of their largest value.
    let row = super::gemm::random(9, 400 * BLOCK);
    let quantised = quantise(&row, BLOCK);
    for (block, scale) in row.chunks(BLOCK).zip(&quantised.scales) {
        assert_eq!(*scale, block.iter().fold(0f32, |most, value| most.max(value.abs())) / 127.0);
    }
}

#[test]
fn all_instructions_quantise_alike() {
    let mut matrix = super::gemm::random(3, 64 * 96);
    for (i, value) in matrix.iter_mut().enumerate().filter(|(i, _)| i % 96 >= 32) {
        *value = 0.01 * (i % 13) as f32 - 0.03;
    }
    let expected = with_at_most(Instructions::Portable, || quantise(&matrix, 96));
    for limit in [Instructions::Avx2, Instructions::Avx512Bf16] {
        assert_eq!(with_at_most(limit, || quantise(&matrix, 96)), expected, "{limit:?}");
    }
}

#[test]
fn an_empty_matrix_is_fine() {
    assert!(quantise(&[], 0).values.is_empty());
    assert!(quantise(&[], 5).scales.is_empty());
}
