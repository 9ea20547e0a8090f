//! The only integration binary.

mod cli;
mod data;
mod evaluation;
mod kernels;
mod model;
mod plugins;
mod quickstart;
mod report;
mod sandbox;
mod scaffold;
mod smollm2;
mod training;
