//! The turns of a conversation: a transcript of `Human:` and `Assistant:`, a list of messages, or a text alone.

use so8t_records::object::{self, Object};

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whether the user said it.
    pub is_user: bool,
    /// What was said.
    pub text: String,
}

/// How a turn begins in a transcript.
const SPEAKERS: [(&str, bool); 2] = [("Human:", true), ("Assistant:", false)];
const USERS: [&str; 3] = ["user", "human", "prompter"];
const ASSISTANTS: [&str; 4] = ["assistant", "gpt", "model", "bot"];

/// Reads the turns of a field. A text that is no transcript is one turn: of the user where it is a prompt, else of the assistant.
/// What the system says is left out.
pub fn read(value: &str, is_prompt: bool) -> Result<Vec<Turn>, String> {
    if let Some(messages) = object::array(value) {
        let mut turns = Vec::with_capacity(messages.len());
        for (number, message) in messages.iter().enumerate() {
            let turn = message_turn(message.get()).map_err(|what| format!("turn {}: {what}", number + 1))?;
            turns.extend(turn);
        }
        return Ok(turns);
    }
    let text =
        object::text(value).map_err(|found| found.replace("expected text", "expected a transcript or messages"))?;
    let mut turns = split(&text);
    if turns.is_empty() {
        turns.push(Turn { is_user: is_prompt, text: text.trim().to_owned() });
    } else if is_prompt && turns.last().is_some_and(|turn| !turn.is_user && turn.text.is_empty()) {
        // The prompt ends with `Assistant:`, which the answers follow.
        turns.pop();
    }
    Ok(turns)
}

fn message_turn(message: &str) -> Result<Option<Turn>, String> {
    let message = Object::parse(message)?;
    let field = |names: [&str; 2]| {
        names
            .into_iter()
            .find_map(|name| message.get(name))
            .ok_or_else(|| format!("there is no field `{}`", names.join("` or `")))
    };
    let role = object::text(field(["role", "from"])?)?;
    let is = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(&role));
    let text = object::text(field(["content", "value"])?)?.into_owned();
    match () {
        () if is(&USERS) => Ok(Some(Turn { is_user: true, text })),
        () if is(&ASSISTANTS) => Ok(Some(Turn { is_user: false, text })),
        () if role.eq_ignore_ascii_case("system") => Ok(None),
        () => Err(format!(
            "expected a role such as `user` or `assistant`, found `{}`",
            so8t_records::text::excerpt(&role)
        )),
    }
}

/// The turns of a transcript: each begins a paragraph. None where the text begins otherwise.
fn split(text: &str) -> Vec<Turn> {
    let text = text.trim_start();
    let Some(mut at) = speaker(text) else { return Vec::new() };
    let mut rest = text;
    let mut turns = Vec::new();
    loop {
        let (name, is_user) = at;
        rest = &rest[name.len()..];
        let next = rest.match_indices("\n\n").find_map(|(index, _)| {
            let after = rest[index..].trim_start_matches('\n');
            Some((index, after, speaker(after)?))
        });
        let end = next.map_or(rest.len(), |(index, ..)| index);
        turns.push(Turn { is_user, text: rest[..end].trim().to_owned() });
        match next {
            None => return turns,
            Some((_, after, speaker)) => (rest, at) = (after, speaker),
        }
    }
}

fn speaker(text: &str) -> Option<(&'static str, bool)> {
    SPEAKERS.into_iter().find(|(name, _)| text.starts_with(name))
}

/// The turns as a transcript.
pub fn transcript(turns: &[Turn]) -> String {
    let lines: Vec<String> =
        turns.iter().map(|turn| format!("{} {}", SPEAKERS[usize::from(!turn.is_user)].0, turn.text.trim())).collect();
    lines.join("\n\n")
}

/// The turns before the prompt, and the answer to it.
pub fn with_answer(context: &str, answer: &str) -> String {
    match context {
        "" => answer.to_owned(),
        _ => format!("{context}\n\nAssistant: {answer}"),
    }
}
