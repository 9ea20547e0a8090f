//! Text to tokens and back, with the line between a template's frame and foreign content drawn by type.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Once};

use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::{AddedToken, Tokenizer};

use super::gguf::Header;
use super::{gguf_tokenizer, recognise, tokenizer_fields};
use so8t_base::{Error, Result, files};

/// A piece of a rendered prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text of the chat template: its control tokens (`<|im_end|>`, …) are control tokens.
    Frame(&'a str),
    /// Foreign text: whatever it spells, it never becomes a control token.
    Content(&'a str),
}

/// A tokenizer; cheap to clone.
#[derive(Clone)]
pub struct TextTokenizer(Arc<Inner>);

struct Inner {
    /// Recognises every added token in text.
    full: Tokenizer,
    /// Recognises no control token; for text at the start of a prompt.
    plain: Tokenizer,
    /// As `plain`, for text after a control token, where it differs.
    inner: Option<Tokenizer>,
    /// The control tokens and their texts.
    control: BTreeMap<u32, String>,
    /// Where it was read from, for messages; empty where it is not said.
    file: String,
}

impl TextTokenizer {
    /// Reads a `tokenizer.json`. Errors name the file.
    pub fn from_file(path: &Path) -> Result<Self> {
        let in_file = |message: String| Error::model(format!("`{}`: {message}", path.display()));
        let named = |e: Error| e.context(format!("`{}`", path.display()));
        let document = recognise::json(path)?;
        tokenizer_fields::check(&document).map_err(named)?;
        drop(document);
        let bytes = files::read(path)?;
        let full = guarded(|| Tokenizer::from_bytes(&bytes)).map_err(named)?;
        let full = full.map_err(|e| in_file(format!("not a tokenizer: {e}")))?;
        let mut tokenizer = guarded(|| Self::new(full)).map_err(named)?.map_err(named)?;
        // A normaliser may fail only when it is used.
        tokenizer.encode("A text to try it on: 123.").map_err(named)?;
        if let Some(inner) = Arc::get_mut(&mut tokenizer.0) {
            inner.file = path.display().to_string();
        }
        Ok(tokenizer)
    }

    /// Builds the tokenizer that the metadata of a GGUF file describes.
    pub(super) fn from_gguf(header: &Header) -> Result<Self> {
        Self::new(gguf_tokenizer::build(header)?)
    }

    fn new(mut full: Tokenizer) -> Result<Self> {
        let failed = |e: tokenizers::Error| Error::model(format!("cannot use the tokenizer: {e}"));
        full.with_padding(None);
        full.with_truncation(None).map_err(failed)?;
        let added: BTreeMap<u32, AddedToken> = full.get_added_tokens_decoder().into_iter().collect();
        let control: BTreeMap<u32, String> = added
            .iter()
            .filter(|(_, token)| is_control(token))
            .map(|(&id, token)| (id, token.content.clone()))
            .collect();

        let mut plain = Tokenizer::new(full.get_model().clone());
        plain.with_normalizer(full.get_normalizer().cloned()).map_err(failed)?;
        plain.with_pre_tokenizer(full.get_pre_tokenizer().cloned());
        plain.with_decoder(full.get_decoder().cloned());
        // In the order of their ids, so that each gets its id again; special ones are then passed over in text.
        let mark = |token: &AddedToken| token.clone().special(is_control(token));
        plain.add_tokens(added.values().map(mark)).map_err(failed)?;
        plain.set_encode_special_tokens(true);
        if let Some((id, token)) = added.iter().find(|(id, token)| plain.token_to_id(&token.content) != Some(**id)) {
            let found = plain.token_to_id(&token.content);
            return Err(Error::model(format!("added token `{}`: expected id {id}, found `{found:?}`", token.content)));
        }
        let inner = after_control(plain.get_pre_tokenizer()).map(|changed| {
            let mut inner = plain.clone();
            inner.with_pre_tokenizer(Some(changed));
            inner
        });
        Ok(Self(Arc::new(Inner { full, plain, inner, control, file: String::new() })))
    }

    /// The tokens of a text in which control tokens are recognised; none is added in front or behind.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.run(&self.0.full, text)?.get_ids().to_vec())
    }

    /// The tokens of frames and contents joined. Where no content spells a control token, this equals [`encode`] of
    /// the joined text: text between two control tokens is split and merged as one, across the parts.
    ///
    /// [`encode`]: Self::encode
    pub fn encode_parts(&self, parts: &[Part<'_>]) -> Result<Vec<u32>> {
        let mut out = Vec::new();
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Content(content) => text.push_str(content),
                Part::Frame(frame) => {
                    let encoding = self.run(&self.0.full, frame)?;
                    let mut from = 0;
                    for (&id, &(start, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
                        // A model's own vocabulary may hold a control token's text; only added tokens span it whole.
                        if self.0.control.contains_key(&id) && start >= from && frame.is_char_boundary(end) {
                            text.push_str(&frame[from..start]);
                            self.flush(&mut text, &mut out)?;
                            out.push(id);
                            from = end;
                        }
                    }
                    text.push_str(&frame[from..]);
                }
            }
        }
        self.flush(&mut text, &mut out)?;
        Ok(out)
    }

    /// Encodes text between control tokens, and empties it.
    fn flush(&self, text: &mut String, out: &mut Vec<u32>) -> Result<()> {
        let text = std::mem::take(text);
        if text.is_empty() {
            return Ok(());
        }
        let ids = self.plain_ids(&text, out.is_empty())?;
        let unexpected: BTreeSet<&str> =
            ids.iter().filter_map(|id| self.0.control.get(id)).map(String::as_str).collect();
        if !unexpected.iter().any(|control| text.contains(control)) {
            out.extend(ids);
            return Ok(());
        }
        // The model itself (not the added vocabulary) builds a control token from its spelling: encode the two sides
        // of a cut through each spelling apart, so that it cannot.
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let cut = unexpected.iter().filter_map(|control| Some(rest.find(control)? + first_length(control))).min();
            let (piece, after) = rest.split_at(cut.unwrap_or(rest.len()));
            out.extend(self.plain_ids(piece, out.is_empty())?);
            rest = after;
        }
        Ok(())
    }

    fn plain_ids(&self, text: &str, first: bool) -> Result<Vec<u32>> {
        let tokenizer = if first { &self.0.plain } else { self.0.inner.as_ref().unwrap_or(&self.0.plain) };
        Ok(self.run(tokenizer, text)?.get_ids().to_vec())
    }

    /// For each token of a content, the byte of the text at which it ends: what truncation cuts at.
    pub fn content_ends(&self, text: &str) -> Result<Vec<usize>> {
        Ok(self.run(&self.0.plain, text)?.get_offsets().iter().map(|&(_, end)| end).collect())
    }

    /// The text of tokens, control tokens included.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        let decoded = guarded(|| self.0.full.decode(tokens, false)).map_err(|e| self.named(e))?;
        decoded.map_err(|e| self.named(Error::model(format!("cannot decode tokens: {e}"))))
    }

    fn run(&self, tokenizer: &Tokenizer, text: &str) -> Result<tokenizers::Encoding> {
        let encoded = guarded(|| tokenizer.encode(text, false)).map_err(|e| self.named(e))?;
        encoded.map_err(|e| self.named(Error::model(format!("cannot tokenise: {e}"))))
    }

    fn named(&self, error: Error) -> Error {
        if self.0.file.is_empty() { error } else { error.context(format!("`{}`", self.0.file)) }
    }

    /// The texts of the control tokens, by their ids.
    pub(super) fn control_texts(&self) -> Vec<String> {
        self.0.control.values().cloned().collect()
    }

    /// The added tokens from an id on, by their ids.
    pub(super) fn added_from(&self, first: usize) -> Vec<String> {
        let added: BTreeMap<u32, AddedToken> = self.0.full.get_added_tokens_decoder().into_iter().collect();
        added.into_iter().filter(|(id, _)| *id as usize >= first).map(|(_, token)| token.content).collect()
    }

    /// The number of tokens, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.0.full.get_vocab_size(true)
    }

    /// The largest token id plus one: what the embedding's rows must reach.
    pub fn id_limit(&self) -> usize {
        self.0.full.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1)
    }

    /// The tokenizer as the text of a `tokenizer.json`.
    pub fn to_json(&self) -> Result<String> {
        self.0.full.to_string(true).map_err(|e| Error::internal(format!("the tokenizer has no JSON form: {e}")))
    }

    /// The token that the file's own post-processor puts before a text, if it does.
    pub(super) fn added_in_front(&self) -> Result<Option<u32>> {
        let encode = |special| self.0.full.encode("a", special);
        let failed = |e: tokenizers::Error| Error::model(format!("cannot tokenise: {e}"));
        let (plain, with) = (encode(false).map_err(failed)?, encode(true).map_err(failed)?);
        let (plain, with) = (plain.get_ids(), with.get_ids());
        Ok(with.first().copied().filter(|first| with.len() > plain.len() && plain.first() != Some(first)))
    }

    /// The id of a token, spelled as in the vocabulary.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.0.full.token_to_id(token)
    }

    /// The spelling of a token.
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.0.full.id_to_token(id)
    }

    /// Whether a token is a control token, which no content can produce.
    pub fn is_control(&self, id: u32) -> bool {
        self.0.control.contains_key(&id)
    }
}

