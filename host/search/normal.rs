//! The normal distribution, and the logarithm of expected improvement where the value itself is no number any more.

const LN_SQRT_2PI: f64 = 0.918_938_533_204_672_8;

/// The logarithm of the distribution function.
pub(crate) fn ln_cdf(z: f64) -> f64 {
    match z {
        z if z > -30.0 => libm::log(0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)),
        // The first terms of the asymptotic series.
        z => -0.5 * z * z - LN_SQRT_2PI - libm::log(-z) + libm::log1p(-1.0 / (z * z)),
    }
}

/// ln(φ(z) + z Φ(z)): of the improvement that is expected over a value z standard deviations away, in standard deviations (S. Ament et al., "Unexpected
/// Improvements to Expected Improvement for Bayesian Optimization", 2023).
pub(crate) fn ln_improvement(z: f64) -> f64 {
    match z {
        z if z > -20.0 => {
            let density = libm::exp(-0.5 * z * z - LN_SQRT_2PI);
            libm::log(density + z * 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2))
        }
        // φ(z) (1/z² − 3/z⁴ + …).
        z => -0.5 * z * z - LN_SQRT_2PI - 2.0 * libm::log(-z) + libm::log1p(-3.0 / (z * z)),
    }
}
