//! An adapter worked into the weights of its base: `W + s·B·A` for every adapted module (with DoRA rescaled row by row), and rotation gates folded into the
//! output projections beside which they stand. One tensor at a time: the base is never in memory.

use std::collections::BTreeMap;
use std::path::Path;

use super::adapter_file::AdapterFile;
use super::gate_files;
use so8t_base::{Error, Result};
use so8t_kernels::gemm::{Compute, Weight, matmul_nn};
use so8t_kernels::so8::{fold_after, fold_before};
use so8t_model::ModelFiles;
use so8t_model::modules::LinearModule;
use so8t_model::network::{AdaptedModule, Placement};

/// A base with an adapter that is worked into each weight as it is read.
pub struct Merged<'a> {
    base: &'a ModelFiles,
    dora: bool,
    /// The adapted modules by their weight's name.
    modules: BTreeMap<String, AdaptedModule>,
    /// The adapter's tensors by PEFT's names.
    tensors: BTreeMap<String, Vec<f32>>,
    gates: Option<gate_files::Gates>,
    warnings: Vec<String>,
}

impl<'a> Merged<'a> {
    /// Reads an adapter's folder, and holds it against the base.
    ///
    /// Errors: those of [`load`](super::peft::load).
    pub fn open(base: &'a ModelFiles, adapter: &Path) -> Result<Self> {
        let AdapterFile { settings, tensors, warnings } =
            AdapterFile::read(adapter, &base.config, Some(&base.weights))?;
        let modules = settings.modules(&base.config)?;
        let modules = modules.into_iter().map(|adapted| (format!("{}.weight", adapted.module.path), adapted)).collect();
        let gates = gate_files::read(adapter, &base.config)?;
        Ok(Self { base, dora: settings.dora, modules, tensors, gates, warnings })
    }

    /// The base.
    pub fn base(&self) -> &ModelFiles {
        self.base
    }

    /// What the user should know of the adapter's files.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How many of the base's tensors the adapter changes.
    pub fn changed(&self) -> usize {
        let gates = self.gates.iter().flat_map(|gates| &gates.settings.layers);
        let also = gates.filter(|&&layer| !self.modules.contains_key(&output(layer)));
        self.modules.len() + also.count()
    }

    /// One tensor of the merged model, under its Hugging Face name: its shape and elements, row-major.
    ///
    /// Errors: those of [`so8t_model::Weights::load_f32`]; a number of the merged tensor that is not finite.
    pub fn load_f32(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let (shape, mut values) = self.base.weights.load_f32(name)?;
        if let Some(module) = self.modules.get(name) {
            self.add(module, &mut values)?;
        }
        if let Some(gates) = &self.gates
            && let Some(at) = gates.settings.layers.iter().position(|&layer| output(layer) == name)
        {
            let (theta, map) = (&gates.theta[at], gates.settings.map);
            match gates.settings.placement {
                Placement::Before => fold_before(&mut values, theta, map),
                Placement::After => fold_after(&mut values, theta, shape[1], map),
            }
        }
        match values.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(Error::model(format!(
                "tensor `{name}` with the adapter: element {at} is `{}`, not a finite number",
                values[at]
            ))),
            None => Ok((shape, values)),
        }
    }

    /// `V = W + s·B·A`; with DoRA `m / ‖V‖ ⊙ V`, row by row.
    fn add(&self, adapted: &AdaptedModule, values: &mut [f32]) -> Result<()> {
        let mut tensors = Vec::new();
        for (name, _) in adapted.tensors(self.dora) {
            let tensor = self.tensors.get(&name);
            tensors.push(tensor.ok_or_else(|| Error::internal(format!("tensor `{name}` was not read")))?);
        }
        let LinearModule { outputs, inputs, .. } = adapted.module;
        let b: Vec<f32> = tensors[1].iter().map(|x| x * adapted.scale).collect();
        matmul_nn(&b, Weight::F32(tensors[0]), values, outputs, adapted.rank, inputs, true, Compute::F32);
        if let Some(magnitudes) = tensors.get(2) {
            for (row, magnitude) in values.chunks_exact_mut(inputs).zip(magnitudes.iter()) {
                let norm = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
                let factor = (f64::from(*magnitude) / norm) as f32;
                row.iter_mut().for_each(|x| *x *= factor);
            }
        }
        Ok(())
    }
}

/// The weight of a layer's output projection.
fn output(layer: usize) -> String {
    format!("model.layers.{layer}.self_attn.o_proj.weight")
}
