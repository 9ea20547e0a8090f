//! The device as a [`Backend`]: every operation is a launch, or a few.

use std::ops::Range;

use super::driver::{Argument, Driver, Memory, bytes_of, bytes_of_mut};
use super::memory::Half;
use super::products::Low;
use super::{Buffer, Device, DeviceMoments, Indices, Matrix, THREADS, attention, lock};
use crate::attention::Heads as Attention;
use crate::backend::{Backend, Block, Operand, Product, RowNorms, Storage};
use crate::dropout::Mask;
use crate::geglu::Gelu;
use crate::gemm::Compute;
use crate::moments::{MomentStorage, Moments};
use crate::optimiser::AdamW;
use crate::part_norm::Parts;
use crate::rope::{Heads, Turn};
use so8t_base::Result;

impl<D: Driver> Backend for Device<D> {
    type Buffer = Buffer<D>;
    type Indices = Indices<D>;
    type Matrix = Matrix<D>;
    type Moments = DeviceMoments<D>;

    fn allocate(&self, len: usize) -> Result<Buffer<D>> {
        let mut memory = Memory::allocate(&self.driver, 4 * len)?;
        memory.clear(4 * len)?;
        Ok(Buffer::new(memory))
    }

    fn capacity(&self, buffer: &Buffer<D>) -> usize {
        buffer.memory.bytes() / 4
    }

    fn write(&self, values: &[f32], out: &mut Buffer<D>) -> Result<()> {
        out.writes(values.len());
        out.memory.write(0, bytes_of(values))
    }

    fn read(&self, buffer: &Buffer<D>, len: usize) -> Result<Vec<f32>> {
        let mut values = vec![0.0; len];
        buffer.memory.read(0, bytes_of_mut(&mut values))?;
        Ok(values)
    }

    fn indices(&self, values: &[u32]) -> Result<Indices<D>> {
        Indices::new(&self.driver, values)
    }

    fn matrix(&self, values: Vec<f32>, _n: usize, k: usize, storage: Storage) -> Result<Matrix<D>> {
        Matrix::stored(&self.driver, &values, k, storage)
    }

    fn copy(&self, source: &Buffer<D>, out: &mut Buffer<D>, len: usize) -> Result<()> {
        out.writes(len);
        out.memory.copy(&source.memory, 4 * len)
    }

    fn copy_to(&self, source: &Buffer<D>, len: usize, out: &mut Buffer<D>, at: usize) -> Result<()> {
        out.writes(at + len);
        out.memory.copy_to(&source.memory, 4 * len, 4 * at)
    }

    fn zero(&self, out: &mut Buffer<D>, len: usize) -> Result<()> {
        out.writes(len);
        out.memory.clear(4 * len)
    }

    fn zero_block(&self, out: &mut Buffer<D>, width: usize, block: &Block) -> Result<()> {
        let (rows, count) = (block.rows.len(), block.columns.len());
        out.writes(block.rows.end * width);
        let first = 4 * block.rows.start * width;
        let at = Argument::Pointer(out.memory.at(first, 4 * rows * width));
        let sizes = [Argument::int(width), Argument::int(block.columns.start), Argument::int(count)];
        let arguments = [at, sizes[0], sizes[1], sizes[2]];
        self.launch_columns("memory", "zero_block", (rows, count), 1, &arguments)
    }

    fn scale(&self, out: &mut Buffer<D>, len: usize, factor: f32) -> Result<()> {
        let arguments = [out.writes(len), Argument::long(len), Argument::Float(factor)];
        self.launch_elements("memory", "scale", len, &arguments)
    }

    fn add(&self, source: &Buffer<D>, out: &mut Buffer<D>, len: usize) -> Result<()> {
        let arguments = [source.reads(len), out.writes(len), Argument::long(len)];
        self.launch_elements("columns", "add", len, &arguments)
    }

    fn scale_columns(&self, values: &mut Buffer<D>, factors: &Buffer<D>, rows: usize, width: usize) -> Result<()> {
        let len = rows * width;
        let arguments = [values.writes(len), factors.reads(width), Argument::int(width), Argument::long(len)];
        self.launch_elements("columns", "scale_columns", len, &arguments)
    }

