//! Matrix products of the network: activations (f32) times a weight (f32, bf16, f16, block-wise int8 or NF4) in the three layouts that
//! a linear layer and its two gradients need.
//!
//! | function | product | shapes |
//! |---|---|---|
//! | [`matmul_nt`] | `out (+)= x·wᵀ` | x `[m, k]`, w `[n, k]`, out `[m, n]` |
//! | [`matmul_nn`] | `dx (+)= dy·w` | dy `[m, n]`, w `[n, k]`, dx `[m, k]` |
//! | [`matmul_tn`] | `dw (+)= dyᵀ·x` | dy `[m, n]`, x `[m, k]`, dw `[n, k]` |
//!
//! Everything is row-major. A packed and blocked product with AVX-512, AVX2 or plain loops, whatever the processor has, computes
//! all three. The results do not depend on the number of threads. The readable twins are in [`plain`].

#![allow(unsafe_code, reason = "hands slices of checked lengths to the blocked product")]

pub mod instructions;
pub mod plain;

mod blocked;
mod kernels;
mod pack;
mod tile;

#[cfg(target_arch = "x86_64")]
mod pack_avx2;
#[cfg(target_arch = "x86_64")]
mod pack_avx512;
#[cfg(target_arch = "x86_64")]
mod stored;
#[cfg(target_arch = "x86_64")]
mod tile_avx2;
#[cfg(target_arch = "x86_64")]
mod tile_avx512;

use blocked::{Elements, Left, Product, Right};
pub(crate) use blocked::{Packed, Reach};
use instructions::Instructions;

use super::nf4::Nf4Matrix;
use super::quantise::{Step, blocks};

/// The weight of a linear layer, `[n, k]` = `[outputs, inputs]`, row-major.
#[derive(Clone, Copy, Debug)]
pub enum Weight<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// The upper halves of single-precision numbers.
    Bf16(&'a [u16]),
    /// Half precision (IEEE 754 binary16).
    F16(&'a [u16]),
    /// Block-wise int8, see [`quantise`](crate::quantise): `w[i][j] = values[i][j] · scale + offset`, both of `steps[i][j / 32]`.
    Int8 {
        /// `[n, k]`.
        values: &'a [i8],
        /// One step a block, `[n, ⌈k / 32⌉]`.
        steps: &'a [Step],
    },
    /// NF4, see [`nf4`](crate::nf4).
    Nf4(&'a Nf4Matrix),
}

/// What the length of an NF4 weight's rows must be a multiple of for vectors to lie within one block; others are expanded value by value, and
/// multiplied in f32.
const NF4_ROW: usize = 32;

impl Weight<'_> {
    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) | Self::F16(values) => values.len(),
            Self::Int8 { values, .. } => values.len(),
            Self::Nf4(matrix) => matrix.len,
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of a weight with `k` inputs.
    fn elements(&self, k: usize) -> Elements {
        match self {
            Self::F32(values) => Elements::F32(values.as_ptr()),
            Self::Bf16(values) => Elements::Bf16(values.as_ptr()),
            Self::F16(values) => Elements::F16(values.as_ptr()),
            Self::Int8 { values, steps } => Elements::Int8(values.as_ptr(), steps.as_ptr(), blocks(k)),
            Self::Nf4(matrix) => Elements::Nf4(*matrix, k.is_multiple_of(NF4_ROW)),
        }
    }

    fn check(&self, n: usize, k: usize) {
        assert_eq!(self.len(), n * k, "the weight must hold [{n}, {k}] values");
        if let Self::Int8 { steps, .. } = self {
            assert_eq!(steps.len(), n * blocks(k), "the weight must hold one step a block");
        }
        if let Self::Nf4(matrix) = self {
            matrix.check();
        }
    }
}

/// The precision in which products are formed. Sums are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compute {
    /// Single precision.
    #[default]
    F32,
    /// Both factors rounded to bf16 (half to even) where the processor multiplies bf16; elsewhere the same as [`Compute::F32`].
    /// An int8 weight is expanded to `value · scale` first.
    Bf16,
}

