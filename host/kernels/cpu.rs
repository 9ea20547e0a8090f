//! The CPU as a [`Backend`]: every operation is a call of its family.

use std::ops::Range;

use half::{bf16, f16};

use super::backend::{Backend, Block, Operand, Product, RowNorms, Storage};
use super::dropout::Mask;
use super::geglu::Gelu;
use super::gemm::{Compute, Weight};
use super::moments::{MomentStorage, Moments};
use super::nf4::{self, Nf4Matrix};
use super::optimiser::AdamW;
use super::part_norm::Parts;
use super::quantise::{QuantisedMatrix, quantise};
use super::rope::{Heads, Turn};
use super::so8::{self, BLOCK, Map, SIDE};
use super::{
    attention, columns, curvature, dropout, geglu, gemm, loss, moments, norm, optimiser, part_norm, rope, row_norms,
    soft_cap, swiglu, table,
};
use so8t_base::Result;

/// The CPU: buffers are vectors, and operations use rayon's threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

/// A frozen weight in memory.
pub enum CpuMatrix {
    /// Single precision.
    F32(Vec<f32>),
    /// The upper halves of single-precision numbers.
    Bf16(Vec<u16>),
    /// Half precision.
    F16(Vec<u16>),
    /// Block-wise int8.
    Int8(QuantisedMatrix),
    /// NF4.
    Nf4(Nf4Matrix),
}

impl CpuMatrix {
    fn weight(&self) -> Weight<'_> {
        match self {
            Self::F32(values) => Weight::F32(values),
            Self::Bf16(values) => Weight::Bf16(values),
            Self::F16(values) => Weight::F16(values),
            Self::Nf4(matrix) => Weight::Nf4(matrix),
            Self::Int8(matrix) => Weight::Int8 { values: &matrix.values, steps: &matrix.steps },
        }
    }
}

fn weight<'a>(operand: Operand<'a, Cpu>, len: usize) -> Weight<'a> {
    match operand {
        Operand::Matrix(matrix) => matrix.weight(),
        Operand::Buffer(buffer) => Weight::F32(&buffer[..len]),
    }
}

fn fused_width(heads: &attention::Heads) -> usize {
    heads.query_width() + 2 * heads.key_width()
}

impl Backend for Cpu {
    type Buffer = Vec<f32>;
    type Indices = Vec<u32>;
    type Matrix = CpuMatrix;
    type Moments = Moments;

    fn allocate(&self, len: usize) -> Result<Vec<f32>> {
        Ok(vec![0.0; len])
    }

    fn capacity(&self, buffer: &Vec<f32>) -> usize {
        buffer.len()
    }

    fn write(&self, values: &[f32], out: &mut Vec<f32>) -> Result<()> {
        out[..values.len()].copy_from_slice(values);
        Ok(())
    }

    fn read(&self, buffer: &Vec<f32>, len: usize) -> Result<Vec<f32>> {
        Ok(buffer[..len].to_vec())
    }

    fn indices(&self, values: &[u32]) -> Result<Vec<u32>> {
        Ok(values.to_vec())
    }

    fn matrix(&self, values: Vec<f32>, _n: usize, k: usize, storage: Storage) -> Result<CpuMatrix> {
        Ok(match storage {
            Storage::F32 => CpuMatrix::F32(values),
            Storage::Bf16 => CpuMatrix::Bf16(values.iter().map(|&x| bf16::from_f32(x).to_bits()).collect()),
            Storage::F16 => CpuMatrix::F16(values.iter().map(|&x| f16::from_f32(x).to_bits()).collect()),
            Storage::Int8 => CpuMatrix::Int8(quantise(&values, k)),
            Storage::Nf4 => CpuMatrix::Nf4(nf4::quantise(&values)),
        })
    }

    fn copy(&self, source: &Vec<f32>, out: &mut Vec<f32>, len: usize) -> Result<()> {
        out[..len].copy_from_slice(&source[..len]);
        Ok(())
    }

    fn copy_to(&self, source: &Vec<f32>, len: usize, out: &mut Vec<f32>, at: usize) -> Result<()> {
        out[at..at + len].copy_from_slice(&source[..len]);
        Ok(())
    }

    fn zero(&self, out: &mut Vec<f32>, len: usize) -> Result<()> {
        out[..len].fill(0.0);
        Ok(())
    }

    fn zero_block(&self, out: &mut Vec<f32>, width: usize, block: &Block) -> Result<()> {
        for row in block.rows.clone() {
            out[row * width + block.columns.start..row * width + block.columns.end].fill(0.0);
        }
        Ok(())
    }

