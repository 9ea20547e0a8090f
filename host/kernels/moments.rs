//! The two moments that AdamW keeps of a tensor: in single precision, or in 8 bits (Dettmers et al. 2022), a quarter of the memory.
//!
//! In 8 bits, each block of 256 values is divided by its largest magnitude and kept by a [dynamic map](super::dynamic): the mean of the gradient
//! by the signed one, that of its square by the unsigned one. A step expands a block, takes it forward in single precision, and quantises it
//! again, so no whole copy in f32 exists. This is bitsandbytes' block-wise AdamW.

use rayon::prelude::*;

use super::dynamic::{Nearest, SIGNED, UNSIGNED};
use super::optimiser::{self, AdamW};

/// Values of a block in 8 bits.
pub const BLOCK: usize = 256;

/// How moments are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MomentStorage {
    /// Single precision.
    F32,
    /// 8 bits, with a scale for each [`BLOCK`] values.
    Eight,
}

/// Both moments of a tensor in memory: running means of the gradient and of its square.
#[derive(Clone, Debug, PartialEq)]
pub enum Moments {
    /// Single precision, as many values as the tensor has.
    F32 {
        /// The mean of the gradient.
        first: Vec<f32>,
        /// The mean of its square.
        second: Vec<f32>,
    },
    /// 8 bits.
    Eight {
        /// The mean of the gradient.
        first: Bytes,
        /// The mean of its square.
        second: Bytes,
    },
}

/// A moment in 8 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Bytes {
    /// Entries of a dynamic map, as many as the tensor has values.
    pub codes: Vec<u8>,
    /// The largest magnitude of each block of [`BLOCK`] values.
    pub scales: Vec<f32>,
}

/// A part of moments, as a file holds it.
#[derive(Debug)]
pub enum Part<'a> {
    /// Numbers.
    F32(&'a mut [f32]),
    /// Entries of a map.
    U8(&'a mut [u8]),
}

impl Moments {
    /// Moments of 0 for a tensor of `len` values.
    pub fn zeros(len: usize, storage: MomentStorage) -> Self {
        let bytes = |zero: u8| Bytes { codes: vec![zero; len], scales: vec![0.0; len.div_ceil(BLOCK)] };
        match storage {
            MomentStorage::F32 => Self::F32 { first: vec![0.0; len], second: vec![0.0; len] },
            MomentStorage::Eight => {
                Self::Eight { first: bytes(Nearest::signed().find(0.0)), second: bytes(Nearest::unsigned().find(0.0)) }
            }
        }
    }

    /// How they are kept.
    pub fn storage(&self) -> MomentStorage {
        match self {
            Self::F32 { .. } => MomentStorage::F32,
            Self::Eight { .. } => MomentStorage::Eight,
        }
    }

    /// Every part with its name, always in the same order: what a checkpoint writes, and fills when it is read.
    pub fn parts(&mut self) -> Vec<(&'static str, Part<'_>)> {
        match self {
            Self::F32 { first, second } => vec![("first", Part::F32(first)), ("second", Part::F32(second))],
            Self::Eight { first, second } => vec![
                ("first", Part::U8(&mut first.codes)),
                ("first_scales", Part::F32(&mut first.scales)),
                ("second", Part::U8(&mut second.codes)),
                ("second_scales", Part::F32(&mut second.scales)),
            ],
        }
    }
}

/// What one of [`Moments::parts`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartSize {
    /// Its name.
    pub name: &'static str,
    /// Its elements.
    pub len: usize,
    /// Whether these are f32 numbers, not bytes.
    pub is_number: bool,
}

/// The sizes of [`Moments::parts`] of a tensor of `len` values, in the same order.
pub fn parts(len: usize, storage: MomentStorage) -> Vec<PartSize> {
    let part = |name, len, is_number| PartSize { name, len, is_number };
    let scales = len.div_ceil(BLOCK);
    match storage {
        MomentStorage::F32 => vec![part("first", len, true), part("second", len, true)],
        MomentStorage::Eight => vec![
            part("first", len, false),
            part("first_scales", scales, true),
            part("second", len, false),
            part("second_scales", scales, true),
        ],
    }
}

/// Bytes of both moments of a tensor of `len` values.
pub fn bytes(len: usize, storage: MomentStorage) -> u64 {
    parts(len, storage).iter().map(|part| if part.is_number { 4 * part.len } else { part.len } as u64).sum()
}

/// One step of AdamW: values and moments change in place; all have the same length.
pub fn adamw(step: &AdamW, values: &mut [f32], gradient: &[f32], moments: &mut Moments) {
    let (first, second) = match moments {
        Moments::F32 { first, second } => return optimiser::adamw(step, values, gradient, first, second),
        Moments::Eight { first, second } => (first, second),
    };
    let constants = step.constants();
    let firsts = first.codes.par_chunks_mut(BLOCK).zip(&mut first.scales);
    let seconds = second.codes.par_chunks_mut(BLOCK).zip(&mut second.scales);
    let blocks = values.par_chunks_mut(BLOCK).zip(gradient.par_chunks(BLOCK));
    blocks.zip(firsts.zip(seconds)).with_min_len(64).for_each(|((values, gradient), (first, second))| {
        let (mut mean, mut square) = ([0.0; BLOCK], [0.0; BLOCK]);
        let (mean, square) = (&mut mean[..values.len()], &mut square[..values.len()]);
        expand(&SIGNED, first.0, *first.1, mean);
        expand(&UNSIGNED, second.0, *second.1, square);
        optimiser::piece(constants, values, gradient, mean, square);
        *first.1 = compress(Nearest::signed(), mean, first.0);
        *second.1 = compress(Nearest::unsigned(), square, second.0);
    });
}

fn expand(map: &[f32; 256], codes: &[u8], scale: f32, out: &mut [f32]) {
    for (out, &code) in out.iter_mut().zip(codes) {
        *out = map[usize::from(code)] * scale;
    }
}

/// Writes the codes of a block, and returns its scale.
fn compress(map: &Nearest, values: &[f32], codes: &mut [u8]) -> f32 {
    let scale = values.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    for (code, value) in codes.iter_mut().zip(values) {
        *code = map.find(if scale > 0.0 { value / scale } else { 0.0 });
    }
    scale
}
