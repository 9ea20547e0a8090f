//! Adapters that did not begin at 0. PiSSA and OLoRA begin with a part of the weight, `s·B₀·A₀`, and take it off the base, so that nothing
//! changes at first; their files hold the trained `A` and `B` alone. What is to be added to the base is then `s·(B·A − B₀·A₀)`: an adapter
//! of twice the rank, with `[B, −B₀]` and `[A; A₀]`, where `A₀` and `B₀` are computed from the base again, as PEFT does.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::adapter_settings::Begun;
use super::singular;
use so8t_base::{Error, Result};
use so8t_model::Weights;
use so8t_model::modules::Pattern;
use so8t_model::network::{AdaptedModule, AdapterSettings};

/// Makes of an adapter that began so one that is added to the base as it is.
///
/// Errors: a rank above the smaller side of a weight; weights that are too large for the decomposition; weights that cannot be read.
pub(super) fn take_off(
    settings: &mut AdapterSettings,
    tensors: &mut BTreeMap<String, Vec<f32>>,
    modules: Vec<AdaptedModule>,
    begun: Begun,
    base: &Weights,
) -> Result<()> {
    let dora = settings.dora;
    let begin = |adapted: &AdaptedModule| {
        let module = &adapted.module;
        let (_, weight) = base.load_f32(&format!("{}.weight", module.path))?;
        let (outputs, inputs, rank) = (module.outputs, module.inputs, adapted.rank);
        if rank > outputs.min(inputs) {
            return Err(Error::model(format!(
                "the rank of `{}`: expected at most {}, found `{rank}`",
                module.path,
                outputs.min(inputs)
            )));
        }
        match begun {
            Begun::Plain => Ok((vec![0.0; rank * inputs], vec![0.0; outputs * rank])),
            Begun::Columns => Ok(projection(&weight, outputs, inputs, rank)),
            Begun::Principal => {
                let found = singular::largest(&weight, outputs, inputs, rank);
                let found = found.map_err(|e| e.context(format!("`{}`", module.path)))?;
                Ok(halves(found, outputs, inputs, f64::from(adapted.scale)))
            }
        }
    };
    let first = modules.par_iter().map(begin).collect::<Result<Vec<_>>>()?;
    for (adapted, (first_a, first_b)) in modules.iter().zip(first) {
        let names: Vec<String> = adapted.tensors(dora).into_iter().map(|(name, _)| name).collect();
        let missing = |name: &str| Error::internal(format!("tensor `{name}` was not read"));
        let a = tensors.get_mut(&names[0]).ok_or_else(|| missing(&names[0]))?;
        a.extend(first_a);
        let b = tensors.get_mut(&names[1]).ok_or_else(|| missing(&names[1]))?;
        let rows = b.chunks_exact(adapted.rank).zip(first_b.chunks_exact(adapted.rank));
        *b = rows.flat_map(|(own, first)| own.iter().copied().chain(first.iter().map(|x| -x))).collect();
    }
    let key = |adapted: &AdaptedModule| regex::escape(&adapted.module.path);
    let rank = |adapted: &AdaptedModule| 2 * adapted.rank;
    settings.rank_pattern = Pattern(modules.iter().map(|adapted| (key(adapted), rank(adapted))).collect());
    // The factor of the product stays what it was.
    let alpha = |adapted: &AdaptedModule| f64::from(adapted.scale) * rank(adapted) as f64;
    settings.alpha_pattern = Pattern(modules.iter().map(|adapted| (key(adapted), alpha(adapted))).collect());
    settings.rank_stabilised = false;
    Ok(())
}

/// `A₀` [rank, inputs] and `B₀` [outputs, rank] of OLoRA: the first rows of R and columns of Q in `W = Q·R`. Columns of `Q` are those of
/// Gram and Schmidt, made orthogonal twice; what their signs are does not matter to the product.
fn projection(weight: &[f32], outputs: usize, inputs: usize, rank: usize) -> (Vec<f32>, Vec<f32>) {
    let mut columns: Vec<Vec<f64>> = Vec::with_capacity(rank);
    for column in 0..rank {
        let mut q: Vec<f64> = (0..outputs).map(|row| f64::from(weight[row * inputs + column])).collect();
        singular::orthogonalise(&mut q, &columns);
        let norm = singular::norm(&q);
        q.iter_mut().for_each(|x| *x = if norm > 0.0 { *x / norm } else { 0.0 });
        columns.push(q);
    }
    let a = columns.iter().flat_map(|q| {
        let mut row = vec![0.0f64; inputs];
        for (weight, q) in weight.chunks_exact(inputs).zip(q) {
            row.iter_mut().zip(weight).for_each(|(sum, x)| *sum += q * f64::from(*x));
        }
        row.into_iter().map(|x| x as f32)
    });
    let a = a.collect();
    let b = (0..outputs).flat_map(|row| columns.iter().map(move |q| q[row] as f32)).collect();
    (a, b)
}

/// `A₀` and `B₀` of PiSSA: `√(S/s)·Vᵀ` and `U·√(S/s)`.
fn halves(found: Vec<singular::Triple>, outputs: usize, inputs: usize, scale: f64) -> (Vec<f32>, Vec<f32>) {
    let root = |triple: &singular::Triple| (triple.value / scale).sqrt();
    let mut a = Vec::with_capacity(found.len() * inputs);
    let mut b = vec![0.0; outputs * found.len()];
    for (column, triple) in found.iter().enumerate() {
        a.extend(triple.right.iter().map(|x| (x * root(triple)) as f32));
        for (row, x) in triple.left.iter().enumerate() {
            b[row * found.len() + column] = (x * root(triple)) as f32;
        }
    }
    (a, b)
}