    fn scale(&self, out: &mut Vec<f32>, len: usize, factor: f32) -> Result<()> {
        for x in &mut out[..len] {
            *x *= factor;
        }
        Ok(())
    }

    fn add(&self, source: &Vec<f32>, out: &mut Vec<f32>, len: usize) -> Result<()> {
        columns::add(&source[..len], &mut out[..len]);
        Ok(())
    }

    fn scale_columns(&self, values: &mut Vec<f32>, factors: &Vec<f32>, rows: usize, width: usize) -> Result<()> {
        columns::scale(&mut values[..rows * width], &factors[..width]);
        Ok(())
    }

    fn add_column_dots(
        &self,
        a: &Vec<f32>,
        b: &Vec<f32>,
        factors: &Vec<f32>,
        rows: usize,
        width: usize,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        columns::add_dots(&a[..rows * width], &b[..rows * width], &factors[..width], &mut out[..width]);
        Ok(())
    }

    fn add_row_squares(&self, w: Operand<'_, Self>, n: usize, k: usize, out: &mut Vec<f32>) -> Result<()> {
        row_norms::add_squares(weight(w, n * k), k, &mut out[..n]);
        Ok(())
    }

    fn row_scales(
        &self,
        norms: RowNorms<'_, Vec<f32>>,
        n: usize,
        width: usize,
        scale: &mut Vec<f32>,
        inverse: &mut Vec<f32>,
    ) -> Result<()> {
        let norms = RowNorms {
            squares: &norms.squares[..n],
            projected: &norms.projected[..width * n],
            gram: &norms.gram[..width * width],
            up: &norms.up[..n * width],
            scales: &norms.scales[..width],
            magnitude: &norms.magnitude[..n],
        };
        row_norms::scales(norms, &mut scale[..n], &mut inverse[..n]);
        Ok(())
    }

    fn sums_of_squares(&self, buffers: &[(&Vec<f32>, usize)]) -> Result<Vec<f64>> {
        Ok(buffers.iter().map(|(buffer, len)| optimiser::sum_of_squares(&buffer[..*len])).collect())
    }

    fn product_nt(
        &self,
        x: &Vec<f32>,
        w: Operand<'_, Self>,
        out: &mut Vec<f32>,
        Product { m, n, k }: Product,
        accumulate: bool,
        compute: Compute,
    ) -> Result<()> {
        gemm::matmul_nt(&x[..m * k], weight(w, n * k), &mut out[..m * n], m, k, n, accumulate, compute);
        Ok(())
    }

    fn product_nn(
        &self,
        dy: &Vec<f32>,
        w: Operand<'_, Self>,
        dx: &mut Vec<f32>,
        Product { m, n, k }: Product,
        accumulate: bool,
        compute: Compute,
    ) -> Result<()> {
        gemm::matmul_nn(&dy[..m * n], weight(w, n * k), &mut dx[..m * k], m, n, k, accumulate, compute);
        Ok(())
    }

    fn product_tn(
        &self,
        dy: &Vec<f32>,
        x: &Vec<f32>,
        dw: &mut Vec<f32>,
        Product { m, n, k }: Product,
        compute: Compute,
    ) -> Result<()> {
        gemm::matmul_tn(&dy[..m * n], &x[..m * k], &mut dw[..n * k], m, n, k, true, compute);
        Ok(())
    }

    fn gather(
        &self,
        table: Operand<'_, Self>,
        indices: &Vec<u32>,
        count: usize,
        width: usize,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let table = match table {
            Operand::Matrix(matrix) => matrix.weight(),
            Operand::Buffer(buffer) => Weight::F32(buffer),
        };
        table::gather(table, &indices[..count], width, &mut out[..count * width]);
        Ok(())
    }

    fn scatter_add(
        &self,
        rows: &Vec<f32>,
        indices: &Vec<u32>,
        count: usize,
        width: usize,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        table::scatter_add(&rows[..count * width], &indices[..count], width, out);
        Ok(())
    }

    fn rms_norm(
        &self,
        x: &Vec<f32>,
        weight: &Vec<f32>,
        rows: usize,
        width: usize,
        epsilon: f32,
        out: &mut Vec<f32>,
        inverse: &mut Vec<f32>,
    ) -> Result<()> {
        let len = rows * width;
        norm::forward(&x[..len], &weight[..width], epsilon, &mut out[..len], &mut inverse[..rows]);
        Ok(())
    }

