//! The answers that a model is trained to give where it is to think aloud: the thinking of the source's own answer, and the decision last.

use super::{Prompter, decide};
use crate::data::thinking::{self, Part};
use crate::data::{INVALID, LabelSet};
use crate::model;
use crate::{Error, Result};

/// What became of the thinking of a source's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thought {
    /// All of it stands before the decision.
    Whole,
    /// Its end was left out, so that the answer fits.
    Cut,
    /// There was none, or no room for any: the decision stands alone.
    None,
    /// The source's answer decides for another label than its example has, so that its thinking would teach what is wrong: the
    /// decision stands alone.
    Contradiction,
}

/// An answer to be trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThinkingAnswer {
    /// The answer and the end of the turn.
    pub tokens: Vec<u32>,
    /// What became of the thinking.
    pub thought: Thought,
}

impl Prompter {
    /// Leaves room in every prompt for `<final>LABEL</final>` instead of the label alone.
    ///
    /// # Errors
    /// Where frame, policy and such an answer alone are longer than `max_length`.
    pub fn with_final_part(mut self, labels: &LabelSet) -> Result<Self> {
        let mut longest = 0;
        for name in &labels.names {
            longest = longest.max(self.encode_answer(&final_part(name))?.len());
        }
        self.leave_room(longest)?;
        Ok(self)
    }

    /// The answer that is label `id` behind the thinking of `output`, in at most `room` tokens: the parts of `output` in their order, each in
    /// its own tags, and last `<final>…</final>`. The final part is that of `output` where it decides for `id` and fits, else the label's
    /// name; it is never cut. Thinking is cut from its end, at the end of a token.
    ///
    /// # Errors
    /// Where `room` does not hold the final part; see [`with_final_part`](Self::with_final_part).
    pub fn thinking_answer(&self, output: &str, labels: &LabelSet, id: u8, room: usize) -> Result<ThinkingAnswer> {
        let parsed = thinking::parse(output);
        let decided = parsed.as_ref().map_or(INVALID, |_| decide(output, labels));
        let contradicts = decided != INVALID && decided != id;
        let own = parsed.as_ref().and_then(|parts| parts.final_part()).filter(|_| decided == id).map(final_part);
        let name = final_part(labels.name(id));
        let fits = |text: &String| Ok(self.encode_answer(text)?.len() <= room);
        let last = match own {
            Some(own) if fits(&own)? => own,
            _ if fits(&name)? => name,
            _ => return Err(Error::internal(format!("expected room for `{name}`, found {room} tokens"))),
        };
        let mut parts: Vec<(Part, &str)> = match &parsed {
            Some(parsed) if !contradicts => {
                parsed.parts.iter().copied().filter(|(part, text)| *part != Part::Final && !text.is_empty()).collect()
            }
            _ => Vec::new(),
        };
        let mut is_cut = false;
        let tokens = loop {
            let spelled: String = parts.iter().map(|(part, text)| tagged(part.name(), text)).collect();
            let tokens = self.encode_answer(&format!("{spelled}{last}"))?;
            let (excess, Some((_, text))) = (tokens.len().saturating_sub(room), parts.last_mut()) else { break tokens };
            if excess == 0 {
                break tokens;
            }
            is_cut = true;
            let ends = self.tokenizer().content_ends(text)?;
            let end = ends.len().checked_sub(excess + 1).map_or(0, |token| text.floor_char_boundary(ends[token]));
            *text = text[..end].trim_end();
            if text.is_empty() {
                parts.pop();
            }
        };
        let thought = match (contradicts, parts.is_empty()) {
            (true, _) => Thought::Contradiction,
            (_, true) => Thought::None,
            _ if is_cut => Thought::Cut,
            _ => Thought::Whole,
        };
        Ok(ThinkingAnswer { tokens, thought })
    }

    /// The tokens of an answer, and those that end the turn. It is foreign text: none of it becomes a control token.
    fn encode_answer(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = self.tokenizer().encode_parts(&[model::Part::Content(&self.spaced(text))])?;
        tokens.extend(self.end());
        Ok(tokens)
    }
}

fn final_part(text: &str) -> String {
    tagged(Part::Final.name(), text)
}

fn tagged(name: &str, text: &str) -> String {
    format!("<{name}>{text}</{name}>")
}
