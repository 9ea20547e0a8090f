//! Attention in blocks of queries: the scores of one block with all keys that it sees are the largest thing ever kept.
//!
//! The query heads that share a key head are handled together, stacked as rows of one matrix, so that all work is matrix
//! products of `[heads of the group × block, keys]` and passes over rows.

#![allow(unsafe_code, reason = "tasks write disjoint heads of one matrix through a pointer")]

use std::ops::Range;

use rayon::prelude::*;

use super::softmax::{dot, exponentials, probabilities, score_gradients};
use super::{Gradients, Heads, Inputs, Rows};
use crate::gemm::instructions::Instructions;
use crate::gemm::{Compute, Factor, serial};

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
    let tasks: Vec<(Head<'_>, usize)> = tasks(inputs, starts, heads)
        .into_iter()
        .flat_map(|head| (head.start..head.end).step_by(head.block()).map(move |row| (head, row)))
        .collect();
    tasks.into_par_iter().for_each_init(Default::default, |buffers: &mut [Vec<f32>; 3], (head, row)| {
        head.forward(row, buffers, out, lse);
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
    tasks.into_par_iter().with_max_len(1).for_each(|head| head.backward(&results, targets));
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

    /// One block of queries beginning at `row`.
    fn forward(&self, row: usize, [queries, scores, sums]: &mut [Vec<f32>; 3], out: Shared, lse: Shared) {
        let rows = row..self.end.min(row + self.block());
        let keys = self.keys(&rows);
        let (width, stacked) = (self.heads.head_dim, self.group() * rows.len());
        self.gather(self.inputs.queries, &rows, queries);
        let queries_factor = Factor { values: queries, stride: width, transposed: false };
        let keys_factor = self.factor(self.inputs.keys, &keys, true);
        resize(scores, stacked * keys.len());
        let shape = (stacked, keys.len(), width);
        serial(queries_factor, keys_factor, scores, shape, false, self.how());

        let mut inverses = Vec::with_capacity(stacked);
        for ((row, index), scores) in self.stacked(&rows).zip(scores.chunks_exact_mut(keys.len())) {
            let visible = self.visible(row, &keys);
            scores[..visible.start].fill(0.0);
            scores[visible.end..].fill(0.0);
            let (largest, sum) = exponentials(self.instructions, &mut scores[visible], self.heads.scale);
            inverses.push(1.0 / sum);
            // SAFETY: this task alone writes this head of this row.
            unsafe { lse.part(row, self.kv_head * self.group() + index, 1)[0] = largest + sum.ln() };
        }

        let scores_factor = Factor { values: scores, stride: keys.len(), transposed: false };
        let values_factor = self.factor(self.inputs.values, &keys, false);
        resize(sums, stacked * width);
        let shape = (stacked, width, keys.len());
        serial(scores_factor, values_factor, sums, shape, false, self.how());
        for (((row, index), inverse), sums) in self.stacked(&rows).zip(inverses).zip(sums.chunks_exact(width)) {
            // SAFETY: this task alone writes this head of this row.
            let out = unsafe { out.part(row, self.column(index), width) };
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum * inverse;
            }
        }
    }

    /// The whole sequence, as all queries add to the gradients of keys and values.
    fn backward(&self, results: &Results<'_>, [dq_out, dk_out, dv_out]: [Shared; 3]) {
        let width = self.heads.head_dim;
        let length = self.end - self.start;
        let (mut dk, mut dv) = (vec![0f32; length * width], vec![0f32; length * width]);
        let mut buffers: [Vec<f32>; 6] = Default::default();
        let [queries, out, dout, weights, gradients, dq] = &mut buffers;
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

            resize(weights, stacked * keys.len());
            resize(gradients, stacked * keys.len());
            let keys_turned = self.factor(self.inputs.keys, &keys, true);
            serial(straight(queries, width), keys_turned, weights, scores_shape, false, how);
            let values_turned = self.factor(self.inputs.values, &keys, true);
            serial(straight(dout, width), values_turned, gradients, scores_shape, false, how);

            for (position, (row, index)) in self.stacked(&rows).enumerate() {
                let within = |matrix: usize| position * matrix..(position + 1) * matrix;
                let delta = dot(self.instructions, &out[within(width)], &dout[within(width)]);
                let lse = results.lse[row * self.heads.heads + self.kv_head * self.group() + index];
                let visible = self.visible(row, &keys);
                let (weights, gradients) = (&mut weights[within(keys.len())], &mut gradients[within(keys.len())]);
                for matrix in [&mut *weights, &mut *gradients] {
                    matrix[..visible.start].fill(0.0);
                    matrix[visible.end..].fill(0.0);
                }
                let (weights, gradients) = (&mut weights[visible.clone()], &mut gradients[visible]);
                probabilities(self.instructions, weights, self.heads.scale, lse);
                score_gradients(self.instructions, gradients, weights, delta, self.heads.scale);
            }

            let dv = &mut dv[inside.clone()];
            serial(turned(weights, keys.len()), straight(dout, width), dv, keys_shape, true, how);
            let dk = &mut dk[inside];
            serial(turned(gradients, keys.len()), straight(queries, width), dk, keys_shape, true, how);
            resize(dq, stacked * width);
            let keys_straight = self.factor(self.inputs.keys, &keys, false);
            let shape = (stacked, width, keys.len());
            serial(straight(gradients, keys.len()), keys_straight, dq, shape, false, how);
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

/// Sets the length; what the buffer holds is overwritten anyway.
fn resize(buffer: &mut Vec<f32>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    buffer.truncate(length);
}
