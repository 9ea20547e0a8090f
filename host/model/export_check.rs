//! Whether a GGUF file that was written says the same as the model that it was written from.

use std::fs;
use std::path::Path;

use super::config::Architecture;
use super::gguf::Header;
use super::gguf_decoder::architecture_name;
use super::gguf_vocabulary::marks_first_word;
use super::mapped::MappedFile;
use super::open::ModelFiles;
use super::template::Message;
use super::tokenizer::TextTokenizer;
use so8t_base::{Error, Result};

/// Texts that the two tokenizers must read alike, with a control token for each `§`.
const TEXTS: [&str; 8] = [
    "§Hello, world",
    "§ two  spaces and 1234 digits§",
    "§\nline\n\nline §word § word",
    "§§§",
    "§日本語, ünïcode, 🙂§x",
    "Hello, world§answer",
    " leading space",
    "it's 3.14\t(tab)",
];

/// What the user should know before a model is written as GGUF.
pub fn export_warnings(base: &ModelFiles) -> Vec<String> {
    let config = &base.config;
    let name = architecture_name(config.architecture);
    let applied = matches!(config.architecture, Architecture::Gemma2 | Architecture::Gemma3);
    let window = config.sliding_window.filter(|&window| window < config.max_position && !applied).map(|window| {
        format!(
            "the model's tokens see {window} tokens back; llama.cpp applies no window to the architecture `{name}`, so that scores of longer texts differ"
        )
    });
    window.into_iter().collect()
}

/// Errors: a tokenizer that GGUF cannot say: one that marks the first word of a text alone, where prompts do not begin with a control token.
pub(super) fn check_first_word(base: &ModelFiles) -> Result<()> {
    if !marks_first_word(base)? || begins_with_control(base) {
        return Ok(());
    }
    Err(Error::model(
        "the tokenizer puts a space before the first word of a text alone, and the template's prompts begin with one: GGUF cannot say this",
    ))
}

fn begins_with_control(base: &ModelFiles) -> bool {
    let prompt = base.template.render(&[Message::new("user", "a")], true);
    let first =
        prompt.and_then(|prompt| base.tokenizer.encode(&prompt)).ok().and_then(|tokens| tokens.first().copied());
    first.is_some_and(|first| base.tokenizer.is_control(first))
}

/// Reads the file's tokenizer back, and removes the file where it does not make the tokens of the model's own.
///
/// Errors: a text that the two read differently.
pub(super) fn check_tokens(base: &ModelFiles, path: &Path) -> Result<()> {
    let checked = (|| {
        let file = MappedFile::open(path)?;
        let written = TextTokenizer::from_gguf(&Header::read(&file)?)?;
        let begins = marks_first_word(base)?;
        let control = base.tokenizer.control_texts();
        for text in TEXTS {
            if begins && !text.starts_with('§') {
                continue;
            }
            for token in control.iter().take(6).map(String::as_str).chain(control.is_empty().then_some("")) {
                let text = text.replace('§', token);
                if base.tokenizer.encode(&text)? != written.encode(&text)? {
                    return Err(Error::model(format!(
                        "`{}`: the text `{text}` has other tokens in GGUF than with the model's own tokenizer; the file was not kept",
                        path.display()
                    )));
                }
            }
        }
        Ok(())
    })();
    if checked.is_err() {
        let _ = fs::remove_file(path);
    }
    checked
}