/// `out (+)= x·wᵀ`: x `[m, k]`, w `[n, k]`, out `[m, n]`; adds to `out` when `accumulate`, else overwrites it.
///
/// # Panics
/// When a slice has not the length of its shape.
#[allow(clippy::too_many_arguments, reason = "three matrices, their shape, and how to compute")]
pub fn matmul_nt(
    x: &[f32],
    w: Weight<'_>,
    out: &mut [f32],
    m: usize,
    k: usize,
    n: usize,
    accumulate: bool,
    compute: Compute,
) {
    assert_eq!(x.len(), m * k, "x must hold [{m}, {k}] values");
    w.check(n, k);
    assert_eq!(out.len(), m * n, "out must hold [{m}, {n}] values");
    let left = Left { values: x.as_ptr(), stride: k, transposed: false };
    let right = Right { elements: w.elements(k), stride: k, transposed: true };
    run(out, (m, n, k), left, right, accumulate, compute);
}

/// `dx (+)= dy·w`: dy `[m, n]`, w `[n, k]`, dx `[m, k]`; adds to `dx` when `accumulate`, else overwrites it.
///
/// # Panics
/// When a slice has not the length of its shape.
#[allow(clippy::too_many_arguments, reason = "three matrices, their shape, and how to compute")]
pub fn matmul_nn(
    dy: &[f32],
    w: Weight<'_>,
    dx: &mut [f32],
    m: usize,
    n: usize,
    k: usize,
    accumulate: bool,
    compute: Compute,
) {
    assert_eq!(dy.len(), m * n, "dy must hold [{m}, {n}] values");
    w.check(n, k);
    assert_eq!(dx.len(), m * k, "dx must hold [{m}, {k}] values");
    let left = Left { values: dy.as_ptr(), stride: n, transposed: false };
    let right = Right { elements: w.elements(k), stride: k, transposed: false };
    run(dx, (m, k, n), left, right, accumulate, compute);
}

/// `dw (+)= dyᵀ·x`: dy `[m, n]`, x `[m, k]`, dw `[n, k]`; adds to `dw` when `accumulate`, else overwrites it.
///
/// # Panics
/// When a slice has not the length of its shape.
#[allow(clippy::too_many_arguments, reason = "three matrices, their shape, and how to compute")]
pub fn matmul_tn(
    dy: &[f32],
    x: &[f32],
    dw: &mut [f32],
    m: usize,
    n: usize,
    k: usize,
    accumulate: bool,
    compute: Compute,
) {
    assert_eq!(dy.len(), m * n, "dy must hold [{m}, {n}] values");
    assert_eq!(x.len(), m * k, "x must hold [{m}, {k}] values");
    assert_eq!(dw.len(), n * k, "dw must hold [{n}, {k}] values");
    if k < THIN && n > k {
        return thin_tn(dy, x, dw, (m, n, k), accumulate, compute);
    }
    let left = Left { values: dy.as_ptr(), stride: n, transposed: true };
    let right = Right { elements: Elements::F32(x.as_ptr()), stride: k, transposed: false };
    run(dw, (n, k, m), left, right, accumulate, compute);
}

/// Below this many columns, `dw` is computed as its transpose.
const THIN: usize = 48;

/// [`matmul_tn`] for a `dw` of few columns: `dwᵀ = xᵀ·dy` keeps the long side in the tiles' columns, where packing walks along
/// whole rows.
fn thin_tn(
    dy: &[f32],
    x: &[f32],
    dw: &mut [f32],
    (m, n, k): (usize, usize, usize),
    accumulate: bool,
    compute: Compute,
) {
    let mut turned = vec![0f32; n * k];
    let left = Left { values: x.as_ptr(), stride: k, transposed: true };
    let right = Right { elements: Elements::F32(dy.as_ptr()), stride: n, transposed: false };
    run(&mut turned, (k, n, m), left, right, false, compute);
    for (j, row) in dw.chunks_exact_mut(k).enumerate() {
        for (i, value) in row.iter_mut().enumerate() {
            *value = turned[i * n + j] + if accumulate { *value } else { 0.0 };
        }
    }
}

/// A factor of [`serial`]: rows of f32 at a stride, perhaps to be read transposed.
#[derive(Clone, Copy)]
pub(super) struct Factor<'a> {
    /// From the first number on.
    pub values: &'a [f32],
    /// Distance between stored rows.
    pub stride: usize,
    /// Whether the stored rows are the factor's columns.
    pub transposed: bool,
}

/// How products are formed: the precision, and the instructions.
pub(super) type How = (Compute, Instructions);

