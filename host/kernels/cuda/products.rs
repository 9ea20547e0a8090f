//! Matrix products: weights and activations brought to the precision of the product, then handed to the driver.

use std::sync::atomic::Ordering;

use super::driver::{Argument, Driver, Element, Factor, Gemm};
use super::memory::{Half, Matrix};
use super::{Buffer, Device, lock};
use crate::backend::{Operand, Product};
use crate::gemm::Compute;
use so8t_base::Result;

/// Values of a weight that are expanded at a time: the largest linear of a model of four billion parameters in one piece.
const EXPANDED: usize = 64 << 20;

/// What an adapter adds to a product.
pub(super) struct Low<'a, D: Driver> {
    /// The activations [m, width].
    pub(super) reduced: &'a Buffer<D>,
    /// The matrix on their other side.
    pub(super) matrix: &'a Buffer<D>,
    /// The inner dimension.
    pub(super) width: usize,
}

impl<D: Driver> Device<D> {
    fn multiply(&self, gemm: &Gemm) -> Result<()> {
        if gemm.rows == 0 || gemm.columns == 0 {
            return Ok(());
        }
        #[allow(unsafe_code, reason = "a product is given addresses")]
        // SAFETY: the callers took the addresses of factors and result from `Memory::at` with the sizes of the shape.
        unsafe {
            self.driver.multiply(gemm)
        }
    }

    /// Activations as a factor of a product.
    fn activations(&self, x: &Buffer<D>, rows: usize, width: usize, compute: Compute) -> Result<Factor> {
        if compute == Compute::F32 {
            let Argument::Pointer(address) = x.reads(rows * width) else { unreachable!("buffers are pointers") };
            return Ok(Factor { address, stride: width, transposed: false });
        }
        self.shared.rounds.store(true, Ordering::Relaxed);
        let half = self.half(x, rows, width, 0)?;
        Ok(Factor { address: half.address, stride: half.stride, transposed: false })
    }

    /// Rows first..first + rows of a weight [_, columns] as a factor of a product; the guard of the scratch memory that they may lie
    /// in must be held until the product was started.
    fn weight(
        &self,
        operand: Operand<'_, Self>,
        (first, rows): (usize, usize),
        columns: usize,
        compute: Compute,
        scratch: &mut super::Scratch<D>,
    ) -> Result<Factor> {
        let (begin, count) = (first * columns, rows * columns);
        let at = |address| Factor { address, stride: columns, transposed: false };
        match (operand, compute) {
            (Operand::Buffer(buffer), Compute::F32) => return Ok(at(buffer.memory.at(4 * begin, 4 * count))),
            (Operand::Matrix(Matrix::F32(memory)), Compute::F32) => return Ok(at(memory.at(4 * begin, 4 * count))),
            (Operand::Matrix(Matrix::Bf16(memory)), Compute::Bf16) => return Ok(at(memory.at(2 * begin, 2 * count))),
            _ => {}
        }
        let bytes = if compute == Compute::F32 { 4 * count } else { 2 * count };
        let address = scratch.take(&self.driver, bytes)?;
        match compute {
            Compute::F32 => self.expand_single(operand, (first, rows), columns, address)?,
            Compute::Bf16 => self.expand(operand, (first, rows), columns, Half { address, stride: columns })?,
        }
        Ok(at(address))
    }

    /// Rows of a weight in bf16, `out.stride` apart.
    fn expand(
        &self,
        operand: Operand<'_, Self>,
        (first, rows): (usize, usize),
        columns: usize,
        out: Half,
    ) -> Result<()> {
        let (begin, count) = (first * columns, rows * columns);
        let to = [Argument::Pointer(out.address), Argument::int(out.stride)];
        let width = Argument::int(columns);
        let single = |address| {
            let arguments = [Argument::Pointer(address), width, to[0], to[1], Argument::Int(0)];
            self.launch_columns("memory", "narrow_rows", (rows, columns), 4, &arguments)
        };
        match operand {
            Operand::Buffer(buffer) => single(buffer.memory.at(4 * begin, 4 * count)),
            Operand::Matrix(Matrix::F32(memory)) => single(memory.at(4 * begin, 4 * count)),
            Operand::Matrix(matrix) => {
                let (name, source) = matrix.source((first, rows), columns, self.maps()?[0]);
                // A thread has 16 values; a block of 64 threads wastes little of a row of any width.
                let grid = (rows, columns.div_ceil(16 * 64));
                let arguments = [&source[..], &[width], &to[..]].concat();
                self.launch("storage", &format!("expand_{name}"), grid, 64, 0, &arguments)
            }
        }
    }

