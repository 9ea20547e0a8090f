//! kernels

mod attention;
mod gemm;
mod quantise;