    fn rms_norm_backward(
        &self,
        gradient: &Vec<f32>,
        x: &Vec<f32>,
        weight: &Vec<f32>,
        inverse: &Vec<f32>,
        rows: usize,
        width: usize,
        out: &mut Vec<f32>,
        weight_out: Option<&mut Vec<f32>>,
    ) -> Result<()> {
        let (gradient, x, inverse) = (&gradient[..rows * width], &x[..rows * width], &inverse[..rows]);
        norm::backward(gradient, x, &weight[..width], inverse, &mut out[..rows * width]);
        if let Some(weight_out) = weight_out {
            norm::backward_weight(gradient, x, inverse, &mut weight_out[..width]);
        }
        Ok(())
    }

    fn part_norm(
        &self,
        x: &Vec<f32>,
        weight: &Vec<f32>,
        rows: usize,
        parts: Parts,
        epsilon: f32,
        out: &mut Vec<f32>,
        inverse: &mut Vec<f32>,
    ) -> Result<()> {
        let len = rows * parts.stride;
        let inverse = &mut inverse[..rows * parts.count];
        part_norm::forward(&x[..len], &weight[..parts.width], epsilon, parts, &mut out[..len], inverse);
        Ok(())
    }

    fn part_norm_backward(
        &self,
        x: &Vec<f32>,
        weight: &Vec<f32>,
        inverse: &Vec<f32>,
        rows: usize,
        parts: Parts,
        gradient: &mut Vec<f32>,
        weight_out: Option<&mut Vec<f32>>,
    ) -> Result<()> {
        let (x, gradient) = (&x[..rows * parts.stride], &mut gradient[..rows * parts.stride]);
        let inverse = &inverse[..rows * parts.count];
        if let Some(out) = weight_out {
            part_norm::backward_weight(gradient, x, inverse, parts, &mut out[..parts.width]);
        }
        part_norm::backward(x, &weight[..parts.width], inverse, parts, gradient);
        Ok(())
    }

    fn geglu(&self, gate_up: &Vec<f32>, rows: usize, width: usize, gelu: Gelu, out: &mut Vec<f32>) -> Result<()> {
        geglu::forward(&gate_up[..2 * rows * width], width, gelu, &mut out[..rows * width]);
        Ok(())
    }

    fn geglu_backward(
        &self,
        gradient: &Vec<f32>,
        rows: usize,
        width: usize,
        gelu: Gelu,
        gate_up: &mut Vec<f32>,
    ) -> Result<()> {
        geglu::backward(&gradient[..rows * width], width, gelu, &mut gate_up[..2 * rows * width]);
        Ok(())
    }

    fn soft_cap(&self, values: &mut Vec<f32>, len: usize, cap: f32) -> Result<()> {
        soft_cap::forward(&mut values[..len], cap);
        Ok(())
    }

    fn soft_cap_backward(&self, capped: &Vec<f32>, len: usize, cap: f32, gradient: &mut Vec<f32>) -> Result<()> {
        soft_cap::backward(&mut gradient[..len], &capped[..len], cap);
        Ok(())
    }

    fn rope(
        &self,
        values: &mut Vec<f32>,
        positions: &Vec<u32>,
        cos: &Vec<f32>,
        sin: &Vec<f32>,
        rows: usize,
        shape: Heads,
        turn: Turn,
    ) -> Result<()> {
        rope::turn(&mut values[..rows * shape.stride], &positions[..rows], cos, sin, shape, turn);
        Ok(())
    }

    fn attention(
        &self,
        fused: &Vec<f32>,
        starts: &[usize],
        shape: attention::Heads,
        out: &mut Vec<f32>,
        lse: &mut Vec<f32>,
    ) -> Result<()> {
        let rows = starts.last().copied().unwrap_or(0);
        let inputs = attention::Inputs::fused(&fused[..rows * fused_width(&shape)], &shape);
        let (out, lse) = (&mut out[..rows * shape.query_width()], &mut lse[..rows * shape.heads]);
        attention::forward(inputs, starts, &shape, out, lse);
        Ok(())
    }

    fn attention_backward(
        &self,
        fused: &Vec<f32>,
        out: &Vec<f32>,
        lse: &Vec<f32>,
        gradient: &Vec<f32>,
        starts: &[usize],
        shape: attention::Heads,
        fused_gradient: &mut Vec<f32>,
    ) -> Result<()> {
        let rows = starts.last().copied().unwrap_or(0);
        let inputs = attention::Inputs::fused(&fused[..rows * fused_width(&shape)], &shape);
        let (out, gradient) = (&out[..rows * shape.query_width()], &gradient[..rows * shape.query_width()]);
        let target = attention::Gradients::Fused(&mut fused_gradient[..rows * fused_width(&shape)]);
        attention::backward(inputs, starts, &shape, out, &lse[..rows * shape.heads], gradient, target);
        Ok(())
    }