    /// Rows of a weight in single precision, without gaps.
    fn expand_single(
        &self,
        operand: Operand<'_, Self>,
        rows: (usize, usize),
        columns: usize,
        address: u64,
    ) -> Result<()> {
        // These are read where they are.
        let matrix = match operand {
            Operand::Buffer(_) | Operand::Matrix(Matrix::F32(_)) => return Ok(()),
            Operand::Matrix(matrix) => matrix,
        };
        let (name, source) = matrix.source(rows, columns, self.maps()?[0]);
        let arguments = [&source[..], &[Argument::int(columns), Argument::Pointer(address)]].concat();
        self.launch_columns("storage", &format!("expand_single_{name}"), (rows.1, columns), 1, &arguments)
    }

    /// `out[j] += Σ w[j][i]²` for every row of a weight [n, k].
    pub(super) fn add_squares_of_rows(
        &self,
        w: Operand<'_, Self>,
        n: usize,
        k: usize,
        out: &mut Buffer<D>,
    ) -> Result<()> {
        let mut scratch = lock(&self.shared.weights);
        out.writes(n);
        let piece = (EXPANDED / k.max(1)).clamp(1, n.max(1));
        for first in (0..n).step_by(piece) {
            let rows = piece.min(n - first);
            let weight = self.weight(w, (first, rows), k, Compute::F32, &mut scratch)?;
            let to = Argument::Pointer(out.memory.at(4 * first, 4 * rows));
            let arguments = [Argument::Pointer(weight.address), Argument::int(k), to];
            self.launch_rows("columns", "add_row_squares", rows, &arguments)?;
        }
        Ok(())
    }

    /// `out (+)= x·wᵀ`. A weight that is too large to be expanded at once is taken piece by piece.
    pub(super) fn multiply_nt(
        &self,
        x: &Buffer<D>,
        w: Operand<'_, Self>,
        out: &mut Buffer<D>,
        Product { m, n, k }: Product,
        accumulate: bool,
        compute: Compute,
    ) -> Result<()> {
        let left = self.activations(x, m, k, compute)?;
        let mut scratch = lock(&self.shared.weights);
        out.writes(m * n);
        let piece = (EXPANDED / k.max(1)).clamp(1, n.max(1));
        for first in (0..n).step_by(piece) {
            let rows = piece.min(n - first);
            let right = Factor { transposed: true, ..self.weight(w, (first, rows), k, compute, &mut scratch)? };
            let address = out.memory.at(4 * first, 4 * (m * n - first));
            let out_stride = n;
            let shape = (m, rows, k);
            self.multiply(&gemm(left, right, address, out_stride, shape, accumulate, compute))?;
        }
        Ok(())
    }

    /// `dx (+)= dy·w`.
    pub(super) fn multiply_nn(
        &self,
        dy: &Buffer<D>,
        w: Operand<'_, Self>,
        dx: &mut Buffer<D>,
        Product { m, n, k }: Product,
        accumulate: bool,
        compute: Compute,
    ) -> Result<()> {
        let left = self.activations(dy, m, n, compute)?;
        let size = if compute == Compute::F32 { 4 } else { 2 };
        let mut scratch = lock(&self.shared.weights);
        dx.writes(m * k);
        let piece = (EXPANDED / k.max(1)).clamp(1, n.max(1));
        for first in (0..n).step_by(piece) {
            let terms = piece.min(n - first);
            let right = self.weight(w, (first, terms), k, compute, &mut scratch)?;
            let left = Factor { address: left.address + (size * first) as u64, ..left };
            let add = accumulate || first > 0;
            self.multiply(&gemm(left, right, dx.memory.at(0, 4 * m * k), k, (m, k, terms), add, compute))?;
        }
        Ok(())
    }

