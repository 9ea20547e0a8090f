//! kernels

mod attention;
mod gemm;
mod quantise;
mod families;
