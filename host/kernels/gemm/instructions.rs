//! Which instructions the kernels use: detected once, and lowered for one closure where a test wants the slower paths.

use std::cell::Cell;
use std::sync::OnceLock;

/// The instruction sets that the kernels are written for, each containing the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    /// Nothing beyond what the target always has.
    Portable,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX-512 with products of bf16 pairs.
    Avx512Bf16,
}

thread_local! {
    static LIMIT: Cell<Instructions> = const { Cell::new(Instructions::Avx512Bf16) };
}

impl Instructions {
    /// The best set of this processor, or what [`with_at_most`] allows on this thread.
    pub fn current() -> Self {
        Self::detected().min(LIMIT.get())
    }

    /// The best set of this processor.
    pub fn detected() -> Self {
        static DETECTED: OnceLock<Instructions> = OnceLock::new();
        *DETECTED.get_or_init(detect)
    }
}

/// Runs `run`, whose products on this thread use `limit` at most.
pub fn with_at_most<R>(limit: Instructions, run: impl FnOnce() -> R) -> R {
    /// Puts the former limit back, also when `run` panics.
    struct Restore(Instructions);
    impl Drop for Restore {
        fn drop(&mut self) {
            LIMIT.set(self.0);
        }
    }
    let _restore = Restore(LIMIT.replace(limit));
    run()
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Instructions {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (avx2, avx512, is_x86_feature_detected!("avx512bf16")) {
        (_, true, true) => Instructions::Avx512Bf16,
        (_, true, false) => Instructions::Avx512,
        (true, false, _) => Instructions::Avx2,
        (false, false, _) => Instructions::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Instructions {
    Instructions::Portable
}

/// Compiles a body for AVX-512, for AVX2 and for plain processors, and a function that picks one. The body is an
/// `#[inline(always)]` function whose constant says whether multiplying and adding is one instruction.
macro_rules! for_all_instructions {
    ($(#[$doc:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? = $body:ident) => {
        $(#[$doc])*
        $visibility fn $name(instructions: Instructions, $($argument: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($argument: $type),*) $(-> $result)? {
                $body::<true>($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) $(-> $result)? {
                $body::<true>($($argument),*)
            }
            match instructions.min(Instructions::detected()) {
                // SAFETY: the processor has these instructions.
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512 | Instructions::Avx512Bf16 => unsafe { avx512($($argument),*) },
                // SAFETY: the processor has these instructions.
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2 => unsafe { avx2($($argument),*) },
                _ => $body::<false>($($argument),*),
            }
        }
    };
}

pub(crate) use for_all_instructions;
