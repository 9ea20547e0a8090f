//! Chat templates: what turns messages into the text that a model was trained on.

use std::sync::Arc;

use minijinja::{Environment, ErrorKind, context};
use serde::Serialize;
use serde_json::Value;

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

/// A chat template in Jinja, rendered as Transformers renders it; cheap to clone.
#[derive(Clone)]
pub struct ChatTemplate(Arc<Parsed>);

struct Parsed {
    environment: Environment<'static>,
    source: String,
    bos_token: String,
    eos_token: String,
}

/// Steps that a template may take: many times what real ones take, and soon over.
const FUEL: u64 = 10_000_000;
const NAME: &str = "chat template";

impl ChatTemplate {
    /// Parses a template; the two tokens' spellings stand for `bos_token` and `eos_token` in it.
    ///
    /// ```
    /// use so8t::model::{ChatTemplate, Message};
    /// let source = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}";
    /// let template = ChatTemplate::new(source, "", "</s>")?;
    /// assert_eq!(template.render(&[Message::new("user", "Hello")], true)?, "[user] Hello</s>");
    /// # Ok::<(), so8t::Error>(())
    /// ```
    pub fn new(source: &str, bos_token: &str, eos_token: &str) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_fuel(Some(FUEL));
        environment.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment
            .add_template_owned(NAME, source.to_string())
            .map_err(|e| Error::model(format!("the chat template does not parse: {e:#}")))?;
        Ok(Self(Arc::new(Parsed {
            environment,
            source: source.to_string(),
            bos_token: bos_token.to_string(),
            eos_token: eos_token.to_string(),
        })))
    }

    /// The text of a conversation, and of the beginning of the assistant's answer if `add_generation_prompt`.
    ///
    /// Errors: whatever the template raises, for example at a role that it does not know.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let values = context! {
            messages => messages,
            add_generation_prompt => add_generation_prompt,
            bos_token => self.0.bos_token,
            eos_token => self.0.eos_token,
        };
        let rendered = self.0.environment.get_template(NAME).and_then(|template| template.render(values));
        rendered.map_err(|e| Error::model(format!("the chat template failed: {e:#}")))
    }

    /// The template's own text.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The spelling of the token that begins a sequence; empty where the model has none.
    pub fn bos_token(&self) -> &str {
        &self.0.bos_token
    }

    /// The spelling of the token that ends a sequence; empty where the model has none.
    pub fn eos_token(&self) -> &str {
        &self.0.eos_token
    }
}

/// `bos_token` or `eos_token` of a `tokenizer_config.json`: a string, or an object with `content`.
pub fn token_spelling(settings: &Value, name: &str) -> Option<String> {
    let value = settings.get(name)?;
    value.as_str().or_else(|| value.get("content")?.as_str()).map(String::from)
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
