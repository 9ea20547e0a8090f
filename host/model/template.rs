//! Chat templates: what turns messages into the text that a model was trained on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::jinja::{Clock, Fault, Template};
use super::tokenizer::TextTokenizer;
use so8t_base::{Error, Result};

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: &str, content: impl Into<String>) -> Self {
        Self { role: role.to_string(), content: content.into() }
    }
}

/// How a template is given the text of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentForm {
    /// As a text.
    #[default]
    Text,
    /// As a list of one part, `{"type": "text", "text": …}`.
    Parts,
}

/// A chat template in Jinja, rendered as Transformers renders it; cheap to clone.
///
/// It sees `messages`, `tools` and `documents` (none), `add_generation_prompt`, the tokenizer's special tokens, the variables of
/// [`with`](Self::with), and what Jinja2 and Transformers define: `range`, `dict`, `namespace`, `raise_exception`, and `strftime_now` where a
/// date is given. What it may do is bounded in steps, memory and nesting.
#[derive(Clone)]
pub struct ChatTemplate {
    parsed: Arc<Parsed>,
    settings: Arc<Settings>,
    /// The file that it stands in.
    origin: Option<Arc<Path>>,
}

struct Parsed {
    template: Template,
    source: String,
    /// Name and spelling.
    special: Vec<(String, Value)>,
    ends: Vec<u32>,
}

#[derive(Default)]
struct Settings {
    variables: Map<String, Value>,
    clock: Option<Clock>,
    missed_date: AtomicBool,
}

/// The names that a template is given anyway, and those that mean something else to `apply_chat_template`.
const RESERVED: [&str; 9] = [
    "messages",
    "add_generation_prompt",
    "conversation",
    "conversations",
    "chat_template",
    "continue_final_message",
    "tokenize",
    "return_assistant_tokens_mask",
    "return_dict",
];

impl ChatTemplate {
    /// Parses a template; the two tokens' spellings stand for `bos_token` and `eos_token` in it, which are not defined where empty.
    ///
    /// ```
    /// use so8t_model::{ChatTemplate, Message};
    /// let source = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}";
    /// let template = ChatTemplate::new(source, "", "</s>")?;
    /// assert_eq!(template.render(&[Message::new("user", "Hello")], true)?, "[user] Hello</s>");
    /// # Ok::<(), so8t_base::Error>(())
    /// ```
    ///
    /// # Errors
    /// A template that does not parse, or that is nested too deep.
    pub fn new(source: &str, bos_token: &str, eos_token: &str) -> Result<Self> {
        let named = [("bos_token", bos_token), ("eos_token", eos_token)];
        let named = named.iter().filter(|(_, text)| !text.is_empty());
        let named = named.map(|(name, text)| (name.to_string(), text.to_string())).collect();
        Self::with_tokens(source, named, Vec::new())
    }

