//! Block-wise int8 quantisation.

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
    assert_eq!(quantised.values, [0, 0, 127, -127, -127, 64]);
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
fn an_empty_matrix_is_fine() {
    assert!(quantise(&[], 0).values.is_empty());
    assert!(quantise(&[], 5).scales.is_empty());
}