/// `out (+)= left · right` on the calling thread, for the blocks of other kernels: `shape` is (rows, columns, terms), and
/// `out` has no gaps.
pub(super) fn serial(
    left: Factor<'_>,
    right: Factor<'_>,
    out: &mut [f32],
    shape: (usize, usize, usize),
    accumulate: bool,
    how: How,
) {
    let (rows, columns, terms) = shape;
    right.check(terms, columns);
    let right =
        Right { elements: Elements::F32(right.values.as_ptr()), stride: right.stride, transposed: right.transposed };
    let product = serial_product(left, right, out, shape, accumulate, how);
    if rows > 0 && columns > 0 {
        // SAFETY: the lengths were checked; `out` is borrowed mutably; the instructions were detected.
        unsafe { product.run_serially(None) };
    }
}

/// Packs `right` `[terms, columns]` for [`serial_packed`].
pub(super) fn pack(right: Factor<'_>, (terms, columns): (usize, usize), packed: &mut Packed, how: How) {
    right.check(terms, columns);
    let right =
        Right { elements: Elements::F32(right.values.as_ptr()), stride: right.stride, transposed: right.transposed };
    let nothing = Factor { values: &[], stride: terms, transposed: false };
    let product = serial_product(nothing, right, &mut [], (0, columns, terms), false, how);
    // SAFETY: the length was checked; the instructions were detected.
    unsafe { product.pack_serially(packed) };
}

/// [`serial`] with a `right` that [`pack`] packed in the same way of computing; its first terms and columns are meant. Of `out`, what lies
/// beyond the `reach` of a row is left undefined.
pub(super) fn serial_packed(
    left: Factor<'_>,
    right: &Packed,
    out: &mut [f32],
    shape: (usize, usize, usize),
    reach: Option<Reach>,
    how: How,
) {
    let (rows, columns, terms) = shape;
    let nothing = Right { elements: Elements::F32(std::ptr::null()), stride: 0, transposed: false };
    let product = Product { reach, ..serial_product(left, nothing, out, shape, false, how) };
    right.check(terms, columns, &product);
    if rows > 0 && columns > 0 {
        // SAFETY: the lengths and the packed factor were checked; `out` is borrowed mutably; the instructions were detected.
        unsafe { product.run_serially(Some(right)) };
    }
}

impl Factor<'_> {
    fn check(&self, height: usize, width: usize) {
        let (height, width) = if self.transposed { (width, height) } else { (height, width) };
        let needed = if height == 0 { 0 } else { (height - 1) * self.stride + width };
        assert!(self.values.len() >= needed && self.stride >= width, "a factor is too short for its shape");
    }
}

fn serial_product(
    left: Factor<'_>,
    right: Right,
    out: &mut [f32],
    (rows, columns, terms): (usize, usize, usize),
    accumulate: bool,
    (compute, instructions): How,
) -> Product {
    let instructions = instructions.min(Instructions::detected());
    assert_eq!(out.len(), rows * columns, "out must hold [{rows}, {columns}] values");
    left.check(rows, terms);
    Product {
        rows,
        columns,
        terms,
        left: Left { values: left.values.as_ptr(), stride: left.stride, transposed: left.transposed },
        right,
        out: out.as_mut_ptr(),
        out_stride: columns,
        accumulate,
        reach: None,
        half: compute == Compute::Bf16 && instructions == Instructions::Avx512Bf16,
        instructions,
    }
}

/// Runs a product `[rows, terms] · [terms, columns]` whose factors have the lengths that their layouts need.
fn run(
    out: &mut [f32],
    (rows, columns, terms): (usize, usize, usize),
    left: Left,
    right: Right,
    accumulate: bool,
    compute: Compute,
) {
    let instructions = Instructions::current();
    let half = compute == Compute::Bf16
        && instructions == Instructions::Avx512Bf16
        && !matches!(right.elements, Elements::Nf4(_, false));
    let product = Product {
        rows,
        columns,
        terms,
        left,
        right,
        out: out.as_mut_ptr(),
        out_stride: columns,
        accumulate,
        reach: None,
        half,
        instructions,
    };
    if rows > 0 && columns > 0 {
        // SAFETY: the callers checked the lengths; `out` is borrowed mutably; the instructions were detected.
        unsafe { product.run() };
    }
}
