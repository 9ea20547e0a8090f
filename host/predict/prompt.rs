//! From a request to the tokens that the model is asked with, and from a label to the tokens that answer it.
//!
//! A request is foreign text: whatever it spells, `<|im_end|>` say, it never becomes a control token. So the chat
//! template is rendered once with placeholders, cut at them, and each request is encoded as content between frames
//! ([`TextTokenizer::encode_parts`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::data::{LabelSet, Request};
use crate::model::{ChatTemplate, Message, Part, TextTokenizer};
use crate::{Error, Result};

/// Makes prompts and completions of one template, policy and label set.
pub struct Prompter {
    tokenizer: TextTokenizer,
    pieces: Vec<Piece>,
    policy: String,
    policy_with_request: bool,
    turn: Turn,
    labels: Vec<Vec<u32>>,
    end: Vec<u32>,
    /// The tokens that a prompt with its answer may have.
    max_length: usize,
    /// The tokens that a prompt may have.
    budget: usize,
    truncated: AtomicUsize,
}

/// The user's turn: fixed text around what a request says.
struct Turn {
    before: String,
    /// From the first placeholder to the last.
    request: String,
    after: String,
}

impl Turn {
    fn new(template: Option<&str>) -> Result<Self> {
        let template = template.unwrap_or("{instruction}\n{input}").trim();
        let places = ["{instruction}", "{input}"].map(|mark| template.find(mark).map(|at| (at, at + mark.len())));
        if places[0].is_none() {
            return Err(Error::manifest(format!(
                "`template`: expected a text with `{{instruction}}`, found `{template}`"
            )));
        }
        let start = places.iter().flatten().map(|p| p.0).min().unwrap_or(0);
        let end = places.iter().flatten().map(|p| p.1).max().unwrap_or(0);
        Ok(Self {
            before: template[..start].to_owned(),
            request: template[start..end].to_owned(),
            after: template[end..].to_owned(),
        })
    }

    /// What a request says; outer white space is dropped, as many chat templates do.
    fn request_text(&self, request: &Request) -> Result<String> {
        let (instruction, input) = (request.instruction.trim(), request.input.trim());
        if !input.is_empty() && !self.request.contains("{input}") {
            return Err(Error::manifest("`template`: expected `{input}` too, since a request has an input"));
        }
        // The pieces are put in from the right, so that a request's own braces are never taken for a placeholder.
        let mut marks = [("{instruction}", instruction), ("{input}", input)].map(|(m, t)| (self.request.find(m), m, t));
        marks.sort_by_key(|mark| std::cmp::Reverse(mark.0));
        let mut text = self.request.clone();
        for (at, mark, content) in marks {
            if let Some(at) = at {
                text.replace_range(at..at + mark.len(), content);
            }
        }
        Ok(text.trim().to_owned())
    }

    fn whole(&self, request: &str) -> String {
        format!("{}{request}{}", self.before, self.after).trim().to_owned()
    }
}

/// A rendered template, cut at its placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Frame(String),
    Policy,
    Request,
    Answer,
}

// Of characters that have no meaning outside a private agreement, so that no template looks for them.
const POLICY: &str = "\u{E000}so8t policy\u{E001}";
const REQUEST: &str = "\u{E000}so8t request\u{E001}";
const ANSWER: &str = "\u{E000}so8t answer\u{E001}";

/// A token is never longer, on the average of a text: what lies beyond need not be tokenised to be cut.
const BYTES_A_TOKEN: usize = 64;

