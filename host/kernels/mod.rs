//! Fused operations: a plain twin, a CPU version and a CUDA version each, one family a file.

pub mod attention;
pub mod gemm;
pub mod quantise;