    /// Parses a template that sees these special tokens, by name (`bos_token`, …) and spelling, and no others. `ends` are the tokens with
    /// which the model ends a turn or a text, wherever its files name them.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_tokens(source: &str, special: Vec<(String, String)>, ends: Vec<u32>) -> Result<Self> {
        let template = Template::parse(source).map_err(|fault| told("the chat template does not parse", &fault))?;
        let special = special.into_iter().map(|(name, text)| (name, Value::String(text))).collect();
        let parsed = Parsed { template, source: source.to_string(), special, ends };
        Ok(Self { parsed: Arc::new(parsed), settings: Arc::default(), origin: None })
    }

    /// The same template, which sees these variables besides (they go before special tokens), and `date` (`2025-01-31`) as the day it is.
    ///
    /// # Errors
    /// A variable with a name that is given anyway; a date that is none.
    pub fn with(&self, variables: &Map<String, Value>, date: Option<&str>) -> Result<Self> {
        if let Some(name) = variables.keys().find(|name| RESERVED.contains(&name.as_str())) {
            return Err(Error::manifest(format!("`{name}` is no variable of a chat template: it is always given")));
        }
        let clock = match date {
            None => None,
            Some(date) => Some(
                Clock::parse(date)
                    .ok_or_else(|| Error::manifest(format!("expected a date such as `2025-01-31`, found `{date}`")))?,
            ),
        };
        let settings = Settings { variables: variables.clone(), clock, missed_date: AtomicBool::new(false) };
        Ok(Self { parsed: self.parsed.clone(), settings: Arc::new(settings), origin: self.origin.clone() })
    }

    /// The same template, whose errors name the file that it stands in.
    pub fn of_file(mut self, path: &Path) -> Self {
        self.origin = Some(path.into());
        self
    }

    /// An error of this template, with its file.
    pub fn blame(&self, error: Error) -> Error {
        match &self.origin {
            Some(path) => error.context(format!("`{}`", path.display())),
            None => error,
        }
    }

    /// The text of a conversation, and of the beginning of the assistant's answer if `add_generation_prompt`.
    ///
    /// Errors: whatever the template raises, for example at a role that it does not know.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        self.render_as(messages, add_generation_prompt, ContentForm::Text)
    }

    /// As [`render`](Self::render), with the texts given in a form.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn render_as(&self, messages: &[Message], add_generation_prompt: bool, form: ContentForm) -> Result<String> {
        let content = |text: &str| match form {
            ContentForm::Text => Value::from(text),
            ContentForm::Parts => json!([{"type": "text", "text": text}]),
        };
        let message = |message: &Message| json!({"role": message.role, "content": content(&message.content)});
        let messages = Value::Array(messages.iter().map(message).collect());
        let (nothing, prompt) = (Value::Null, Value::Bool(add_generation_prompt));
        let mut names: Vec<(&str, &Value)> = vec![
            ("messages", &messages),
            ("tools", &nothing),
            ("documents", &nothing),
            ("add_generation_prompt", &prompt),
        ];
        names.extend(self.parsed.special.iter().map(|(name, text)| (name.as_str(), text)));
        // The later goes before the earlier.
        names.extend(self.settings.variables.iter().map(|(name, value)| (name.as_str(), value)));
        let rendered = self.parsed.template.render(&names, self.settings.clock.as_ref());
        let rendered = rendered.map_err(|fault| self.blame(told("the chat template failed", &fault)))?;
        if rendered.missed_date {
            self.settings.missed_date.store(true, Ordering::Relaxed);
        }
        Ok(rendered.text)
    }

    /// Whether the template asks for a date, is given none, and goes on without.
    pub fn asks_for_date(&self) -> bool {
        let user = Message::new("user", "?");
        let conversations = [vec![user.clone()], vec![Message::new("system", "?"), user]];
        conversations.iter().any(|messages| {
            let _ = self.render(messages, true);
            self.settings.missed_date.load(Ordering::Relaxed)
        })
    }

    /// The template's own text.
    pub fn source(&self) -> &str {
        &self.parsed.source
    }

    /// The tokens with which the model ends a turn or a text, where its files name them.
    pub fn ends(&self) -> &[u32] {
        &self.parsed.ends
    }

    fn special(&self, name: &str) -> &str {
        let found = self.parsed.special.iter().find(|(own, _)| own == name);
        found.and_then(|(_, text)| text.as_str()).unwrap_or_default()
    }

    /// The spelling of the token that begins a sequence; empty where the tokenizer names none.
    pub fn bos_token(&self) -> &str {
        self.special("bos_token")
    }

    /// The spelling of the token that ends a sequence; empty where the tokenizer names none.
    pub fn eos_token(&self) -> &str {
        self.special("eos_token")
    }
}

