//! kernels

mod attention;
mod families;
mod gemm;
mod quantise;
mod so8;
