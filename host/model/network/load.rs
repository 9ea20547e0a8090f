//! Building a network from named tensors.

use half::f16;

use super::layer::Layer;
use super::linear::{Linear, Part};
use super::parameters::{Parameter, Piece};
use super::{Embeddings, Network, NetworkOptions, Quantization, Rotary, Tensor, Vector};
use crate::decoder::norm_names;
use crate::modules::{LinearModule, has_bias, head_norm_widths, linears};
use crate::rope::RopeTables;
use crate::{ModelConfig, Weights};
use so8t_base::{Error, Result};
use so8t_kernels::backend::{Backend, Block, Storage};
use so8t_kernels::cpu::Cpu;

impl Network<Cpu> {
    /// Loads a network into memory. A tensor is widened, quantised and dropped before the next is read.
    pub fn new(config: &ModelConfig, weights: &Weights, options: NetworkOptions) -> Result<Self> {
        Self::load(Cpu, config, options, |name, _| Ok(weights.load_f32(name)?.1))
    }
}

impl<B: Backend> Network<B> {
    /// Builds a network on `backend` from what `load(name, shape)` returns for every tensor: its elements, row-major.
    pub fn load(
        backend: B,
        config: &ModelConfig,
        options: NetworkOptions,
        load: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let options = NetworkOptions {
            positions: options.positions.min(config.longest_sequence().unwrap_or(usize::MAX)),
            ..options
        };
        let RopeTables { cos, sin, long_from } = config.network_tables(options.positions);
        let mut loader = Loader { backend: &backend, config, options, load, parameters: Vec::new(), linears: 0 };
        let modules = linears(config);
        let (hidden, vocabulary) = (config.hidden_size, config.vocab_size);
        let embedding = loader.matrix("model.embed_tokens.weight", vocabulary, hidden)?;
        let mut layers = Vec::with_capacity(config.layers);
        for index in 0..config.layers {
            let of = |names: &[&str]| -> Vec<&LinearModule> {
                modules.iter().filter(|m| m.layer == index && names.contains(&m.name)).collect()
            };
            let norm = |name: &str| format!("model.layers.{index}.{name}.weight");
            let mut norms = |name: Option<&str>, width| name.map(|name| loader.norm(&norm(name), width)).transpose();
            let names = norm_names(config.features.norms);
            let widths = head_norm_widths(config);
            let head_norms = match widths {
                None => None,
                Some([queries, keys]) => {
                    let queries = norms(Some("self_attn.q_norm"), queries)?;
                    queries.zip(norms(Some("self_attn.k_norm"), keys)?)
                }
            };
            let [before, after, before_feed_forward, after_feed_forward] = names;
            let attention_norm = norms(before, hidden)?;
            let attention_end = norms(after, hidden)?;
            let feed_forward_norm = norms(before_feed_forward, hidden)?;
            let feed_forward_end = norms(after_feed_forward, hidden)?;
            let own_base = usize::from(config.window(index).is_some() && config.features.local_theta.is_some());
            layers.push(Layer {
                index,
                window: config.window(index),
                rotary: config.features.positioned.contains(index).then_some(own_base),
                attention_norm,
                qkv: loader.linear(&of(&["qkv_proj", "q_proj", "k_proj", "v_proj"]))?,
                head_norms,
                output: loader.linear(&of(&["o_proj"]))?,
                attention_end,
                feed_forward_norm,
                gate_up: loader.linear(&of(&["gate_up_proj", "gate_proj", "up_proj"]))?,
                down: loader.linear(&of(&["down_proj"]))?,
                feed_forward_end,
                gate: None,
            });
        }
        let final_norm = loader.norm("model.norm.weight", hidden)?;
        let head = match config.tie_embeddings {
            true => None,
            false => Some(loader.matrix("lm_head.weight", vocabulary, hidden)?),
        };
        let parameters = loader.parameters;
        let table = |values: &[f32]| -> Result<B::Buffer> {
            let mut buffer = backend.allocate(values.len())?;
            backend.write(values, &mut buffer)?;
            Ok(buffer)
        };
        let mut rotary = vec![Rotary { cos: table(&cos)?, sin: table(&sin)? }];
        if let Some((cos, sin)) = config.local_tables(options.positions) {
            rotary.push(Rotary { cos: table(&cos)?, sin: table(&sin)? });
        }
        let config = config.clone();
        let (adapters, gates) = (None, None);
        Ok(Self {
            backend,
            config,
            options,
            embedding,
            layers,
            final_norm,
            head,
            rotary,
            long_from,
            parameters,
            adapters,
            gates,
            known: super::beginning::Known::default(),
        })
    }
}

impl NetworkOptions {
    /// How the embedding and the head are kept; `is_lossless` says whether int8 would lose nothing of them.
    pub fn table_storage(&self, is_lossless: impl FnOnce() -> bool) -> Storage {
        match (self.embeddings, self.quantization) {
            (Some(Embeddings::F32), _) | (None, Quantization::None) => Storage::F32,
            (Some(Embeddings::Bf16), _) => Storage::Bf16,
            (Some(Embeddings::F16), _) => Storage::F16,
            (None, Quantization::Int8 | Quantization::Nf4) => match is_lossless() {
                true => Storage::Int8,
                false => Storage::Bf16,
            },
        }
    }
}

struct Loader<'a, B: Backend, F> {
    backend: &'a B,
    config: &'a ModelConfig,
    options: NetworkOptions,
    load: F,
    parameters: Vec<Parameter<B>>,
    linears: u64,
}

