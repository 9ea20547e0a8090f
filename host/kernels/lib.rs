#![doc = include_str!("README.md")]

pub mod attention;
pub mod backend;
pub mod columns;
pub mod cpu;
pub mod cuda;
pub mod curvature;
pub mod dropout;
pub mod dry;
pub mod dynamic;
pub mod geglu;
pub mod gemm;
pub mod loss;
pub mod moments;
pub mod nf4;
pub mod norm;
pub mod optimiser;
pub mod part_norm;
pub mod quantise;
pub mod rope;
pub mod row_norms;
mod rows;
mod simd;
pub mod so8;
pub mod soft_cap;
pub mod swiglu;
pub mod table;