    fn add_column_dots(
        &self,
        a: &Buffer<D>,
        b: &Buffer<D>,
        factors: &Buffer<D>,
        rows: usize,
        width: usize,
        out: &mut Buffer<D>,
    ) -> Result<()> {
        let inputs = [a.reads(rows * width), b.reads(rows * width), factors.reads(width)];
        let arguments = [&inputs[..], &[Argument::int(rows), Argument::int(width), out.writes(width)]].concat();
        self.launch("columns", "add_column_dots", (width.div_ceil(64), 1), 64, 0, &arguments)
    }

    fn add_row_squares(&self, w: Operand<'_, Self>, n: usize, k: usize, out: &mut Buffer<D>) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        self.add_squares_of_rows(w, n, k, out)
    }

    fn row_scales(
        &self,
        norms: RowNorms<'_, Buffer<D>>,
        n: usize,
        width: usize,
        scale: &mut Buffer<D>,
        inverse: &mut Buffer<D>,
    ) -> Result<()> {
        let inputs = [
            norms.squares.reads(n),
            norms.projected.reads(width * n),
            norms.gram.reads(width * width),
            norms.up.reads(n * width),
            norms.scales.reads(width),
            norms.magnitude.reads(n),
        ];
        let more = [Argument::int(n), Argument::int(width), scale.writes(n), inverse.writes(n)];
        let grid = (n.div_ceil(THREADS / 32), 1);
        self.launch("columns", "row_scales", grid, THREADS, 0, &[&inputs[..], &more[..]].concat())
    }

    fn sums_of_squares(&self, buffers: &[(&Buffer<D>, usize)]) -> Result<Vec<f64>> {
        self.squares(buffers)
    }

