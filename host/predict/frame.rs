//! What a chat template puts around a request: before it, behind it, and where the answer begins and ends.
//!
//! The template is rendered with the policy as it is, and with a mark in the place of the request. What is read off that is compared with the
//! rendering of every request itself, since a template may look at the text.

use crate::model::{ChatTemplate, ContentForm, Message, Part, TextTokenizer};
use crate::{Error, Result};

/// A rendered template, cut where texts were put in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Frame(String),
    Policy,
    Request,
}

// Of characters that have no meaning outside a private agreement, so that no template looks for them.
const POLICY: &str = "\u{E000}so8t policy\u{E001}";
const REQUEST: &str = "\u{E000}so8t request\u{E001}";
const ANSWER: &str = "\u{E000}so8t answer\u{E001}";

/// How a template frames requests under one policy.
pub(super) struct Frame {
    template: ChatTemplate,
    /// Empty where there is none.
    policy: String,
    form: ContentForm,
    /// Whether the policy stands before the request, since the template has no system message.
    pub(super) policy_with_request: bool,
    pieces: Vec<Piece>,
    /// What the template writes between the beginning of an answer and its text.
    pub(super) lead: String,
    /// The tokens that end an answer.
    pub(super) end: Vec<u32>,
}

impl Frame {
    /// Renders the template.
    ///
    /// # Errors
    /// A template that fails, or that drops or changes the request; nothing that ends an answer.
    pub(super) fn new(tokenizer: &TextTokenizer, template: &ChatTemplate, policy: &str) -> Result<Self> {
        let mut frame = Self {
            template: template.clone(),
            policy: policy.to_string(),
            form: ContentForm::Text,
            policy_with_request: false,
            pieces: Vec::new(),
            lead: String::new(),
            end: Vec::new(),
        };
        let mut failure = None;
        // A template without system messages raises an exception, or drops them; one that wants parts drops texts.
        let system = [false, true].into_iter().filter(|with_request| !(policy.is_empty() && *with_request));
        let ways =
            system.flat_map(|with_request| [(ContentForm::Text, with_request), (ContentForm::Parts, with_request)]);
        let mut ways: Vec<(ContentForm, bool)> = ways.collect();
        // As texts in any way, before as parts.
        ways.sort_by_key(|(form, _)| *form == ContentForm::Parts);
        for (form, with_request) in ways {
            (frame.form, frame.policy_with_request) = (form, with_request);
            match frame.cut() {
                Ok(Some(pieces)) => {
                    frame.pieces = pieces;
                    (frame.lead, frame.end) = frame.answer(tokenizer)?;
                    return Ok(frame);
                }
                Ok(None) => {}
                // Of the failures, that of a lone user's message as a text says most.
                Err(error) => {
                    if form == ContentForm::Text {
                        failure = Some(error);
                    }
                }
            }
        }
        Err(failure
            .unwrap_or_else(|| template.blame(Error::model("the chat template drops or changes the user's message"))))
    }

    /// The conversation that asks for an answer to `turn`, under `policy`.
    fn messages(&self, policy: &str, turn: &str) -> Vec<Message> {
        match (policy.is_empty(), self.policy_with_request) {
            (true, _) => vec![Message::new("user", turn)],
            (false, true) => vec![Message::new("user", format!("{policy}\n\n{turn}"))],
            (false, false) => vec![Message::new("system", policy), Message::new("user", turn)],
        }
    }

    fn rendered(&self, policy: &str, turn: &str) -> Result<String> {
        self.template.render_as(&self.messages(policy, turn), true, self.form)
    }

    /// The pieces of a prompt; `None` where policy or request are missing.
    fn cut(&self) -> Result<Option<Vec<Piece>>> {
        let whole = self.rendered(&self.policy, REQUEST)?;
        // Where a mark in the place of the policy changes nothing else, it says where the policy stands.
        if !self.policy.is_empty()
            && let Ok(marked) = self.rendered(POLICY, REQUEST)
            && marked.contains(POLICY)
            && marked.replace(POLICY, &self.policy) == whole
        {
            let pieces = cut_at(&marked, &[(POLICY, Piece::Policy), (REQUEST, Piece::Request)]);
            return Ok(Some(pieces).filter(|pieces| pieces.contains(&Piece::Request)));
        }
        let marks = [(REQUEST, Piece::Request), (self.policy.as_str(), Piece::Policy)];
        let pieces = cut_at(&whole, if self.policy.is_empty() { &marks[..1] } else { &marks });
        let policies = pieces.iter().filter(|piece| **piece == Piece::Policy).count();
        if !pieces.contains(&Piece::Request) || (policies == 0 && !self.policy.is_empty()) {
            return Ok(None);
        }
        // Where it may be the template's own words, none of them is foreign.
        Ok(Some(if policies > 1 { cut_at(&whole, &marks[..1]) } else { pieces }))
    }

