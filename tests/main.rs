//! The only integration binary.

mod cli;
mod conformance;
mod data;
mod decoders;
mod devices;
mod evaluation;
mod input;
mod kernels;
mod model;
mod plugins;
mod quickstart;
mod report;
mod sandbox;
mod scaffold;
mod security;
mod serving;
mod sharing;
mod smollm2;
mod training;
