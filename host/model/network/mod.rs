//! The network: every decoder through one code path, with an explicit backward pass. What one has and another has not is a field of
//! [`Features`](crate::decoder::Features).
//!
//! Projections of the same input are one linear (Phi-3 stores them so; Llama's are put below each other when they are
//! loaded), and a batch is a pack of sequences without padding ([`Packed`]). Everything is written against
//! [`Backend`]; nothing here knows the device.

mod adapters;
mod attend;
mod beginning;
mod branches;
mod dora;
mod gates;
mod head;
mod kept;
mod layer;
mod linear;
mod load;
mod packed;
mod parameters;
mod pass;
mod queries;
mod straight;
mod workspace;

pub use adapters::{AdaptedModule, AdapterSettings, PREFIX};
pub use gates::{GateSettings, Placement, is_gate};
pub use head::Targets;
pub use kept::Kept;
pub use packed::{Dropout, Packed};
pub use parameters::{NamedTensor, Parameter, PerParameter, Piece};
pub use pass::Training;
pub use workspace::Workspace;

use super::ModelConfig;
use layer::Layer;
use so8t_kernels::attention::Heads;
use so8t_kernels::backend::{Backend, Operand};
use so8t_kernels::cpu::Cpu;
use so8t_kernels::gemm::Compute;

/// How the weights of a frozen base are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// Linears, embedding and head in f32.
    None,
    /// Linears in block-wise int8; embedding and head too where that loses nothing, else in bf16.
    #[default]
    Int8,
    /// Linears in NF4 with double quantisation; embedding and head as with int8.
    Nf4,
}

/// How the embedding and a head of its own are kept, where the manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Embeddings {
    /// Single precision.
    F32,
    /// The upper halves of single-precision numbers, rounded to nearest even.
    Bf16,
    /// Half precision, rounded to nearest even.
    F16,
}

/// How a network is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkOptions {
    /// How frozen weights are kept.
    pub quantization: Quantization,
    /// How the embedding and the head are kept; what `quantization` says where absent.
    pub embeddings: Option<Embeddings>,
    /// The precision of the matrix products of layers.
    pub compute: Compute,
    /// The longest sequence that will be run.
    pub positions: usize,
    /// Whether the base's own weights are trained (all of them, in f32).
    pub trainable: bool,
}

/// A matrix of the base: frozen, or the index of a parameter.
enum Tensor<B: Backend> {
    Frozen(B::Matrix),
    Trainable(usize),
}

/// A norm's weight: frozen, or the index of a parameter.
enum Vector<B: Backend> {
    Frozen(B::Buffer),
    Trainable(usize),
}

impl<B: Backend> Vector<B> {
    fn trainable(&self) -> Option<usize> {
        match self {
            Self::Frozen(_) => None,
            Self::Trainable(index) => Some(*index),
        }
    }
}

/// Cosines and sines, [rows, rotary_dim / 2].
struct Rotary<B: Backend> {
    cos: B::Buffer,
    sin: B::Buffer,
}

/// A decoder-only network on a device, with or without adapters.
pub struct Network<B: Backend = Cpu> {
    backend: B,
    config: ModelConfig,
    options: NetworkOptions,
    embedding: Tensor<B>,
    layers: Vec<Layer<B>>,
    final_norm: Vector<B>,
    head: Option<Tensor<B>>,
    /// The tables of all layers, and those of windowed ones, where they have their own.
    rotary: Vec<Rotary<B>>,
    /// Sequences of more tokens than this take the rows of the tables behind so many.
    long_from: Option<usize>,
    parameters: Vec<Parameter<B>>,
    adapters: Option<AdapterSettings>,
    gates: Option<GateSettings>,
    /// What is known of the sequences' beginning.
    known: beginning::Known<B>,
}

impl<B: Backend> Network<B> {
    /// The device.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The network's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// How it was built.
    pub fn options(&self) -> &NetworkOptions {
        &self.options
    }

    /// Changes the precision of the matrix products of layers.
    pub fn set_compute(&mut self, compute: Compute) {
        self.known.forget();
        self.options.compute = compute;
    }

    fn operand<'a>(&'a self, tensor: &'a Tensor<B>) -> Operand<'a, B> {
        match tensor {
            Tensor::Frozen(matrix) => Operand::Matrix(matrix),
            Tensor::Trainable(index) => Operand::Buffer(&self.parameters[*index].value),
        }
    }

    fn vector<'a>(&'a self, vector: &'a Vector<B>) -> &'a B::Buffer {
        match vector {
            Vector::Frozen(buffer) => buffer,
            Vector::Trainable(index) => &self.parameters[*index].value,
        }
    }

    /// The heads of a layer whose tokens see `window` tokens.
    fn heads(&self, window: Option<usize>) -> Heads {
        let config = &self.config;
        let heads = Heads::new(config.heads, config.kv_heads, config.head_dim);
        let scale = config.features.score_scale.map_or(heads.scale, |scale| scale as f32);
        Heads { window, scale, cap: config.features.score_cap, compute: self.options.compute, ..heads }
    }
}
