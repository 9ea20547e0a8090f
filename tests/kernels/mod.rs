//! kernels

mod attention;
mod families;
mod gemm;
mod moments;
mod nf4;
mod quantise;
