//! Row-wise int8 quantisation.

use so8t::kernels::quantise::{dequantise_rows, quantise_rows};

#[test]
fn values_round_half_to_even_and_the_largest_is_127() {
    // The largest value 254 makes the step exactly 2.
    let quantised = quantise_rows(&[254.0, 1.0, 3.0, 5.0, -1.0, -3.0], 6);
    assert_eq!(quantised.scales, [2.0]);
    assert_eq!(quantised.values, [127, 0, 2, 2, 0, -2]);
}

#[test]
fn each_row_has_its_own_scale_and_a_row_of_zeros_stays_zero() {
    let quantised = quantise_rows(&[0.0, 0.0, 1e-3, -1e-3, -50.0, 25.0], 2);
    assert_eq!(quantised.values, [0, 0, 127, -127, -127, 64]);
    assert_eq!(quantised.scales[0], 0.0);
    let mut restored = vec![1.0; 6];
    dequantise_rows(&quantised.values, &quantised.scales, 2, &mut restored);
    assert_eq!(&restored[..2], [0.0, 0.0]);
    assert_eq!(restored[4], -50.0);
}

#[test]
fn the_error_is_at_most_half_a_step() {
    let columns = 301;
    let matrix = super::gemm::random(7, 40 * columns);
    let quantised = quantise_rows(&matrix, columns);
    let mut restored = vec![0.0; matrix.len()];
    dequantise_rows(&quantised.values, &quantised.scales, columns, &mut restored);
    for (index, (value, restored)) in matrix.iter().zip(&restored).enumerate() {
        let step = quantised.scales[index / columns];
        assert!((value - restored).abs() <= step * 0.500_01, "{value} became {restored}, the step is {step}");
    }
}

#[test]
fn an_empty_matrix_is_fine() {
    assert!(quantise_rows(&[], 0).values.is_empty());
    assert!(quantise_rows(&[], 5).scales.is_empty());
}
