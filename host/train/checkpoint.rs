//! What a run needs to go on as if it had never stopped: one file, written whole or not at all.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::batches::Sample;
use super::config::TrainConfig;
use super::files::TrainFiles;
use super::log;
use super::optimiser::Optimiser;
use super::validation::History;
use super::watch::Watcher;
use so8t_base::{Error, Result, files};
use so8t_kernels::backend::Backend;
use so8t_kernels::moments::{self, Part, PartSize};
use so8t_model::network::Network;
use so8t_model::{MappedFile, Precision, TensorEntry, header};

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
    /// What was validated so far.
    pub(super) validations: History,
}

/// The values of every parameter that validation found best, in the order of [`Network::parameters`].
pub type Best = Vec<Vec<f32>>;

const KEY: &str = "so8t.checkpoint/3";
/// The SHA-256 of position and tensors.
const DIGEST: &str = "sha256";

/// Writes what is trained, both moments, the position, and the best values where there are some; one tensor at a time: a copy of all of them
/// would be the run's greatest need of memory.
pub fn save<B: Backend>(
    path: &Path,
    network: &Network<B>,
    optimiser: &Optimiser<B>,
    position: &Position,
    best: Option<&Best>,
) -> Result<()> {
    let failed = |e: serde_json::Error| Error::internal(format!("`{}`: {e}", path.display()));
    let position = serde_json::to_string(position).map_err(failed)?;
    // The digest is known at the end: its place is held until then.
    let held = "0".repeat(64);
    let entries = entries(network, optimiser, best.is_some());
    let header = header(json!({ KEY: position, DIGEST: held }), &entries);
    let place = header.windows(held.len()).position(|bytes| bytes == held.as_bytes()).unwrap_or_default();
    files::write_with(path, |file| {
        file.write_all(&header)?;
        let mut hash = files::Hash::default();
        hash.add(position.as_bytes());
        let mut add = |bytes: &[u8]| {
            hash.add(bytes);
            file.write_all(bytes)
        };
        each_tensor(network, optimiser, best, |values| match values {
            Values::F32(values) => Precision::F32.write(values, &mut add),
            Values::U8(values) => add(values),
        })?;
        file.seek(SeekFrom::Start(place as u64))?;
        file.write_all(hash.finish().as_bytes())
    })?;
    path.parent().map_or(Ok(()), files::sync_folder)
}

/// The tensors of a checkpoint, in the file's order.
fn entries<B: Backend>(network: &Network<B>, optimiser: &Optimiser<B>, has_best: bool) -> Vec<TensorEntry> {
    let mut out = Vec::new();
    for (index, parameter) in network.parameters().iter().enumerate() {
        let shape = [parameter.rows, parameter.columns];
        out.push(Precision::F32.entry(format!("{index}.value"), &shape));
        for PartSize { name, len, is_number } in moments::parts(parameter.len(), optimiser.storage(parameter.len())) {
            let name = format!("{index}.{name}");
            out.push(match is_number {
                true => Precision::F32.entry(name, &[len]),
                false => TensorEntry { name, dtype: "U8", shape: vec![len], bytes: len as u64 },
            });
        }
        out.extend(has_best.then(|| Precision::F32.entry(format!("{index}.best"), &shape)));
    }
    out
}

