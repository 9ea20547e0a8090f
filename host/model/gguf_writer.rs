//! A GGUF file (version 3, little-endian) written tensor by tensor; see [`super::gguf`] for the format.

use std::io::{self, Write};
use std::path::Path;

use half::f16;
use rayon::prelude::*;

use so8t_base::{Result, files};

/// How a tensor is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorKind {
    /// Single precision.
    F32,
    /// IEEE 754, 16 bits.
    F16,
    /// Blocks of 32: an f16 step, and 32 numbers of −127 to 127.
    Q8_0,
}

/// Elements of a block of [`TensorKind::Q8_0`], and its bytes.
const BLOCK: usize = 32;
const BLOCK_BYTES: usize = 34;
const ALIGNMENT: u64 = 32;

impl TensorKind {
    /// GGML's number of the type.
    fn number(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 8,
        }
    }

    /// Whether rows of `width` elements can be written so.
    pub fn fits(self, width: usize) -> bool {
        self != Self::Q8_0 || width.is_multiple_of(BLOCK)
    }

    fn bytes(self, elements: usize) -> u64 {
        (match self {
            Self::F32 => 4 * elements,
            Self::F16 => 2 * elements,
            Self::Q8_0 => elements / BLOCK * BLOCK_BYTES,
        }) as u64
    }

    /// Errors: a number, or a block's step, that f16 cannot hold.
    fn encode(self, values: &[f32]) -> io::Result<Vec<u8>> {
        let half = |x: f32| match f16::from_f32(x) {
            half if half.is_finite() => Ok(half.to_le_bytes()),
            _ => Err(io::Error::other(format!("`{x}` is beyond the range of f16"))),
        };
        match self {
            Self::F32 => Ok(values.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Self::F16 => values.iter().map(|&x| half(x)).collect::<io::Result<Vec<_>>>().map(|pairs| pairs.concat()),
            Self::Q8_0 => {
                let mut out = vec![0; values.len() / BLOCK * BLOCK_BYTES];
                let blocks = out.par_chunks_mut(BLOCK_BYTES).zip(values.par_chunks(BLOCK));
                blocks.try_for_each(|(out, values)| {
                    let step = values.iter().fold(0.0f32, |most, x| most.max(x.abs())) / 127.0;
                    let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
                    out[..2].copy_from_slice(&half(step)?);
                    for (out, x) in out[2..].iter_mut().zip(values) {
                        *out = (x * inverse).round() as i8 as u8;
                    }
                    io::Result::Ok(())
                })?;
                Ok(out)
            }
        }
    }
}

/// A value of the metadata, with its type, as the file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(Vec<u8>);

impl Field {
    /// Bytes that another file holds: a value with its type.
    pub fn raw(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// A whole number of 32 bits.
    pub fn whole(value: u32) -> Self {
        Self([&4u32.to_le_bytes()[..], &value.to_le_bytes()].concat())
    }

    /// A float of 32 bits.
    pub fn number(value: f32) -> Self {
        Self([&6u32.to_le_bytes()[..], &value.to_le_bytes()].concat())
    }

    /// A boolean.
    pub fn boolean(value: bool) -> Self {
        Self([&7u32.to_le_bytes()[..], &[u8::from(value)]].concat())
    }

    /// A string.
    pub fn text(value: &str) -> Self {
        Self([&8u32.to_le_bytes()[..], &string(value)].concat())
    }

    /// A list of strings.
    pub fn texts<'a>(values: impl ExactSizeIterator<Item = &'a str>) -> Self {
        Self::list(8, values.len(), values.map(string))
    }

    /// A list of floats.
    pub fn numbers(values: &[f32]) -> Self {
        Self::list(6, values.len(), values.iter().map(|x| x.to_le_bytes().to_vec()))
    }

    /// A list of whole numbers with a sign.
    pub fn wholes(values: &[i32]) -> Self {
        Self::list(5, values.len(), values.iter().map(|x| x.to_le_bytes().to_vec()))
    }

    fn list(kind: u32, count: usize, values: impl Iterator<Item = Vec<u8>>) -> Self {
        let mut out = [9u32.to_le_bytes(), kind.to_le_bytes()].concat();
        out.extend((count as u64).to_le_bytes());
        values.for_each(|value| out.extend(value));
        Self(out)
    }
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A tensor that will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its GGUF name.
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// How it is written.
    pub kind: TensorKind,
}

impl Planned {
    fn bytes(&self) -> u64 {
        self.kind.bytes(self.shape.iter().product())
    }
}

/// Writes a file; `load(i)` gives the elements of `tensors[i]`, row-major. Returns the bytes of all tensors.
///
/// Errors: a number that the type of its tensor cannot hold; what `load` returns.
pub fn write(
    path: &Path,
    metadata: &[(String, Field)],
    tensors: &[Planned],
    load: impl Fn(usize) -> Result<Vec<f32>>,
) -> Result<u64> {
    let mut header = b"GGUF".to_vec();
    header.extend(3u32.to_le_bytes());
    header.extend((tensors.len() as u64).to_le_bytes());
    header.extend((metadata.len() as u64).to_le_bytes());
    for (key, Field(value)) in metadata {
        header.extend(string(key));
        header.extend(value);
    }
    let mut offset = 0u64;
    for tensor in tensors {
        header.extend(string(&tensor.name));
        header.extend((tensor.shape.len() as u32).to_le_bytes());
        tensor.shape.iter().rev().for_each(|&size| header.extend((size as u64).to_le_bytes()));
        header.extend(tensor.kind.number().to_le_bytes());
        header.extend(offset.to_le_bytes());
        offset = (offset + tensor.bytes()).next_multiple_of(ALIGNMENT);
    }
    header.resize(header.len().next_multiple_of(ALIGNMENT as usize), 0);
    files::write_with(path, |file| {
        file.write_all(&header)?;
        for (index, tensor) in tensors.iter().enumerate() {
            let values = load(index).map_err(io::Error::other)?;
            for piece in values.chunks(1 << 20) {
                file.write_all(&tensor.kind.encode(piece)?)?;
            }
            let bytes = tensor.bytes();
            file.write_all(&vec![0; (bytes.next_multiple_of(ALIGNMENT) - bytes) as usize])?;
        }
        Ok(())
    })?;
    Ok(tensors.iter().map(Planned::bytes).sum())
}
