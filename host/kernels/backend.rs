//! What a device must offer for the network and the trainer to run on it.
//!
//! The network, its backward pass and the optimiser are written once against [`Backend`]. A backend owns memory
//! ([`Backend::Buffer`]: f32, [`Backend::Indices`]: u32, [`Backend::Matrix`]: a frozen weight in its stored precision) and
//! the fused operations. Sizes travel with every call; a buffer may be longer than an operation needs, because buffers
//! are reused between batches of different sizes. Outputs are overwritten unless the name or a flag says "add".

use std::ops::Range;

use super::attention;
use super::dropout::Mask;
use super::geglu::Gelu;
use super::gemm::Compute;
use super::moments::{MomentStorage, Moments};
use super::optimiser::AdamW;
use super::part_norm::Parts;
use super::quantise::is_lossless;
use super::rope::{Heads, Turn};
pub use super::row_norms::RowNorms;
use super::so8::Map;
use super::{curvature, so8};
use so8t_base::Result;

/// How a frozen weight is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Single precision.
    F32,
    /// The upper halves of single-precision numbers, rounded to nearest even.
    Bf16,
    /// Half precision, rounded to nearest even; the caller has seen to it that the values fit.
    F16,
    /// Block-wise int8; see [`super::quantise`].
    Int8,
    /// NF4 with double quantisation, bit for bit as [`super::nf4`] makes it of the rows laid end to end.
    Nf4,
}

/// A weight [n, k], frozen in its stored precision, or trainable in f32.
pub enum Operand<'a, B: Backend> {
    /// Frozen.
    Matrix(&'a B::Matrix),
    /// Trainable, or an activation.
    Buffer(&'a B::Buffer),
}

impl<B: Backend> Clone for Operand<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Operand<'_, B> {}

/// The shape of a product: activations [m, k], weight [n, k], result [m, n].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Rows of the batch.
    pub m: usize,
    /// Outputs of the linear.
    pub n: usize,
    /// Inputs of the linear.
    pub k: usize,
}

/// A rectangle of a row-major matrix, for example the part of a fused adapter that belongs to one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Rows.
    pub rows: Range<usize>,
    /// Columns.
    pub columns: Range<usize>,
}

