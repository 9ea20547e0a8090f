//! Low-rank adapters on a network's linears.

use super::Network;
use super::dora::{Dora, MAGNITUDE};
use super::linear::{Adapter, Linear, Part};
use super::parameters::{Parameter, Piece};
use crate::ModelConfig;
use crate::modules::{LinearModule, Pattern, Selection};
use so8t_base::{Error, Result};
use so8t_kernels::backend::{Backend, Block};

/// What adapters a network carries.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterSettings {
    /// The inner dimension, where `rank_pattern` says no other.
    pub rank: usize,
    /// The adapter's product is multiplied by alpha / rank, where `alpha_pattern` says no other.
    pub alpha: f64,
    /// Divide alpha by √rank instead (Kalajdzievski 2023).
    pub rank_stabilised: bool,
    /// Names of modules, as [`matched`](crate::modules::matched) reads them.
    pub targets: Vec<String>,
    /// Modules that get none all the same, named likewise.
    pub exclude: Vec<String>,
    /// The layers whose modules get one; all where absent.
    pub layers: Option<Vec<usize>>,
    /// Ranks of some modules.
    pub rank_pattern: Pattern<usize>,
    /// Alphas of some modules.
    pub alpha_pattern: Pattern<f64>,
    /// Train the length of each row of the weight apart from its direction (DoRA, Liu et al. 2024).
    pub dora: bool,
    /// What the learning rate of `B` and of DoRA's magnitudes is multiplied by (LoRA+, Hayou et al. 2024); 1: nothing. No file keeps it.
    pub lora_plus_ratio: f64,
}

impl Default for AdapterSettings {
    fn default() -> Self {
        Self {
            rank: 16,
            alpha: 32.0,
            rank_stabilised: false,
            targets: vec!["all-linear".to_string()],
            exclude: Vec::new(),
            layers: None,
            rank_pattern: Pattern::default(),
            alpha_pattern: Pattern::default(),
            dora: false,
            lora_plus_ratio: 1.0,
        }
    }
}

/// A linear that gets an adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptedModule {
    /// The linear.
    pub module: LinearModule,
    /// The adapter's inner dimension.
    pub rank: usize,
    /// What `B·A·x` is multiplied by: alpha / rank, or alpha / √rank.
    pub scale: f32,
}

impl AdaptedModule {
    /// The adapter's tensors as PEFT's file has them, each with its shape: `A`, `B`, and the magnitudes of a DoRA.
    pub fn tensors(&self, dora: bool) -> Vec<(String, Vec<usize>)> {
        let LinearModule { path, outputs, inputs, .. } = &self.module;
        let mut tensors = vec![
            (format!("{PREFIX}{path}.lora_A.weight"), vec![self.rank, *inputs]),
            (format!("{PREFIX}{path}.lora_B.weight"), vec![*outputs, self.rank]),
        ];
        tensors.extend(dora.then(|| (format!("{PREFIX}{path}.{MAGNITUDE}"), vec![*outputs])));
        tensors
    }
}

impl AdapterSettings {
    /// The linears that get an adapter, in the order of [`linears`](crate::modules::linears).
    ///
    /// Errors: a name or a pattern's key that matches no module; a rank or an alpha out of range.
    pub fn modules(&self, config: &ModelConfig) -> Result<Vec<AdaptedModule>> {
        let selection = Selection { targets: &self.targets, exclude: &self.exclude, layers: self.layers.as_deref() };
        let modules = selection.modules(config)?;
        let ranks = self.rank_pattern.values(&modules, "rank_pattern", self.rank)?;
        let alphas = self.alpha_pattern.values(&modules, "alpha_pattern", self.alpha)?;
        let adapted = modules.into_iter().zip(ranks).zip(alphas).map(|((module, rank), alpha)| {
            if !(1..=65_536).contains(&rank) {
                let path = &module.path;
                return Err(Error::train(format!("the rank of `{path}`: expected 1 to 65536, found `{rank}`")));
            }
            if !(alpha.is_finite() && alpha > 0.0) {
                let path = &module.path;
                return Err(Error::train(format!("the alpha of `{path}`: expected a number above 0, found `{alpha}`")));
            }
            let divisor = if self.rank_stabilised { (rank as f64).sqrt() } else { rank as f64 };
            let scale = (alpha / divisor) as f32;
            if !scale.is_normal() {
                let path = &module.path;
                return Err(Error::train(format!(
                    "the alpha of `{path}`: expected a number whose share of the rank single precision holds, found `{alpha:e}`"
                )));
            }
            Ok(AdaptedModule { module, rank, scale })
        });
        let adapted = adapted.collect::<Result<Vec<_>>>()?;
        match adapted.iter().find(|adapted| adapted.module.fused.is_some()).filter(|_| self.dora) {
            Some(AdaptedModule { module, .. }) => Err(Error::train(format!(
                "`dora` trains whole linears, and `{}` is a part of `{}`",
                module.path,
                module.stored().0
            ))),
            None => Ok(adapted),
        }
    }

