//! Opening a model, whatever holds it: a Hugging Face folder, a GGUF file, or a repository of the Hugging Face hub.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::config::ModelConfig;
use super::gguf::Header;
use super::mapped::MappedFile;
use super::template::{self, ChatTemplate};
use super::tokenizer::TextTokenizer;
use super::weights::Weights;
use super::{allowed, config_fields, gguf_decoder, gguf_model, hub, recognise, safetensors};
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
    /// Why answers cannot be generated as the model's own settings want it, where they want something that is not implemented.
    pub not_generated: Option<String>,
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
            return Err(recognise::lacking(folder, path));
        }
    }
    let mut config = ModelConfig::from_file(&config_path)?;
    let weights = safetensors::open_folder(folder)?;
    weights.settle_head(&mut config)?;
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
        settings = recognise::json(&settings_path)?;
        paths.push(settings_path.clone());
    }
    let in_settings = |e: Error| e.context(format!("`{}`", settings_path.display()));
    let mut warnings = settings_warnings(&settings, &tokenizer).map_err(in_settings)?;
    warnings.iter_mut().for_each(|warning| *warning = format!("`{}`: {warning}", settings_path.display()));
    let generation_path = folder.join("generation_config.json");
    let generation = read_json(&generation_path, &mut paths)?;
    let mut not_generated = None;
    if !generation.is_null() {
        let fields = generation.as_object().cloned().unwrap_or_default();
        let refused = allowed::check(&fields, "", &[config_fields::GENERATION]).err();
        not_generated = refused.map(|e| e.context(format!("`{}`", generation_path.display())).to_string());
    }
    let template_path = folder.join("chat_template.jinja");
    let (source, from) = if template_path.is_file() {
        paths.push(template_path.clone());
        (Some(files::read_text(&template_path)?), template_path)
    } else {
        let source = template::template_source(&settings);
        (source.map_err(|e| e.context(format!("`{}`", settings_path.display())))?, settings_path)
    };
    let older_path = folder.join("special_tokens_map.json");
    let older = read_json(&older_path, &mut paths)?;
    let special = if settings.is_null() && older.is_null() {
        // Nothing names them but the model's own configuration.
        named_by_id(&tokenizer, &[("bos_token", config.bos), ("eos_token", config.eos.first().copied())])
    } else {
        template::special_tokens(&settings, &older)
    };
    let mut ends = config.eos.clone();
    ends.extend(ends_of(&generation).map_err(|e| e.context(format!("`{}`", generation_path.display())))?);
    let eos = special.iter().find(|(name, _)| name == "eos_token");
    ends.extend(eos.and_then(|(_, text)| tokenizer.token_id(text)));
    let mut model = assemble(folder, config, weights, tokenizer, Source { source, from, special, ends }, paths)?;
    model.warnings.extend(warnings);
    model.warnings.extend(model.weights.unread(&model.config, folder));
    model.not_generated = not_generated;
    Ok(model)
}

/// What a `tokenizer_config.json` says beside `tokenizer.json`, by which tokens are made.
///
/// Errors: a setting that would make other tokens; an added token that is another in `tokenizer.json`.
fn settings_warnings(settings: &Value, tokenizer: &TextTokenizer) -> Result<Vec<String>> {
    let Some(fields) = settings.as_object() else { return Ok(Vec::new()) };
    for (name, value) in fields.iter().filter(|(name, _)| *name == "split_special_tokens") {
        if !allowed::is_nothing(value) {
            return Err(Error::model(format!(
                "field `{name}`: expected `false`, since the template's control tokens would be split, found {}",
                allowed::short(value)
            )));
        }
    }
    for (id, token) in fields.get("added_tokens_decoder").and_then(Value::as_object).into_iter().flatten() {
        let (Ok(number), Some(content)) = (id.parse::<u32>(), token["content"].as_str()) else { continue };
        let own = tokenizer.token_text(number);
        if own.as_deref().is_some_and(|own| own != content) {
            return Err(Error::model(format!(
                "field `added_tokens_decoder.{id}`: expected `{}` as in `tokenizer.json`, found `{content}`",
                own.unwrap_or_default()
            )));
        }
    }
    let unknown = allowed::unknown(fields, &[config_fields::TOKENIZER]);
    let told = |name: &&str| format!("field `{name}` is not read: tokens are made as `tokenizer.json` says");
    Ok(unknown.iter().map(told).collect())
}