    fn keep(
        &self,
        fused: &Vec<f32>,
        places: &Vec<u32>,
        rows: usize,
        shape: attention::Heads,
        kept: &mut Vec<f32>,
    ) -> Result<()> {
        attention::next::keep(&fused[..rows * fused_width(&shape)], &places[..rows], &shape, kept);
        Ok(())
    }

    fn attention_next(
        &self,
        fused: &Vec<f32>,
        kept: &Vec<f32>,
        sequences: &[Range<usize>],
        shape: attention::Heads,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        attention::next::next(fused, kept, sequences, &shape, &mut out[..sequences.len() * shape.query_width()]);
        Ok(())
    }

    fn swiglu(&self, gate_up: &Vec<f32>, rows: usize, width: usize, out: &mut Vec<f32>) -> Result<()> {
        swiglu::forward(&gate_up[..2 * rows * width], width, &mut out[..rows * width]);
        Ok(())
    }

    fn swiglu_backward(&self, gradient: &Vec<f32>, rows: usize, width: usize, gate_up: &mut Vec<f32>) -> Result<()> {
        swiglu::backward(&gradient[..rows * width], width, &mut gate_up[..2 * rows * width]);
        Ok(())
    }

    fn dropout(
        &self,
        x: &Vec<f32>,
        mask: Mask,
        rows: usize,
        width: usize,
        out: &mut Vec<f32>,
        add: bool,
    ) -> Result<()> {
        let (x, out) = (&x[..rows * width], &mut out[..rows * width]);
        if add {
            dropout::add(x, mask, width, out)
        } else {
            dropout::apply(x, mask, width, out)
        }
        Ok(())
    }

    fn cross_entropy(
        &self,
        logits: &mut Vec<f32>,
        vocabulary: usize,
        targets: &[u32],
        weights: &[f32],
        smoothing: f32,
        losses: &mut Vec<f32>,
        first: usize,
    ) -> Result<()> {
        let (logits, losses) = (&mut logits[..targets.len() * vocabulary], &mut losses[first..first + targets.len()]);
        loss::cross_entropy(logits, vocabulary, targets, weights, smoothing, losses);
        Ok(())
    }

    fn adamw(
        &self,
        step: &AdamW,
        values: &mut Vec<f32>,
        gradient: &Vec<f32>,
        moments: &mut Moments,
        len: usize,
    ) -> Result<()> {
        moments::adamw(step, &mut values[..len], &gradient[..len], moments);
        Ok(())
    }

    fn moments(&self, len: usize, storage: MomentStorage) -> Result<Moments> {
        Ok(Moments::zeros(len, storage))
    }

    fn read_moments(&self, moments: &Moments) -> Result<Moments> {
        Ok(moments.clone())
    }

    fn write_moments(&self, values: &Moments, out: &mut Moments) -> Result<()> {
        out.clone_from(values);
        Ok(())
    }

    fn rotations(&self, theta: &Vec<f32>, blocks: usize, map: Map, out: &mut Vec<f32>) -> Result<()> {
        so8::rotations(&theta[..blocks * BLOCK], map, &mut out[..blocks * BLOCK]);
        Ok(())
    }

    fn rotations_backward(
        &self,
        theta: &Vec<f32>,
        gradient: &Vec<f32>,
        blocks: usize,
        map: Map,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let len = blocks * BLOCK;
        so8::rotations_backward(&theta[..len], &gradient[..len], map, &mut out[..len]);
        Ok(())
    }

    fn rotate(
        &self,
        x: &Vec<f32>,
        rotations: &Vec<f32>,
        rows: usize,
        width: usize,
        turn: Turn,
        add: bool,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let (x, out) = (&x[..rows * width], &mut out[..rows * width]);
        so8::rotate(x, &rotations[..width * SIDE], width, turn, add, out);
        Ok(())
    }

    fn rotate_gradient(
        &self,
        x: &Vec<f32>,
        gradient: &Vec<f32>,
        rows: usize,
        width: usize,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        so8::rotate_gradient(&x[..rows * width], &gradient[..rows * width], width, &mut out[..width * SIDE]);
        Ok(())
    }

    fn curvature(
        &self,
        h: &Vec<f32>,
        starts: &[usize],
        width: usize,
        factor: f32,
        gradient: &mut Vec<f32>,
    ) -> Result<f64> {
        let len = starts.last().copied().unwrap_or(0) * width;
        Ok(curvature::curvature(&h[..len], starts, width, factor, &mut gradient[..len]))
    }
}