    /// The settings that say the same of the linears as files hold them: of a fused linear of which parts have adapters, one adapter whose rank is
    /// the sum of theirs.
    ///
    /// Errors: parts of one linear whose products are multiplied by different numbers, which one adapter cannot do.
    pub fn stored(&self, config: &ModelConfig) -> Result<Self> {
        let modules = self.modules(config)?;
        if modules.iter().all(|adapted| adapted.module.fused.is_none()) {
            return Ok(self.clone());
        }
        let mut stored: Vec<(&str, usize, f32)> = Vec::new();
        for AdaptedModule { module, rank, scale } in &modules {
            let path = module.stored().0;
            match stored.iter_mut().find(|(other, ..)| *other == path) {
                None => stored.push((path, *rank, *scale)),
                Some((_, sum, other)) if other == scale => *sum += rank,
                Some((_, _, other)) => {
                    return Err(Error::train(format!(
                        "`{path}`: expected one alpha / rank for all of its parts, found `{other}` and `{scale}`"
                    )));
                }
            }
        }
        let divisor = |rank: usize| if self.rank_stabilised { (rank as f64).sqrt() } else { rank as f64 };
        let targets = stored.iter().map(|(path, ..)| path.to_string()).collect();
        let rank_pattern = Pattern(stored.iter().map(|(path, rank, _)| (path.to_string(), *rank)).collect());
        let alpha = |&(path, rank, scale): &(&str, usize, f32)| (path.to_string(), f64::from(scale) * divisor(rank));
        let alpha_pattern = Pattern(stored.iter().map(alpha).collect());
        Ok(Self { targets, exclude: Vec::new(), layers: None, rank_pattern, alpha_pattern, ..self.clone() })
    }
}

/// What PEFT puts before a module's path.
pub const PREFIX: &str = "base_model.model.";

impl<B: Backend> Network<B> {
    /// The adapters that the network carries.
    pub fn adapters(&self) -> Option<&AdapterSettings> {
        self.adapters.as_ref()
    }

