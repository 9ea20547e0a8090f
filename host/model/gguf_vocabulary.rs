//! A tokenizer as GGUF's metadata: the inverse of [`super::gguf_tokenizer`].

use std::collections::HashMap;

use serde_json::Value;

use super::gguf::Header;
use super::gguf_tokenizer::{CONTROL, GPT2, KEEP_SPACE, LLAMA3, NORMAL, QWEN2, UNKNOWN, USER_DEFINED, named_phi3};
use super::gguf_writer::Field;
use super::mapped::MappedFile;
use super::open::ModelFiles;
use so8t_base::{Error, Result};

/// GGUF's numbers for kinds of tokens that no reader here tells apart.
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// The score of a piece that no merge makes: worse than any that one makes.
const UNMERGED: f32 = -1e6;

/// The fields `tokenizer.…`: those of a GGUF base as they are, or made from a `tokenizer.json`.
///
/// Errors: a tokenizer that is no pair encoding, or whose pre-tokenizer llama.cpp has no name for.
pub fn fields(base: &ModelFiles) -> Result<Vec<(String, Field)>> {
    let Some(folder) = base.folder() else {
        let path = &base.paths[0];
        let file = MappedFile::open(path)?;
        let header = Header::read(&file).map_err(|e| e.context(format!("`{}`", path.display())))?;
        let kept = header.places.iter().filter(|(key, _)| key.starts_with("tokenizer."));
        return Ok(kept.map(|(key, place)| (key.clone(), Field::raw(&file[place.clone()]))).collect());
    };
    let in_file = |e: Error| e.context(format!("`{}`", folder.join("tokenizer.json").display()));
    let json: Value = serde_json::from_str(&base.tokenizer.to_json()?).map_err(|e| Error::internal(e.to_string()))?;
    let vocabulary = Vocabulary::read(&json, base.config.vocab_size).map_err(in_file)?;
    let mut out = match kind(&json) {
        Kind::SentencePieces => vocabulary.sentence_pieces(&json),
        Kind::Bytes => {
            let name = pre_tokenizer(&json).map_err(in_file)?;
            vec![("tokenizer.ggml.model", Field::text("gpt2")), ("tokenizer.ggml.pre", Field::text(name))]
        }
    };
    if kind(&json) == Kind::Bytes {
        let merges: Vec<String> = vocabulary.merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
        out.push(("tokenizer.ggml.merges", Field::texts(merges.iter().map(String::as_str))));
    }
    out.push(("tokenizer.ggml.tokens", Field::texts(vocabulary.tokens.iter().map(String::as_str))));
    out.push(("tokenizer.ggml.token_type", Field::wholes(&vocabulary.kinds)));
    let id = |token: &str| base.tokenizer.token_id(token);
    let bos = base.config.bos.or_else(|| id(base.template.bos_token()));
    // The template's own spelling ends a turn; where the configuration names more tokens, the first that is another ends a text.
    let eos = id(base.template.eos_token()).or_else(|| base.config.eos.first().copied());
    let end_of_turn = base.config.eos.iter().copied().find(|token| Some(*token) != eos);
    let ids = [
        ("tokenizer.ggml.bos_token_id", bos),
        ("tokenizer.ggml.eos_token_id", eos),
        ("tokenizer.ggml.eot_token_id", end_of_turn),
        ("tokenizer.ggml.unknown_token_id", vocabulary.unknown),
    ];
    out.extend(ids.into_iter().filter_map(|(key, id)| Some((key, Field::whole(id?)))));
    let adds_bos = bos.is_some() && base.tokenizer.added_in_front()? == bos;
    out.push(("tokenizer.ggml.add_bos_token", Field::boolean(adds_bos)));
    out.push(("tokenizer.ggml.add_eos_token", Field::boolean(false)));
    out.push(("tokenizer.chat_template", Field::text(base.template.source())));
    Ok(out.into_iter().map(|(key, field)| (key.to_string(), field)).collect())
}

