//! Fused operations: a plain twin and a CPU version each, one family a file, behind one trait for devices.
//!
//! [`backend::Backend`] is what the network and the trainer are written against; [`cpu::Cpu`] implements it by calling the
//! families.

pub mod attention;
pub mod backend;
pub mod cpu;
pub mod cuda;
pub mod dropout;
pub mod gemm;
pub mod loss;
pub mod norm;
pub mod optimiser;
pub mod quantise;
pub mod rope;
mod rows;
mod simd;
pub mod swiglu;
pub mod table;