/// A file of JSON that need not be there; where it is, it is one of the model's files.
fn read_json(path: &Path, paths: &mut Vec<PathBuf>) -> Result<Value> {
    if !path.is_file() {
        return Ok(Value::Null);
    }
    paths.push(path.to_path_buf());
    recognise::json(path)
}

/// The tokens that end an answer by a `generation_config.json`.
fn ends_of(generation: &Value) -> Result<Vec<u32>> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let ids = match generation.get("eos_token_id") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(id).collect(),
        Some(one) => id(one).map(|id| vec![id]),
    };
    ids.ok_or_else(|| {
        let found = generation.get("eos_token_id").cloned().unwrap_or_default();
        Error::model(format!("field `eos_token_id`: expected a token's id or a list of them, found `{found}`"))
    })
}

/// Special tokens, where only their ids are known.
fn named_by_id(tokenizer: &TextTokenizer, ids: &[(&str, Option<u32>)]) -> Vec<(String, String)> {
    ids.iter().filter_map(|(name, id)| Some((name.to_string(), tokenizer.token_text((*id)?)?))).collect()
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
    let id = |name: &str| -> Result<Option<u32>> {
        let id = header.whole(&format!("tokenizer.ggml.{name}_token_id")).map_err(in_file)?;
        Ok(id.and_then(|id| u32::try_from(id).ok()))
    };
    let mut ids = Vec::new();
    for (name, key) in GGUF_TOKENS {
        ids.push((name, id(key)?));
    }
    let special = named_by_id(&tokenizer, &ids);
    let mut ends = config.eos.clone();
    for key in ["eos", "eot", "eom"] {
        ends.extend(id(key)?);
    }
    let from = path.to_path_buf();
    let source = Source { source, from, special, ends };
    let mut model = assemble(path, config, weights, tokenizer, source, vec![path.to_path_buf()])?;
    let window = format!("{}.attention.sliding_window", gguf_decoder::architecture_name(model.config.architecture));
    if model.config.sliding_window.is_none() && header.whole(&window)?.is_some_and(|window| window > 0) {
        model.warnings.push(format!("`{}`: field `{window}` is not applied, as in llama.cpp", path.display()));
    }
    Ok(model)
}

/// Special tokens by their names in Transformers and in GGUF, whose spelling of the separator is this one.
const GGUF_TOKENS: [(&str, &str); 7] = [
    ("bos_token", "bos"),
    ("eos_token", "eos"),
    ("unk_token", "unknown"),
    ("sep_token", "seperator"),
    ("pad_token", "padding"),
    ("cls_token", "cls"),
    ("mask_token", "mask"),
];

/// A chat template before it is parsed.
struct Source {
    source: Option<String>,
    from: PathBuf,
    /// The special tokens that it sees, by name and spelling.
    special: Vec<(String, String)>,
    /// The tokens that end a turn or a text.
    ends: Vec<u32>,
}

fn assemble(
    path: &Path,
    config: ModelConfig,
    weights: Weights,
    tokenizer: TextTokenizer,
    source: Source,
    mut paths: Vec<PathBuf>,
) -> Result<ModelFiles> {
    let mut warnings = Vec::new();
    let beyond = tokenizer.added_from(config.vocab_size);
    if !beyond.is_empty() && tokenizer.id_limit() == config.vocab_size + beyond.len() {
        warnings.push(format!(
            "`{}`: the embedding has no rows for the added tokens `{}`; a prompt that holds one is refused",
            path.display(),
            beyond.join("`, `")
        ));
    } else if tokenizer.id_limit() > config.vocab_size {
        return Err(Error::model(format!(
            "`{}`: the tokenizer has ids up to {}, but the embedding only {} rows",
            path.display(),
            tokenizer.id_limit() - 1,
            config.vocab_size
        )));
    }
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
    let mut ends: Vec<u32> = Vec::new();
    source.ends.iter().filter(|id| (**id as usize) < config.vocab_size).for_each(|id| {
        if !ends.contains(id) {
            ends.push(*id);
        }
    });
    let template = ChatTemplate::with_tokens(&text, source.special, ends)
        .map_err(|e| e.context(format!("`{}`", source.from.display())))?
        .of_file(&source.from);
    paths.sort();
    let name = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = name.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    Ok(ModelFiles { name, config, weights, tokenizer, template, paths, warnings, not_generated: None })
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