/// The name by which a model goes in GGUF: its own, with `phi-3` in front where its control tokens take the space behind them with
/// them, since llama.cpp knows that by the name alone.
///
/// Errors: tokens that do so in another way than Phi-3's.
pub fn name(base: &ModelFiles) -> Result<String> {
    let plain = || without_phi3(&base.name);
    if base.folder().is_none() {
        // How its control tokens are read hangs on the name that stands in the file, not on that of the file.
        let path = &base.paths[0];
        let file = MappedFile::open(path)?;
        let header = Header::read(&file).map_err(|e| e.context(format!("`{}`", path.display())))?;
        return Ok(header.text("general.name")?.map_or_else(plain, str::to_owned));
    }
    let json: Value = serde_json::from_str(&base.tokenizer.to_json()?).map_err(|e| Error::internal(e.to_string()))?;
    let added = || json["added_tokens"].as_array().into_iter().flatten();
    let content = |token: &Value| token["content"].as_str().unwrap_or_default().to_string();
    if !added().any(|token| token["rstrip"] == true || token["lstrip"] == true) {
        return Ok(plain());
    }
    if let Some(token) = KEEP_SPACE.into_iter().chain(["</s>"]).find(|token| base.tokenizer.token_id(token).is_none()) {
        return Err(Error::model(format!(
            "the added tokens take the space behind them, as Phi-3's do, but `{token}` is none of them, without which llama.cpp does not open such a file"
        )));
    }
    let as_phi3 = |token: &&Value| {
        let strips = (token["special"] == true || content(token) == "</s>") && !KEEP_SPACE.contains(&&*content(token));
        token["lstrip"] != true && (token["rstrip"] == true) == strips
    };
    if let Some(token) = added().find(|token| !as_phi3(token)) {
        return Err(Error::model(format!(
            "added token `{}`: takes the space around it in a way that GGUF cannot say",
            content(token)
        )));
    }
    Ok(if named_phi3(&base.name) { base.name.clone() } else { format!("phi-3 {}", base.name) })
}

/// A name from which llama.cpp does not take the model for a Phi-3, whose tokens it would look for.
fn without_phi3(name: &str) -> String {
    let mut name = name.to_owned();
    for mark in ["phi-3", "phi3"] {
        while let Some(at) = name.to_ascii_lowercase().find(mark) {
            name.replace_range(at + 3..at + mark.len(), "_3");
        }
    }
    name
}

/// Whether a space is put before the first word of a text, and not behind control tokens: what GGUF cannot say.
pub fn marks_first_word(base: &ModelFiles) -> Result<bool> {
    if base.folder().is_none() {
        return Ok(false);
    }
    let json: Value = serde_json::from_str(&base.tokenizer.to_json()?).map_err(|e| Error::internal(e.to_string()))?;
    Ok(kind(&json) == Kind::SentencePieces
        && json["pre_tokenizer"].to_string().contains("\"prepend_scheme\":\"first\""))
}

/// The two kinds of pair encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Over bytes that are spelled as characters (GPT-2).
    Bytes,
    /// Over characters with `▁` for a space, and bytes for what is unknown (SentencePiece).
    SentencePieces,
}

fn kind(json: &Value) -> Kind {
    if json["model"]["byte_fallback"] == true { Kind::SentencePieces } else { Kind::Bytes }
}

struct Vocabulary {
    tokens: Vec<String>,
    kinds: Vec<i32>,
    merges: Vec<(String, String)>,
    unknown: Option<u32>,
}

impl Vocabulary {
    /// From a `tokenizer.json`, filled up to `count` tokens.
    fn read(json: &Value, count: usize) -> Result<Self> {
        let model = &json["model"];
        if model["type"] != "BPE" {
            return Err(Error::model(format!("field `model.type`: expected `BPE`, found `{}`", model["type"])));
        }
        let mut tokens: Vec<Option<String>> = vec![None; count];
        let mut kinds = vec![UNUSED; count];
        let vocabulary = model["vocab"].as_object().into_iter().flatten();
        for (token, id) in vocabulary.filter_map(|(token, id)| Some((token, id.as_u64()? as usize))) {
            if id < count {
                tokens[id] = Some(token.clone());
                let byte = token.len() == 6 && token.starts_with("<0x") && token.ends_with('>');
                kinds[id] = if byte && kind(json) == Kind::SentencePieces { BYTE } else { NORMAL as i32 };
            }
        }
        let unknown = model["unk_token"].as_str();
        for added in json["added_tokens"].as_array().into_iter().flatten() {
            let (Some(id), Some(content)) = (added["id"].as_u64(), added["content"].as_str()) else { continue };
            let id = id as usize;
            if id < count {
                tokens[id] = Some(content.to_string());
                kinds[id] = if added["special"] == true { CONTROL } else { USER_DEFINED } as i32;
            }
        }
        let unknown = tokens.iter().position(|token| unknown.is_some() && token.as_deref() == unknown);
        if let Some(id) = unknown {
            kinds[id] = UNKNOWN as i32;
        }
        let filled = tokens.into_iter().enumerate().map(|(id, token)| token.unwrap_or_else(|| format!("[PAD{id}]")));
        let merges = model["merges"].as_array().into_iter().flatten().map(halves).collect::<Result<_>>()?;
        Ok(Self { tokens: filled.collect(), kinds, merges, unknown: unknown.map(|id| id as u32) })
    }

