//! Rows picked out of a matrix, and added back to it: token embeddings, and the rows that a loss counts.

use half::{bf16, f16};

use super::gemm::Weight;
use super::quantise::{BLOCK, blocks};
use super::rows;

/// Writes row `indices[i]` of `table` [_, width] to row `i` of `out` [indices, width], widened to f32.
pub fn gather(table: Weight<'_>, indices: &[u32], width: usize, out: &mut [f32]) {
    rows::each(out, width, |row, out| {
        for (out, &index) in out.chunks_exact_mut(width).zip(&indices[row..]) {
            let at = index as usize * width;
            match table {
                Weight::F32(values) => out.copy_from_slice(&values[at..at + width]),
                Weight::Bf16(values) => {
                    for (out, &bits) in out.iter_mut().zip(&values[at..at + width]) {
                        *out = bf16::from_bits(bits).to_f32();
                    }
                }
                Weight::F16(values) => {
                    for (out, &bits) in out.iter_mut().zip(&values[at..at + width]) {
                        *out = f16::from_bits(bits).to_f32();
                    }
                }
                Weight::Nf4(matrix) => {
                    for (i, out) in out.iter_mut().enumerate() {
                        *out = matrix.value(at + i);
                    }
                }
                Weight::Int8 { values, steps } => {
                    let steps = &steps[index as usize * blocks(width)..];
                    for (i, (out, &value)) in out.iter_mut().zip(&values[at..at + width]).enumerate() {
                        *out = steps[i / BLOCK].value(value);
                    }
                }
            }
        }
    });
}

/// Adds row `i` of `rows` [indices, width] to row `indices[i]` of `out`, in order.
pub fn scatter_add(rows: &[f32], indices: &[u32], width: usize, out: &mut [f32]) {
    for (row, &index) in rows.chunks_exact(width).zip(indices) {
        let at = index as usize * width;
        for (out, x) in out[at..at + width].iter_mut().zip(row) {
            *out += x;
        }
    }
}
