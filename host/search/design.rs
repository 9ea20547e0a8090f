//! Points that fill a cube evenly, for as long as nothing is known.

use so8t_base::split_mix::split_mix;

/// A number from 0 (included) to 1 (left out).
pub(crate) fn uniform(state: &mut u64) -> f64 {
    (split_mix(state) >> 11) as f64 / (1u64 << 53) as f64
}

/// The point `index` of a sequence of low discrepancy in `d` dimensions: multiples of the powers of the number g with g^(d+1) = g + 1, moved by the seed and
/// wrapped (M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018).
pub(crate) fn point(seed: u64, index: usize, d: usize) -> Vec<f64> {
    let mut root = 2.0_f64;
    for _ in 0..64 {
        root = libm::pow(1.0 + root, 1.0 / (d as f64 + 1.0));
    }
    let mut state = seed ^ 0x6465_7369_676E_0000;
    let mut power = 1.0;
    (0..d)
        .map(|_| {
            power /= root;
            let place = uniform(&mut state) + (index as f64 + 1.0) * power;
            place - libm::floor(place)
        })
        .collect()
}