impl<B: Backend, F: FnMut(&str, &[usize]) -> Result<Vec<f32>>> Loader<'_, B, F> {
    fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        if !self.backend.reads_weights() {
            return Ok(Vec::new());
        }
        let values = (self.load)(name, shape)?;
        if values.len() != shape.iter().product::<usize>() {
            let found = values.len();
            return Err(Error::model(format!("tensor `{name}`: expected shape {shape:?}, found {found} elements")));
        }
        Ok(values)
    }

    /// Keeps `values` as a parameter whose `pieces` cover all of it.
    fn parameter(
        &mut self,
        values: &[f32],
        rows: usize,
        columns: usize,
        decay: bool,
        pieces: Vec<Piece>,
    ) -> Result<usize> {
        self.shifted(values, rows, columns, decay, pieces, 0.0)
    }

    /// The same of `values` that are more than the pieces by `offset`.
    fn shifted(
        &mut self,
        values: &[f32],
        rows: usize,
        columns: usize,
        decay: bool,
        pieces: Vec<Piece>,
        offset: f32,
    ) -> Result<usize> {
        let mut value = self.backend.allocate(rows * columns)?;
        self.backend.write(values, &mut value)?;
        let name = pieces.iter().map(|piece| piece.name.as_str()).collect::<Vec<_>>().join("` + `");
        self.parameters.push(Parameter {
            name,
            rows,
            columns,
            value,
            decay,
            learning_rate_factor: 1.0,
            pieces,
            offset,
            idle: Vec::new(),
        });
        Ok(self.parameters.len() - 1)
    }

    /// A norm's weight, with what norms of this decoder add to it.
    fn norm(&mut self, name: &str, width: usize) -> Result<Vector<B>> {
        let offset = self.config.features.norm_offset;
        let mut values = self.read(name, &[width])?;
        if offset != 0.0 {
            values.iter_mut().for_each(|value| *value += offset);
        }
        let block = Block { rows: 0..1, columns: 0..width };
        self.vector(values, width, vec![Piece { name: name.to_string(), shape: vec![width], block }], offset)
    }

    fn vector(&mut self, values: Vec<f32>, width: usize, pieces: Vec<Piece>, offset: f32) -> Result<Vector<B>> {
        if self.options.trainable {
            return Ok(Vector::Trainable(self.shifted(&values, 1, width, false, pieces, offset)?));
        }
        let mut buffer = self.backend.allocate(width)?;
        self.backend.write(&values, &mut buffer)?;
        Ok(Vector::Frozen(buffer))
    }

    /// The biases of modules that are one linear, where they have them.
    fn bias(&mut self, modules: &[&LinearModule], outputs: usize) -> Result<Option<Vector<B>>> {
        if !modules.iter().any(|module| has_bias(self.config, module.name)) {
            return Ok(None);
        }
        let (mut values, mut pieces, mut first) = (Vec::new(), Vec::new(), 0);
        for module in modules {
            let name = format!("{}.bias", module.path);
            values.extend(self.read(&name, &[module.outputs])?);
            let block = Block { rows: 0..1, columns: first..first + module.outputs };
            first = block.columns.end;
            pieces.push(Piece { name, shape: vec![module.outputs], block });
        }
        self.vector(values, outputs, pieces, 0.0).map(Some)
    }

    /// The embedding or the head: decisions hang on it more than on any linear.
    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Tensor<B>> {
        let values = self.read(name, &[rows, columns])?;
        let storage = self.options.table_storage(|| self.backend.is_lossless(&values, columns));
        if storage == Storage::F16
            && let Some(found) = values.iter().find(|x| !f16::from_f32(**x).is_finite())
        {
            return Err(Error::model(format!("tensor `{name}` holds `{found}`, which is too large for f16"))
                .with_hint("keep it in another precision: `[model] embeddings = \"bf16\"`"));
        }
        let pieces = vec![piece(name.to_string(), 0..rows, columns)];
        self.tensor(values, rows, columns, storage, pieces)
    }

    fn tensor(
        &mut self,
        values: Vec<f32>,
        rows: usize,
        columns: usize,
        storage: Storage,
        pieces: Vec<Piece>,
    ) -> Result<Tensor<B>> {
        if self.options.trainable {
            return Ok(Tensor::Trainable(self.parameter(&values, rows, columns, true, pieces)?));
        }
        Ok(Tensor::Frozen(self.backend.matrix(values, rows, columns, storage)?))
    }

    /// One linear out of the modules that read the same input, in the order of their rows.
    fn linear(&mut self, modules: &[&LinearModule]) -> Result<Linear<B>> {
        let inputs = modules.first().map_or(0, |module| module.inputs);
        let (mut values, mut parts, mut pieces, mut outputs) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for module in modules {
            let name = format!("{}.weight", module.path);
            let rows = outputs..outputs + module.outputs;
            values.extend(self.read(&name, &[module.outputs, inputs])?);
            outputs = rows.end;
            parts.push(Part { path: module.path.clone(), rows: rows.clone() });
            pieces.push(piece(name, rows, inputs));
        }
        let storage = match self.options.quantization {
            Quantization::None => Storage::F32,
            Quantization::Int8 => Storage::Int8,
            Quantization::Nf4 => Storage::Nf4,
        };
        let weight = self.tensor(values, outputs, inputs, storage, pieces)?;
        let bias = self.bias(modules, outputs)?;
        self.linears += 1;
        Ok(Linear { index: self.linears, inputs, outputs, weight, bias, parts, adapter: None })
    }
}

fn piece(name: String, rows: std::ops::Range<usize>, columns: usize) -> Piece {
    Piece { name, shape: vec![rows.len(), columns], block: Block { rows, columns: 0..columns } }
}
