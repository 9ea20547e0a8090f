//! NF4, the dynamic maps and row-wise int8 against bitsandbytes; see `tests/golden/README.md`.

use std::path::Path;

use safetensors::SafeTensors;
use so8t::kernels::dynamic::{Nearest, SIGNED, UNSIGNED};
use so8t::kernels::nf4::{BLOCK, dequantise, quantise};
use so8t::kernels::quantise as int8;

struct Golden(Vec<u8>);

impl Golden {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels/golden/bitsandbytes.safetensors");
        Self(std::fs::read(path).unwrap())
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        SafeTensors::deserialize(&self.0).unwrap().tensor(name).unwrap().data().to_vec()
    }

    fn numbers(&self, name: &str) -> Vec<f32> {
        self.bytes(name).chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }
}

#[test]
fn the_maps_are_those_of_bitsandbytes() {
    let golden = Golden::read();
    // The middles of the parts are sums in single precision, whose order depends on the width of PyTorch's vectors.
    for (map, expected) in [(&SIGNED, golden.numbers("signed")), (&UNSIGNED, golden.numbers("unsigned"))] {
        assert_eq!(map.len(), expected.len());
        for (found, expected) in map.iter().zip(expected) {
            assert!((found - expected).abs() <= 2.5e-7 * expected.abs(), "{found}, not {expected}");
        }
    }
}

#[test]
fn the_nearest_entry_is_found() {
    for (map, nearest) in [(&SIGNED, Nearest::signed()), (&UNSIGNED, Nearest::unsigned())] {
        let mut numbers = super::gemm::random(3, 5000);
        for (i, x) in numbers.iter_mut().enumerate() {
            *x *= 10f32.powi(-(i as i32 % 9));
        }
        numbers.extend(map);
        numbers.extend(map.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0));
        numbers.extend([0.0, -0.0, 1e-30, -1e-30, 2.0, -2.0]);
        for x in numbers {
            let distance = |i: usize| (map[i] - x).abs();
            let best = (0..256).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap();
            assert_eq!(usize::from(nearest.find(x)), best, "{x}");
        }
        assert_eq!(nearest.find(f32::NAN), 0);
    }
}

#[test]
fn bytes_and_values_are_those_of_bitsandbytes() {
    let golden = Golden::read();
    for name in ["normal", "outliers", "short", "odd", "zeros"] {
        let weight = golden.numbers(&format!("{name}.weight"));
        let matrix = quantise(&weight);
        matrix.check();
        assert!(matrix.codes == golden.bytes(&format!("{name}.codes")), "{name}: the codes differ");
        assert_eq!(matrix.absmax, golden.bytes(&format!("{name}.absmax")), "{name}");
        let near = |found: f32, expected: f32, scale: f32| (found - expected).abs() <= 1e-6 * scale;
        assert!(near(matrix.offset, golden.numbers(&format!("{name}.offset"))[0], matrix.offset), "{name}");
        for (found, expected) in matrix.nested.iter().zip(golden.numbers(&format!("{name}.nested"))) {
            assert!(near(*found, expected, matrix.offset), "{name}: {found}, not {expected}");
        }
        let mut values = vec![f32::NAN; weight.len()];
        dequantise(&matrix, &mut values);
        for (index, expected) in golden.numbers(&format!("{name}.values")).into_iter().enumerate() {
            let absmax = matrix.absmax(index / BLOCK).abs().max(matrix.offset);
            assert!(near(values[index], expected, absmax), "{name}[{index}]: {}, not {expected}", values[index]);
            assert_eq!(values[index], matrix.value(index));
        }
    }
}

#[test]
fn four_bits_and_an_eighth_a_value() {
    let matrix = quantise(&super::gemm::random(1, 64 * 256 * 16));
    assert_eq!((matrix.bytes() - 4) as f64 * 8.0 / matrix.len as f64, 4.0 + 8.0 / 64.0 + 32.0 / (64.0 * 256.0));
}

/// bitsandbytes keeps one scale a row; blocks of 32 with a scale each lose less.
#[test]
fn blocks_of_int8_lose_less_than_rows() {
    let golden = Golden::read();
    let (weight, columns) = (golden.numbers("normal.weight"), 320);
    let (codes, absmax) = (golden.bytes("row.codes"), golden.numbers("row.absmax"));
    let ours = int8::quantise(&weight, columns);
    let (mut rows, mut blocks) = (0.0f64, 0.0f64);
    for (i, value) in weight.iter().enumerate() {
        let by_row = f32::from(codes[i] as i8) * (absmax[i / columns] / 127.0);
        let step = ours.steps[i / columns * int8::blocks(columns) + i % columns / int8::BLOCK];
        let by_block = step.value(ours.values[i]);
        let half = absmax[i / columns] / 254.0;
        assert!((value - by_row).abs() <= half * 1.0001 && (value - by_block).abs() <= half * 1.0001);
        rows += f64::from(value - by_row).powi(2);
        blocks += f64::from(value - by_block).powi(2);
    }
    assert!(blocks < 0.6 * rows, "the squared error of blocks is {blocks}, that of rows {rows}");
}
