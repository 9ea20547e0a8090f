//! A model written as a Hugging Face folder, tensor by tensor.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::config::Architecture;
use super::modules;
use super::open::ModelFiles;
use super::safetensors::{INDEX, SINGLE};
use super::safetensors_writer::{TensorEntry, header};
use so8t_base::{Error, Result, files};

/// How the elements of an exported tensor are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision: nothing is lost.
    #[default]
    F32,
    /// The upper half of an f32, rounded to nearest even.
    Bf16,
    /// IEEE 754, 16 bits.
    F16,
}

impl Precision {
    /// What Transformers call it.
    pub fn dtype(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }

    /// A tensor of this precision, to be written.
    pub fn entry(self, name: impl Into<String>, shape: &[usize]) -> TensorEntry {
        let (dtype, size) = match self {
            Self::F32 => ("F32", 4),
            Self::Bf16 => ("BF16", 2),
            Self::F16 => ("F16", 2),
        };
        let bytes = size * shape.iter().map(|&n| n as u64).product::<u64>();
        TensorEntry { name: name.into(), dtype, shape: shape.to_vec(), bytes }
    }

    /// Hands `write` the bytes of numbers, some thousands at a time.
    ///
    /// Errors: a number that f16 cannot hold; what `write` returns.
    pub fn write(self, values: &[f32], mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        values.chunks(PIECE).try_for_each(|values| write(&self.encode(values)?))
    }