/// A tensor's elements, as the file holds them.
enum Values<'a> {
    F32(&'a [f32]),
    U8(&'a [u8]),
}

/// Calls `visit` with the elements of every one of [`entries`]; one tensor at a time is in memory.
fn each_tensor<B: Backend>(
    network: &Network<B>,
    optimiser: &Optimiser<B>,
    best: Option<&Best>,
    mut visit: impl FnMut(Values<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let backend = network.backend();
    for (index, parameter) in network.parameters().iter().enumerate() {
        visit(Values::F32(&backend.read(&parameter.value, parameter.len()).map_err(io::Error::other)?))?;
        let mut moments = backend.read_moments(&optimiser.moments[index]).map_err(io::Error::other)?;
        moments.parts().into_iter().try_for_each(|(_, part)| match part {
            Part::F32(values) => visit(Values::F32(values)),
            Part::U8(values) => visit(Values::U8(values)),
        })?;
        if let Some(best) = best {
            visit(Values::F32(&best[index]))?;
        }
    }
    Ok(())
}

/// Why a checkpoint is not used.
pub enum Refusal {
    /// The file is damaged: one before it may be whole.
    Damaged(Error),
    /// Its run had another configuration, seed, data or model, or the device failed.
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Reads a checkpoint back into a network that is ready to be trained, and a fresh optimiser.
///
/// Errors: a file that is damaged, or whose run had another configuration, seed, data or model (`digest`).
pub fn load<B: Backend>(
    path: &Path,
    network: &mut Network<B>,
    optimiser: &mut Optimiser<B>,
    digest: &str,
) -> Result<(Position, Option<Best>), Refusal> {
    let damaged = |what: &dyn std::fmt::Display| {
        let error = Error::train(format!("`{}`: not a whole checkpoint: {what}", path.display()));
        Refusal::Damaged(error.with_hint("train without resuming, or delete the file"))
    };
    let bytes = MappedFile::open(path).map_err(Refusal::Damaged)?;
    let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e))?;
    let field = |key: &str| metadata.metadata().as_ref().and_then(|m| m.get(key));
    let text = field(KEY).ok_or_else(|| damaged(&"no position"))?;
    let position: Position = serde_json::from_str(text).map_err(|e| damaged(&e))?;
    let mut hash = files::Hash::default();
    hash.add(text.as_bytes());
    hash.add(&bytes[8 + header..]);
    let (found, expected) = (hash.finish(), field(DIGEST).map_or("none", String::as_str));
    if found != expected {
        return Err(damaged(&format!("its contents have sha256 `{found}`, recorded is `{expected}`")));
    }
    if position.digest != digest {
        return Err(Refusal::Other(
            Error::train(format!(
                "`{}`: the checkpoint is of a run with another configuration, seed, data or model (digest `{}`, expected `{digest}`)",
                path.display(),
                position.digest
            ))
            .with_hint("train without resuming to begin anew"),
        ));
    }
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| damaged(&e))?;
    let find = |name: &str, dtype: Dtype, shape: &[usize]| -> Result<&[u8], Refusal> {
        let tensor = tensors.tensor(name).map_err(|e| damaged(&e))?;
        if tensor.shape() != shape || tensor.dtype() != dtype {
            let found = (tensor.dtype(), tensor.shape());
            return Err(damaged(&format!("tensor `{name}` is {found:?}, expected {:?}", (dtype, shape))));
        }
        Ok(tensor.data())
    };
    let read_numbers = |name: &str, shape: &[usize], out: &mut [f32]| -> Result<(), Refusal> {
        for (out, bytes) in out.iter_mut().zip(find(name, Dtype::F32, shape)?.as_chunks().0) {
            *out = f32::from_le_bytes(*bytes);
        }
        match out.iter().all(|x| x.is_finite()) {
            true => Ok(()),
            false => Err(damaged(&format!("tensor `{name}` holds a number that is not finite"))),
        }
    };
    let mut best = position.validations.best().map(|_| Best::new());
    for index in 0..network.parameters().len() {
        let shape = [network.parameters()[index].rows, network.parameters()[index].columns];
        let read_values = |kind: &str| -> Result<Vec<f32>, Refusal> {
            let mut values = vec![0.0; shape[0] * shape[1]];
            read_numbers(&format!("{index}.{kind}"), &shape, &mut values)?;
            Ok(values)
        };
        let values = read_values("value")?;
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
        if let Some(best) = &mut best {
            best.push(read_values("best")?);
        }
    }
    network.measure_rows()?;
    optimiser.step = position.step as u32;
    Ok((position, best))
}

/// The newest checkpoint that is whole, and of which the log knows every step; `None` where there is no checkpoint at all.
pub fn newest<B: Backend>(
    network: &mut Network<B>,
    optimiser: &mut Optimiser<B>,
    files: &TrainFiles,
    digest: &str,
    watcher: &mut dyn Watcher<B>,
) -> Result<Option<(Position, Option<Best>)>> {
    let (logged, mut last) = (log::whole_steps(&files.log()), None);
    for (step, path) in files.states() {
        let error = match load(&path, network, optimiser, digest) {
            Ok((position, best)) if position.step <= logged => return Ok(Some((position, best))),
            Ok(_) => Error::train(format!(
                "`{}`: the checkpoint is of step {step}, and `{}` lacks steps after {logged}",
                path.display(),
                files.log().display()
            )),
            Err(Refusal::Damaged(error)) => error,
            Err(Refusal::Other(error)) => return Err(error),
        };
        watcher.warn(&format!("{error}; the checkpoint before it is tried"));
        last = Some(error);
    }
    last.map_or(Ok(None), Err)
}

/// Everything that decides how a run goes on.
pub fn digest<B: Backend>(network: &Network<B>, samples: &[Sample], config: &TrainConfig, seed: u64) -> Result<String> {
    let config = serde_json::to_string(&config.deciding()).map_err(|e| Error::internal(e.to_string()))?;
    let (quantization, embeddings) = (network.options().quantization, network.options().embeddings);
    let mut bytes =
        format!("{config}\n{seed}\n{:?}\n{quantization:?}\n{embeddings:?}\n", network.config()).into_bytes();
    for sample in samples {
        bytes.extend((sample.tokens.len() as u64).to_le_bytes());
        bytes.extend((sample.completion_start as u64).to_le_bytes());
        bytes.extend(sample.weight.to_le_bytes());
        bytes.extend(sample.tokens.iter().flat_map(|token| token.to_le_bytes()));
    }
    Ok(files::sha256(&bytes))
}