impl Prompter {
    /// `turn` is the user's message with `{instruction}` and `{input}`; where absent, one below the other. `policy` becomes the system message; where the template has none, it stands before the request, an empty line
    /// between. `max_length` is the most tokens that a prompt with its completion may have.
    ///
    /// Errors: a template that fails, drops the request, or whose frame and policy alone exceed `max_length`; two
    /// labels with equal tokens; no token that ends an answer.
    pub fn new(
        tokenizer: &TextTokenizer,
        template: &ChatTemplate,
        policy: Option<&str>,
        turn: Option<&str>,
        labels: &LabelSet,
        max_length: usize,
    ) -> Result<Self> {
        let policy = policy.map(str::trim).filter(|policy| !policy.is_empty());
        let (pieces, policy_with_request) = pieces(template, policy.is_some())?;
        let mut prompter = Self {
            tokenizer: tokenizer.clone(),
            pieces,
            policy: policy.unwrap_or_default().to_string(),
            policy_with_request,
            turn: Turn::new(turn)?,
            labels: Vec::new(),
            end: end_of_answer(tokenizer, template)?,
            max_length,
            budget: max_length,
            truncated: AtomicUsize::new(0),
        };
        prompter.labels = prompter.label_sequences(labels)?;
        let longest = prompter.labels.iter().map(Vec::len).max().unwrap_or(0) + prompter.end.len();
        prompter.leave_room(longest)?;
        Ok(prompter)
    }

    /// Leaves `tokens` of `max_length` to the answer.
    pub(super) fn leave_room(&mut self, tokens: usize) -> Result<()> {
        let frame = self.encode("")?.len();
        if frame + tokens >= self.max_length {
            return Err(Error::manifest(format!(
                "`max_length`: expected more than {} tokens, which the chat template, the policy and the answer take, \
                 found `{}`",
                frame + tokens,
                self.max_length
            )));
        }
        self.budget = self.max_length - tokens;
        Ok(())
    }

    /// The tokenizer of prompts and answers.
    pub(super) fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    /// The tokens of the prompt: the template around the policy and the request, up to where the answer begins.
    pub fn prompt(&self, request: &Request) -> Result<Vec<u32>> {
        let (tokens, truncated) = self.prompt_and_truncation(request)?;
        if truncated {
            self.truncated.fetch_add(1, Ordering::Relaxed);
        }
        Ok(tokens)
    }

    /// As [`prompt`](Self::prompt), and whether the end of the request was cut off to fit; not counted.
    pub fn prompt_and_truncation(&self, request: &Request) -> Result<(Vec<u32>, bool)> {
        let text = self.turn.request_text(request)?;
        let mut kept = floor_boundary(&text, self.budget.saturating_mul(BYTES_A_TOKEN));
        let mut tokens = self.encode(text[..kept].trim_end())?;
        if tokens.len() <= self.budget && kept == text.len() {
            return Ok((tokens, false));
        }
        // Cut where a token of the text alone ends; joined to the frame, the number may differ by a few.
        let ends = self.tokenizer.content_ends(&text[..kept])?;
        let mut count = ends.len();
        while tokens.len() > self.budget {
            count = count.saturating_sub(tokens.len() - self.budget);
            kept = if count == 0 { 0 } else { floor_boundary(&text, ends[count - 1]) };
            tokens = self.encode(text[..kept].trim_end())?;
            if count == 0 {
                break;
            }
        }
        Ok((tokens, true))
    }

    /// How many prompts [`prompt`](Self::prompt) has cut so far.
    pub fn truncated(&self) -> usize {
        self.truncated.load(Ordering::Relaxed)
    }

    /// Whether the template has no system message, so that the policy stands before each request.
    pub fn policy_with_request(&self) -> bool {
        self.policy_with_request
    }

    /// The tokens with which an answer that is label `id` begins, as they follow a prompt; empty for an id that is
    /// no label.
    pub fn label_tokens(&self, id: u8) -> &[u32] {
        self.labels.get(usize::from(id)).map_or(&[], Vec::as_slice)
    }

    /// The tokens of every label, by id.
    pub fn labels(&self) -> &[Vec<u32>] {
        &self.labels
    }

    /// The tokens that end an answer.
    pub fn end(&self) -> &[u32] {
        &self.end
    }

    /// The whole answer that is label `id`: its tokens and the end of the turn.
    pub fn completion(&self, id: u8) -> Vec<u32> {
        [self.label_tokens(id), &self.end].concat()
    }

