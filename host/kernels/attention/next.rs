//! Attention of one new token in each of several sequences, over the keys and values that are kept of it.

use std::ops::Range;

use rayon::prelude::*;

use super::Heads;
use super::softmax::{LANES, dot, exponentials};
use crate::gemm::instructions::Instructions;
use crate::soft_cap;

/// Copies the keys and values of fused rows `[queries | keys | values]` to rows `places[i]` of `kept`
/// `[_, 2 · kv_heads · head_dim]`.
///
/// # Panics
/// When a slice is too short for its rows.
pub fn keep(fused: &[f32], places: &[u32], heads: &Heads, kept: &mut [f32]) {
    let (skipped, width) = (heads.query_width(), 2 * heads.key_width());
    for (row, &place) in fused.chunks_exact(skipped + width).zip(places) {
        kept[place as usize * width..][..width].copy_from_slice(&row[skipped..]);
    }
}

/// `out[i, h] = Σ softmax(scale · q·k)·v` over the rows `sequences[i]` of `kept`, the last of which is the new token's own;
/// query `i` stands in row `i` of the fused rows, `out` is `[sequences, heads · head_dim]`. With a window, only the last rows of
/// a sequence are looked at.
///
/// # Panics
/// When a sequence is empty, or a slice is too short for its rows.
pub fn next(fused: &[f32], kept: &[f32], sequences: &[Range<usize>], heads: &Heads, out: &mut [f32]) {
    let (width, key_width, dim) = (heads.query_width(), heads.key_width(), heads.head_dim);
    assert_eq!(out.len(), sequences.len() * width, "out has the queries' size");
    assert!(sequences.iter().all(|sequence| !sequence.is_empty()), "a sequence holds at least the new token");
    let (group, instructions) = (heads.heads / heads.kv_heads, Instructions::current());
    out.par_chunks_mut(dim).enumerate().with_min_len(4).for_each_init(
        Vec::new,
        |scores: &mut Vec<f32>, (task, out)| {
            let (i, head) = (task / heads.heads, task % heads.heads);
            let query = &fused[i * (width + 2 * key_width) + head * dim..][..dim];
            let rows = heads.first_key(sequences[i].end - 1, sequences[i].start)..sequences[i].end;
            let key = |row: usize| row * 2 * key_width + head / group * dim;
            scores.clear();
            scores.extend(rows.clone().map(|row| dot(instructions, query, &kept[key(row)..][..dim])));
            scores.resize(rows.len().next_multiple_of(LANES), 0.0);
            let scale = match heads.cap {
                None => heads.scale,
                Some(cap) => {
                    soft_cap::scores(&mut scores[..rows.len()], heads.scale, cap);
                    1.0
                }
            };
            let (_, sum) = exponentials(instructions, scores, rows.len(), scale);
            out.fill(0.0);
            for (row, weight) in rows.zip(scores.iter()) {
                for (out, value) in out.iter_mut().zip(&kept[key(row) + key_width..][..dim]) {
                    *out += weight / sum * value;
                }
            }
        },
    );
}
