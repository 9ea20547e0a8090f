//! Low-rank adapters on a network's linears.

use super::Network;
use super::linear::{Adapter, Linear};
use super::parameters::{Parameter, Piece};
use crate::kernels::backend::{Backend, Block};
use crate::model::modules::matched;
use crate::{Error, Result};

/// What adapters a network carries.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterSettings {
    /// The inner dimension.
    pub rank: usize,
    /// The adapter's product is multiplied by alpha / rank.
    pub alpha: f64,
    /// Divide alpha by √rank instead (Kalajdzievski 2023).
    pub rank_stabilised: bool,
    /// Names of modules, as [`matched`] reads them.
    pub targets: Vec<String>,
}

impl AdapterSettings {
    /// What `B·A·x` is multiplied by.
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f64;
        (self.alpha / if self.rank_stabilised { rank.sqrt() } else { rank }) as f32
    }
}

/// What PEFT puts before a module's path.
pub const PREFIX: &str = "base_model.model.";

impl<B: Backend> Network<B> {
    /// The adapters that the network carries.
    pub fn adapters(&self) -> Option<&AdapterSettings> {
        self.adapters.as_ref()
    }

    /// Puts adapters on the linears that `settings.targets` name; `load(name, shape)` gives their tensors (PEFT's names:
    /// `…lora_A.weight` [rank, inputs], `…lora_B.weight` [outputs, rank]). Adapters that were there are replaced.
    ///
    /// Errors: a target that matches no module; a rank of 0; a network whose own weights are trained; what `load` returns.
    pub fn attach(
        &mut self,
        settings: AdapterSettings,
        load: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<()> {
        if self.options.trainable {
            return Err(Error::train("adapters need a frozen base, and this network's own weights are trained"));
        }
        if settings.rank == 0 || settings.rank > 65_536 {
            return Err(Error::train(format!("`rank`: expected 1 to 65536, found `{}`", settings.rank)));
        }
        let modules = matched(&self.config, &settings.targets)?;
        self.detach();
        let wanted = |path: &str| modules.iter().any(|module| module.path == path);
        let (rank, scale) = (settings.rank, settings.scale());
        for layer in &mut self.layers {
            for linear in [&mut layer.qkv, &mut layer.output, &mut layer.gate_up, &mut layer.down] {
                attach_linear(linear, &wanted, rank, scale, &self.backend, &mut self.parameters)?;
            }
        }
        self.adapters = Some(settings);
        if let Err(error) = self.write_pieces(load) {
            self.detach();
            return Err(error);
        }
        Ok(())
    }

    /// Takes the adapters off, rotation gates too: the base remains.
    pub fn detach(&mut self) {
        if self.options.trainable {
            return;
        }
        self.parameters.clear();
        (self.adapters, self.gates) = (None, None);
        for layer in &mut self.layers {
            layer.gate = None;
            for linear in [&mut layer.qkv, &mut layer.output, &mut layer.gate_up, &mut layer.down] {
                linear.adapter = None;
            }
        }
    }
}

fn attach_linear<B: Backend>(
    linear: &mut Linear<B>,
    wanted: &impl Fn(&str) -> bool,
    rank: usize,
    scale: f32,
    backend: &B,
    parameters: &mut Vec<Parameter<B>>,
) -> Result<()> {
    let adapted: Vec<bool> = linear.parts.iter().map(|part| wanted(&part.path)).collect();
    let width = rank * adapted.iter().filter(|&&yes| yes).count();
    if width == 0 {
        return Ok(());
    }
    let (mut a, mut b, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for (part, _) in linear.parts.iter().zip(&adapted).filter(|(_, yes)| **yes) {
        let columns = a.len() * rank..(a.len() + 1) * rank;
        a.push(Piece {
            name: format!("{PREFIX}{}.lora_A.weight", part.path),
            shape: vec![rank, linear.inputs],
            block: Block { rows: columns.clone(), columns: 0..linear.inputs },
        });
        b.push(Piece {
            name: format!("{PREFIX}{}.lora_B.weight", part.path),
            shape: vec![part.rows.len(), rank],
            block: Block { rows: part.rows.clone(), columns: columns.clone() },
        });
        idle.push(Block { rows: part.rows.clone(), columns: 0..columns.start });
        idle.push(Block { rows: part.rows.clone(), columns: columns.end..width });
    }
    for (part, _) in linear.parts.iter().zip(&adapted).filter(|(_, yes)| !**yes) {
        idle.push(Block { rows: part.rows.clone(), columns: 0..width });
    }
    idle.retain(|block| !block.rows.is_empty() && !block.columns.is_empty());
    let paths: Vec<&str> =
        linear.parts.iter().zip(&adapted).filter(|(_, yes)| **yes).map(|(part, _)| part.path.as_str()).collect();
    let paths = paths.join("` + `");
    let first = parameters.len();
    parameters.push(Parameter {
        name: format!("{paths}.lora_A"),
        rows: width,
        columns: linear.inputs,
        value: backend.allocate(width * linear.inputs)?,
        decay: true,
        learning_rate_factor: 1.0,
        pieces: a,
        idle: Vec::new(),
    });
    parameters.push(Parameter {
        name: format!("{paths}.lora_B"),
        rows: linear.outputs,
        columns: width,
        value: backend.allocate(linear.outputs * width)?,
        decay: true,
        learning_rate_factor: 1.0,
        pieces: b,
        idle,
    });
    linear.adapter = Some(Adapter { a: first, b: first + 1, width, scale });
    Ok(())
}