/// A device: its memory and the fused operations on it.
#[allow(clippy::too_many_arguments, reason = "operations take their matrices and their sizes")]
pub trait Backend: Send + Sync + Sized + 'static {
    /// f32 values.
    type Buffer: Send + Sync;
    /// u32 values: tokens, positions, row numbers.
    type Indices: Send + Sync;
    /// A frozen weight.
    type Matrix: Send + Sync;
    /// Both moments of a tensor that is trained.
    type Moments: Send + Sync;

    /// Whether weights must be read: a device that only counts has no use for their values, and is given none.
    fn reads_weights(&self) -> bool {
        true
    }
    /// Whether a table of the base (embedding, head) loses nothing in block-wise int8.
    fn is_lossless(&self, values: &[f32], columns: usize) -> bool {
        is_lossless(values, columns)
    }

    /// A buffer of zeros.
    fn allocate(&self, len: usize) -> Result<Self::Buffer>;
    /// How many values a buffer holds.
    fn capacity(&self, buffer: &Self::Buffer) -> usize;
    /// Writes `values` to the buffer's beginning.
    fn write(&self, values: &[f32], out: &mut Self::Buffer) -> Result<()>;
    /// Reads the first `len` values.
    fn read(&self, buffer: &Self::Buffer, len: usize) -> Result<Vec<f32>>;
    /// Moves row numbers or tokens to the device.
    fn indices(&self, values: &[u32]) -> Result<Self::Indices>;
    /// Moves a weight [n, k] to the device, in the given precision.
    fn matrix(&self, values: Vec<f32>, n: usize, k: usize, storage: Storage) -> Result<Self::Matrix>;
    /// Copies the first `len` values.
    fn copy(&self, source: &Self::Buffer, out: &mut Self::Buffer, len: usize) -> Result<()>;
    /// Copies the first `len` values to where `out` has its value number `at`, and on.
    fn copy_to(&self, source: &Self::Buffer, len: usize, out: &mut Self::Buffer, at: usize) -> Result<()>;
    /// Sets the first `len` values to 0.
    fn zero(&self, out: &mut Self::Buffer, len: usize) -> Result<()>;
    /// Sets a block of a matrix with rows of `width` values to 0.
    fn zero_block(&self, out: &mut Self::Buffer, width: usize, block: &Block) -> Result<()>;
    /// Multiplies the first `len` values.
    fn scale(&self, out: &mut Self::Buffer, len: usize, factor: f32) -> Result<()>;
    /// `out += source`, over the first `len` values.
    fn add(&self, source: &Self::Buffer, out: &mut Self::Buffer, len: usize) -> Result<()>;
    /// Multiplies column `c` of `values` [rows, width] by `factors[c]`.
    fn scale_columns(&self, values: &mut Self::Buffer, factors: &Self::Buffer, rows: usize, width: usize)
    -> Result<()>;
    /// `out[c] += factors[c] · Σᵢ a[i][c] · b[i][c]`, for `a` and `b` [rows, width]; nothing is added where `factors[c]` is 0.
    fn add_column_dots(
        &self,
        a: &Self::Buffer,
        b: &Self::Buffer,
        factors: &Self::Buffer,
        rows: usize,
        width: usize,
        out: &mut Self::Buffer,
    ) -> Result<()>;
    /// `out[j] += Σ w[j][i]²` for every row of a weight [n, k].
    fn add_row_squares(&self, w: Operand<'_, Self>, n: usize, k: usize, out: &mut Self::Buffer) -> Result<()>;
    /// What DoRA's rows are multiplied by, [n], and their inverse norms, [n]; see [`super::row_norms::scales`].
    fn row_scales(
        &self,
        norms: RowNorms<'_, Self::Buffer>,
        n: usize,
        width: usize,
        scale: &mut Self::Buffer,
        inverse: &mut Self::Buffer,
    ) -> Result<()>;
    /// Σ x² over the first so many values of each buffer; not finite where a value is not.
    fn sums_of_squares(&self, buffers: &[(&Self::Buffer, usize)]) -> Result<Vec<f64>>;

    /// `out (+)= x·wᵀ`.
    fn product_nt(
        &self,
        x: &Self::Buffer,
        w: Operand<'_, Self>,
        out: &mut Self::Buffer,
        shape: Product,
        accumulate: bool,
        compute: Compute,
    ) -> Result<()>;
    /// `dx (+)= dy·w`.
    fn product_nn(
        &self,
        dy: &Self::Buffer,
        w: Operand<'_, Self>,
        dx: &mut Self::Buffer,
        shape: Product,
        accumulate: bool,
        compute: Compute,
    ) -> Result<()>;
    /// `dw += dyᵀ·x`.
    fn product_tn(
        &self,
        dy: &Self::Buffer,
        x: &Self::Buffer,
        dw: &mut Self::Buffer,
        shape: Product,
        compute: Compute,
    ) -> Result<()>;

    /// `out (+)= x·wᵀ + reduced·bᵀ`: a weight with a low-rank one beside it, `reduced` [m, width] and `b` [n, width]. A device
    /// may form both in one product.
    fn adapted_nt(
        &self,
        x: &Self::Buffer,
        w: Operand<'_, Self>,
        reduced: &Self::Buffer,
        b: &Self::Buffer,
        width: usize,
        out: &mut Self::Buffer,
        shape: Product,
        accumulate: bool,
        compute: Compute,
    ) -> Result<()> {
        self.product_nt(x, w, out, shape, accumulate, compute)?;
        self.product_nt(reduced, Operand::Buffer(b), out, Product { k: width, ..shape }, true, compute)
    }
    /// `dx = dy·w + narrow·a`, with `narrow` [m, width] and `a` [width, k].
    fn adapted_nn(
        &self,
        dy: &Self::Buffer,
        w: Operand<'_, Self>,
        narrow: &Self::Buffer,
        a: &Self::Buffer,
        width: usize,
        dx: &mut Self::Buffer,
        shape: Product,
        compute: Compute,
    ) -> Result<()> {
        self.product_nn(dy, w, dx, shape, false, compute)?;
        self.product_nn(narrow, Operand::Buffer(a), dx, Product { n: width, ..shape }, true, compute)
    }

    /// Row `indices[i]` of `table` [_, width] becomes row `i` of `out`; `count` rows.
    fn gather(
        &self,
        table: Operand<'_, Self>,
        indices: &Self::Indices,
        count: usize,
        width: usize,
        out: &mut Self::Buffer,
    ) -> Result<()>;
    /// Row `i` of `rows` is added to row `indices[i]` of `out`.
    fn scatter_add(
        &self,
        rows: &Self::Buffer,
        indices: &Self::Indices,
        count: usize,
        width: usize,
        out: &mut Self::Buffer,
    ) -> Result<()>;

    /// Root-mean-square normalisation of `rows` rows; see [`super::norm`].
    fn rms_norm(
        &self,
        x: &Self::Buffer,
        weight: &Self::Buffer,
        rows: usize,
        width: usize,
        epsilon: f32,
        out: &mut Self::Buffer,
        inverse: &mut Self::Buffer,
    ) -> Result<()>;
    /// Adds its gradient with respect to `x` to `out`, and with respect to the weight to `weight_out`.
    fn rms_norm_backward(
        &self,
        gradient: &Self::Buffer,
        x: &Self::Buffer,
        weight: &Self::Buffer,
        inverse: &Self::Buffer,
        rows: usize,
        width: usize,
        out: &mut Self::Buffer,
        weight_out: Option<&mut Self::Buffer>,
    ) -> Result<()>;
    /// Root-mean-square normalisation of parts of rows; see [`super::part_norm`]. What is no part is left alone in `out`.
    fn part_norm(
        &self,
        x: &Self::Buffer,
        weight: &Self::Buffer,
        rows: usize,
        parts: Parts,
        epsilon: f32,
        out: &mut Self::Buffer,
        inverse: &mut Self::Buffer,
    ) -> Result<()>;
    /// Replaces the parts of `gradient` by the gradient with respect to `x`, and adds that of the weight to `weight_out`.
    fn part_norm_backward(
        &self,
        x: &Self::Buffer,
        weight: &Self::Buffer,
        inverse: &Self::Buffer,
        rows: usize,
        parts: Parts,
        gradient: &mut Self::Buffer,
        weight_out: Option<&mut Self::Buffer>,
    ) -> Result<()>;
    /// Rotary positions in place; see [`super::rope`].
    fn rope(
        &self,
        values: &mut Self::Buffer,
        positions: &Self::Indices,
        cos: &Self::Buffer,
        sin: &Self::Buffer,
        rows: usize,
        shape: Heads,
        turn: Turn,
    ) -> Result<()>;
    /// Causal attention over fused rows `[queries | keys | values]`, within each of the sequences `starts[i]..starts[i + 1]`: `out` [rows, heads·head_dim], and
    /// `lse` [rows, heads], the log of each softmax's denominator.
    fn attention(
        &self,
        fused: &Self::Buffer,
        starts: &[usize],
        shape: attention::Heads,
        out: &mut Self::Buffer,
        lse: &mut Self::Buffer,
    ) -> Result<()>;
    /// Its gradient with respect to the fused rows.
    fn attention_backward(
        &self,
        fused: &Self::Buffer,
        out: &Self::Buffer,
        lse: &Self::Buffer,
        gradient: &Self::Buffer,
        starts: &[usize],
        shape: attention::Heads,
        fused_gradient: &mut Self::Buffer,
    ) -> Result<()>;
    /// Copies keys and values of `rows` fused rows to rows `places` of `kept`; see [`attention::next::keep`].
    fn keep(
        &self,
        fused: &Self::Buffer,
        places: &Self::Indices,
        rows: usize,
        shape: attention::Heads,
        kept: &mut Self::Buffer,
    ) -> Result<()>;
    /// Attention of one new token a sequence over its rows of `kept`; see [`attention::next::next`].
    fn attention_next(
        &self,
        fused: &Self::Buffer,
        kept: &Self::Buffer,
        sequences: &[Range<usize>],
        shape: attention::Heads,
        out: &mut Self::Buffer,
    ) -> Result<()>;
    /// The gated activation; see [`super::swiglu`].
    fn swiglu(&self, gate_up: &Self::Buffer, rows: usize, width: usize, out: &mut Self::Buffer) -> Result<()>;
    /// Replaces `gate_up` by the gradient with respect to it.
    fn swiglu_backward(
        &self,
        gradient: &Self::Buffer,
        rows: usize,
        width: usize,
        gate_up: &mut Self::Buffer,
    ) -> Result<()>;
    /// As [`Backend::swiglu`], with a GELU; see [`super::geglu`].
    fn geglu(
        &self,
        gate_up: &Self::Buffer,
        rows: usize,
        width: usize,
        gelu: Gelu,
        out: &mut Self::Buffer,
    ) -> Result<()>;
    /// Replaces `gate_up` by the gradient with respect to it.
    fn geglu_backward(
        &self,
        gradient: &Self::Buffer,
        rows: usize,
        width: usize,
        gelu: Gelu,
        gate_up: &mut Self::Buffer,
    ) -> Result<()>;
    /// Caps the first `len` values; see [`super::soft_cap`].
    fn soft_cap(&self, values: &mut Self::Buffer, len: usize, cap: f32) -> Result<()>;
    /// Turns the gradient of capped values into that of the values.
    fn soft_cap_backward(&self, capped: &Self::Buffer, len: usize, cap: f32, gradient: &mut Self::Buffer)
    -> Result<()>;
    /// `out = x · mask`, or `out += x · mask`.
    fn dropout(
        &self,
        x: &Self::Buffer,
        mask: Mask,
        rows: usize,
        width: usize,
        out: &mut Self::Buffer,
        add: bool,
    ) -> Result<()>;
    /// Each row's loss with label smoothing (0: none), written to `losses` from value `first` on; the logits become the gradient of the
    /// weighted sum. See [`super::loss`].
    fn cross_entropy(
        &self,
        logits: &mut Self::Buffer,
        vocabulary: usize,
        targets: &[u32],
        weights: &[f32],
        smoothing: f32,
        losses: &mut Self::Buffer,
        first: usize,
    ) -> Result<()>;
    /// One step of the optimiser on a tensor of `len` values.
    fn adamw(
        &self,
        step: &AdamW,
        values: &mut Self::Buffer,
        gradient: &Self::Buffer,
        moments: &mut Self::Moments,
        len: usize,
    ) -> Result<()>;
    /// Moments of 0 for a tensor of `len` values; see [`super::moments`].
    fn moments(&self, len: usize, storage: MomentStorage) -> Result<Self::Moments>;
    /// Moments as they are kept, for a checkpoint.
    fn read_moments(&self, moments: &Self::Moments) -> Result<Moments>;
    /// Puts back what [`Backend::read_moments`] gave, of a tensor of the same length and storage.
    fn write_moments(&self, values: &Moments, out: &mut Self::Moments) -> Result<()>;

    // The operations of rotation gates. What stands here goes through the host's memory, so that a device has them from the
    // start; one that has kernels of its own for them overrides it.

    /// The rotations [blocks, 8, 8] of gates `theta` [blocks, 8, 8]; see [`so8`].
    fn rotations(&self, theta: &Self::Buffer, blocks: usize, map: Map, out: &mut Self::Buffer) -> Result<()> {
        let theta = self.read(theta, blocks * so8::BLOCK)?;
        let mut values = vec![0.0; theta.len()];
        so8::rotations(&theta, map, &mut values);
        self.write(&values, out)
    }
    /// Adds the gradient of `theta` to `out`, given that of its rotations.
    fn rotations_backward(
        &self,
        theta: &Self::Buffer,
        gradient: &Self::Buffer,
        blocks: usize,
        map: Map,
        out: &mut Self::Buffer,
    ) -> Result<()> {
        let (theta, gradient) = (self.read(theta, blocks * so8::BLOCK)?, self.read(gradient, blocks * so8::BLOCK)?);
        let mut values = self.read(out, theta.len())?;
        so8::rotations_backward(&theta, &gradient, map, &mut values);
        self.write(&values, out)
    }
    /// `out (+)= x·R` in blocks of eight of every row, or `x·Rᵀ` backward; `rotations` is [width / 8, 8, 8].
    fn rotate(
        &self,
        x: &Self::Buffer,
        rotations: &Self::Buffer,
        rows: usize,
        width: usize,
        turn: Turn,
        add: bool,
        out: &mut Self::Buffer,
    ) -> Result<()> {
        let (x, rotations) = (self.read(x, rows * width)?, self.read(rotations, width * so8::SIDE)?);
        let mut values = self.read(out, rows * width)?;
        so8::rotate(&x, &rotations, width, turn, add, &mut values);
        self.write(&values, out)
    }
    /// The gradient of the rotations [width / 8, 8, 8], given that of `x·R`.
    fn rotate_gradient(
        &self,
        x: &Self::Buffer,
        gradient: &Self::Buffer,
        rows: usize,
        width: usize,
        out: &mut Self::Buffer,
    ) -> Result<()> {
        let (x, gradient) = (self.read(x, rows * width)?, self.read(gradient, rows * width)?);
        let mut values = vec![0.0; width * so8::SIDE];
        so8::rotate_gradient(&x, &gradient, width, &mut values);
        self.write(&values, out)
    }
    /// How far sequences of rows are from straight lines, and `factor` times the gradient of it; see [`curvature`].
    fn curvature(
        &self,
        h: &Self::Buffer,
        starts: &[usize],
        width: usize,
        factor: f32,
        gradient: &mut Self::Buffer,
    ) -> Result<f64> {
        let h = self.read(h, starts.last().copied().unwrap_or(0) * width)?;
        let mut values = vec![0.0; h.len()];
        let sum = curvature::curvature(&h, starts, width, factor, &mut values);
        self.write(&values, gradient)?;
        Ok(sum)
    }
}
