//! From a request to the tokens that the model is asked with, and from a label to the tokens that answer it.
//!
//! A request is foreign text: whatever it spells, `<|im_end|>` say, it never becomes a control token. So the rendered chat
//! template is cut where texts were put in (`frame.rs`), and each request is encoded as content between frames
//! ([`TextTokenizer::encode_parts`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::frame::Frame;
use crate::data::{LabelSet, Request};
use crate::model::{ChatTemplate, Part, TextTokenizer};
use crate::{Error, Result};

/// Makes prompts and completions of one template, policy and label set.
pub struct Prompter {
    tokenizer: TextTokenizer,
    frame: Frame,
    turn: Turn,
    labels: Vec<Vec<u32>>,
    /// What every prompt begins with.
    beginning: Vec<u32>,
    /// White space that the template puts before an answer, and that is one token with the answer's beginning.
    space: String,
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
        let frame = Frame::new(tokenizer, template, policy.map(str::trim).unwrap_or_default())?;
        let mut prompter = Self {
            tokenizer: tokenizer.clone(),
            frame,
            turn: Turn::new(turn)?,
            labels: Vec::new(),
            beginning: Vec::new(),
            space: String::new(),
            max_length,
            budget: max_length,
            truncated: AtomicUsize::new(0),
        };
        prompter.labels = prompter.label_sequences(labels)?;
        let longest = prompter.labels.iter().map(Vec::len).max().unwrap_or(0) + prompter.end().len();
        prompter.leave_room(longest)?;
        prompter.beginning = prompter.common_beginning();
        Ok(prompter)
    }

    /// Leaves `tokens` of `max_length` to the answer.
    pub(super) fn leave_room(&mut self, tokens: usize) -> Result<()> {
        let frame = self.encode_pieces("", &[])?.len();
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

    /// The answer's text as it follows a prompt: with the white space that is one token with its beginning.
    pub(super) fn spaced(&self, answer: &str) -> String {
        format!("{}{answer}", self.space)
    }

    /// What the template writes between its generation prompt and an answer, such as an empty block for thoughts; every prompt ends with it.
    pub fn lead(&self) -> &str {
        &self.frame.lead
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
        self.frame.policy_with_request
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

    /// The tokens that prompts begin with, whatever the request: the template's and the system prompt's.
    pub fn beginning(&self) -> &[u32] {
        &self.beginning
    }

    /// What the prompts of requests that have nothing in common begin with.
    fn common_beginning(&self) -> Vec<u32> {
        let mut common: Option<Vec<u32>> = None;
        for request in ["?", "a", "0", "The", "日", "\u{1F600}", "<"] {
            // A template that refuses a request says so when it is asked for.
            let Ok(prompt) = self.encode(request) else { return Vec::new() };
            let length = common.iter().flatten().zip(&prompt).take_while(|(a, b)| a == b).count();
            match &mut common {
                None => common = Some(prompt),
                Some(common) => common.truncate(length),
            }
        }
        common.unwrap_or_default()
    }

    /// The tokens that end an answer which is trained on.
    pub fn end(&self) -> &[u32] {
        &self.frame.end
    }

    /// The tokens each of which ends a generated answer: the last of [`end`](Self::end), and those that tokenizer and model name.
    pub fn ends(&self) -> Vec<u32> {
        self.frame.ends(&self.tokenizer)
    }

    /// The whole answer that is label `id`: its tokens and the end of the turn.
    pub fn completion(&self, id: u8) -> Vec<u32> {
        [self.label_tokens(id), self.end()].concat()
    }

    fn encode(&self, request: &str) -> Result<Vec<u32>> {
        self.frame.encode(&self.tokenizer, &self.turn.whole(request), &self.frame.lead)
    }

    /// The tokens of the pieces around a request, and what follows them.
    fn encode_pieces(&self, request: &str, after: &[Part<'_>]) -> Result<Vec<u32>> {
        let turn = self.turn.whole(request);
        let mut parts = self.frame.parts(&turn);
        parts.push(Part::Frame(&self.frame.lead));
        parts.extend(after);
        self.tokenizer.encode_parts(&parts)
    }

    fn label_sequences(&mut self, labels: &LabelSet) -> Result<Vec<Vec<u32>>> {
        self.choose_space(labels)?;
        let prompt = self.encode_pieces("?", &[])?;
        let mut seen: BTreeMap<Vec<u32>, &str> = BTreeMap::new();
        let mut out = Vec::new();
        for name in &labels.names {
            let spaced = self.spaced(name);
            let joined = self.encode_pieces("?", &[Part::Content(&spaced)])?;
            // Where the tokenizer merges across the boundary, the label is encoded by itself: training and scoring
            // then agree, since both put it behind the prompt's own tokens.
            let tokens = match joined.strip_prefix(prompt.as_slice()) {
                Some(tokens) => tokens.to_vec(),
                None => self.tokenizer.encode_parts(&[Part::Content(&spaced)])?,
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

    /// White space at the end of what the template puts before an answer stays with the prompt where its tokens do; where the tokenizer
    /// joins it with the answer's first word (`▁ALLOW`), it goes to the answer, as in a conversation that the model learned from.
    fn choose_space(&mut self, labels: &LabelSet) -> Result<()> {
        let lead = self.frame.lead.clone();
        let kept = lead.trim_end();
        if kept.len() == lead.len() {
            return Ok(());
        }
        for (kept, space) in [(lead.as_str(), ""), (kept, &lead[kept.len()..])] {
            (self.frame.lead, self.space) = (kept.to_string(), space.to_string());
            let prompt = self.encode_pieces("?", &[])?;
            let mut joins = true;
            for name in &labels.names {
                let joined = self.encode_pieces("?", &[Part::Content(&self.spaced(name))])?;
                joins &= joined.len() > prompt.len() && joined.starts_with(&prompt);
            }
            if joins {
                return Ok(());
            }
        }
        (self.frame.lead, self.space) = (lead, String::new());
        Ok(())
    }
}

/// The largest character boundary of `text` that is at most `at`.
fn floor_boundary(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}