    fn product_nt(
        &self,
        x: &Buffer<D>,
        w: Operand<'_, Self>,
        out: &mut Buffer<D>,
        shape: Product,
        accumulate: bool,
        compute: Compute,
    ) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        self.multiply_nt(x, w, out, shape, accumulate, compute)
    }

    fn product_nn(
        &self,
        dy: &Buffer<D>,
        w: Operand<'_, Self>,
        dx: &mut Buffer<D>,
        shape: Product,
        accumulate: bool,
        compute: Compute,
    ) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        self.multiply_nn(dy, w, dx, shape, accumulate, compute)
    }

    fn product_tn(
        &self,
        dy: &Buffer<D>,
        x: &Buffer<D>,
        dw: &mut Buffer<D>,
        shape: Product,
        compute: Compute,
    ) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        self.multiply_tn(dy, x, dw, shape, compute)
    }

    fn adapted_nt(
        &self,
        x: &Buffer<D>,
        w: Operand<'_, Self>,
        reduced: &Buffer<D>,
        b: &Buffer<D>,
        width: usize,
        out: &mut Buffer<D>,
        shape: Product,
        accumulate: bool,
        compute: Compute,
    ) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        if self.joins(shape, width, compute) {
            return self.joined_nt(x, w, &Low { reduced, matrix: b, width }, out, shape, accumulate);
        }
        self.multiply_nt(x, w, out, shape, accumulate, compute)?;
        self.multiply_nt(reduced, Operand::Buffer(b), out, Product { k: width, ..shape }, true, compute)
    }

    fn adapted_nn(
        &self,
        dy: &Buffer<D>,
        w: Operand<'_, Self>,
        narrow: &Buffer<D>,
        a: &Buffer<D>,
        width: usize,
        dx: &mut Buffer<D>,
        shape: Product,
        compute: Compute,
    ) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        if self.joins(shape, width, compute) {
            return self.joined_nn(dy, w, &Low { reduced: narrow, matrix: a, width }, dx, shape);
        }
        self.multiply_nn(dy, w, dx, shape, false, compute)?;
        self.multiply_nn(narrow, Operand::Buffer(a), dx, Product { n: width, ..shape }, true, compute)
    }

    fn gather(
        &self,
        table: Operand<'_, Self>,
        indices: &Indices<D>,
        count: usize,
        width: usize,
        out: &mut Buffer<D>,
    ) -> Result<()> {
        let rows = indices.values[..count].iter().max().map_or(0, |&last| last as usize + 1);
        let (name, inputs) = match table {
            Operand::Buffer(buffer) => ("single", vec![buffer.reads(rows * width)]),
            Operand::Matrix(matrix) => matrix.source((0, rows), width, self.maps()?[0]),
        };
        let more = [indices.reads(count), Argument::int(width), out.writes(count * width)];
        let (kernel, arguments) = (format!("gather_{name}"), [&inputs[..], &more[..]].concat());
        self.launch_columns("storage", &kernel, (count, width), 1, &arguments)
    }

    fn scatter_add(
        &self,
        rows: &Buffer<D>,
        indices: &Indices<D>,
        count: usize,
        width: usize,
        out: &mut Buffer<D>,
    ) -> Result<()> {
        assert_eq!(count, indices.values.len(), "every index has a row");
        let last = indices.values.iter().max().map_or(0, |&last| last as usize + 1);
        let groups = indices.groups(&self.driver)?;
        let pointer = |memory: &Memory<D>, count: usize| Argument::Pointer(memory.at(0, 4 * count));
        let arguments = [
            rows.reads(count * width),
            pointer(&groups.targets, groups.count),
            pointer(&groups.bounds, groups.count + 1),
            pointer(&groups.order, count),
            Argument::int(width),
            out.writes(last * width),
        ];
        self.launch_columns("table", "scatter_add", (groups.count, width), 1, &arguments)
    }

    fn rms_norm(
        &self,
        x: &Buffer<D>,
        weight: &Buffer<D>,
        rows: usize,
        width: usize,
        epsilon: f32,
        out: &mut Buffer<D>,
        inverse: &mut Buffer<D>,
    ) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        let inputs = [x.reads(rows * width), weight.reads(width), Argument::int(width), Argument::Float(epsilon)];
        let results = [out.writes(rows * width), inverse.writes(rows)];
        let half = Half::arguments(self.half_of_result(out, rows, width)?);
        let arguments = [&inputs[..], &results[..], &half[..]].concat();
        self.launch_rows("norm", "rms_norm", rows, &arguments)
    }

    fn rms_norm_backward(
        &self,
        gradient: &Buffer<D>,
        x: &Buffer<D>,
        weight: &Buffer<D>,
        inverse: &Buffer<D>,
        rows: usize,
        width: usize,
        out: &mut Buffer<D>,
        weight_out: Option<&mut Buffer<D>>,
    ) -> Result<()> {
        let (len, wide) = (rows * width, Argument::int(width));
        let [gradient, x, inverse] = [gradient.reads(len), x.reads(len), inverse.reads(rows)];
        let arguments = [gradient, x, weight.reads(width), inverse, wide, out.writes(len)];
        self.launch_rows("norm", "rms_norm_backward", rows, &arguments)?;
        let Some(weight_out) = weight_out else { return Ok(()) };
        let arguments = [gradient, x, inverse, Argument::int(rows), wide, weight_out.writes(width)];
        self.launch("norm", "rms_norm_weight", (width.div_ceil(64), 1), 64, 0, &arguments)
    }

    fn part_norm(
        &self,
        x: &Buffer<D>,
        weight: &Buffer<D>,
        rows: usize,
        parts: Parts,
        epsilon: f32,
        out: &mut Buffer<D>,
        inverse: &mut Buffer<D>,
    ) -> Result<()> {
        let inputs = [x.reads(rows * parts.stride), weight.reads(parts.width)];
        let results = [Argument::Float(epsilon), out.writes(rows * parts.stride), inverse.writes(rows * parts.count)];
        self.launch_parts("part_norm", rows, parts, &[&inputs[..], &part_numbers(rows, parts), &results[..]].concat())
    }

    fn part_norm_backward(
        &self,
        x: &Buffer<D>,
        weight: &Buffer<D>,
        inverse: &Buffer<D>,
        rows: usize,
        parts: Parts,
        gradient: &mut Buffer<D>,
        weight_out: Option<&mut Buffer<D>>,
    ) -> Result<()> {
        let [x, inverse] = [x.reads(rows * parts.stride), inverse.reads(rows * parts.count)];
        if let Some(out) = weight_out {
            let inputs = [gradient.reads(rows * parts.stride), x, inverse];
            let arguments = [&inputs[..], &part_numbers(rows, parts), &[out.writes(parts.width)]].concat();
            self.launch("decoder", "part_norm_weight", (parts.width.div_ceil(64), 1), 64, 0, &arguments)?;
        }
        let inputs = [x, weight.reads(parts.width), inverse];
        let result = [gradient.writes(rows * parts.stride)];
        let arguments = [&inputs[..], &part_numbers(rows, parts), &result[..]].concat();
        self.launch_parts("part_norm_backward", rows, parts, &arguments)
    }

    fn geglu(&self, gate_up: &Buffer<D>, rows: usize, width: usize, gelu: Gelu, out: &mut Buffer<D>) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        let sizes = [Argument::int(width), Argument::Int(i32::from(gelu == Gelu::Exact))];
        let first = [gate_up.reads(2 * rows * width), sizes[0], sizes[1], out.writes(rows * width)];
        let half = Half::arguments(self.half_of_result(out, rows, width)?);
        self.launch_columns("decoder", "geglu", (rows, width), 1, &[&first[..], &half[..]].concat())
    }

    fn geglu_backward(
        &self,
        gradient: &Buffer<D>,
        rows: usize,
        width: usize,
        gelu: Gelu,
        gate_up: &mut Buffer<D>,
    ) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        let sizes = [Argument::int(width), Argument::Int(i32::from(gelu == Gelu::Exact))];
        let first = [gradient.reads(rows * width), sizes[0], sizes[1], gate_up.writes(2 * rows * width)];
        let half = Half::arguments(self.half_of_result(gate_up, rows, 2 * width)?);
        self.launch_columns("decoder", "geglu_backward", (rows, width), 1, &[&first[..], &half[..]].concat())
    }

    fn soft_cap(&self, values: &mut Buffer<D>, len: usize, cap: f32) -> Result<()> {
        let arguments = [values.writes(len), Argument::Float(cap), Argument::long(len)];
        self.launch_elements("decoder", "soft_cap", len, &arguments)
    }

    fn soft_cap_backward(&self, capped: &Buffer<D>, len: usize, cap: f32, gradient: &mut Buffer<D>) -> Result<()> {
        let arguments = [capped.reads(len), Argument::Float(cap), Argument::long(len), gradient.writes(len)];
        self.launch_elements("decoder", "soft_cap_backward", len, &arguments)
    }

    fn rope(
        &self,
        values: &mut Buffer<D>,
        positions: &Indices<D>,
        cos: &Buffer<D>,
        sin: &Buffer<D>,
        rows: usize,
        shape: Heads,
        turn: Turn,
    ) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        let last = positions.values[..rows].iter().max().map_or(0, |&last| last as usize + 1);
        let angles = last * (shape.rotary / 2);
        let inputs = [positions.reads(rows), cos.reads(angles), sin.reads(angles)];
        let sizes = [shape.heads, shape.head_dim, shape.rotary, shape.stride].map(Argument::int);
        let sign = Argument::Float(if turn == Turn::Forward { 1.0 } else { -1.0 });
        let turned = [values.writes(rows * shape.stride)];
        let half = Half::arguments(self.half_of_result(values, rows, shape.stride)?);
        let arguments = [&turned[..], &inputs[..], &sizes[..], &[sign], &half[..]].concat();
        self.launch_rows("rope", "rope", rows, &arguments)
    }

    fn attention(
        &self,
        fused: &Buffer<D>,
        starts: &[usize],
        shape: Attention,
        out: &mut Buffer<D>,
        lse: &mut Buffer<D>,
    ) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        self.attend(fused, starts, shape, out, lse)
    }

    fn attention_backward(
        &self,
        fused: &Buffer<D>,
        out: &Buffer<D>,
        lse: &Buffer<D>,
        gradient: &Buffer<D>,
        starts: &[usize],
        shape: Attention,
        fused_gradient: &mut Buffer<D>,
    ) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        self.attend_backward(fused, out, lse, gradient, starts, shape, fused_gradient)
    }

    fn keep(
        &self,
        fused: &Buffer<D>,
        places: &Indices<D>,
        rows: usize,
        shape: Attention,
        kept: &mut Buffer<D>,
    ) -> Result<()> {
        let last = places.values[..rows].iter().max().map_or(0, |&last| last as usize + 1);
        let width = 2 * shape.key_width();
        let inputs = [fused.reads(rows * attention::fused_width(&shape)), places.reads(rows)];
        let sizes = [Argument::int(shape.query_width()), Argument::int(width)];
        let arguments = [inputs[0], inputs[1], sizes[0], sizes[1], kept.writes(last * width)];
        self.launch_columns("attention_next", "keep", (rows, width), 1, &arguments)
    }

    fn attention_next(
        &self,
        fused: &Buffer<D>,
        kept: &Buffer<D>,
        sequences: &[Range<usize>],
        shape: Attention,
        out: &mut Buffer<D>,
    ) -> Result<()> {
        self.attend_next(fused, kept, sequences, shape, out)
    }

    fn swiglu(&self, gate_up: &Buffer<D>, rows: usize, width: usize, out: &mut Buffer<D>) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        let first = [gate_up.reads(2 * rows * width), Argument::int(width), out.writes(rows * width)];
        let half = Half::arguments(self.half_of_result(out, rows, width)?);
        self.launch_columns("swiglu", "swiglu", (rows, width), 4, &[&first[..], &half[..]].concat())
    }

    fn swiglu_backward(&self, gradient: &Buffer<D>, rows: usize, width: usize, gate_up: &mut Buffer<D>) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        let first = [gradient.reads(rows * width), Argument::int(width), gate_up.writes(2 * rows * width)];
        let half = Half::arguments(self.half_of_result(gate_up, rows, 2 * width)?);
        self.launch_columns("swiglu", "swiglu_backward", (rows, width), 4, &[&first[..], &half[..]].concat())
    }

    fn dropout(
        &self,
        x: &Buffer<D>,
        mask: Mask,
        rows: usize,
        width: usize,
        out: &mut Buffer<D>,
        add: bool,
    ) -> Result<()> {
        let _turn = lock(&self.shared.turn);
        let len = rows * width;
        let ([key0, key1], threshold, scale) = mask.parts();
        let inputs = [x.reads(len), Argument::Unsigned(key0), Argument::Unsigned(key1), Argument::Unsigned(threshold)];
        let sizes = [Argument::Float(scale), Argument::int(width), Argument::long(len)];
        let results = [out.writes(len), Argument::Int(i32::from(add))];
        // What is added to is a gradient on its way, which no product reads yet.
        let half = if add { None } else { self.half_of_result(out, rows, width)? };
        let arguments = [&inputs[..], &sizes[..], &results[..], &Half::arguments(half)[..]].concat();
        self.launch_elements("dropout", "dropout", len, &arguments)
    }

    fn cross_entropy(
        &self,
        logits: &mut Buffer<D>,
        vocabulary: usize,
        targets: &[u32],
        weights: &[f32],
        smoothing: f32,
        losses: &mut Buffer<D>,
        first: usize,
    ) -> Result<()> {
        let rows = targets.len();
        assert_eq!(rows, weights.len(), "every target has a weight");
        assert!(targets.iter().all(|&target| (target as usize) < vocabulary), "targets lie in the vocabulary");
        let targets = Memory::holding(&self.driver, bytes_of(targets))?;
        let weights = Memory::holding(&self.driver, bytes_of(weights))?;
        let pointer = |memory: &Memory<D>| Argument::Pointer(memory.at(0, 4 * rows));
        let results = [losses.writes(first + rows), Argument::int(first)];
        let arguments = [
            logits.writes(rows * vocabulary),
            Argument::int(vocabulary),
            pointer(&targets),
            pointer(&weights),
            Argument::Float(smoothing),
            results[0],
            results[1],
        ];
        self.launch_rows("loss", "cross_entropy", rows, &arguments)
    }

    fn adamw(
        &self,
        step: &AdamW,
        values: &mut Buffer<D>,
        gradient: &Buffer<D>,
        moments: &mut DeviceMoments<D>,
        len: usize,
    ) -> Result<()> {
        self.step(step, values, gradient, moments, len)
    }

    fn moments(&self, len: usize, storage: MomentStorage) -> Result<DeviceMoments<D>> {
        DeviceMoments::holding(&self.driver, &Moments::zeros(len, storage))
    }

    fn read_moments(&self, moments: &DeviceMoments<D>) -> Result<Moments> {
        moments.read()
    }

    fn write_moments(&self, values: &Moments, out: &mut DeviceMoments<D>) -> Result<()> {
        *out = DeviceMoments::holding(&self.driver, values)?;
        Ok(())
    }
}

/// How many parts there are, and where, as the kernels take them.
fn part_numbers(rows: usize, parts: Parts) -> [Argument; 5] {
    let sizes = [parts.first, parts.count, parts.width, parts.stride].map(Argument::int);
    [Argument::long(rows * parts.count), sizes[0], sizes[1], sizes[2], sizes[3]]
}

impl<D: Driver> Device<D> {
    /// A launch with a warp for each part.
    fn launch_parts(&self, kernel: &str, rows: usize, parts: Parts, arguments: &[Argument]) -> Result<()> {
        let blocks = (rows * parts.count).div_ceil(THREADS / 32);
        self.launch("decoder", kernel, (blocks, 1), THREADS, 0, arguments)
    }
}
