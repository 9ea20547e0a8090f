//! Loops compiled for several instruction sets, and the arithmetic that they share.
//!
//! A function written inside [`wide!`] is compiled three times — AVX-512, AVX2 and the target's baseline — and that of the
//! level in use is called. The body uses neither fused multiply-add nor reordered sums, so that all three
//! give the same bits.
#![allow(unsafe_code, reason = "calls the copies compiled for instruction sets that were detected at run time")]

/// Defines a function whose body is compiled for AVX-512, for AVX2 and for the target's baseline; the level of
/// [`Instructions::current`](crate::gemm::instructions::Instructions::current) is called.
macro_rules! wide {
    ($($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)? $body:block)*) => {$(
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments, reason = "see kernels::simd")]
        $visibility fn $name($($argument: $kind),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "the outer function's arguments")]
            fn body($($argument: $kind),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512($($argument: $kind),*) $(-> $result)? { body($($argument),*) }
                #[target_feature(enable = "avx2")]
                fn avx2($($argument: $kind),*) $(-> $result)? { body($($argument),*) }
                match $crate::gemm::instructions::Instructions::current() {
                    // SAFETY: `current` gives at most the detected features, for which the copy was compiled.
                    $crate::gemm::instructions::Instructions::Avx512 | $crate::gemm::instructions::Instructions::Avx512Bf16 => {
                        return unsafe { avx512($($argument),*) };
                    }
                    // SAFETY: as above.
                    $crate::gemm::instructions::Instructions::Avx2 => return unsafe { avx2($($argument),*) },
                    $crate::gemm::instructions::Instructions::Portable => {}
                }
            }
            body($($argument),*)
        }
    )*};
}
pub(crate) use wide;

/// The number of partial sums that a reduction keeps.
pub(crate) const LANES: usize = 16;

/// e^x to about 2 units in the last place, in operations that a compiler can vectorise. Arguments are clamped to
/// [−87, 88]; a NaN stays a NaN. Range reduction and a polynomial of degree 6 (its Taylor coefficients suffice on
/// |r| ≤ ln 2 / 2).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to an integer, which the low bits then hold
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r + 1.0;
    let p = p * r + 1.0;
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// Σ f(i) over `0..len`, in [`LANES`] partial sums that are added in a fixed order.
#[inline(always)]
pub(crate) fn sum(len: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = len - len % LANES;
    let mut i = 0;
    while i < whole {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += f(i + lane);
        }
        i += LANES;
    }
    let mut total = 0.0;
    for lane in lanes {
        total += lane;
    }
    for i in whole..len {
        total += f(i);
    }
    total
}
