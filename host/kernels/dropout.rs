//! Dropout (Srivastava et al. 2014) whose mask is a function of a key and an element's index, so that a pass that is
//! computed again drops the same elements, whatever the order or the number of threads.

use super::rows;
use super::simd::wide;

/// One mask: which elements are dropped, and what the others are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    key: [u32; 2],
    threshold: u32,
    scale: f32,
}

impl Mask {
    /// A mask that drops an element with the given probability (0 ≤ p < 1) and scales what stays by `1 / (1 − p)`.
    pub fn new(key: u64, probability: f32) -> Self {
        let key = mix(key);
        Self {
            key: [key as u32, (key >> 32) as u32],
            threshold: (f64::from(probability) * f64::from(u32::MAX)) as u32,
            scale: 1.0 / (1.0 - probability),
        }
    }

    /// The key, the threshold below which an element is dropped, and what the others are multiplied by.
    pub(crate) fn parts(&self) -> ([u32; 2], u32, f32) {
        (self.key, self.threshold, self.scale)
    }

    /// What element `index` is multiplied by. Two rounds of a 32-bit finaliser (multiply and shift) over the keyed
    /// index; rounds are integers only, so that every backend computes the same mask.
    #[inline(always)]
    pub fn factor(&self, index: u32) -> f32 {
        let mut x = index ^ self.key[0];
        x = (x ^ (x >> 16)).wrapping_mul(0x21f0_aaad);
        x = (x ^ (x >> 15)).wrapping_mul(0x735a_2d97);
        x = (x ^ (x >> 15)).wrapping_add(self.key[1]);
        x = (x ^ (x >> 16)).wrapping_mul(0x21f0_aaad);
        x = (x ^ (x >> 15)).wrapping_mul(0x735a_2d97);
        x ^= x >> 15;
        if x < self.threshold { 0.0 } else { self.scale }
    }
}

/// A 64-bit finaliser (splitmix64, Steele et al. 2014): turns numbers that are near into numbers that are not.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

wide! {
    fn apply_piece(x: &[f32], mask: Mask, first: u32, out: &mut [f32]) {
        for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
            *out = x * mask.factor(first.wrapping_add(i as u32));
        }
    }

    fn add_piece(x: &[f32], mask: Mask, first: u32, out: &mut [f32]) {
        for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
            *out += x * mask.factor(first.wrapping_add(i as u32));
        }
    }
}

/// `out = x · mask`; both [rows, width].
pub fn apply(x: &[f32], mask: Mask, width: usize, out: &mut [f32]) {
    rows::each(out, width, |row, out| {
        let first = row * width;
        apply_piece(&x[first..first + out.len()], mask, first as u32, out);
    });
}

/// `out += x · mask`: the backward pass.
pub fn add(x: &[f32], mask: Mask, width: usize, out: &mut [f32]) {
    rows::each(out, width, |row, out| {
        let first = row * width;
        add_piece(&x[first..first + out.len()], mask, first as u32, out);
    });
}

/// The readable twin of [`apply`].
pub fn apply_plain(x: &[f32], mask: Mask, out: &mut [f32]) {
    for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
        *out = x * mask.factor(i as u32);
    }
}
