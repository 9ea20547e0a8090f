//! Attention in blocks of queries: the scores of one block with all keys that it sees are the largest thing ever kept.
//!
//! The query heads that share a key head are handled together, stacked as rows of one matrix, so that all work is matrix
//! products of `[heads of the group × block, keys]` and passes over rows.

#![allow(unsafe_code, reason = "tasks write disjoint heads of one matrix through a pointer")]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::softmax::{LANES, dot, exponentials, probabilities, score_gradients};
use super::{Gradients, Heads, Inputs, Rows};
use crate::gemm::instructions::Instructions;
use crate::gemm::{Compute, Factor, Packed, Reach, pack, serial, serial_packed};
use crate::soft_cap::{multiply, scores, scores_and_slopes};

/// Blocks of queries of a task, at most.
const BLOCKS: usize = 8;

/// What a task needs beside its inputs and outputs.
#[derive(Default)]
struct Buffers {
    matrices: [Vec<f32>; 6],
    keys: Packed,
    keys_turned: Packed,
    values: Packed,
}

thread_local! {
    /// Kept from call to call: memory that is new each time costs more than short sequences do.
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// One sequence and one key head.
#[derive(Clone, Copy)]
struct Head<'a> {
    heads: &'a Heads,
    inputs: Inputs<'a>,
    instructions: Instructions,
    /// Rows of the sequence.
    start: usize,
    end: usize,
    kv_head: usize,
}

/// A matrix whose parts different tasks write.
#[derive(Clone, Copy)]
struct Shared {
    values: *mut f32,
    stride: usize,
}

// SAFETY: tasks write disjoint parts.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// # Safety
    /// The part exists, and no other task uses it.
    #[allow(clippy::mut_from_ref, reason = "the caller keeps the parts disjoint")]
    unsafe fn part(&self, row: usize, column: usize, length: usize) -> &mut [f32] {
        // SAFETY: passed on.
        unsafe { std::slice::from_raw_parts_mut(self.values.add(row * self.stride + column), length) }
    }
}

/// See [`forward`](super::forward).
pub(super) fn forward(inputs: Inputs<'_>, starts: &[usize], heads: &Heads, out: &mut [f32], lse: &mut [f32]) {
    let out = Shared { values: out.as_mut_ptr(), stride: heads.query_width() };
    let lse = Shared { values: lse.as_mut_ptr(), stride: heads.heads };
    let tasks = tasks(inputs, starts, heads);
    // Keys and values are packed once a task; few sequences are cut finer, so that all threads have work.
    let blocks = if tasks.len() < 2 * rayon::current_num_threads() { 1 } else { BLOCKS };
    let tasks: Vec<(Head<'_>, Range<usize>)> = tasks
        .into_iter()
        .flat_map(|head| {
            let step = blocks * head.block();
            (head.start..head.end).step_by(step).map(move |row| (head, row..head.end.min(row + step)))
        })
        .collect();
    tasks.into_par_iter().with_max_len(1).for_each(|(head, rows)| {
        BUFFERS.with_borrow_mut(|buffers| head.forward(rows, buffers, out, lse));
    });
}

/// See [`backward`](super::backward).
pub(super) fn backward(
    inputs: Inputs<'_>,
    starts: &[usize],
    heads: &Heads,
    out: &[f32],
    lse: &[f32],
    dout: &[f32],
    gradients: Gradients<'_>,
) {
    let (q, k) = (heads.query_width(), heads.key_width());
    let targets = match gradients {
        Gradients::Separate { queries, keys, values } => [
            Shared { values: queries.as_mut_ptr(), stride: q },
            Shared { values: keys.as_mut_ptr(), stride: k },
            Shared { values: values.as_mut_ptr(), stride: k },
        ],
        Gradients::Fused(rows) => {
            let (values, stride) = (rows.as_mut_ptr(), q + 2 * k);
            let from = |offset| Shared { values: values.wrapping_add(offset), stride };
            [from(0), from(q), from(q + k)]
        }
    };
    let results = Results { out: Rows::packed(out, q), dout: Rows::packed(dout, q), lse };
    let tasks = tasks(inputs, starts, heads);
    tasks.into_par_iter().with_max_len(1).for_each(|head| {
        BUFFERS.with_borrow_mut(|buffers| head.backward(&results, targets, buffers));
    });
}

/// What the forward pass left, and the gradient of its output.
struct Results<'a> {
    out: Rows<'a>,
    dout: Rows<'a>,
    lse: &'a [f32],
}

