//! What a file or a folder is that was expected to be something else: told before it is taken apart, so that a message names the cause and not
//! the first symptom.

use std::fs;
use std::path::Path;

use serde_json::Value;

use so8t_base::{Error, Result, files};

/// What the first bytes of a file are known from, and what to do about it.
fn known(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const PICKLE: &str = "it can run code when it is read: convert it to safetensors";
    const PACKED: &str = "unpack it first";
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).trim_start().to_lowercase();
    let starts = |start: &[u8]| bytes.starts_with(start);
    Some(match bytes {
        [] => ("an empty file", "the download or the copy may have failed"),
        _ if text.starts_with("version https://git-lfs") => {
            ("a pointer of Git LFS, not the file itself", "fetch the file with `git lfs pull`")
        }
        _ if text.starts_with("<!doctype") || text.starts_with("<html") => {
            ("an HTML page", "the download may have been refused or redirected")
        }
        _ if starts(b"PK\x03\x04") => ("a ZIP archive, as PyTorch's `.bin`, `.pt` and `.pth` files are", PICKLE),
        [0x80, 2..=5, ..] => ("a pickle of Python, as PyTorch's `.bin` files are", PICKLE),
        _ if starts(b"\x89HDF") => {
            ("an HDF5 file, as TensorFlow and Keras write them", "save the model as safetensors")
        }
        _ if starts(b"GGUF") => ("a GGUF file", "a GGUF file is named itself: `base = \"model.gguf\"`"),
        _ if [b"lmgg", b"tjgg", b"fmgg", b"algg"].iter().any(|magic| starts(*magic)) => {
            ("a file of llama.cpp's formats before GGUF", "convert the model again with a newer llama.cpp")
        }
        _ if starts(b"\x1f\x8b") => ("a gzip archive", PACKED),
        _ if starts(b"\x28\xb5\x2f\xfd") => ("a zstd archive", PACKED),
        _ if starts(b"\xfd7zXZ") => ("an xz archive", PACKED),
        _ if is_safetensors(bytes) => {
            ("a safetensors file", "give the folder in which it lies, with its `config.json`")
        }
        _ if text.starts_with('{') => ("a JSON document", "give the folder in which it lies"),
        _ => return None,
    })
}

fn is_safetensors(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map_or(u64::MAX, |length| u64::from_le_bytes(*length));
    bytes.get(8) == Some(&b'{') && length < bytes.len() as u64
}

fn expected(what: &str, bytes: &[u8]) -> Result<()> {
    match known(bytes) {
        Some((found, hint)) => Err(Error::model(format!("expected {what}, found {found}")).with_hint(hint)),
        None => Ok(()),
    }
}

/// Errors: bytes that are known to be no safetensors file.
pub fn safetensors(bytes: &[u8]) -> Result<()> {
    if is_safetensors(bytes) { Ok(()) } else { expected("a safetensors file", bytes) }
}

/// Errors: bytes that are known to be no GGUF file.
pub fn gguf(bytes: &[u8]) -> Result<()> {
    if bytes.starts_with(b"GGUF") { Ok(()) } else { expected("a GGUF file", bytes) }
}

/// Reads a JSON document.
///
/// Errors name the file: what it is known to be in place of JSON, or where it is none.
pub fn json(path: &Path) -> Result<Value> {
    let in_file = |e: Error| e.context(format!("`{}`", path.display()));
    let bytes = files::read(path)?;
    let start = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(start, Some(b'{' | b'[')) {
        expected("a JSON document", &bytes).map_err(in_file)?;
    }
    serde_json::from_slice(&bytes).map_err(|e| in_file(Error::model(format!("not valid JSON: {e}"))))
}

/// Errors: a folder of an adapter that lacks one of its two files, with what lies there in its place.
pub fn adapter_folder(folder: &Path) -> Result<()> {
    let shown = folder.display();
    let has = |name: &str| folder.join(name).exists();
    if folder.is_file() {
        let error = Error::model(format!("`{shown}`: expected the folder of an adapter, found a file"));
        return Err(error.with_hint("give the folder that holds `adapter_config.json` and `adapter_model.safetensors`"));
    }
    if !has("adapter_config.json") {
        let error = Error::model(format!("`{shown}`: expected an adapter's folder, found no `adapter_config.json`"));
        return Err(if has("config.json") {
            error.with_hint("the folder holds a whole model: give it as `base`")
        } else if has("pytorch_lora_weights.safetensors") {
            error.with_hint("the folder holds an adapter of Diffusers")
        } else if let Some(name) = checkpoint(folder) {
            error.with_hint(format!("an adapter lies in `{}`", folder.join(name).display()))
        } else {
            error
        });
    }
    if has("adapter_model.safetensors") {
        return Ok(());
    }
    let error = Error::model(format!("`{shown}`: expected `adapter_model.safetensors`, found none"));
    Err(if has("adapter_model.bin") {
        error.with_hint(
            "`adapter_model.bin` can run code when it is read: save the adapter again with a newer PEFT, which writes safetensors",
        )
    } else if has("adapters.safetensors") {
        error.with_hint("`adapters.safetensors` is an adapter of MLX: convert it to PEFT's format")
    } else if has("adapter_model.safetensors.index.json") {
        error.with_hint("the adapter is in several files: save it again in one")
    } else {
        error
    })
}

/// A folder within that holds an adapter: the last one of a training.
fn checkpoint(folder: &Path) -> Option<String> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let names = entries.filter(|entry| entry.path().join("adapter_config.json").exists());
    names.filter_map(|entry| entry.file_name().into_string().ok()).max_by_key(|name| (name.len(), name.clone()))
}

/// The error for a model's folder without `config.json` or `tokenizer.json`, with what lies there in its place.
pub fn lacking(folder: &Path, missing: &Path) -> Error {
    let error = Error::model(format!("`{}` is missing", missing.display()));
    let has = |name: &str| folder.join(name).exists();
    let is_config = missing.ends_with("config.json");
    let ends = |ending: &str| {
        let names = fs::read_dir(folder).into_iter().flatten().flatten();
        names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.ends_with(ending)).min()
    };
    if is_config && has("adapter_config.json") {
        return error.with_hint("the folder holds an adapter: give the model that it was trained on as `base`, and the folder as `--adapter`");
    }
    if is_config && has("params.json") {
        return error
            .with_hint("the folder holds the model in its makers' own format: take the one that Transformers reads");
    }
    if is_config && has("model_index.json") {
        return error.with_hint("the folder holds a model of Diffusers");
    }
    if is_config && let Some(name) = ends(".gguf") {
        return error.with_hint(format!("give the GGUF file itself: `{}`", folder.join(name).display()));
    }
    if !is_config && has("tokenizer.model") {
        return error.with_hint(
            "`tokenizer.model` alone cannot be read: save the model's fast tokenizer, which writes `tokenizer.json`",
        );
    }
    if !is_config && has("vocab.json") {
        return error.with_hint(
            "`vocab.json` and `merges.txt` alone cannot be read: save the model's fast tokenizer, which writes `tokenizer.json`",
        );
    }
    error
}
