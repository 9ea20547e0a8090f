//! The little of linear algebra that is needed: symmetric matrices of a few hundred rows, row by row.

/// The lower triangle L of a positive definite matrix A = L Lᵀ (n × n, row-major); `None` where it is not positive definite.
pub(crate) fn cholesky(matrix: &[f64], n: usize) -> Option<Vec<f64>> {
    let mut lower = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let (left, right) = (&lower[i * n..i * n + j], &lower[j * n..j * n + j]);
            let sum = matrix[i * n + j] - left.iter().zip(right).map(|(a, b)| a * b).sum::<f64>();
            if i == j {
                if !(sum > 0.0 && sum.is_finite()) {
                    return None;
                }
                lower[i * n + i] = libm::sqrt(sum);
            } else {
                lower[i * n + j] = sum / lower[j * n + j];
            }
        }
    }
    Some(lower)
}

/// Solves L x = b in place.
pub(crate) fn forward(lower: &[f64], n: usize, b: &mut [f64]) {
    for i in 0..n {
        let sum: f64 = lower[i * n..i * n + i].iter().zip(b.iter()).map(|(l, x)| l * x).sum();
        b[i] = (b[i] - sum) / lower[i * n + i];
    }
}

/// Solves Lᵀ x = b in place.
pub(crate) fn backward(lower: &[f64], n: usize, b: &mut [f64]) {
    for i in (0..n).rev() {
        b[i] /= lower[i * n + i];
        let value = b[i];
        for j in 0..i {
            b[j] -= lower[i * n + j] * value;
        }
    }
}

/// The inverse of A = L Lᵀ.
pub(crate) fn inverse(lower: &[f64], n: usize) -> Vec<f64> {
    // The rows of L⁻¹, transposed: column k of L⁻¹ begins at row k.
    let mut columns = vec![0.0; n * n];
    for k in 0..n {
        let column = &mut columns[k * n..(k + 1) * n];
        column[k] = 1.0 / lower[k * n + k];
        for i in k + 1..n {
            let sum: f64 = lower[i * n + k..i * n + i].iter().zip(&column[k..i]).map(|(l, x)| l * x).sum();
            column[i] = -sum / lower[i * n + i];
        }
    }
    let mut out = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let value: f64 =
                columns[i * n + i..(i + 1) * n].iter().zip(&columns[j * n + i..(j + 1) * n]).map(|(a, b)| a * b).sum();
            out[i * n + j] = value;
            out[j * n + i] = value;
        }
    }
    out
}