/// Special tokens, and those whose spelling is that of markup though the file does not call them special (`</s>` in
/// Phi-3).
fn is_control(token: &AddedToken) -> bool {
    let text = token.content.trim();
    let spelled = |open, close| text.len() > 2 && text.starts_with(open) && text.ends_with(close);
    token.special || spelled('<', '>') || spelled('[', ']')
}

fn first_length(text: &str) -> usize {
    text.chars().next().map_or(1, char::len_utf8)
}

thread_local! {
    /// Whether this thread is in the library, whose panics are errors of the file.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls the library. It panics on some files that it reads: that is an error of the file, and nothing is printed.
fn guarded<T>(call: impl FnOnce() -> T) -> Result<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
    let before = GUARDED.replace(true);
    // What is called either returns a new value or reads; a panic leaves nothing half-made that is used again.
    let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
    GUARDED.set(before);
    called.map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let said = said.map_or_else(String::new, |said| format!(": {}", said.lines().next().unwrap_or_default()));
        Error::model(format!("the tokenizer is damaged, the library that reads it gave up{said}"))
    })
}

/// The pre-tokenizer for text that does not begin the prompt, where it differs: one that marks only the first word
/// of all as the beginning of a word.
fn after_control(pre_tokenizer: Option<&PreTokenizerWrapper>) -> Option<PreTokenizerWrapper> {
    fn change(one: &mut PreTokenizerWrapper) -> bool {
        match one {
            PreTokenizerWrapper::Metaspace(space) if space.get_prepend_scheme() == PrependScheme::First => {
                space.set_prepend_scheme(PrependScheme::Never);
                true
            }
            PreTokenizerWrapper::Sequence(sequence) => {
                sequence.as_mut().iter_mut().fold(false, |changed, one| change(one) | changed)
            }
            _ => false,
        }
    }
    let mut changed = pre_tokenizer?.clone();
    change(&mut changed).then_some(changed)
}