    /// Puts adapters on the linears that `settings` name; `load(name, shape)` gives their tensors (PEFT's names:
    /// `…lora_A.weight` [rank, inputs], `…lora_B.weight` [outputs, rank], with DoRA `…lora_magnitude_vector` [outputs]). Adapters
    /// that were there are replaced.
    ///
    /// Errors: those of [`AdapterSettings::modules`]; a network whose own weights are trained; what `load` returns.
    pub fn attach(
        &mut self,
        settings: AdapterSettings,
        load: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<()> {
        if self.options.trainable {
            return Err(Error::train("adapters need a frozen base, and this network's own weights are trained"));
        }
        let modules = settings.modules(&self.config)?;
        self.detach();
        for layer in &mut self.layers {
            for linear in [&mut layer.qkv, &mut layer.output, &mut layer.gate_up, &mut layer.down] {
                attach_linear(linear, &modules, &settings, &self.backend, &mut self.parameters)?;
            }
        }
        self.adapters = Some(settings);
        if let Err(error) = self.write_pieces(load).and_then(|()| self.measure_rows()) {
            self.detach();
            return Err(error);
        }
        Ok(())
    }

    /// As [`Network::attach`], then sets DoRA's magnitudes to the norms of the rows, whatever `load` returned for them.
    pub fn attach_reset(
        &mut self,
        settings: AdapterSettings,
        load: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<()> {
        self.attach(settings, load)?;
        self.reset_magnitudes()
    }

    /// Takes the adapters off, rotation gates too: the base remains.
    pub fn detach(&mut self) {
        self.known.forget();
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

/// Puts the adapters of a linear's modules on it. Those of the parts of a module that the model stores fused are one in files.
fn attach_linear<B: Backend>(
    linear: &mut Linear<B>,
    modules: &[AdaptedModule],
    settings: &AdapterSettings,
    backend: &B,
    parameters: &mut Vec<Parameter<B>>,
) -> Result<()> {
    let of = |part: &Part| -> Vec<&AdaptedModule> {
        modules.iter().filter(|adapted| adapted.module.stored().0 == part.path).collect()
    };
    let width: usize = linear.parts.iter().flat_map(of).map(|adapted| adapted.rank).sum();
    if width == 0 {
        return Ok(());
    }
    let (mut a, mut b, mut magnitudes, mut idle) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut paths, mut scales) = (Vec::new(), Vec::new());
    for part in &linear.parts {
        let (first, mut covered) = (scales.len(), part.rows.start);
        for AdaptedModule { module, rank, scale } in of(part) {
            let start = part.rows.start + module.fused.as_ref().map_or(0, |fused| fused.first);
            let (rows, columns) = (start..start + module.outputs, scales.len()..scales.len() + rank);
            idle.push(Block { rows: covered..rows.start, columns: 0..width });
            idle.push(Block { rows: rows.clone(), columns: 0..columns.start });
            idle.push(Block { rows: rows.clone(), columns: columns.end..width });
            covered = rows.end;
            scales.extend(std::iter::repeat_n(*scale, *rank));
            paths.push(module.path.as_str());
        }
        idle.push(Block { rows: covered..part.rows.end, columns: 0..width });
        let columns = first..scales.len();
        if columns.is_empty() {
            continue;
        }
        a.push(Piece {
            name: format!("{PREFIX}{}.lora_A.weight", part.path),
            shape: vec![columns.len(), linear.inputs],
            block: Block { rows: columns.clone(), columns: 0..linear.inputs },
        });
        b.push(Piece {
            name: format!("{PREFIX}{}.lora_B.weight", part.path),
            shape: vec![part.rows.len(), columns.len()],
            block: Block { rows: part.rows.clone(), columns },
        });
        magnitudes.push(Piece {
            name: format!("{PREFIX}{}.{MAGNITUDE}", part.path),
            shape: vec![part.rows.len()],
            block: Block { rows: 0..1, columns: part.rows.clone() },
        });
    }
    idle.retain(|block| !block.rows.is_empty() && !block.columns.is_empty());
    let paths = paths.join("` + `");
    let mut parameter = |kind: &str, rows: usize, columns: usize, pieces: Vec<Piece>, idle: Vec<Block>| {
        let value = backend.allocate(rows * columns)?;
        let learning_rate_factor = if kind == "lora_A" { 1.0 } else { settings.lora_plus_ratio };
        parameters.push(Parameter {
            name: format!("{paths}.{kind}"),
            rows,
            columns,
            value,
            decay: true,
            learning_rate_factor,
            pieces,
            offset: 0.0,
            idle,
        });
        Ok::<_, Error>(parameters.len() - 1)
    };
    let a = parameter("lora_A", width, linear.inputs, a, Vec::new())?;
    let b = parameter("lora_B", linear.outputs, width, b, idle)?;
    let dora = match settings.dora {
        false => None,
        true => {
            let rows: Vec<_> = magnitudes.iter().map(|piece| piece.block.columns.clone()).collect();
            let magnitude = parameter(MAGNITUDE, 1, linear.outputs, magnitudes, Vec::new())?;
            Some(Dora::new(backend, magnitude, linear.outputs, &rows)?)
        }
    };
    let mut factors = backend.allocate(width)?;
    backend.write(&scales, &mut factors)?;
    linear.adapter = Some(Adapter { a, b, width, scales: factors, dora });
    Ok(())
}
