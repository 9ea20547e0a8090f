//! How the elements of a tensor are written, and their widening to f32.

use candle_core::quantized::GgmlDType;
use half::{bf16, f16};
use rayon::prelude::*;

use so8t_base::{Error, Result};

/// How a tensor's elements are written: little-endian, one after another, or in GGML's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// IEEE 754, 32 bits.
    F32,
    /// IEEE 754, 16 bits.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// One of GGML's block formats.
    Blocks(GgmlDType),
    /// Blocks of 32 numbers: a scale, and for each number one of 16 levels.
    Iq4Nl,
    /// Blocks of 256 numbers: a scale, one of 64 steps for each 32 of them, and levels as with [`Encoding::Iq4Nl`].
    Iq4Xs,
}

/// Elements that one task widens; a multiple of every block's length.
const PIECE: usize = 1 << 16;

impl Encoding {
    /// What GGML calls `kind`. Errors: a format that is only used between operations.
    pub fn of_ggml(kind: GgmlDType) -> Result<Self> {
        match kind {
            GgmlDType::F32 => Ok(Self::F32),
            GgmlDType::F16 => Ok(Self::F16),
            GgmlDType::BF16 => Ok(Self::Bf16),
            GgmlDType::Q8_1 | GgmlDType::Q8K => Err(Error::model(format!("cannot read elements of type `{kind:?}`"))),
            blocks => Ok(Self::Blocks(blocks)),
        }
    }

    /// Elements in a block, and bytes of a block.
    fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Blocks(kind) => (kind.block_size(), kind.type_size()),
            Self::Iq4Nl => (32, IQ4_NL),
            Self::Iq4Xs => (256, IQ4_XS),
        }
    }

    /// The bytes that a tensor of `shape` takes; `None` where its rows are not whole blocks, or the number overflows.
    pub fn bytes(self, shape: &[usize]) -> Option<usize> {
        let (elements, bytes) = self.block();
        let count = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n))?;
        let last = shape.last().copied().unwrap_or(1);
        if !last.is_multiple_of(elements) {
            return None;
        }
        (count / elements).checked_mul(bytes)
    }

    /// Widens `data`, which holds whole blocks, to f32. Parallel; the result does not depend on the threads.
    pub fn decode(self, data: &[u8]) -> Result<Vec<f32>> {
        let (elements, bytes) = self.block();
        if !data.len().is_multiple_of(bytes) {
            let found = data.len();
            return Err(Error::model(format!("expected a multiple of {bytes} bytes, found {found}")));
        }
        let mut out = vec![0.0; data.len() / bytes * elements];
        let pieces = out.par_chunks_mut(PIECE).zip(data.par_chunks(PIECE / elements * bytes));
        match self {
            Self::F32 => pieces.for_each(|(out, data)| {
                widen(out, data, |b: [u8; 4]| f32::from_le_bytes(b));
            }),
            Self::F16 => pieces.for_each(|(out, data)| {
                widen(out, data, |b: [u8; 2]| f16::from_le_bytes(b).to_f32());
            }),
            Self::Bf16 => pieces.for_each(|(out, data)| {
                widen(out, data, |b: [u8; 2]| bf16::from_le_bytes(b).to_f32());
            }),
            Self::Iq4Nl => pieces.for_each(|(out, data)| {
                let blocks = out.chunks_exact_mut(32).zip(data.as_chunks::<IQ4_NL>().0);
                blocks.for_each(|(out, block)| levels(out, half_at(block, 0), &block[2..]));
            }),
            Self::Iq4Xs => pieces.for_each(|(out, data)| {
                let blocks = out.chunks_exact_mut(256).zip(data.as_chunks::<IQ4_XS>().0);
                blocks.for_each(|(out, block)| steps(out, block));
            }),
            Self::Blocks(kind) => pieces.map(|(out, data)| dequantise(kind, out, data)).collect::<Result<()>>()?,
        }
        Ok(out)
    }
}

/// Bytes of a block.
const IQ4_NL: usize = 2 + 16;
const IQ4_XS: usize = 2 + 2 + 4 + 128;

/// The levels of GGML's non-linear formats of 4 bits (`kvalues_iq4nl` in its sources).
const LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// 32 numbers: the low halves of 16 bytes, then the high ones.
fn levels(out: &mut [f32], scale: f32, packed: &[u8]) {
    let (low, high) = out.split_at_mut(16);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(packed) {
        *low = scale * f32::from(LEVELS[usize::from(byte & 15)]);
        *high = scale * f32::from(LEVELS[usize::from(byte >> 4)]);
    }
}

/// 256 numbers: a scale, 8 steps of 6 bits (their low 4 bits in four bytes, their high 2 in two), and the levels.
fn steps(out: &mut [f32], block: &[u8; IQ4_XS]) {
    let (scale, high) = (half_at(block, 0), u16::from_le_bytes([block[2], block[3]]));
    for (i, (out, packed)) in out.chunks_exact_mut(32).zip(block[8..].chunks_exact(16)).enumerate() {
        let low = block[4 + i / 2] >> (4 * (i % 2)) & 15;
        let step = i32::from(low) | i32::from(high >> (2 * i) & 3) << 4;
        levels(out, scale * (step - 32) as f32, packed);
    }
}

fn widen<const N: usize>(out: &mut [f32], data: &[u8], element: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(data.as_chunks::<N>().0) {
        *out = element(*bytes);
    }
}

fn dequantise(kind: GgmlDType, out: &mut [f32], data: &[u8]) -> Result<()> {
    let failed = |found: String| Error::model(format!("cannot dequantise `{kind:?}`: {found}"));
    // Candle asserts that the blocks lie at even addresses; a file whose alignment is odd need not put them there.
    let aligned: Vec<u8>;
    let data = if data.as_ptr().addr().is_multiple_of(4) {
        data
    } else {
        aligned = data.to_vec();
        &aligned
    };
    let blocks = kind.from_data(data.into());
    match blocks.dequantize(out.len()).map_err(|e| failed(e.to_string()))? {
        candle_core::CpuStorage::F32(values) if values.len() == out.len() => {
            out.copy_from_slice(&values);
            Ok(())
        }
        _ => Err(failed(format!("expected {} f32 elements", out.len()))),
    }
}
