//! The processor with its memory counted: what was really allocated, to hold a forecast against.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use so8t::Result;
use so8t::kernels::attention;
use so8t::kernels::backend::{Backend, Block, Operand, Product, RowNorms, Storage};
use so8t::kernels::cpu::{Cpu, CpuMatrix};
use so8t::kernels::dropout::Mask;
use so8t::kernels::geglu::Gelu;
use so8t::kernels::gemm::Compute;
use so8t::kernels::moments::{self, MomentStorage, Moments};
use so8t::kernels::optimiser::AdamW;
use so8t::kernels::part_norm::Parts;
use so8t::kernels::rope::{Heads, Turn};

/// Bytes that are allocated now, and the most since [`Counted::forget`].
#[derive(Default)]
struct Counters(AtomicU64, AtomicU64);

/// The processor, whose buffers and matrices are counted by what their vectors hold.
#[derive(Clone, Default)]
pub struct Counted(Arc<Counters>);

/// A buffer or matrix, counted until it is dropped.
pub struct Own<T> {
    inner: T,
    counters: Arc<Counters>,
    bytes: u64,
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        self.counters.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Counted {
    pub fn held(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }

    pub fn most(&self) -> u64 {
        self.0.1.load(Ordering::Relaxed)
    }

    pub fn forget(&self) {
        self.0.1.store(self.held(), Ordering::Relaxed);
    }

    fn own<T>(&self, inner: T, bytes: usize) -> Own<T> {
        let bytes = bytes as u64;
        let held = self.0.0.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.0.1.fetch_max(held, Ordering::Relaxed);
        Own { inner, counters: Arc::clone(&self.0), bytes }
    }
}

fn operand<'a>(operand: Operand<'a, Counted>) -> Operand<'a, Cpu> {
    match operand {
        Operand::Matrix(matrix) => Operand::Matrix(&matrix.inner),
        Operand::Buffer(buffer) => Operand::Buffer(&buffer.inner),
    }
}

type Buffer = Own<Vec<f32>>;
type Indices = Own<Vec<u32>>;

/// Operations that are those of the processor on what is inside.
macro_rules! pass_on {
    ($($name:ident($($argument:ident: $kind:ident $type:ty),* $(,)?) -> $result:ty;)*) => {
        $(#[allow(clippy::too_many_arguments, reason = "as the trait has it")]
        fn $name(&self, $($argument: $type),*) -> $result {
            Cpu.$name($(pass_on!(@$kind $argument)),*)
        })*
    };
    (@inside $argument:ident) => { &$argument.inner };
    (@into $argument:ident) => { &mut $argument.inner };
    (@perhaps $argument:ident) => { $argument.map(|buffer| &mut buffer.inner) };
    (@weight $argument:ident) => { operand($argument) };
    (@plain $argument:ident) => { $argument };
}

impl Backend for Counted {
    type Buffer = Buffer;
    type Indices = Indices;
    type Matrix = Own<CpuMatrix>;
    type Moments = Own<Moments>;

    fn allocate(&self, len: usize) -> Result<Buffer> {
        let values = Cpu.allocate(len)?;
        let bytes = 4 * values.capacity();
        Ok(self.own(values, bytes))
    }

    fn indices(&self, values: &[u32]) -> Result<Indices> {
        Ok(self.own(values.to_vec(), 4 * values.len()))
    }

    fn matrix(&self, values: Vec<f32>, n: usize, k: usize, storage: Storage) -> Result<Own<CpuMatrix>> {
        let given = self.own((), 4 * values.len());
        let matrix = Cpu.matrix(values, n, k, storage)?;
        let bytes = match &matrix {
            // The same vector.
            CpuMatrix::F32(values) => {
                drop(given);
                4 * values.len()
            }
            CpuMatrix::Bf16(values) | CpuMatrix::F16(values) => 2 * values.len(),
            CpuMatrix::Nf4(matrix) => matrix.bytes(),
            CpuMatrix::Int8(matrix) => matrix.values.len() + size_of_val(matrix.steps.as_slice()),
        };
        Ok(self.own(matrix, bytes))
    }

    fn sums_of_squares(&self, buffers: &[(&Buffer, usize)]) -> Result<Vec<f64>> {
        let buffers: Vec<_> = buffers.iter().map(|(buffer, len)| (&buffer.inner, *len)).collect();
        Cpu.sums_of_squares(&buffers)
    }

    fn row_scales(
        &self,
        norms: RowNorms<'_, Buffer>,
        n: usize,
        width: usize,
        scale: &mut Buffer,
        inverse: &mut Buffer,
    ) -> Result<()> {
        let RowNorms { squares, projected, gram, up, scales, magnitude } = norms;
        let norms = RowNorms {
            squares: &squares.inner,
            projected: &projected.inner,
            gram: &gram.inner,
            up: &up.inner,
            scales: &scales.inner,
            magnitude: &magnitude.inner,
        };
        Cpu.row_scales(norms, n, width, &mut scale.inner, &mut inverse.inner)
    }

    fn moments(&self, len: usize, storage: MomentStorage) -> Result<Own<Moments>> {
        Ok(self.own(Cpu.moments(len, storage)?, moments::bytes(len, storage) as usize))
    }

