//! The norms of the rows of `V = W + s·B·A`, which is never made (see [`RowNorms`]), and what magnitudes make of them.

use rayon::prelude::*;

use super::gemm::Weight;
use super::table;

/// What the norms follow from: `‖V_j‖² = ‖W_j‖² + 2·Σ_r c_r·(A·Wᵀ)_rj + Σ_rs c_r·c_s·(A·Aᵀ)_rs`, with `c_r = B_jr·s_r`.
#[derive(Clone, Copy)]
pub struct RowNorms<'a, T: ?Sized> {
    /// `‖W_j‖²` [n]; infinite where a row is not asked for.
    pub squares: &'a T,
    /// `A·Wᵀ` [width, n].
    pub projected: &'a T,
    /// `A·Aᵀ` [width, width].
    pub gram: &'a T,
    /// `B` [n, width].
    pub up: &'a T,
    /// `s` [width].
    pub scales: &'a T,
    /// `m` [n].
    pub magnitude: &'a T,
}

/// `out[j] += Σ_i w[j][i]²` for every row of a weight [out, width].
pub fn add_squares(weight: Weight<'_>, width: usize, out: &mut [f32]) {
    out.par_iter_mut().enumerate().with_min_len(16).for_each_init(
        || vec![0.0; width],
        |row, (index, out)| {
            table::gather(weight, &[index as u32], width, row);
            *out += row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() as f32;
        },
    );
}

/// `scale[j] = m_j / ‖V_j‖` and `inverse[j] = 1 / ‖V_j‖`; where `squares[j]` is infinite, 1 and 0. A row without length has inverse 0 too, and
/// scale 0.
pub fn scales(norms: RowNorms<'_, [f32]>, scale: &mut [f32], inverse: &mut [f32]) {
    let (n, width) = (scale.len(), norms.scales.len());
    scale.par_iter_mut().zip(inverse).enumerate().with_min_len(64).for_each(|(j, (scale, inverse))| {
        if norms.squares[j].is_infinite() {
            (*scale, *inverse) = (1.0, 0.0);
            return;
        }
        let factor = |r: usize| f64::from(norms.up[j * width + r]) * f64::from(norms.scales[r]);
        let mut square = f64::from(norms.squares[j]);
        for r in 0..width {
            let gram = &norms.gram[r * width..(r + 1) * width];
            let among: f64 = gram.iter().enumerate().map(|(s, &g)| factor(s) * f64::from(g)).sum();
            square += factor(r) * (2.0 * f64::from(norms.projected[r * n + j]) + among);
        }
        let found = if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
        (*scale, *inverse) = ((f64::from(norms.magnitude[j]) * found) as f32, found as f32);
    });
}