    /// `turn` is the user's whole turn.
    fn parts<'a>(&'a self, turn: &'a str) -> Vec<Part<'a>> {
        let part = |piece: &'a Piece| match piece {
            Piece::Frame(text) => Part::Frame(text),
            Piece::Policy => Part::Content(&self.policy),
            Piece::Request | Piece::Answer => Part::Content(turn),
        };
        self.pieces.iter().map(part).collect()
    }

    fn encode(&self, request: &str) -> Result<Vec<u32>> {
        self.tokenizer.encode_parts(&self.parts(&self.turn.whole(request)))
    }

    fn label_sequences(&self, labels: &LabelSet) -> Result<Vec<Vec<u32>>> {
        let turn = self.turn.whole("?");
        let prompt = self.encode("?")?;
        let mut seen: BTreeMap<Vec<u32>, &str> = BTreeMap::new();
        let mut out = Vec::new();
        for name in &labels.names {
            let mut parts = self.parts(&turn);
            parts.push(Part::Content(name));
            let joined = self.tokenizer.encode_parts(&parts)?;
            // Where the tokenizer merges across the boundary, the label is encoded by itself: training and scoring
            // then agree, since both put it behind the prompt's own tokens.
            let tokens = match joined.strip_prefix(prompt.as_slice()) {
                Some(tokens) => tokens.to_vec(),
                None => self.tokenizer.encode_parts(&[Part::Content(name)])?,
            };
            if tokens.is_empty() {
                return Err(Error::model(format!("label `{name}` has no tokens")));
            }
            if let Some(other) = seen.insert(tokens.clone(), name) {
                return Err(Error::model(format!("labels `{other}` and `{name}` have the same tokens")));
            }
            out.push(tokens);
        }
        Ok(out)
    }
}

/// The largest character boundary of `text` that is at most `at`.
fn floor_boundary(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

/// Renders the template with placeholders and cuts it, up to where the answer begins. The second value says whether
/// the policy had to be put before the request.
fn pieces(template: &ChatTemplate, with_policy: bool) -> Result<(Vec<Piece>, bool)> {
    if with_policy {
        let messages = [Message::new("system", POLICY), Message::new("user", REQUEST)];
        // A template without system messages raises an exception, or drops them.
        if let Ok(rendered) = template.render(&messages, true) {
            let pieces = cut(&rendered);
            if pieces.contains(&Piece::Policy) && pieces.contains(&Piece::Request) {
                return Ok((pieces, false));
            }
        }
    }
    let content = if with_policy { format!("{POLICY}\n\n{REQUEST}") } else { REQUEST.to_string() };
    let pieces = cut(&template.render(&[Message::new("user", content)], true)?);
    if !pieces.contains(&Piece::Request) || pieces.contains(&Piece::Policy) != with_policy {
        return Err(Error::model("the chat template drops or changes the user's message"));
    }
    Ok((pieces, with_policy))
}

fn cut(rendered: &str) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut rest = rendered;
    let places = [(POLICY, Piece::Policy), (REQUEST, Piece::Request), (ANSWER, Piece::Answer)];
    loop {
        let next =
            places.iter().filter_map(|(mark, piece)| Some((rest.find(mark)?, mark.len(), piece))).min_by_key(|p| p.0);
        let frame = &rest[..next.map_or(rest.len(), |(at, _, _)| at)];
        if !frame.is_empty() {
            out.push(Piece::Frame(frame.to_string()));
        }
        let Some((at, length, piece)) = next else { return out };
        out.push(piece.clone());
        rest = &rest[at + length..];
    }
}

/// The tokens from the end of an answer up to the control token that ends the turn.
fn end_of_answer(tokenizer: &TextTokenizer, template: &ChatTemplate) -> Result<Vec<u32>> {
    let messages = [Message::new("user", REQUEST), Message::new("assistant", ANSWER)];
    let pieces = cut(&template.render(&messages, false)?);
    let after = pieces.iter().position(|piece| *piece == Piece::Answer).and_then(|at| pieces.get(at + 1));
    if let Some(Piece::Frame(frame)) = after {
        let tokens = tokenizer.encode_parts(&[Part::Frame(frame)])?;
        if let Some(at) = tokens.iter().position(|&token| tokenizer.is_control(token)) {
            return Ok(tokens[..=at].to_vec());
        }
    }
    let eos = template.eos_token();
    match tokenizer.token_id(eos) {
        Some(token) if !eos.is_empty() => Ok(vec![token]),
        _ => Err(Error::model(
            "nothing ends an answer: expected a control token behind the assistant's message in the chat template, or an `eos_token`",
        )),
    }
}
