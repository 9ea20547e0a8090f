//! NF4 with double quantisation (Dettmers et al. 2023), bit for bit as bitsandbytes stores it.
//!
//! A matrix is taken row by row as one list of values. Each block of 64 is divided by its largest magnitude, its absmax, and each quotient
//! becomes the nearest of 16 levels, the quantiles of a normal distribution; two levels share a byte, the earlier one in the upper half.
//! The absmaxes are quantised too: less their mean, in blocks of 256, each block by its own largest magnitude and
//! the signed [dynamic map](super::dynamic). A value takes 4 bits, and 0.127 for what belongs to its blocks.
//!
//! A value takes the lesser of two levels that are equally near; in a block of zeros all have level 0.

use rayon::prelude::*;

use super::dynamic::{Nearest, SIGNED};

/// Values of a block.
pub const BLOCK: usize = 64;
/// Absmaxes of a block of absmaxes.
pub const NESTED: usize = 256;

/// What the 16 codes stand for.
pub const LEVELS: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// A matrix in NF4.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nf4Matrix {
    /// How many values there are.
    pub len: usize,
    /// Two codes a byte, ⌈len / 2⌉; an odd last one stands in the upper half.
    pub codes: Vec<u8>,
    /// The absmax of each block less `offset`, by the dynamic map; ⌈len / 64⌉.
    pub absmax: Vec<u8>,
    /// The largest magnitude of each block of 256 absmaxes less `offset`.
    pub nested: Vec<f32>,
    /// The mean of all absmaxes.
    pub offset: f32,
}

impl Nf4Matrix {
    /// The absmax of block `block`.
    #[inline(always)]
    pub fn absmax(&self, block: usize) -> f32 {
        SIGNED[usize::from(self.absmax[block])] * self.nested[block / NESTED] + self.offset
    }

    #[inline(always)]
    fn level(&self, index: usize) -> f32 {
        let pair = self.codes[index / 2];
        LEVELS[usize::from(if index.is_multiple_of(2) { pair >> 4 } else { pair & 15 })]
    }

    /// The value at `index`.
    #[inline(always)]
    pub fn value(&self, index: usize) -> f32 {
        self.level(index) * self.absmax(index / BLOCK)
    }

    /// # Panics
    /// When a part has not the length that `len` asks for.
    pub fn check(&self) {
        let blocks = self.len.div_ceil(BLOCK);
        assert_eq!(self.codes.len(), self.len.div_ceil(2), "two codes a byte are expected");
        assert_eq!(self.absmax.len(), blocks, "one absmax a block is expected");
        assert_eq!(self.nested.len(), blocks.div_ceil(NESTED), "one scale for 256 absmaxes is expected");
    }

    /// Bytes of all parts.
    pub fn bytes(&self) -> usize {
        self.codes.len() + self.absmax.len() + 4 * self.nested.len() + 4
    }
}

/// Bytes that `len` values take.
pub fn bytes(len: usize) -> usize {
    let blocks = len.div_ceil(BLOCK);
    len.div_ceil(2) + blocks + 4 * blocks.div_ceil(NESTED) + 4
}

/// Quantises a matrix, given row by row. Values that are not finite are the caller's to reject.
///
/// ```
/// let matrix = so8t_kernels::nf4::quantise(&[0.5, -0.5, 0.0, 0.35]);
/// assert_eq!(matrix.codes, [0xf0, 0x7e]);
/// assert_eq!(matrix.offset, 0.5);
/// ```
pub fn quantise(values: &[f32]) -> Nf4Matrix {
    let largest = |block: &[f32]| block.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let absmax: Vec<f32> = values.par_chunks(BLOCK).with_min_len(512).map(largest).collect();
    let mut codes = vec![0u8; values.len().div_ceil(2)];
    codes
        .par_chunks_mut(BLOCK / 2)
        .zip(values.par_chunks(BLOCK))
        .zip(&absmax)
        .with_min_len(512)
        .for_each(|((codes, block), &absmax)| encode(block, absmax, codes));
    let offset = absmax.iter().map(|&x| f64::from(x)).sum::<f64>() / absmax.len().max(1) as f64;
    let offset = offset as f32;
    let centred: Vec<f32> = absmax.iter().map(|x| x - offset).collect();
    let nested: Vec<f32> = centred.chunks(NESTED).map(largest).collect();
    let quotient = |(block, x): (usize, &f32)| match nested[block / NESTED] {
        0.0 => 0.0,
        scale => x / scale,
    };
    let map = Nearest::signed();
    let absmax = centred.iter().enumerate().map(|x| map.find(quotient(x))).collect();
    Nf4Matrix { len: values.len(), codes, absmax, nested, offset }
}

/// Writes the codes of one block: how many middles between neighbouring levels lie below a quotient.
fn encode(block: &[f32], absmax: f32, codes: &mut [u8]) {
    // What lies beyond the last value has level 0.
    let mut scaled = [0.0f32; BLOCK];
    let inverse = 1.0 / absmax;
    for (scaled, &value) in scaled.iter_mut().zip(block).take_while(|_| absmax > 0.0) {
        // A last block that is not full is divided, others are multiplied by the inverse.
        *scaled = if block.len() == BLOCK { value * inverse } else { value / absmax }.clamp(-1.0, 1.0);
    }
    let mut found = [0u8; BLOCK];
    for middle in LEVELS.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0) {
        for (found, &scaled) in found.iter_mut().zip(&scaled) {
            *found += u8::from(scaled > middle);
        }
    }
    for (byte, pair) in codes.iter_mut().zip(found.as_chunks::<2>().0) {
        *byte = pair[0] << 4 | pair[1];
    }
}

/// Expands a matrix into `out`, of its length.
///
/// # Panics
/// When the lengths differ.
pub fn dequantise(matrix: &Nf4Matrix, out: &mut [f32]) {
    assert_eq!(out.len(), matrix.len, "as many outputs as values are expected");
    out.par_chunks_mut(BLOCK).enumerate().with_min_len(512).for_each(|(block, out)| {
        let absmax = matrix.absmax(block);
        for (i, out) in out.iter_mut().enumerate() {
            *out = matrix.level(block * BLOCK + i) * absmax;
        }
    });
}