    /// The order of merges as scores: the earlier a piece is made, the better.
    fn sentence_pieces(&self, json: &Value) -> Vec<(&'static str, Field)> {
        let ids: HashMap<&str, usize> =
            self.tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
        let mut scores = vec![UNMERGED; self.tokens.len()];
        let mut made = 0;
        for (left, right) in &self.merges {
            if let Some(&id) = ids.get(format!("{left}{right}").as_str())
                && scores[id] == UNMERGED
            {
                scores[id] = -(made as f32);
                made += 1;
            }
        }
        let text = json["normalizer"].to_string() + &json["pre_tokenizer"].to_string();
        // One before the first word alone is left out: prompts begin with a control token, behind which there is none.
        let marks = ["\"Prepend\"", "\"prepend_scheme\":\"always\""];
        let prefix = marks.iter().any(|mark| text.contains(mark));
        vec![
            ("tokenizer.ggml.model", Field::text("llama")),
            ("tokenizer.ggml.pre", Field::text("default")),
            ("tokenizer.ggml.scores", Field::numbers(&scores)),
            ("tokenizer.ggml.add_space_prefix", Field::boolean(prefix)),
        ]
    }
}

/// A merge: two tokens in a list, or with a space between them in older files.
fn halves(merge: &Value) -> Result<(String, String)> {
    let pair = match merge {
        Value::Array(pair) => pair.first().and_then(Value::as_str).zip(pair.get(1).and_then(Value::as_str)),
        Value::String(text) => text.split_once(' '),
        _ => None,
    };
    pair.map(|(left, right)| (left.to_string(), right.to_string()))
        .ok_or_else(|| Error::model(format!("field `model.merges`: expected two tokens, found `{merge}`")))
}

/// llama.cpp's name for how a text is split before pairs are merged.
fn pre_tokenizer(json: &Value) -> Result<&'static str> {
    let steps: Vec<&Value> = match &json["pre_tokenizer"] {
        Value::Object(step) if step.get("type").is_some_and(|kind| kind == "Sequence") => {
            step["pretokenizers"].as_array().into_iter().flatten().collect()
        }
        step => vec![step],
    };
    let described: Vec<&str> = steps
        .iter()
        .map(|step| match step["type"].as_str().unwrap_or_default() {
            "ByteLevel" if step["add_prefix_space"] == true => "prefix",
            "ByteLevel" if step["use_regex"] != false => "gpt2",
            "ByteLevel" => "bytes",
            "Digits" if step["individual_digits"] == true => "digit",
            "Split" if step["behavior"] == "Isolated" => match step["pattern"]["Regex"].as_str().unwrap_or_default() {
                LLAMA3 => "llama3",
                QWEN2 => "qwen2",
                GPT2 => "gpt2",
                r"\p{N}" => "digit",
                _ => "other",
            },
            _ => "other",
        })
        .collect();
    match described.as_slice() {
        ["gpt2"] | ["gpt2", "bytes"] => Ok("gpt-2"),
        ["digit", "gpt2"] | ["digit", "gpt2", "bytes"] => Ok("smollm"),
        ["llama3", "bytes"] => Ok("llama-bpe"),
        ["qwen2", "bytes"] => Ok("qwen2"),
        _ => Err(Error::model(format!(
            "field `pre_tokenizer`: expected that of GPT-2, SmolLM, Llama 3 or Qwen 2, found `{}`",
            json["pre_tokenizer"]
        ))
        .with_hint("llama.cpp knows pre-tokenizers by name only; a merged folder can be converted by its own script")),
    }
}
