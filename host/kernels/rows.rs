//! Work split over rows: the one way in which the elementwise families use several threads.

use rayon::prelude::*;

/// Elements below which one thread does all.
const GRAIN: usize = 16 * 1024;

/// Calls `work(first_row, rows)` on consecutive pieces of `out`, which holds rows of `width` elements. The pieces depend
/// on the sizes alone, never on the number of threads.
pub(crate) fn each(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = (GRAIN / width.max(1)).max(1);
    if out.len() <= rows * width {
        return work(0, out);
    }
    out.par_chunks_mut(rows * width).enumerate().for_each(|(piece, out)| work(piece * rows, out));
}

/// As [`each`], with a second output of `other_width` elements a row.
pub(crate) fn each2(
    out: &mut [f32],
    width: usize,
    other: &mut [f32],
    other_width: usize,
    work: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let rows = (GRAIN / width.max(1)).max(1);
    if out.len() <= rows * width {
        return work(0, out, other);
    }
    out.par_chunks_mut(rows * width)
        .zip(other.par_chunks_mut(rows * other_width))
        .enumerate()
        .for_each(|(piece, (out, other))| work(piece * rows, out, other));
}

/// As [`each`], over single elements of three outputs of one length.
pub(crate) fn each3(
    a: &mut [f32],
    b: &mut [f32],
    c: &mut [f32],
    work: impl Fn(usize, &mut [f32], &mut [f32], &mut [f32]) + Sync,
) {
    if a.len() <= GRAIN {
        return work(0, a, b, c);
    }
    a.par_chunks_mut(GRAIN)
        .zip(b.par_chunks_mut(GRAIN))
        .zip(c.par_chunks_mut(GRAIN))
        .enumerate()
        .for_each(|(piece, ((a, b), c))| work(piece * GRAIN, a, b, c));
}
