//! The exact interval of a share, and the beta distribution behind it.
//!
//! Logarithms and exponentials are those of the crate `libm`, not of the system, so that the bits are the same everywhere.

/// The 95 % interval of a share of `hits` in `rows` by C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial
/// limits illustrated in the case of the binomial", 1934: the ends are quantiles of beta distributions. Exact in that it
/// holds the true share at least 95 times in 100, whatever the share. `None` without rows.
///
/// ```
/// let (low, high) = so8t_evaluate::clopper_pearson(0, 20).unwrap();
/// assert!(low == 0.0 && (high - (1.0 - 0.025_f64.powf(1.0 / 20.0))).abs() < 1e-14);
/// ```
pub fn clopper_pearson(hits: u64, rows: u64) -> Option<(f64, f64)> {
    if rows == 0 || hits > rows {
        return None;
    }
    let (k, n) = (hits as f64, rows as f64);
    let low = if hits == 0 { 0.0 } else { beta_quantile(k, n - k + 1.0, 0.025) };
    // The mirrored quantile: 1 − x keeps its digits where x is near 1.
    let high = if hits == rows { 1.0 } else { 1.0 - beta_quantile(n - k, k + 1.0, 0.025) };
    Some((low, high))
}

/// The `x` at which the regularised incomplete beta function I_x(a, b) is `share`: bisection, down to neighbouring numbers.
/// `a` and `b` are at least 1, `share` lies between 0 and 1.
pub fn beta_quantile(a: f64, b: f64, share: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    loop {
        // Near 0 the exponent is searched first: halving the bits, not the value.
        let middle = match high > 4.0 * low {
            true => f64::from_bits((low.to_bits() + high.to_bits()) / 2),
            false => low + (high - low) / 2.0,
        };
        if middle <= low || middle >= high {
            return high;
        }
        match regularised_beta(a, b, middle) < share {
            true => low = middle,
            false => high = middle,
        }
    }
}

/// The regularised incomplete beta function I_x(a, b), by Lentz's method on its continued fraction (DLMF 8.17.22,
/// <https://dlmf.nist.gov/8.17>), on the side of the mean where that converges quickly.
pub fn regularised_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    match x > (a + 1.0) / (a + b + 2.0) {
        true => 1.0 - leading_factor(b, a, 1.0 - x) / b * continued_fraction(b, a, 1.0 - x),
        false => leading_factor(a, b, x) / a * continued_fraction(a, b, x),
    }
}

/// x^a (1 − x)^b / B(a, b), with Stirling's errors and deviances in place of differences of large logarithms (C. Loader, "Fast and
/// accurate computation of binomial probabilities", 2000).
fn leading_factor(a: f64, b: f64, x: f64) -> f64 {
    let n = a + b;
    let exponent = stirling_error(n) - stirling_error(a) - stirling_error(b)
        + a * libm::log(x * n / a)
        + b * (libm::log1p(-x) - libm::log(b / n));
    libm::sqrt(a * b / (2.0 * std::f64::consts::PI * n)) * libm::exp(exponent)
}

/// ln Γ(z) − ((z − ½) ln z − z + ½ ln 2π): its asymptotic series (DLMF 5.11.1), from 16 on; smaller `z` are moved up.
fn stirling_error(z: f64) -> f64 {
    let (mut z, mut moved) = (z, 0.0);
    while z < 16.0 {
        moved += (z + 0.5) * libm::log1p(1.0 / z) - 1.0;
        z += 1.0;
    }
    let square = z * z;
    let series = 1.0 / 1188.0;
    let series = 1.0 / 1680.0 - series / square;
    let series = 1.0 / 1260.0 - series / square;
    let series = 1.0 / 360.0 - series / square;
    let series = 1.0 / 12.0 - series / square;
    moved + series / z
}

fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    let keep_off_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / keep_off_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    // About the square root of the larger parameter steps are needed.
    for m in 1..100_000_000_u64 {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / keep_off_zero(1.0 + even * d);
        c = keep_off_zero(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / keep_off_zero(1.0 + odd * d);
        c = keep_off_zero(1.0 + odd / c);
        let factor = d * c;
        value *= factor;
        if (factor - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}