fn tasks<'a>(inputs: Inputs<'a>, starts: &[usize], heads: &'a Heads) -> Vec<Head<'a>> {
    let instructions = Instructions::current();
    let head = |start, end, kv_head| Head { heads, inputs, instructions, start, end, kv_head };
    starts
        .windows(2)
        .filter(|sequence| sequence[0] < sequence[1])
        .flat_map(|sequence| (0..heads.kv_heads).map(move |kv_head| head(sequence[0], sequence[1], kv_head)))
        .collect()
}

impl Head<'_> {
    /// How products are formed.
    fn how(&self) -> (Compute, Instructions) {
        (self.heads.compute, self.instructions)
    }

    /// Query heads that share the key head.
    fn group(&self) -> usize {
        self.heads.heads / self.heads.kv_heads
    }

    /// Rows of a block: few, as a block also computes the scores above its diagonal, but enough for efficient products.
    fn block(&self) -> usize {
        (96 / self.group()).clamp(16, 48)
    }

    /// The keys that a block of query rows sees.
    fn keys(&self, rows: &Range<usize>) -> Range<usize> {
        self.heads.first_key(rows.start, self.start)..rows.end
    }

    /// Column of query head `index` of the group.
    fn column(&self, index: usize) -> usize {
        (self.kv_head * self.group() + index) * self.heads.head_dim
    }

    /// Keys or values of the key head as a factor; its stored rows are tokens.
    fn factor<'b>(&self, rows: Rows<'b>, keys: &Range<usize>, transposed: bool) -> Factor<'b> {
        let from = keys.start * rows.stride + self.kv_head * self.heads.head_dim;
        Factor { values: &rows.values[from..], stride: rows.stride, transposed }
    }

    /// The group's heads of a block of rows, stacked: `[group · block, head_dim]`.
    fn gather(&self, from: Rows<'_>, rows: &Range<usize>, to: &mut Vec<f32>) {
        to.clear();
        for index in 0..self.group() {
            for row in rows.clone() {
                let from = &from.values[row * from.stride + self.column(index)..];
                to.extend_from_slice(&from[..self.heads.head_dim]);
            }
        }
    }

    /// The columns of `keys` that `row` looks at.
    fn visible(&self, row: usize, keys: &Range<usize>) -> Range<usize> {
        self.heads.first_key(row, self.start) - keys.start..row + 1 - keys.start
    }

    /// The rows of the stacked matrices: (row of the sequence, head of the group).
    fn stacked(&self, rows: &Range<usize>) -> impl Iterator<Item = (usize, usize)> + use<> {
        let rows = rows.clone();
        (0..self.group()).flat_map(move |index| rows.clone().map(move |row| (row, index)))
    }

    /// Whether all blocks of a range of queries see the same first key, so that keys are packed once for all of them.
    fn sees_all(&self) -> bool {
        self.heads.window.is_none()
    }

    /// What the stacked rows of a block see of the keys.
    fn reach(&self, rows: &Range<usize>, keys: &Range<usize>, terms: bool) -> Option<Reach> {
        Some(Reach { period: rows.len(), first: rows.start - keys.start, terms })
    }

    /// Caps scores where these heads do, and returns what is left to multiply them by.
    fn cap(&self, values: &mut [f32]) -> f32 {
        match self.heads.cap {
            None => self.heads.scale,
            Some(cap) => {
                scores(values, self.heads.scale, cap);
                1.0
            }
        }
    }

    /// Packs keys, turned, and values.
    fn pack(&self, keys: &Range<usize>, turned: &mut Packed, values: &mut Packed, values_turned: bool) {
        let width = self.heads.head_dim;
        pack(self.factor(self.inputs.keys, keys, true), (width, keys.len()), turned, self.how());
        let shape = if values_turned { (width, keys.len()) } else { (keys.len(), width) };
        pack(self.factor(self.inputs.values, keys, values_turned), shape, values, self.how());
    }

    /// Packs keys, both ways, and values, turned.
    fn pack_for_gradients(&self, range: &Range<usize>, keys: &mut Packed, turned: &mut Packed, values: &mut Packed) {
        self.pack(range, turned, values, true);
        pack(self.factor(self.inputs.keys, range, false), (range.len(), self.heads.head_dim), keys, self.how());
    }

    /// Blocks of queries.
    fn forward(&self, all: Range<usize>, buffers: &mut Buffers, out: Shared, lse: Shared) {
        let Buffers { matrices: [queries, scores, sums, inverses, ..], keys_turned, values, .. } = buffers;
        let width = self.heads.head_dim;
        if self.sees_all() {
            self.pack(&(self.start..all.end), keys_turned, values, false);
        }
        for row in all.clone().step_by(self.block()) {
            let rows = row..all.end.min(row + self.block());
            let keys = self.keys(&rows);
            let stacked = self.group() * rows.len();
            if !self.sees_all() {
                self.pack(&keys, keys_turned, values, false);
            }
            self.gather(self.inputs.queries, &rows, queries);
            let queries_factor = Factor { values: queries, stride: width, transposed: false };
            resize(scores, stacked * keys.len() + LANES);
            let shape = (stacked, keys.len(), width);
            let reach = self.reach(&rows, &keys, false);
            serial_packed(queries_factor, keys_turned, &mut scores[..stacked * keys.len()], shape, reach, self.how());

            inverses.clear();
            for (position, (row, index)) in self.stacked(&rows).enumerate() {
                let visible = self.visible(row, &keys);
                let (count, start) = (visible.len(), position * keys.len());
                scores[start..start + visible.start].fill(0.0);
                scores[start + visible.end..start + keys.len()].fill(0.0);
                let scale = self.cap(&mut scores[start + visible.start..start + visible.end]);
                let row_scores = vectors(scores, start + visible.start, count);
                let (largest, sum) = exponentials(self.instructions, row_scores, count, scale);
                inverses.push(1.0 / sum);
                // SAFETY: this task alone writes this head of this row.
                unsafe { lse.part(row, self.kv_head * self.group() + index, 1)[0] = largest + sum.ln() };
            }

            let scores_factor = Factor { values: scores, stride: keys.len(), transposed: false };
            resize(sums, stacked * width);
            let shape = (stacked, width, keys.len());
            serial_packed(scores_factor, values, sums, shape, self.reach(&rows, &keys, true), self.how());
            for (((row, index), inverse), sums) in self.stacked(&rows).zip(&*inverses).zip(sums.chunks_exact(width)) {
                // SAFETY: this task alone writes this head of this row.
                let out = unsafe { out.part(row, self.column(index), width) };
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = sum * inverse;
                }
            }
        }
    }

    /// The whole sequence, as all queries add to the gradients of keys and values.
    fn backward(&self, results: &Results<'_>, [dq_out, dk_out, dv_out]: [Shared; 3], buffers: &mut Buffers) {
        let width = self.heads.head_dim;
        let length = self.end - self.start;
        let (mut dk, mut dv) = (vec![0f32; length * width], vec![0f32; length * width]);
        let mut slopes = Vec::new();
        let Buffers { matrices: [queries, out, dout, weights, gradients, dq], keys: keys_packed, keys_turned, values } =
            buffers;
        if self.sees_all() {
            self.pack_for_gradients(&(self.start..self.end), keys_packed, keys_turned, values);
        }
        for row in (self.start..self.end).step_by(self.block()) {
            let rows = row..self.end.min(row + self.block());
            let keys = self.keys(&rows);
            let stacked = self.group() * rows.len();
            self.gather(self.inputs.queries, &rows, queries);
            self.gather(results.out, &rows, out);
            self.gather(results.dout, &rows, dout);
            let straight = |values, stride| Factor { values, stride, transposed: false };
            let turned = |values, stride| Factor { values, stride, transposed: true };
            let scores_shape = (stacked, keys.len(), width);
            let keys_shape = (keys.len(), width, stacked);
            let inside = (keys.start - self.start) * width..(keys.end - self.start) * width;
            let how = self.how();

            resize(weights, stacked * keys.len() + LANES);
            resize(gradients, stacked * keys.len());
            if !self.sees_all() {
                self.pack_for_gradients(&keys, keys_packed, keys_turned, values);
            }
            let reach = self.reach(&rows, &keys, false);
            serial_packed(
                straight(queries, width),
                keys_turned,
                &mut weights[..stacked * keys.len()],
                scores_shape,
                reach,
                how,
            );
            serial_packed(straight(dout, width), values, gradients, scores_shape, reach, how);

            for (position, (row, index)) in self.stacked(&rows).enumerate() {
                let within = |matrix: usize| position * matrix..(position + 1) * matrix;
                let delta = dot(self.instructions, &out[within(width)], &dout[within(width)]);
                let lse = results.lse[row * self.heads.heads + self.kv_head * self.group() + index];
                let visible = self.visible(row, &keys);
                let (count, start) = (visible.len(), position * keys.len());
                for matrix in [&mut *weights, &mut *gradients] {
                    matrix[start..start + visible.start].fill(0.0);
                    matrix[start + visible.end..start + keys.len()].fill(0.0);
                }
                let inside = start + visible.start..start + visible.end;
                let scale = match self.heads.cap {
                    None => self.heads.scale,
                    Some(cap) => {
                        slopes.resize(count, 0.0);
                        scores_and_slopes(&mut weights[inside.clone()], self.heads.scale, cap, &mut slopes);
                        1.0
                    }
                };
                let scores = vectors(weights, start + visible.start, count);
                probabilities(self.instructions, scores, count, scale, lse);
                let (weights, gradients) = (&weights[inside.clone()], &mut gradients[inside]);
                score_gradients(self.instructions, gradients, weights, delta, scale);
                if self.heads.cap.is_some() {
                    multiply(gradients, &slopes);
                }
            }

            let dv = &mut dv[inside.clone()];
            serial(turned(weights, keys.len()), straight(dout, width), dv, keys_shape, true, how);
            let dk = &mut dk[inside];
            serial(turned(gradients, keys.len()), straight(queries, width), dk, keys_shape, true, how);
            resize(dq, stacked * width);
            let shape = (stacked, width, keys.len());
            let reach = self.reach(&rows, &keys, true);
            serial_packed(straight(gradients, keys.len()), keys_packed, dq, shape, reach, how);
            for ((row, index), dq) in self.stacked(&rows).zip(dq.chunks_exact(width)) {
                // SAFETY: this task alone writes this head of this row.
                unsafe { dq_out.part(row, self.column(index), width) }.copy_from_slice(dq);
            }
        }
        for (to, from) in [(dk_out, &dk), (dv_out, &dv)] {
            for (row, from) in (self.start..self.end).zip(from.chunks_exact(width)) {
                // SAFETY: this task alone writes this key head of this row.
                unsafe { to.part(row, self.kv_head * width, width) }.copy_from_slice(from);
            }
        }
    }
}

/// The vectors that hold `count` numbers from `start` on; a buffer has one vector more than its matrix.
fn vectors(buffer: &mut [f32], start: usize, count: usize) -> &mut [f32] {
    &mut buffer[start..start + count.next_multiple_of(LANES)]
}

/// Sets the length; what the buffer holds is overwritten anyway.
fn resize(buffer: &mut Vec<f32>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    buffer.truncate(length);
}
