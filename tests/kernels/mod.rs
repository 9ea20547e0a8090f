//! kernels

mod gemm;
mod quantise;