    /// Errors: a number that is not finite, or that f16 or bf16 cannot hold.
    fn encode(self, values: &[f32]) -> io::Result<Vec<u8>> {
        let beyond = |x: f32| io::Error::other(format!("`{x}` is beyond the range of f16; bf16 and f32 hold it"));
        if let Some(x) = values.iter().find(|x| !x.is_finite()) {
            return Err(io::Error::other(format!("`{x}` is not a finite number")));
        }
        match self {
            Self::F32 => Ok(values.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Self::Bf16 => match values.iter().find(|x| !bf16::from_f32(**x).is_finite()) {
                Some(x) => Err(io::Error::other(format!("`{x}` is beyond the range of bf16; f32 holds it"))),
                None => Ok(values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect()),
            },
            Self::F16 => match values.iter().find(|x| !f16::from_f32(**x).is_finite()) {
                Some(&x) => Err(beyond(x)),
                None => Ok(values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect()),
            },
        }
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The folder or the file.
    pub path: PathBuf,
    /// Tensors.
    pub tensors: usize,
    /// Bytes of all tensors.
    pub bytes: u64,
    /// Files that hold them.
    pub files: usize,
}

/// Files of a Hugging Face folder that go with the weights and are copied as they are.
const COMPANIONS: [&str; 12] = [
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
    "LICENSE",
    "LICENSE.txt",
    "merges.txt",
    "NOTICE",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
];

/// The padding token of Phi-3's class where a file names none.
const PHI3_PADDING: usize = 32_000;

/// Elements that are encoded at a time.
const PIECE: usize = 1 << 16;

/// Writes a model of the base's shape whose tensors `load(name)` returns: in one file, or in several of at most `shard` bytes each with
/// an index. Configuration, tokenizer and template are the base's; those of a GGUF file are made from its metadata. The folder gets
/// its name when it is whole.
///
/// Errors: something that lies at `folder` already; a number that the precision cannot hold; what `load` returns.
pub fn export_folder(
    base: &ModelFiles,
    folder: &Path,
    precision: Precision,
    shard: u64,
    load: impl Fn(&str) -> Result<(Vec<usize>, Vec<f32>)>,
) -> Result<Written> {
    if folder.exists() && fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_some()) {
        return Err(Error::manifest(format!("`{}`: expected no folder or an empty one", folder.display())));
    }
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.with_file_name(name);
    let written = (|| {
        let written = weights(base, &temporary, precision, shard, &load)?;
        companions(base, &temporary, precision)?;
        if folder.exists() {
            fs::remove_dir(folder).map_err(|e| Error::io("replace", folder, &e))?;
        }
        fs::rename(&temporary, folder).map_err(|e| Error::io("create", folder, &e))?;
        Ok(Written { path: folder.to_path_buf(), ..written })
    })();
    if written.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    written
}

fn weights(
    base: &ModelFiles,
    folder: &Path,
    precision: Precision,
    shard: u64,
    load: &impl Fn(&str) -> Result<(Vec<usize>, Vec<f32>)>,
) -> Result<Written> {
    let mut shards: Vec<Vec<TensorEntry>> = vec![Vec::new()];
    let mut filled = 0;
    for (name, shape) in modules::tensors(&base.config) {
        let tensor = precision.entry(name, &shape);
        if filled > 0 && filled + tensor.bytes > shard {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += tensor.bytes;
        if let Some(last) = shards.last_mut() {
            last.push(tensor);
        }
    }
    let count = shards.len();
    let mut map = Map::new();
    for (index, tensors) in shards.iter().enumerate() {
        let name = match count {
            1 => SINGLE.to_string(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", index + 1),
        };
        write_shard(&folder.join(&name), tensors, precision, load)?;
        map.extend(tensors.iter().map(|tensor| (tensor.name.clone(), Value::from(name.as_str()))));
    }
    let all = || shards.iter().flatten();
    let bytes = all().map(|tensor| tensor.bytes).sum();
    if count > 1 {
        let index = json!({ "metadata": { "total_size": bytes }, "weight_map": map });
        files::write(&folder.join(INDEX), &files::json(&index)?)?;
    }
    Ok(Written { path: folder.to_path_buf(), tensors: all().count(), bytes, files: count })
}

fn write_shard(
    path: &Path,
    tensors: &[TensorEntry],
    precision: Precision,
    load: &impl Fn(&str) -> Result<(Vec<usize>, Vec<f32>)>,
) -> Result<()> {
    files::write_with(path, |file| {
        file.write_all(&header(json!({ "format": "pt" }), tensors))?;
        for tensor in tensors {
            let (_, values) = load(&tensor.name).map_err(io::Error::other)?;
            precision.write(&values, |bytes| file.write_all(bytes))?;
        }
        Ok(())
    })
}

/// `config.json` and what else a model's folder holds besides weights.
fn companions(base: &ModelFiles, folder: &Path, precision: Precision) -> Result<()> {
    let source = base.folder();
    let mut config = match source {
        Some(source) => {
            let path = source.join("config.json");
            serde_json::from_str(&files::read_text(&path)?)
                .map_err(|e| Error::model(format!("`{}`: not valid JSON: {e}", path.display())))?
        }
        None => base.config.to_json(),
    };
    // Transformers 5 writes `dtype`, those before it `torch_dtype`; a quantisation of the base is undone in what is written.
    if let Value::Object(fields) = &mut config {
        fields.insert("torch_dtype".to_string(), precision.dtype().into());
        fields.insert("dtype".to_string(), precision.dtype().into());
        fields.remove("quantization_config");
        fields.insert("tie_word_embeddings".to_string(), base.config.tie_embeddings.into());
        // The default of Phi-3's class lies beyond small vocabularies, so that Transformers could not open the folder.
        if base.config.architecture == Architecture::Phi3 && base.config.vocab_size <= PHI3_PADDING {
            fields.entry("pad_token_id").or_insert(Value::Null);
        }
    }
    files::write(&folder.join("config.json"), &files::json(&config)?)?;
    let Some(source) = source else { return tokenizer_files(base, folder) };
    for name in COMPANIONS {
        let path = source.join(name);
        if path.is_file() {
            files::write(&folder.join(name), &files::read(&path)?)?;
        }
    }
    Ok(())
}

/// The tokenizer and the template of a GGUF file.
fn tokenizer_files(base: &ModelFiles, folder: &Path) -> Result<()> {
    let spelled = |token: &str| if token.is_empty() { Value::Null } else { token.into() };
    let settings = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": base.config.max_position,
        "clean_up_tokenization_spaces": false,
        "bos_token": spelled(base.template.bos_token()),
        "eos_token": spelled(base.template.eos_token()),
        "chat_template": base.template.source(),
    });
    files::write(&folder.join("tokenizer.json"), base.tokenizer.to_json()?.as_bytes())?;
    files::write(&folder.join("tokenizer_config.json"), &files::json(&settings)?)
}
