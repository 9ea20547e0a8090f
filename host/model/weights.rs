//! A model's tensors: found when it is opened, read and widened to f32 one by one when they are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::config::ModelConfig;
use super::encoding::Encoding;
use super::mapped::MappedFile;
use super::modules;
use so8t_base::{Error, Result};

/// The tensors of a model under their Hugging Face names and in Hugging Face's layout, whatever file holds them.
pub struct Weights {
    files: Vec<(PathBuf, MappedFile)>,
    tensors: BTreeMap<String, Stored>,
}

/// Where a tensor lies, and how it is written.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Index into [`Weights`]' files.
    pub file: usize,
    /// Its bytes within the file; checked against the file and the shape.
    pub bytes: Range<usize>,
    pub shape: Vec<usize>,
    pub encoding: Encoding,
    /// Width of a head whose two halves are interleaved row by row, as GGUF's Llama keeps queries and keys.
    pub interleaved: Option<usize>,
    /// What is added to every element, as GGUF keeps Gemma's norms larger by 1.
    pub shift: f32,
}

impl Weights {
    pub(super) fn new(files: Vec<(PathBuf, MappedFile)>, tensors: BTreeMap<String, Stored>) -> Self {
        Self { files, tensors }
    }

    /// The tensors' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor's shape, outermost dimension first.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.get(name)?.shape)
    }

    /// Whether a tensor is in blocks of 4, 5 or 8 bits, whose grids block-wise int8 keeps exactly.
    pub(super) fn is_in_coarse_blocks(&self, name: &str) -> Result<bool> {
        use candle_core::quantized::GgmlDType::{Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q8_0};
        let Encoding::Blocks(kind) = self.get(name)?.encoding else { return Ok(false) };
        Ok(matches!(kind, Q4_0 | Q4_1 | Q4K | Q5_0 | Q5_1 | Q5K | Q8_0))
    }

    /// The files that hold the tensors.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    /// Reads one tensor: its shape and its elements, row-major, widened (and dequantised) to f32. The weight of a
    /// linear is `[outputs, inputs]`.
    ///
    /// Errors: no such tensor; an element that is not finite.
    pub fn load_f32(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let stored = self.get(name)?;
        let (path, file) = &self.files[stored.file];
        let named = |e: Error| e.context(format!("`{}`: tensor `{name}`", path.display()));
        let mut values = stored.encoding.decode(&file[stored.bytes.clone()]).map_err(named)?;
        if let Some(head_dim) = stored.interleaved {
            let columns = stored.shape[1..].iter().product();
            values = separate_halves(&values, columns, head_dim);
        }
        if stored.shift != 0.0 {
            values.iter_mut().for_each(|value| *value += stored.shift);
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(named(Error::model(format!("element {at} is `{}`, not a finite number", values[at]))));
        }
        Ok((stored.shape.clone(), values))
    }

    /// Where the configuration ties the output head to the embedding, but the files hold a head that is another, the head is one of its own.
    pub(super) fn settle_head(&self, config: &mut ModelConfig) -> Result<()> {
        const NAMES: [&str; 2] = ["model.embed_tokens.weight", "lm_head.weight"];
        if !config.tie_embeddings || NAMES.iter().any(|name| !self.tensors.contains_key(*name)) {
            return Ok(());
        }
        let [embedding, head] = NAMES.map(|name| &self.tensors[name]);
        let bytes = |stored: &Stored| &self.files[stored.file].1[stored.bytes.clone()];
        let written_alike = embedding.encoding == head.encoding && embedding.shape == head.shape;
        let same = (written_alike && bytes(embedding) == bytes(head)) || {
            let [embedding, head] = [self.load_f32(NAMES[0])?, self.load_f32(NAMES[1])?];
            embedding == head
        };
        config.tie_embeddings = same;
        Ok(())
    }

    /// What to tell of tensors that no part of the model takes, as Transformers tells it.
    pub(super) fn unread(&self, config: &ModelConfig, folder: &Path) -> Option<String> {
        let known: BTreeSet<String> = modules::tensors(config).into_iter().map(|(name, _)| name).collect();
        let harmless = |name: &str| name == "lm_head.weight" || name.ends_with("rotary_emb.inv_freq");
        let unread: Vec<&str> = self.names().filter(|name| !known.contains(*name) && !harmless(name)).collect();
        let first = unread.first()?;
        Some(format!(
            "`{}`: {} tensors are not part of the model and not read, such as `{first}`",
            folder.display(),
            unread.len()
        ))
    }

    /// Checks that every tensor of the model is there with its shape; reads none.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        for (name, expected) in modules::tensors(config) {
            let found = self.shape(&name)?;
            if found != expected {
                let path = self.files[self.tensors[&name].file].0.display();
                return Err(Error::model(format!(
                    "`{path}`: tensor `{name}`: expected shape `{expected:?}` by the configuration, found `{found:?}`"
                )));
            }
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Result<&Stored> {
        self.tensors.get(name).ok_or_else(|| {
            let files: Vec<String> = self.files().map(|path| format!("`{}`", path.display())).collect();
            let found = self.tensors.len();
            let error = Error::model(format!("{}: tensor `{name}` is missing", files.join(", ")));
            match self.tensors.keys().next() {
                Some(first) => error.with_hint(format!("the model holds {found} tensors, such as `{first}`")),
                None => error.with_hint("the model holds no tensor"),
            }
        })
    }
}

/// Puts the rows of each head, `h·d + 2i + j` in the file, back to `h·d + j·d/2 + i` (j: which half), where rotary
/// positions turn the two halves against each other. The inverse of `permute` in llama.cpp's conversion.
fn separate_halves(values: &[f32], columns: usize, head_dim: usize) -> Vec<f32> {
    let half = head_dim / 2;
    let mut out = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head_dim * columns) {
        for j in 0..2 {
            for i in 0..half {
                let row = 2 * i + j;
                out.extend_from_slice(&head[row * columns..(row + 1) * columns]);
            }
        }
    }
    out
}
