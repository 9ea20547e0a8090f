//! Which instructions the kernels use: the one place where that is decided.
//!
//! What the processor has is detected once. A command may be held to less ([`Instructions::choose`]), so that one machine measures and tests
//! all levels below its own, and a test one closure ([`with_at_most`]).

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// The instruction sets that the kernels are written for, each containing the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Instructions {
    /// Nothing beyond what the target always has.
    Portable,
    /// AVX2 with fused multiply-add and conversions of half precision.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX-512 with products of bf16 pairs.
    Avx512Bf16,
}

/// The environment variable that a command reads its level from.
pub const VARIABLE: &str = "SO8T_INSTRUCTIONS";

/// What [`Instructions::choose`] chose; at first, no choice.
static CHOSEN: AtomicU8 = AtomicU8::new(u8::MAX);

thread_local! {
    static LIMIT: Cell<Option<Instructions>> = const { Cell::new(None) };
}

impl Instructions {
    /// All levels, in ascending order.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Bf16];

    /// What the kernels use: what [`with_at_most`] allows on this thread, else what was chosen, else the [best](Self::best).
    #[inline]
    pub fn current() -> Self {
        if let Some(limit) = LIMIT.get() {
            return limit.min(Self::detected());
        }
        Self::ALL.get(usize::from(CHOSEN.load(Ordering::Relaxed))).copied().unwrap_or_else(Self::best)
    }

    /// The highest level of this processor.
    #[inline]
    pub fn detected() -> Self {
        static DETECTED: OnceLock<Instructions> = OnceLock::new();
        *DETECTED.get_or_init(detect)
    }

    /// The fastest level of this processor: the highest one, but on Intel's that of f32, as they form half as many products of bf16 pairs as
    /// of f32 in the same time (BENCHMARKS.md).
    #[inline]
    pub fn best() -> Self {
        static BEST: OnceLock<Instructions> = OnceLock::new();
        *BEST.get_or_init(|| match Self::detected() {
            Self::Avx512Bf16 if is_intel() => Self::Avx512,
            level => level,
        })
    }

    /// The levels that this processor has, in ascending order.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|level| *level <= Self::detected())
    }

    /// Holds all kernels of this process to a level, by its name.
    ///
    /// # Errors
    /// Where the name is unknown, or this processor lacks the level; the message names the [`VARIABLE`].
    pub fn choose(name: &str) -> Result<(), String> {
        let Some(level) = Self::ALL.into_iter().find(|level| level.name() == name) else {
            let names = Self::ALL.map(|level| format!("`{}`", level.name())).join(", ");
            return Err(format!("{VARIABLE}: expected one of {names}, found `{name}`"));
        };
        if level > Self::detected() {
            let has = Self::detected().name();
            return Err(format!(
                "{VARIABLE}: expected a level that this processor has, at most `{has}`, found `{name}`"
            ));
        }
        CHOSEN.store(level as u8, Ordering::Relaxed);
        Ok(())
    }

    /// The level's name in the environment variable and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "plain",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512bf16",
        }
    }
}

/// Runs `run`, whose products on this thread use `limit`, or the highest level of this processor where that is less.
pub fn with_at_most<R>(limit: Instructions, run: impl FnOnce() -> R) -> R {
    /// Puts the former limit back, also when `run` panics.
    struct Restore(Option<Instructions>);
    impl Drop for Restore {
        fn drop(&mut self) {
            LIMIT.set(self.0);
        }
    }
    let _restore = Restore(LIMIT.replace(Some(limit)));
    run()
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Instructions {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
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

#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel"
}

#[cfg(not(target_arch = "x86_64"))]
fn is_intel() -> bool {
    false
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
