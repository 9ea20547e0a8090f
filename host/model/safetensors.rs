//! Weights in safetensors files: one, or several with an index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::encoding::Encoding;
use super::mapped::MappedFile;
use super::recognise;
use super::weights::{Stored, Weights};
use so8t_base::{Error, Result, files};

/// The file that holds all weights of a small model.
pub const SINGLE: &str = "model.safetensors";
/// The file that says which file holds which weight of a large one.
pub const INDEX: &str = "model.safetensors.index.json";

/// Finds the weights of a Hugging Face folder. Nothing but headers is read.
///
/// Errors: neither file is there; a damaged file; an index that names a file or a tensor that is not there.
pub fn open_folder(folder: &Path) -> Result<Weights> {
    if folder.join(SINGLE).is_file() {
        return open_files(folder, &[SINGLE.to_string()]);
    }
    let index = folder.join(INDEX);
    if !index.is_file() {
        let error = Error::model(format!("`{}`: expected `{SINGLE}` or `{INDEX}`, found neither", folder.display()));
        let pickled = folder.join("pytorch_model.bin").exists() || folder.join("pytorch_model.bin.index.json").exists();
        return Err(if pickled {
            error.with_hint("`pytorch_model.bin` can run code when it is read: convert it to safetensors")
        } else {
            error
        });
    }
    let in_index = |e: Error| e.context(format!("`{}`", index.display()));
    let map = weight_map(&files::read_text(&index)?).map_err(in_index)?;
    let shards: BTreeSet<String> = map.values().cloned().collect();
    let weights = open_files(folder, &Vec::from_iter(shards))?;
    for (name, file) in &map {
        if weights.shape(name).is_err() {
            return Err(in_index(Error::model(format!("tensor `{name}` is not in `{file}`"))));
        }
    }
    Ok(weights)
}

/// Tensor name → file name. Errors: not an object of strings; a file that is not in the same folder.
pub fn weight_map(text: &str) -> Result<BTreeMap<String, String>> {
    let value: Value = serde_json::from_str(text).map_err(|e| Error::model(format!("not valid JSON: {e}")))?;
    let map = value.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| Error::model("field `weight_map`: expected an object, found none"))?;
    map.iter()
        .map(|(name, file)| match file.as_str() {
            Some(file) if is_plain_name(file) => Ok((name.clone(), file.to_string())),
            _ => {
                let message =
                    format!("field `weight_map.{name}`: expected the name of a file beside it, found `{file}`");
                Err(Error::model(message))
            }
        })
        .collect()
}

/// Whether `name` is one path component, so that an index reaches no other folder.
fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) && !name.contains('\\')
}

fn open_files(folder: &Path, names: &[String]) -> Result<Weights> {
    let mut mapped = Vec::new();
    let mut tensors = BTreeMap::new();
    for name in names {
        let path = folder.join(name);
        let file = MappedFile::open(&path)?;
        let in_file = |e: Error| e.context(format!("`{}`", path.display()));
        for (tensor, stored) in read_header(&file, mapped.len()).map_err(in_file)? {
            if tensors.insert(tensor.clone(), stored).is_some() {
                return Err(in_file(Error::model(format!("tensor `{tensor}` is in another file as well"))));
            }
        }
        mapped.push((path, file));
    }
    Ok(Weights::new(mapped, tensors))
}

fn read_header(file: &[u8], index: usize) -> Result<Vec<(String, Stored)>> {
    recognise::safetensors(file)?;
    let broken = |e| Error::model(format!("the file is truncated or damaged: {e}"));
    let (header, metadata) = SafeTensors::read_metadata(file).map_err(broken)?;
    let data = header + 8;
    let mut out = Vec::new();
    for (name, info) in metadata.tensors() {
        let encoding = match info.dtype {
            Dtype::F32 => Encoding::F32,
            Dtype::F16 => Encoding::F16,
            Dtype::BF16 => Encoding::Bf16,
            // Position buffers of old files; nobody asks for them.
            Dtype::I64 | Dtype::I32 | Dtype::BOOL | Dtype::U8 if !name.ends_with(".weight") => continue,
            other => {
                let message = format!("tensor `{name}`: expected elements of F32, F16 or BF16, found `{other:?}`");
                return Err(Error::model(message));
            }
        };
        let bytes = data + info.data_offsets.0..data + info.data_offsets.1;
        if encoding.bytes(&info.shape) != Some(bytes.len()) || bytes.end > file.len() {
            return Err(Error::model(format!("tensor `{name}`: {} bytes do not hold `{:?}`", bytes.len(), info.shape)));
        }
        out.push((
            name,
            Stored { file: index, bytes, shape: info.shape.clone(), encoding, interleaved: None, shift: 0.0 },
        ));
    }
    Ok(out)
}
