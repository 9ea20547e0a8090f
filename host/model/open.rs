//! Opening a model, whatever holds it: a Hugging Face folder, a GGUF file, or a repository of the Hugging Face hub.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::config::ModelConfig;
use super::gguf::Header;
use super::mapped::MappedFile;
use super::template::{self, ChatTemplate};
use super::tokenizer::TextTokenizer;
use super::weights::Weights;
use super::{gguf_model, hub, safetensors};
use so8t_base::{Error, Result, files};

/// An opened model: everything but the weights' elements, which [`Weights`] reads when asked.
pub struct ModelFiles {
    /// What it is called in reports: the folder's or file's name, or the repository's with its revision.
    pub name: String,
    /// Its shape.
    pub config: ModelConfig,
    /// Its tensors; all there, with the right shapes.
    pub weights: Weights,
    /// Its tokenizer; no id is beyond the embedding.
    pub tokenizer: TextTokenizer,
    /// Its chat template.
    pub template: ChatTemplate,
    /// Every file that was read, sorted: what a lock file holds the digests of.
    pub paths: Vec<PathBuf>,
    /// What the user should know, for example that a chat template was assumed.
    pub warnings: Vec<String>,
}

impl ModelFiles {
    /// The folder of a model that lies in Hugging Face's files; `None` for a GGUF file.
    pub fn folder(&self) -> Option<&Path> {
        self.paths.iter().find(|path| path.ends_with("config.json")).and_then(|path| path.parent())
    }
}

/// Opens the model that `base` names: `hf:org/name` or `hf:org/name@revision`, or a path, relative to `folder`, of a
/// Hugging Face folder or of a GGUF file. Reads headers and the tokenizer, no weights.
///
/// Errors name the file and the field or tensor: nothing there, an architecture that is not implemented, a tensor
/// that is missing or has another shape, a truncated file, no tokenizer, no chat template.
pub fn open(base: &str, folder: &Path) -> Result<ModelFiles> {
    if let Some(repository) = base.strip_prefix("hf:") {
        let repository = hub::Repository::parse(repository)?;
        let mut model = open_folder(&hub::fetch(&repository)?)?;
        model.name = repository.to_string();
        return Ok(model);
    }
    let path = folder.join(base);
    if path.is_dir() {
        return open_folder(&path);
    }
    if path.is_file() {
        return open_gguf(&path);
    }
    let error = Error::model(format!("`{}`: expected a model's folder or a GGUF file, found nothing", path.display()));
    let looks_remote = base.split('/').count() == 2 && !base.starts_with('.');
    Err(if looks_remote { error.with_hint(format!("for the Hugging Face hub write `hf:{base}`")) } else { error })
}

fn open_folder(folder: &Path) -> Result<ModelFiles> {
    let config_path = folder.join("config.json");
    let tokenizer_path = folder.join("tokenizer.json");
    for path in [&config_path, &tokenizer_path] {
        if !path.is_file() {
            let error = Error::model(format!("`{}` is missing", path.display()));
            let sentence_piece = folder.join("tokenizer.model").exists() && path == &tokenizer_path;
            return Err(if sentence_piece {
                error.with_hint("`tokenizer.model` alone cannot be read: save the model's fast tokenizer, which writes `tokenizer.json`")
            } else {
                error
            });
        }
    }
    let config = ModelConfig::from_file(&config_path)?;
    let weights = safetensors::open_folder(folder)?;
    weights.check(&config)?;
    let tokenizer = TextTokenizer::from_file(&tokenizer_path)?;
    let mut paths = vec![config_path, tokenizer_path.clone()];
    paths.extend(weights.files().map(Path::to_path_buf));
    let index = folder.join("model.safetensors.index.json");
    if weights.files().all(|file| !file.ends_with("model.safetensors")) && index.is_file() {
        paths.push(index);
    }

    let settings_path = folder.join("tokenizer_config.json");
    let mut settings = Value::Null;
    if settings_path.is_file() {
        let text = files::read_text(&settings_path)?;
        settings = serde_json::from_str(&text)
            .map_err(|e| Error::model(format!("`{}`: not valid JSON: {e}", settings_path.display())))?;
        paths.push(settings_path.clone());
    }
    let template_path = folder.join("chat_template.jinja");
    let (source, from) = if template_path.is_file() {
        paths.push(template_path.clone());
        (Some(files::read_text(&template_path)?), template_path)
    } else {
        let source = template::template_source(&settings);
        (source.map_err(|e| e.context(format!("`{}`", settings_path.display())))?, settings_path)
    };
    let spelling = |name, id: Option<u32>| {
        template::token_spelling(&settings, name).or_else(|| tokenizer.token_text(id?)).unwrap_or_default()
    };
    let bos = spelling("bos_token", config.bos);
    let eos = spelling("eos_token", config.eos.first().copied());
    assemble(folder, config, weights, tokenizer, Source { source, from, bos, eos }, paths)
}