fn told(what: &str, fault: &Fault) -> Error {
    let (text, hint) = fault.message();
    let error = Error::model(format!("{what}: {text}"));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The names that every tokenizer may have.
const SPECIAL: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What a tokenizer's class has where its file is silent: Transformers' own defaults.
fn defaults(class: &str) -> &'static [(&'static str, &'static str)] {
    match class.strip_suffix("Fast").unwrap_or(class) {
        "LlamaTokenizer" | "CodeLlamaTokenizer" => {
            &[("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")]
        }
        "GPT2Tokenizer" => {
            &[("bos_token", "<|endoftext|>"), ("eos_token", "<|endoftext|>"), ("unk_token", "<|endoftext|>")]
        }
        "Qwen2Tokenizer" => {
            &[("eos_token", "<|endoftext|>"), ("unk_token", "<|endoftext|>"), ("pad_token", "<|endoftext|>")]
        }
        "GemmaTokenizer" => {
            &[("bos_token", "<bos>"), ("eos_token", "<eos>"), ("unk_token", "<unk>"), ("pad_token", "<pad>")]
        }
        _ => &[],
    }
}

/// The special tokens that a template sees, by name and spelling, as Transformers' `special_tokens_map`: those that `tokenizer_config.json` names,
/// else those of `special_tokens_map.json` (`older`), else those of the tokenizer's class. One that is null is not there.
pub fn special_tokens(settings: &Value, older: &Value) -> Vec<(String, String)> {
    let spelled = |value: &Value| value.as_str().or_else(|| value.get("content")?.as_str()).map(String::from);
    let class = settings.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
    let mut out = Vec::new();
    for name in SPECIAL {
        // The file that is older goes before, where it is there: Transformers reads it last. The names of the decoder make it superfluous.
        let found = match older.get(name).filter(|_| settings.get("added_tokens_decoder").is_none()) {
            Some(value) => spelled(value),
            None => match settings.get(name) {
                Some(value) => spelled(value),
                None => defaults(class).iter().find(|(own, _)| *own == name).map(|(_, text)| text.to_string()),
            },
        };
        out.extend(found.map(|text| (name.to_string(), text)));
    }
    let mut add = |name: &String, value: &Value| {
        if let Some(text) = spelled(value).filter(|_| out.iter().all(|(own, _)| own != name)) {
            out.push((name.clone(), text));
        }
    };
    if let Some(settings) = settings.as_object() {
        settings
            .iter()
            .filter(|(name, _)| name.ends_with("_token") && !name.starts_with("add_"))
            .for_each(|(n, v)| add(n, v));
        for more in ["extra_special_tokens", "model_specific_special_tokens"] {
            if let Some(named) = settings.get(more).and_then(Value::as_object) {
                named.iter().for_each(|(name, value)| add(name, value));
            }
        }
    }
    out
}

/// `chat_template` of a `tokenizer_config.json`: a string, or a list of named ones of which `default` (or the only
/// one) is taken. Errors: another shape.
pub fn template_source(settings: &Value) -> Result<Option<String>> {
    let named = |entry: &Value| entry.get("template").and_then(Value::as_str).map(String::from);
    let found = match settings.get("chat_template") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(source)) => Some(source.clone()),
        Some(Value::Array(list)) => match list.iter().find(|entry| entry.get("name") == Some(&"default".into())) {
            Some(entry) => named(entry),
            None if list.len() == 1 => named(&list[0]),
            None => None,
        },
        Some(_) => None,
    };
    found.map(Some).ok_or_else(|| {
        Error::model(
            "field `chat_template`: expected a string, or a list of `name` and `template` with the name `default`",
        )
    })
}

const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] \
    + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const PHI3: &str = "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] \
    + '<|end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}";

/// The template that a tokenizer without one gets, with its name: the one whose control tokens it holds.
pub fn fallback(tokenizer: &TextTokenizer) -> Option<(&'static str, &'static str)> {
    let holds = |tokens: &[&str]| {
        tokens.iter().all(|token| tokenizer.token_id(token).is_some_and(|id| tokenizer.is_control(id)))
    };
    if holds(&["<|im_start|>", "<|im_end|>"]) {
        Some(("ChatML", CHATML))
    } else if holds(&["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]) {
        Some(("Phi-3", PHI3))
    } else {
        None
    }
}
