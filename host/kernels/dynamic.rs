//! The 8-bit dynamic maps of bitsandbytes (Dettmers 2015; Dettmers et al. 2022): 256 numbers in −1..=1, fine near 0 and
//! coarse near 1, by which NF4's block maxima and the optimiser's moments are kept.
//!
//! Of seven decades below 1, decade `i` has `2^i` numbers of each sign, or `2^(i + 1)` where there are no negative ones: the middles of equal
//! parts of 0.1..1, times a power of ten. 0 and 1 are numbers too.

use std::sync::OnceLock;

/// The map with negative numbers, ascending; entry 127 is 0.
pub static SIGNED: [f32; 256] = entries(true);
/// The map of numbers from 0 on, ascending; entry 0 is 0.
pub static UNSIGNED: [f32; 256] = entries(false);

/// The powers of ten of the decades.
const POWERS: [f32; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

const fn entries(signed: bool) -> [f32; 256] {
    let mut out = [0.0; 256];
    let mut count = 0;
    let mut decade = 0;
    while decade < POWERS.len() {
        let parts = 1 << if signed { decade } else { decade + 1 };
        let mut part = 0;
        while part < parts {
            let mean = POWERS[decade] * ((boundary(part, parts) + boundary(part + 1, parts)) / 2.0);
            // Those of one decade ascend, and lie above those of the decades before.
            if signed {
                out[128 + count] = mean;
                out[126 - count] = -mean;
            } else {
                out[1 + count] = mean;
            }
            count += 1;
            part += 1;
        }
        decade += 1;
    }
    out[255] = 1.0;
    out
}

/// The boundary `part` of `parts` equal parts of 0.1..1, as PyTorch counts it in single precision: from the nearer end.
const fn boundary(part: usize, parts: usize) -> f32 {
    let step = (1.0f32 - 0.1) / parts as f32;
    match part < parts.div_ceil(2) {
        true => 0.1 + step * part as f32,
        false => 1.0 - step * (parts - part) as f32,
    }
}

/// Finds the nearest entry of a map in a few steps.
pub struct Nearest {
    values: &'static [f32; 256],
    /// For the upper 16 bits of a number: the greatest entry that no number with these bits lies below.
    start: Box<[u8]>,
}

impl Nearest {
    /// Finds entries of [`SIGNED`].
    pub fn signed() -> &'static Self {
        static NEAREST: OnceLock<Nearest> = OnceLock::new();
        NEAREST.get_or_init(|| Self::new(&SIGNED))
    }

    /// Finds entries of [`UNSIGNED`].
    pub fn unsigned() -> &'static Self {
        static NEAREST: OnceLock<Nearest> = OnceLock::new();
        NEAREST.get_or_init(|| Self::new(&UNSIGNED))
    }

    fn new(values: &'static [f32; 256]) -> Self {
        let least = |high: u16| f32::from_bits(u32::from(high) << 16 | if high >> 15 == 1 { 0xffff } else { 0 });
        // A NaN lies above nothing.
        let start = |high: u16| values.partition_point(|&value| value <= least(high)).saturating_sub(1) as u8;
        Self { values, start: (0..=u16::MAX).map(start).collect() }
    }

    /// The entry nearest to `x`; of two that are equally near, the lesser. A NaN has entry 0.
    #[inline(always)]
    pub fn find(&self, x: f32) -> u8 {
        let mut index = usize::from(self.start[(x.to_bits() >> 16) as usize]);
        while index < 255 && self.values[index + 1] <= x {
            index += 1;
        }
        if index < 255 && (x - self.values[index + 1]).abs() < (x - self.values[index]).abs() {
            index += 1;
        }
        index as u8
    }
}