    /// What stands before an answer's text, and the tokens that end it.
    ///
    /// Where the assistant's message does not continue the prompt, it is judged and not the answer (guard models), and only the model itself
    /// says how an answer ends.
    fn answer(&self, tokenizer: &TextTokenizer) -> Result<(String, Vec<u32>)> {
        let prompt = self.rendered(&self.policy, REQUEST)?;
        let mut messages = self.messages(&self.policy, REQUEST);
        messages.push(Message::new("assistant", ANSWER));
        let whole = self.template.render_as(&messages, false, self.form).unwrap_or_default();
        if let Some((lead, tail)) = whole.strip_prefix(prompt.as_str()).and_then(|rest| rest.split_once(ANSWER))
            && !lead.contains(REQUEST)
            && let Some(end) = end_of(tokenizer, tail)?
        {
            return Ok((lead.to_string(), end));
        }
        let eos = tokenizer.token_id(self.template.eos_token()).filter(|_| !self.template.eos_token().is_empty());
        match eos.or_else(|| self.template.ends().first().copied()) {
            Some(token) => Ok((String::new(), vec![token])),
            None => Err(self.template.blame(Error::model(
                "nothing ends an answer: expected a control token behind the assistant's message in the chat template, or an `eos_token`",
            ))),
        }
    }

    /// Each token that ends an answer, whoever says so: the template, the tokenizer, or the model's files.
    pub(super) fn ends(&self, tokenizer: &TextTokenizer) -> Vec<u32> {
        let eos = Some(self.template.eos_token()).filter(|eos| !eos.is_empty()).and_then(|eos| tokenizer.token_id(eos));
        let mut ends: Vec<u32> = self.end.last().copied().into_iter().chain(eos).collect();
        ends.extend(self.template.ends());
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    /// The pieces around a user's turn, whatever the template would make of that turn.
    pub(super) fn parts<'a>(&'a self, turn: &'a str) -> Vec<Part<'a>> {
        let part = |piece: &'a Piece| match piece {
            Piece::Frame(text) => Part::Frame(text),
            Piece::Policy => Part::Content(&self.policy),
            Piece::Request => Part::Content(turn),
        };
        self.pieces.iter().map(part).collect()
    }

    /// The tokens of a prompt that ends with `lead`: those of the pieces where the template, rendered with this very turn, says the same;
    /// else those of what it says.
    ///
    /// # Errors
    /// What the template raises at this turn; a turn that spells control tokens, of which the template makes more than to repeat it.
    pub(super) fn encode(&self, tokenizer: &TextTokenizer, turn: &str, lead: &str) -> Result<Vec<u32>> {
        let mut parts = self.parts(turn);
        let whole = self.rendered(&self.policy, turn)?;
        if is_joined(&whole, &parts) {
            parts.push(Part::Frame(lead));
            return tokenizer.encode_parts(&parts);
        }
        let spells =
            |text: &str| Ok::<_, Error>(tokenizer.encode(text)?.iter().any(|&token| tokenizer.is_control(token)));
        if !spells(turn)? && !spells(&self.policy)? {
            return tokenizer.encode_parts(&[Part::Frame(&whole), Part::Frame(lead)]);
        }
        // No token of foreign text may become a control token.
        let marks = [(turn, Piece::Request), (self.policy.as_str(), Piece::Policy)];
        let marks: Vec<(&str, Piece)> = marks.into_iter().filter(|(mark, _)| !mark.is_empty()).collect();
        let pieces = cut_at(&whole, &marks);
        let count = |pieces: &[Piece], wanted: &Piece| pieces.iter().filter(|piece| *piece == wanted).count();
        let same =
            [Piece::Request, Piece::Policy].iter().all(|piece| count(&pieces, piece) == count(&self.pieces, piece));
        let mut own: Vec<Part<'_>> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Frame(text) => Part::Frame(text),
                Piece::Policy => Part::Content(&self.policy),
                Piece::Request => Part::Content(turn),
            })
            .collect();
        own.push(Part::Frame(lead));
        parts.push(Part::Frame(lead));
        let (own, harmless) = (tokenizer.encode_parts(&own)?, tokenizer.encode_parts(&parts)?);
        let controls =
            |tokens: &[u32]| -> Vec<u32> { tokens.iter().copied().filter(|&t| tokenizer.is_control(t)).collect() };
        if !same || controls(&own) != controls(&harmless) {
            return Err(self.template.blame(Error::model(
                "the chat template takes a request apart that spells control tokens, so that its own could not be told from the request's",
            )));
        }
        Ok(own)
    }
}

/// The tokens up to the control token that ends a turn, where nothing but white space stands before it.
fn end_of(tokenizer: &TextTokenizer, tail: &str) -> Result<Option<Vec<u32>>> {
    let mut tokens = tokenizer.encode_parts(&[Part::Frame(tail)])?;
    let Some(at) = tokens.iter().position(|&token| tokenizer.is_control(token)) else { return Ok(None) };
    tokens.truncate(at + 1);
    let before = tokenizer.decode(&tokens[..at])?;
    Ok(Some(tokens).filter(|_| before.trim().is_empty()))
}

fn is_joined(whole: &str, parts: &[Part<'_>]) -> bool {
    let mut rest = whole;
    for part in parts {
        let (Part::Frame(text) | Part::Content(text)) = part;
        match rest.strip_prefix(text) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

fn cut_at(rendered: &str, marks: &[(&str, Piece)]) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut rest = rendered;
    loop {
        let found = marks.iter().filter_map(|(mark, piece)| Some((rest.find(mark)?, mark.len(), piece)));
        let next = found.min_by_key(|(at, _, _)| *at);
        let frame = &rest[..next.map_or(rest.len(), |(at, _, _)| at)];
        if !frame.is_empty() {
            out.push(Piece::Frame(frame.to_string()));
        }
        let Some((at, length, piece)) = next else { return out };
        out.push(piece.clone());
        rest = &rest[at + length..];
    }
}
