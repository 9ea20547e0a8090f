//! AdamW with moments in 8 bits against bitsandbytes; see `tests/golden/README.md`.

use std::path::Path;

use safetensors::SafeTensors;
use so8t::kernels::moments::{BLOCK, MomentStorage, Moments, Part, PartSize, adamw, parts};
use so8t::kernels::optimiser::AdamW;

fn step(step: u32) -> AdamW {
    let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8);
    AdamW { learning_rate: 0.01, beta1, beta2, epsilon, weight_decay: 0.1, gradient_scale: 0.5, step }
}

#[test]
fn steps_are_those_of_bitsandbytes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels/golden/adamw8bit.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let data = |name: &str| tensors.tensor(name).unwrap().data().to_vec();
    let numbers = |name: &str| -> Vec<f32> {
        data(name).chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let mut values = numbers("start");
    let gradients = numbers("gradients");
    let mut moments = Moments::zeros(values.len(), MomentStorage::Eight);
    let mut moved = 0;
    for (index, gradient) in gradients.chunks_exact(values.len()).enumerate() {
        let number = index + 1;
        adamw(&step(number as u32), &mut values, gradient, &mut moments);
        let Moments::Eight { first, second } = &moments else { panic!("the storage has changed") };
        for (kind, found) in [("first", first), ("second", second)] {
            for (found, expected) in found.scales.iter().zip(numbers(&format!("{kind}_scales.{number}"))) {
                // 1 less 0.999 in single precision is off by this much.
                assert!(
                    (found - expected).abs() <= 2e-5 * expected,
                    "step {number}, {kind}: scale {found}, not {expected}"
                );
            }
            // Sums are rounded in another order: a number that lies between two entries may fall to the other one.
            for (found, expected) in found.codes.iter().zip(data(&format!("{kind}.{number}"))) {
                assert!(found.abs_diff(expected) <= 1, "step {number}, {kind}: code {found}, not {expected}");
                moved += usize::from(*found != expected);
            }
        }
        for (i, (found, expected)) in values.iter().zip(numbers(&format!("values.{number}"))).enumerate() {
            assert!(
                (found - expected).abs() < 1e-6 + 1e-4 * 0.01,
                "step {number}: value {i} is {found}, not {expected}"
            );
        }
    }
    assert!(moved <= 4, "{moved} of {} codes differ", 12 * values.len());
}

/// A checkpoint's header is written from the sizes alone.
#[test]
fn sizes_are_those_of_the_parts() {
    for storage in [MomentStorage::F32, MomentStorage::Eight] {
        for len in [1, BLOCK, BLOCK + 1] {
            let mut moments = Moments::zeros(len, storage);
            let size = |(name, part): (&'static str, Part<'_>)| match part {
                Part::F32(values) => PartSize { name, len: values.len(), is_number: true },
                Part::U8(values) => PartSize { name, len: values.len(), is_number: false },
            };
            let found: Vec<PartSize> = moments.parts().into_iter().map(size).collect();
            assert_eq!(parts(len, storage), found);
        }
    }
}

#[test]
fn eight_bits_stay_near_single_precision() {
    let (mut values, gradient) = (super::gemm::random(1, 5000), super::gemm::random(2, 5000));
    let (mut exact, start) = (values.clone(), values.clone());
    let mut moments = Moments::zeros(5000, MomentStorage::Eight);
    let mut exact_moments = Moments::zeros(5000, MomentStorage::F32);
    for number in 1..=20 {
        adamw(&step(number), &mut values, &gradient, &mut moments);
        adamw(&step(number), &mut exact, &gradient, &mut exact_moments);
    }
    let norm = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    let (error, way) = (norm(&values, &exact), norm(&exact, &start));
    assert!(error < 0.05 * way, "{error} of {way}");
}

#[test]
fn parts_hold_everything_at_a_quarter_of_the_size() {
    let len = 3 * BLOCK + 5;
    let size = |storage| -> usize {
        let mut moments = Moments::zeros(len, storage);
        assert_eq!(moments.storage(), storage);
        moments
            .parts()
            .iter()
            .map(|(_, part)| match part {
                so8t::kernels::moments::Part::F32(values) => 4 * values.len(),
                so8t::kernels::moments::Part::U8(values) => values.len(),
            })
            .sum()
    };
    assert_eq!(size(MomentStorage::F32), 8 * len);
    assert_eq!(size(MomentStorage::Eight), 2 * len + 2 * 4 * 4);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (mut values, gradient) = (super::gemm::random(1, 70_001), super::gemm::random(2, 70_001));
        let mut moments = Moments::zeros(values.len(), MomentStorage::Eight);
        pool.install(|| (1..4).for_each(|number| adamw(&step(number), &mut values, &gradient, &mut moments)));
        (values, moments)
    };
    assert!(on(1) == on(3));
}