    pass_on! {
        capacity(buffer: inside &Buffer) -> usize;
        write(values: plain &[f32], out: into &mut Buffer) -> Result<()>;
        read(buffer: inside &Buffer, len: plain usize) -> Result<Vec<f32>>;
        copy(source: inside &Buffer, out: into &mut Buffer, len: plain usize) -> Result<()>;
        copy_to(source: inside &Buffer, len: plain usize, out: into &mut Buffer, at: plain usize) -> Result<()>;
        zero(out: into &mut Buffer, len: plain usize) -> Result<()>;
        zero_block(out: into &mut Buffer, width: plain usize, block: plain &Block) -> Result<()>;
        scale(out: into &mut Buffer, len: plain usize, factor: plain f32) -> Result<()>;
        add(source: inside &Buffer, out: into &mut Buffer, len: plain usize) -> Result<()>;
        scale_columns(
            values: into &mut Buffer, factors: inside &Buffer, rows: plain usize, width: plain usize,
        ) -> Result<()>;
        add_column_dots(
            a: inside &Buffer, b: inside &Buffer, factors: inside &Buffer, rows: plain usize, width: plain usize,
            out: into &mut Buffer,
        ) -> Result<()>;
        add_row_squares(
            w: weight Operand<'_, Self>, n: plain usize, k: plain usize, out: into &mut Buffer,
        ) -> Result<()>;
        product_nt(
            x: inside &Buffer, w: weight Operand<'_, Self>, out: into &mut Buffer, shape: plain Product,
            accumulate: plain bool, compute: plain Compute,
        ) -> Result<()>;
        product_nn(
            dy: inside &Buffer, w: weight Operand<'_, Self>, dx: into &mut Buffer, shape: plain Product,
            accumulate: plain bool, compute: plain Compute,
        ) -> Result<()>;
        product_tn(
            dy: inside &Buffer, x: inside &Buffer, dw: into &mut Buffer, shape: plain Product, compute: plain Compute,
        ) -> Result<()>;
        gather(
            table: weight Operand<'_, Self>, indices: inside &Indices, count: plain usize, width: plain usize,
            out: into &mut Buffer,
        ) -> Result<()>;
        scatter_add(
            rows: inside &Buffer, indices: inside &Indices, count: plain usize, width: plain usize,
            out: into &mut Buffer,
        ) -> Result<()>;
        rms_norm(
            x: inside &Buffer, weight: inside &Buffer, rows: plain usize, width: plain usize, epsilon: plain f32,
            out: into &mut Buffer, inverse: into &mut Buffer,
        ) -> Result<()>;
        rms_norm_backward(
            gradient: inside &Buffer, x: inside &Buffer, weight: inside &Buffer, inverse: inside &Buffer,
            rows: plain usize, width: plain usize, out: into &mut Buffer, weight_out: perhaps Option<&mut Buffer>,
        ) -> Result<()>;
        part_norm(
            x: inside &Buffer, weight: inside &Buffer, rows: plain usize, parts: plain Parts, epsilon: plain f32,
            out: into &mut Buffer, inverse: into &mut Buffer,
        ) -> Result<()>;
        part_norm_backward(
            x: inside &Buffer, weight: inside &Buffer, inverse: inside &Buffer, rows: plain usize, parts: plain Parts,
            gradient: into &mut Buffer, weight_out: perhaps Option<&mut Buffer>,
        ) -> Result<()>;
        geglu(
            gate_up: inside &Buffer, rows: plain usize, width: plain usize, gelu: plain Gelu, out: into &mut Buffer,
        ) -> Result<()>;
        geglu_backward(
            gradient: inside &Buffer, rows: plain usize, width: plain usize, gelu: plain Gelu,
            gate_up: into &mut Buffer,
        ) -> Result<()>;
        soft_cap(values: into &mut Buffer, len: plain usize, cap: plain f32) -> Result<()>;
        soft_cap_backward(
            capped: inside &Buffer, len: plain usize, cap: plain f32, gradient: into &mut Buffer,
        ) -> Result<()>;
        rope(
            values: into &mut Buffer, positions: inside &Indices, cos: inside &Buffer, sin: inside &Buffer,
            rows: plain usize, shape: plain Heads, turn: plain Turn,
        ) -> Result<()>;
        attention(
            fused: inside &Buffer, starts: plain &[usize], shape: plain attention::Heads, out: into &mut Buffer,
            lse: into &mut Buffer,
        ) -> Result<()>;
        attention_backward(
            fused: inside &Buffer, out: inside &Buffer, lse: inside &Buffer, gradient: inside &Buffer,
            starts: plain &[usize], shape: plain attention::Heads, fused_gradient: into &mut Buffer,
        ) -> Result<()>;
        keep(
            fused: inside &Buffer, places: inside &Indices, rows: plain usize, shape: plain attention::Heads,
            kept: into &mut Buffer,
        ) -> Result<()>;
        attention_next(
            fused: inside &Buffer, kept: inside &Buffer, sequences: plain &[Range<usize>],
            shape: plain attention::Heads, out: into &mut Buffer,
        ) -> Result<()>;
        swiglu(gate_up: inside &Buffer, rows: plain usize, width: plain usize, out: into &mut Buffer) -> Result<()>;
        swiglu_backward(
            gradient: inside &Buffer, rows: plain usize, width: plain usize, gate_up: into &mut Buffer,
        ) -> Result<()>;
        dropout(
            x: inside &Buffer, mask: plain Mask, rows: plain usize, width: plain usize, out: into &mut Buffer,
            add: plain bool,
        ) -> Result<()>;
        cross_entropy(
            logits: into &mut Buffer, vocabulary: plain usize, targets: plain &[u32], weights: plain &[f32],
            smoothing: plain f32, losses: into &mut Buffer, first: plain usize,
        ) -> Result<()>;
        adamw(
            step: plain &AdamW, values: into &mut Buffer, gradient: inside &Buffer, moments: into &mut Own<Moments>,
            len: plain usize,
        ) -> Result<()>;
        read_moments(moments: inside &Own<Moments>) -> Result<Moments>;
        write_moments(values: plain &Moments, out: into &mut Own<Moments>) -> Result<()>;
    }
}