    /// `dw += dyᵀ·x`.
    pub(super) fn multiply_tn(
        &self,
        dy: &Buffer<D>,
        x: &Buffer<D>,
        dw: &mut Buffer<D>,
        Product { m, n, k }: Product,
        compute: Compute,
    ) -> Result<()> {
        let left = Factor { transposed: true, ..self.activations(dy, m, n, compute)? };
        let right = self.activations(x, m, k, compute)?;
        dw.writes(n * k);
        self.multiply(&gemm(left, right, dw.memory.at(0, 4 * n * k), k, (n, k, m), true, compute))
    }

    /// Whether a weight and its adapter fit into one product.
    pub(super) fn joins(&self, Product { n, k, .. }: Product, width: usize, compute: Compute) -> bool {
        compute == Compute::Bf16 && (n + width) * (k + width) <= EXPANDED
    }

    /// `out (+)= [x | reduced]·[w | matrix]ᵀ`: one product whose sums are longer by the adapter's width, in the place of two that
    /// would each read and write `out`.
    pub(super) fn joined_nt(
        &self,
        x: &Buffer<D>,
        w: Operand<'_, Self>,
        low: &Low<'_, D>,
        out: &mut Buffer<D>,
        Product { m, n, k }: Product,
        accumulate: bool,
    ) -> Result<()> {
        self.shared.rounds.store(true, Ordering::Relaxed);
        let width = low.width;
        let half = self.half(x, m, k, width)?;
        self.round_into(low.reduced, m, width, half, k)?;
        let stride = (k + width).next_multiple_of(8);
        let mut scratch = lock(&self.shared.weights);
        let address = scratch.take(&self.driver, 2 * n * stride)?;
        self.expand(w, (0, n), k, Half { address, stride })?;
        self.round_into(low.matrix, n, width, Half { address, stride }, k)?;
        out.writes(m * n);
        let left = Factor { address: half.address, stride: half.stride, transposed: false };
        let right = Factor { address, stride, transposed: true };
        let shape = (m, n, k + width);
        self.multiply(&gemm(left, right, out.memory.at(0, 4 * m * n), n, shape, accumulate, Compute::Bf16))
    }

    /// `dx = [dy | narrow]·[w; matrix]`, the matrix [width, k] below the weight.
    pub(super) fn joined_nn(
        &self,
        dy: &Buffer<D>,
        w: Operand<'_, Self>,
        low: &Low<'_, D>,
        dx: &mut Buffer<D>,
        Product { m, n, k }: Product,
    ) -> Result<()> {
        self.shared.rounds.store(true, Ordering::Relaxed);
        let width = low.width;
        let half = self.half(dy, m, n, width)?;
        self.round_into(low.reduced, m, width, half, n)?;
        let mut scratch = lock(&self.shared.weights);
        let address = scratch.take(&self.driver, 2 * (n + width) * k)?;
        self.expand(w, (0, n), k, Half { address, stride: k })?;
        let below = Half { address: address + (2 * n * k) as u64, stride: k };
        self.round_into(low.matrix, width, k, below, 0)?;
        dx.writes(m * k);
        let left = Factor { address: half.address, stride: half.stride, transposed: false };
        let right = Factor { address, stride: k, transposed: false };
        self.multiply(&gemm(left, right, dx.memory.at(0, 4 * m * k), k, (m, k, n + width), false, Compute::Bf16))
    }
}

fn gemm(
    left: Factor,
    right: Factor,
    out: u64,
    out_stride: usize,
    (rows, columns, terms): (usize, usize, usize),
    accumulate: bool,
    compute: Compute,
) -> Gemm {
    let element = if compute == Compute::F32 { Element::Single } else { Element::Bf16 };
    Gemm { element, left, right, out, out_stride, rows, columns, terms, accumulate }
}