fn open_gguf(path: &Path) -> Result<ModelFiles> {
    let in_file = |e: Error| e.context(format!("`{}`", path.display()));
    let file = MappedFile::open(path)?;
    let header = Header::read(&file).map_err(in_file)?;
    let config = gguf_model::config(&header, &file).map_err(in_file)?;
    let tokenizer = TextTokenizer::from_gguf(&header).map_err(in_file)?;
    let source = gguf_model::chat_template(&header).map_err(in_file)?;
    let weights = gguf_model::weights(&header, &config, path.to_path_buf(), file).map_err(in_file)?;
    weights.check(&config)?;
    let spelling = |id: Option<u32>| id.and_then(|id| tokenizer.token_text(id)).unwrap_or_default();
    let (bos, eos) = (spelling(config.bos), spelling(config.eos.first().copied()));
    let from = path.to_path_buf();
    assemble(path, config, weights, tokenizer, Source { source, from, bos, eos }, vec![path.to_path_buf()])
}

/// A chat template before it is parsed.
struct Source {
    source: Option<String>,
    from: PathBuf,
    bos: String,
    eos: String,
}

fn assemble(
    path: &Path,
    config: ModelConfig,
    weights: Weights,
    tokenizer: TextTokenizer,
    source: Source,
    mut paths: Vec<PathBuf>,
) -> Result<ModelFiles> {
    if tokenizer.id_limit() > config.vocab_size {
        return Err(Error::model(format!(
            "`{}`: the tokenizer has ids up to {}, but the embedding only {} rows",
            path.display(),
            tokenizer.id_limit() - 1,
            config.vocab_size
        )));
    }
    let mut warnings = Vec::new();
    let text = match source.source {
        Some(text) => text,
        None => {
            let (name, text) = template::fallback(&tokenizer).ok_or_else(|| {
                Error::model(format!("`{}`: no chat template", path.display())).with_hint(
                    "add `chat_template.jinja`, or `chat_template` in `tokenizer_config.json`; one is assumed only \
                     where the tokenizer holds the control tokens of ChatML or Phi-3",
                )
            })?;
            warnings.push(format!("`{}` has no chat template: {name}'s is assumed", path.display()));
            text.to_string()
        }
    };
    let template = ChatTemplate::new(&text, &source.bos, &source.eos)
        .map_err(|e| e.context(format!("`{}`", source.from.display())))?;
    paths.sort();
    let name = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = name.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    Ok(ModelFiles { name, config, weights, tokenizer, template, paths, warnings })
}

/// What a training is planned from: a model's shape, without its weights or its tokenizer.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelShape {
    /// What it is called: the folder's or file's name, or the repository's.
    pub name: String,
    /// Its shape.
    pub config: ModelConfig,
    /// Whether embedding and head are known to lie on grids that int8 keeps exactly: those of a GGUF file in blocks of 4, 5 or 8 bits.
    pub exact_tables: bool,
}

/// The shape of the model that `base` names, as [`open`] reads it; a `config.json`, alone or in a folder, is enough.
///
/// Errors name the file and the field.
pub fn shape(base: &str, folder: &Path) -> Result<ModelShape> {
    let named = |path: &Path| {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
    };
    if let Some(repository) = base.strip_prefix("hf:") {
        let repository = hub::Repository::parse(repository)?;
        let config = ModelConfig::from_file(&hub::fetch(&repository)?.join("config.json"))?;
        return Ok(ModelShape { name: repository.to_string(), config, exact_tables: false });
    }
    let path = folder.join(base);
    let is_json = path.extension().is_some_and(|ending| ending == "json");
    if path.is_dir() || is_json {
        let file = if is_json { path.clone() } else { path.join("config.json") };
        return Ok(ModelShape { name: named(&path), config: ModelConfig::from_file(&file)?, exact_tables: false });
    }
    let in_file = |e: Error| e.context(format!("`{}`", path.display()));
    let file = MappedFile::open(&path)?;
    let header = Header::read(&file).map_err(in_file)?;
    let config = gguf_model::config(&header, &file).map_err(in_file)?;
    let weights = gguf_model::weights(&header, &config, path.clone(), file).map_err(in_file)?;
    let head = if config.tie_embeddings { "model.embed_tokens.weight" } else { "lm_head.weight" };
    let exact = |name: &str| weights.is_in_coarse_blocks(name);
    let exact_tables = exact("model.embed_tokens.weight")? && exact(head)?;
    Ok(ModelShape { name: named(&path), config, exact_tables })
}
