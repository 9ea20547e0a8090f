//! What a run needs to go on as if it had never stopped: one file, written whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::optimiser::Optimiser;
use crate::kernels::backend::Backend;
use crate::kernels::moments::Part;
use crate::model::network::Network;
use crate::{Error, Result, files};

/// Where a run stands, besides its tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The digest of everything that decides how the run goes on: configuration, seed, samples, shape of the network.
    pub digest: String,
    /// Optimiser steps taken. The order of samples, the dropout masks and the learning rate follow from it.
    pub step: usize,
    /// Tokens seen.
    pub tokens: u64,
    /// Seconds spent.
    pub seconds: f64,
    /// Loss of the first step.
    pub first_loss: f32,
    /// Loss of the last step.
    pub last_loss: f32,
}

const KEY: &str = "so8t.checkpoint/2";

/// Writes adapters, both moments and the position, one tensor at a time: a copy of all of them would be the run's greatest
/// need of memory.
pub fn save<B: Backend>(
    path: &Path,
    network: &Network<B>,
    optimiser: &Optimiser<B>,
    position: &Position,
) -> Result<()> {
    let failed = |e: serde_json::Error| Error::internal(format!("`{}`: {e}", path.display()));
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_string(), json!({ KEY: serde_json::to_string(position).map_err(failed)? }));
    let mut end = 0;
    let mut entry = |name: String, dtype: &str, shape: &[usize], bytes: usize| {
        let start = end;
        end += bytes;
        header.insert(name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }));
    };
    for (index, parameter) in network.parameters().iter().enumerate() {
        let shape = [parameter.rows, parameter.columns];
        entry(format!("{index}.value"), "F32", &shape, 4 * parameter.len());
        let mut moments = network.backend().read_moments(&optimiser.moments[index])?;
        for (part, values) in moments.parts() {
            match values {
                Part::F32(values) => entry(format!("{index}.{part}"), "F32", &[values.len()], 4 * values.len()),
                Part::U8(values) => entry(format!("{index}.{part}"), "U8", &[values.len()], values.len()),
            }
        }
    }
    // The format asks for a header whose length is a multiple of 8, filled up with spaces.
    let mut header = serde_json::to_string(&header).map_err(failed)?.into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    files::write_with(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for (parameter, moments) in network.parameters().iter().zip(&optimiser.moments) {
            write_numbers(file, &network.backend().read(&parameter.value, parameter.len()).map_err(io::Error::other)?)?;
            let mut moments = network.backend().read_moments(moments).map_err(io::Error::other)?;
            for (_, values) in moments.parts() {
                match values {
                    Part::F32(values) => write_numbers(file, values)?,
                    Part::U8(values) => file.write_all(values)?,
                }
            }
        }
        Ok(())
    })
}

fn write_numbers(file: &mut impl Write, values: &[f32]) -> io::Result<()> {
    values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))
}

/// Reads a checkpoint back into a network with fresh adapters and a fresh optimiser.
///
/// Errors: a file that is damaged, or whose run had another configuration, seed, data or model (`digest`).
pub fn load<B: Backend>(
    path: &Path,
    network: &mut Network<B>,
    optimiser: &mut Optimiser<B>,
    digest: &str,
) -> Result<Position> {
    let bytes = files::read(path)?;
    let damaged = |what: &dyn std::fmt::Display| {
        Error::train(format!("`{}`: not a whole checkpoint: {what}", path.display()))
            .with_hint("train without resuming, or delete the file")
    };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e))?;
    let position = metadata.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or_else(|| damaged(&"no position"))?;
    let position: Position = serde_json::from_str(position).map_err(|e| damaged(&e))?;
    if position.digest != digest {
        return Err(Error::train(format!(
            "`{}`: the checkpoint is of a run with another configuration, seed, data or model (digest `{}`, expected `{digest}`)",
            path.display(),
            position.digest
        ))
        .with_hint("train without resuming to begin anew"));
    }
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| damaged(&e))?;
    let find = |name: &str, dtype: Dtype, shape: &[usize]| -> Result<&[u8]> {
        let tensor = tensors.tensor(name).map_err(|e| damaged(&e))?;
        if tensor.shape() != shape || tensor.dtype() != dtype {
            let found = (tensor.dtype(), tensor.shape());
            return Err(damaged(&format!("tensor `{name}` is {found:?}, expected {:?}", (dtype, shape))));
        }
        Ok(tensor.data())
    };
    let read_numbers = |name: &str, shape: &[usize], out: &mut [f32]| -> Result<()> {
        for (out, bytes) in out.iter_mut().zip(find(name, Dtype::F32, shape)?.as_chunks().0) {
            *out = f32::from_le_bytes(*bytes);
        }
        match out.iter().all(|x| x.is_finite()) {
            true => Ok(()),
            false => Err(damaged(&format!("tensor `{name}` holds a number that is not finite"))),
        }
    };
    for index in 0..network.parameters().len() {
        let (rows, columns) = (network.parameters()[index].rows, network.parameters()[index].columns);
        let mut values = vec![0.0; rows * columns];
        read_numbers(&format!("{index}.value"), &[rows, columns], &mut values)?;
        let mut moments = network.backend().read_moments(&optimiser.moments[index])?;
        for (part, out) in moments.parts() {
            let name = format!("{index}.{part}");
            match out {
                Part::F32(out) => read_numbers(&name, &[out.len()], out)?,
                Part::U8(out) => out.copy_from_slice(find(&name, Dtype::U8, &[out.len()])?),
            }
        }
        network.backend().write_moments(&moments, &mut optimiser.moments[index])?;
        network.update(index, |backend, buffer| backend.write(&values, buffer))?;
    }
    network.measure_rows()?;
    optimiser.step = position.step as u32;
    Ok(position)
}
