//! What a training leaves, and where it lies.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{self, ModelConfig, Weights};
use crate::pipeline::ownership;
use crate::train::{Method, gate_files, peft};
use crate::{Error, Result, files};

/// What was trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Trained {
    /// The folder of an adapter of the base.
    Adapter(PathBuf),
    /// The folder of a model that takes the base's place; it has the base's shape and tokenizer.
    Model(PathBuf),
}

impl Trained {
    /// What a training leaves in a run's folder.
    pub(in crate::pipeline) fn of_run(folder: &Path, method: Method) -> Self {
        match method {
            Method::Lora => Self::Adapter(folder.join(ownership::ADAPTER)),
            Method::Full => Self::Model(folder.join(ownership::MODEL)),
        }
    }

    /// Its folder.
    pub(in crate::pipeline) fn folder(&self) -> &Path {
        match self {
            Self::Adapter(folder) | Self::Model(folder) => folder,
        }
    }

    /// Under what name a report has its digest.
    pub(in crate::pipeline) fn name(&self) -> &'static str {
        match self {
            Self::Adapter(_) => "adapter",
            Self::Model(_) => "trained_model",
        }
    }

    /// The SHA-256 of an adapter's weights; of several files, that of the lines of their digests: where rotation gates lie beside the weights, of
    /// these and of both files of the gates, and of a model of all files, with their names.
    pub(in crate::pipeline) fn digest(&self) -> Result<String> {
        let folder = self.folder();
        let lines: Vec<String> = match self {
            Self::Adapter(_) => {
                let weights = files::sha256_file(&folder.join(peft::TENSORS))?;
                let gates = [gate_files::TENSORS, gate_files::SETTINGS].map(|name| folder.join(name));
                if !gates.iter().any(|path| path.exists()) {
                    return Ok(weights);
                }
                let gates = gates.iter().map(|path| files::sha256_file(path)).collect::<Result<Vec<_>>>()?;
                [vec![weights], gates].concat()
            }
            Self::Model(_) => {
                // What somebody else put there, and what is no plain file, is none of the model's.
                let mut names: Vec<_> = fs::read_dir(folder)
                    .map_err(|e| Error::io("read", folder, &e))?
                    .flatten()
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
                    .filter_map(|entry| entry.file_name().into_string().ok())
                    .collect();
                names.sort();
                let line = |name: String| Ok(format!("{}  {name}", files::sha256_file(&folder.join(&name))?));
                names.into_iter().map(line).collect::<Result<_>>()?
            }
        };
        Ok(files::sha256(lines.join("\n").as_bytes()))
    }

    /// The files without which it is not there.
    pub(in crate::pipeline) fn files(&self, has_gates: bool) -> Vec<PathBuf> {
        let folder = self.folder();
        let names = match self {
            Self::Adapter(_) if has_gates => {
                vec![peft::TENSORS, peft::SETTINGS, gate_files::TENSORS, gate_files::SETTINGS]
            }
            Self::Adapter(_) => vec![peft::TENSORS, peft::SETTINGS],
            Self::Model(_) => vec!["config.json", "tokenizer.json"],
        };
        let weights = match self {
            Self::Adapter(_) => Vec::new(),
            Self::Model(_) => model::open_weights(folder)
                .map(|weights| weights.files().map(Path::to_owned).collect())
                .unwrap_or_else(|_| vec![folder.join("model.safetensors")]),
        };
        names.into_iter().map(|name| folder.join(name)).chain(weights).collect()
    }

    /// The weights of a model, held against the shape of its base.
    pub(in crate::pipeline) fn weights(folder: &Path, config: &ModelConfig) -> Result<Weights> {
        let weights = model::open_weights(folder)?;
        weights.check(config)?;
        Ok(weights)
    }

    /// Holds where a training will write against the files of its base.
    ///
    /// Errors: one of these lies where the training writes.
    pub(in crate::pipeline) fn check(run: &Path, base: &[PathBuf]) -> Result<()> {
        let canonical = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        for trained in [Method::Lora, Method::Full].map(|method| Self::of_run(run, method)) {
            let folder = trained.folder();
            if base.iter().any(|file| canonical(file).starts_with(canonical(folder))) {
                let text = format!("`[model] base` lies in `{}`, which this training would replace", folder.display());
                return Err(Error::manifest(text).with_hint("give this run another `name` or `output`"));
            }
        }
        Ok(())
    }

    /// Removes what earlier trainings left in a run's folder, of either kind, and what a killed process left half-written.
    ///
    /// Errors: those of [`Trained::check`].
    pub(in crate::pipeline) fn clear(run: &Path, base: &[PathBuf]) -> Result<()> {
        Self::check(run, base)?;
        [ownership::ADAPTER, ownership::MODEL].into_iter().try_for_each(|name| ownership::clear(run, name))
    }
}
