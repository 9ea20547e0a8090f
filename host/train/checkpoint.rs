//! What a run needs to go on as if it had never stopped: one file, written whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::optimiser::Optimiser;
use crate::kernels::backend::Backend;
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

const KEY: &str = "so8t.checkpoint/1";

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
    let (mut buffers, mut end) = (Vec::new(), 0);
    for (index, parameter) in network.parameters().iter().enumerate() {
        let sources = [
            ("value", &parameter.value),
            ("first", &optimiser.first.buffers[index]),
            ("second", &optimiser.second.buffers[index]),
        ];
        for (kind, buffer) in sources {
            let (shape, start) = ([parameter.rows, parameter.columns], end);
            end += 4 * parameter.len();
            let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] });
            header.insert(format!("{index}.{kind}"), entry);
            buffers.push((buffer, parameter.len()));
        }
    }
    // The format asks for a header whose length is a multiple of 8, filled up with spaces.
    let mut header = serde_json::to_string(&header).map_err(failed)?.into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    files::write_with(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for (buffer, len) in buffers {
            for value in network.backend().read(buffer, len).map_err(io::Error::other)? {
                file.write_all(&value.to_le_bytes())?;
            }
        }
        Ok(())
    })
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
    for index in 0..network.parameters().len() {
        let shape = [network.parameters()[index].rows, network.parameters()[index].columns];
        let read = |kind: &str| -> Result<Vec<f32>> {
            let name = format!("{index}.{kind}");
            let tensor = tensors.tensor(&name).map_err(|e| damaged(&e))?;
            if tensor.shape() != shape || tensor.dtype() != Dtype::F32 {
                return Err(damaged(&format!("tensor `{name}` has shape {:?}, expected {shape:?}", tensor.shape())));
            }
            let values: Vec<f32> = tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            match values.iter().all(|x| x.is_finite()) {
                true => Ok(values),
                false => Err(damaged(&format!("tensor `{name}` holds a number that is not finite"))),
            }
        };
        let values = read("value")?;
        network.backend().write(&read("first")?, &mut optimiser.first.buffers[index])?;
        network.backend().write(&read("second")?, &mut optimiser.second.buffers[index])?;
        network.update(index, |backend, buffer| backend.write(&values, buffer))?;
    }
    optimiser.step = position.step as u32;
    Ok(position)
}
