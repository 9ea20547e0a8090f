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
            Self::Blocks(kind) => pieces.map(|(out, data)| dequantise(kind, out, data)).collect::<Result<()>>()?,
        }
        Ok(out)
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
